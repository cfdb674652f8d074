package route

import (
	"encoding/binary"
	"math/bits"
)

// The constants of XXH64 (Yann Collet, xxHash specification 0.1.1).
const (
	xxhPrime1 uint64 = 0x9E3779B185EBCA87
	xxhPrime2 uint64 = 0xC2B2AE3D27D4EB4F
	xxhPrime3 uint64 = 0x165667B19E3779F9
	xxhPrime4 uint64 = 0x85EBCA77C2B2AE63
	xxhPrime5 uint64 = 0x27D4EB2F165667C5
)

// Hash is XXH64 with seed 0: the named hash of canonical key bytes. Its
// published vectors are in the tests.
func Hash(b []byte) uint64 {
	total := uint64(len(b))
	var h uint64
	if len(b) >= 32 {
		h, b = xxhStripes(b)
	} else {
		h = xxhPrime5
	}
	h += total
	for ; len(b) >= 8; b = b[8:] {
		h ^= xxhRound(0, binary.LittleEndian.Uint64(b))
		h = bits.RotateLeft64(h, 27)*xxhPrime1 + xxhPrime4
	}
	if len(b) >= 4 {
		h ^= uint64(binary.LittleEndian.Uint32(b)) * xxhPrime1
		h = bits.RotateLeft64(h, 23)*xxhPrime2 + xxhPrime3
		b = b[4:]
	}
	for _, c := range b {
		h ^= uint64(c) * xxhPrime5
		h = bits.RotateLeft64(h, 11) * xxhPrime1
	}
	h ^= h >> 33
	h *= xxhPrime2
	h ^= h >> 29
	h *= xxhPrime3
	return h ^ h>>32
}

// xxhStripes folds all whole 32-byte stripes and returns the rest.
func xxhStripes(b []byte) (uint64, []byte) {
	p1, p2 := xxhPrime1, xxhPrime2 // variables: the sums below wrap
	v1, v2, v3, v4 := p1+p2, p2, uint64(0), -p1
	for ; len(b) >= 32; b = b[32:] {
		v1 = xxhRound(v1, binary.LittleEndian.Uint64(b))
		v2 = xxhRound(v2, binary.LittleEndian.Uint64(b[8:]))
		v3 = xxhRound(v3, binary.LittleEndian.Uint64(b[16:]))
		v4 = xxhRound(v4, binary.LittleEndian.Uint64(b[24:]))
	}
	h := bits.RotateLeft64(v1, 1) + bits.RotateLeft64(v2, 7) +
		bits.RotateLeft64(v3, 12) + bits.RotateLeft64(v4, 18)
	for _, v := range [4]uint64{v1, v2, v3, v4} {
		h ^= xxhRound(0, v)
		h = h*xxhPrime1 + xxhPrime4
	}
	return h, b
}

func xxhRound(acc, lane uint64) uint64 {
	return bits.RotateLeft64(acc+lane*xxhPrime2, 31) * xxhPrime1
}

// Jump is the jump consistent hash of Lamping and Veach (arXiv:1406.2294):
// the bucket, 0 to buckets-1, of a hash. Growing from n to n+1 buckets moves
// one key in n+1, and only to the new bucket. buckets must be positive.
func Jump(hash uint64, buckets int) int {
	var b, j int64 = -1, 0
	for j < int64(buckets) {
		b = j
		hash = hash*2862933555777941757 + 1
		j = int64(float64(b+1) * (float64(int64(1)<<31) / float64((hash>>33)+1)))
	}
	return int(b)
}

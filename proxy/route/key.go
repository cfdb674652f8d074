package route

import (
	"bytes"
	"encoding/binary"
)

// KeyKind says what a key's value is.
type KeyKind uint8

// The kinds of keys. The zero value is no key and has no place.
const (
	KeyInvalid KeyKind = iota
	KeyInt             // Int holds the number's 64 bits
	KeyBytes           // Bytes holds the stored bytes
	KeyText            // Bytes holds text in UTF-8 whose weight is not known yet
	KeyWeight          // Bytes holds the collation's weight bytes, pad removed
)

// Key is the value of a sharding key. It is comparable by its canonical bytes
// only.
type Key struct {
	Kind  KeyKind
	Int   int64
	Bytes []byte
}

// NeedsWeight reports whether the key is text that the caller must turn into
// weight bytes, by asking a shard, before it has a place.
func (k Key) NeedsWeight() bool { return k.Kind == KeyText }

// WithWeight returns the key with the weight bytes of its text. space holds
// the weight bytes of one space where the collation pads, else nothing: equal
// strings under PAD SPACE then have equal bytes.
func (k Key) WithWeight(weight, space []byte) Key {
	if len(space) > 0 {
		for bytes.HasSuffix(weight, space) {
			weight = weight[:len(weight)-len(space)]
		}
	}
	return Key{Kind: KeyWeight, Bytes: weight}
}

// Append appends the canonical bytes, and reports whether the key has any.
func (k Key) Append(dst []byte) ([]byte, bool) {
	switch k.Kind {
	case KeyInt:
		return binary.BigEndian.AppendUint64(dst, uint64(k.Int)), true
	case KeyBytes, KeyWeight:
		return append(dst, k.Bytes...), true
	case KeyText, KeyInvalid:
		return dst, false
	}
	return dst, false
}

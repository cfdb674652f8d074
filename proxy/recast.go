package proxy

import (
	"encoding/binary"
	"errors"
	"slices"

	"xaproxy/proxy/wire"
)

// recast gives a shard's binary rows the widths that the client was told: by its
// plan a server describes a calculated integer as INT or as BIGINT.
type recast struct {
	own, told []wire.FieldType
	unsigned  []bool
	fields    []wire.Field
}

// errTooWide says that a value does not fit the type that the client was told.
var errTooWide = errors.New("an integer is wider than another shard's")

// newRecast returns nil where the widths are the same.
func newRecast(told, own [][]byte) (*recast, error) {
	r := &recast{}
	for i, def := range own {
		a, errA := wire.ParseColumn(told[i])
		b, errB := wire.ParseColumn(def)
		if err := errors.Join(errA, errB); err != nil {
			return nil, err
		}
		r.told, r.own = append(r.told, a.Type), append(r.own, b.Type)
		r.unsigned = append(r.unsigned, b.Flags&flagUnsigned != 0)
	}
	for i, t := range r.own {
		if t != r.told[i] && isInteger(t) {
			return r, nil
		}
	}
	return nil, nil //nolint:nilnil // nothing to do is no error
}

// row is a row with the widths that the client was told. It is the caller's.
func (r *recast) row(p []byte) ([]byte, error) {
	var err error
	if r.fields, err = wire.SplitBinary(r.fields[:0], p, r.own); err != nil {
		return nil, err
	}
	out := wire.AppendBinaryHead(nil, len(r.own))
	for i, f := range r.fields {
		switch {
		case f.Null:
			wire.SetBinaryNull(out, i)
		case r.own[i] == r.told[i] || !isInteger(r.own[i]):
			out = append(out, p[f.At:f.End]...)
		default:
			n := extended(f.Value(p), r.unsigned[i])
			at := len(out)
			out = wire.AppendBinaryInt(out, r.told[i], n)
			if extended(out[at:], r.unsigned[i]) != n {
				return nil, errTooWide
			}
		}
	}
	return slices.Clip(out), nil
}

// extended is an integer of any width in 64 bits.
func extended(p []byte, unsigned bool) uint64 {
	var b [8]byte
	if !unsigned && len(p) > 0 && p[len(p)-1]&0x80 != 0 {
		b = [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	copy(b[:], p)
	return binary.LittleEndian.Uint64(b[:])
}

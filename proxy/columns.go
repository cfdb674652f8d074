package proxy

import (
	"bytes"
	"errors"
	"math"

	"xaproxy/proxy/wire"
)

// alike says why the columns of two shards are not the same.
func (e *engine) alike(f, g *feed) error {
	if len(f.defs) != len(g.defs) {
		return fail(codeColumnsDiffer, e.name(f.shard), e.name(g.shard), "their numbers")
	}
	for i, d := range f.defs {
		if bytes.Equal(d, g.defs[i]) {
			continue
		}
		a, errA := wire.ParseColumn(d)
		b, errB := wire.ParseColumn(g.defs[i])
		if err := errors.Join(errA, errB); err != nil {
			return fail(codeInternal, err.Error()).because(err)
		}
		if what := difference(a, b); what != "" {
			return fail(codeColumnsDiffer, e.name(f.shard), e.name(g.shard), "column "+a.Name+", "+what)
		}
	}
	return nil
}

// difference names what makes values of two columns incomparable: what only
// describes a column (flags of its keys, its display length, which type a string
// is said to have) may differ between server families, and by a server's plan; so
// may the width of a calculated integer (see recast).
func difference(a, b wire.Column) string {
	strings := isString(a.Type) && isString(b.Type)
	integers := a.OrgTable == "" && b.OrgTable == "" && isInteger(a.Type) && isInteger(b.Type)
	switch {
	case a.Name != b.Name:
		return "its name"
	case a.Type != b.Type && !strings && !integers:
		return "its type"
	case a.Flags&flagUnsigned != b.Flags&flagUnsigned:
		return "its sign"
	case !sameCharset(a.Collation, b.Collation):
		return "its character set"
	case a.Decimals != b.Decimals && !strings:
		return "its decimals"
	}
	return ""
}

// isString reports whether values of a type are strings, in both protocols alike.
func isString(t wire.FieldType) bool {
	return t == wire.TypeVarChar || t >= wire.TypeTinyBlob && t <= wire.TypeString
}

// isInteger reports whether values of a type are integers, whatever their width.
func isInteger(t wire.FieldType) bool {
	return t == wire.TypeTiny || t == wire.TypeShort || t == wire.TypeInt24 || t == wire.TypeLong || t == wire.TypeLongLong
}

// sameCharset compares what values are encoded in: which of the character set's
// collations a server names for a result depends on its defaults.
func sameCharset(a, b uint16) bool {
	if a == b {
		return true
	}
	if a > math.MaxUint8 || b > math.MaxUint8 {
		return false
	}
	csA, _, knownA := wire.Charset(uint8(a))
	csB, _, knownB := wire.Charset(uint8(b))
	return knownA && knownB && csA == csB
}

package xa

import (
	"errors"
	"fmt"
	"strings"
)

// FormatID is the XA format identifier of every xid of ours ("XAP1"). MariaDB
// ignores it in look-ups, so it identifies nothing by itself.
const FormatID uint32 = 0x58415031

// GlobalID is a gtrid: 61 printable bytes that say everything recovery needs.
//
//	offset  width  bits  field
//	0       2            magic "x1" (version 1)
//	2       1            register kind, 'h': claim at home
//	3       8      40    cluster id
//	11      4      20    node id
//	15      5      25    incarnation of the node
//	20      8      40    sequence within the incarnation
//	28      3      15    home's shard number
//	31      7      32    home's connection id
//	38      7      32    home's server run (start time, Unix seconds)
//	45      16     80    random: an xid is a capability on MySQL and MariaDB
//
// Numbers are fixed-width, base 32 ("0-9a-v", as in RFC 4648's extended hex
// alphabet, lower case), so no id is a prefix of another.
type GlobalID string

// Lengths of encoded names in bytes; servers allow 64 for each part.
const (
	GlobalIDLen = 61
	BranchLen   = 19
)

// MaxNode, MaxIncarnation and MaxSequence bound the fields of a GlobalID.
const (
	MaxNode        uint32 = 1<<20 - 1
	MaxIncarnation uint32 = 1<<25 - 1
	MaxSequence    uint64 = 1<<40 - 1
)

// ID names one branch: gtrid and encoded bqual (see Qualifier).
type ID struct {
	Global GlobalID
	Branch string
}

// ClusterID tells one cluster's transactions from another's; 40 random bits,
// drawn when the cluster is created.
type ClusterID uint64

// SessionID names a session of a server for all time: its shard, the server's
// run (start time in Unix seconds) and the connection id within that run.
// Runs within 2 seconds of each other count as the same run (the careful side).
type SessionID struct {
	Shard ShardID
	Run   uint32
	Conn  uint32
}

// SameRun reports whether two start times may belong to one run of a server.
func SameRun(a, b uint32) bool {
	if a > b {
		a, b = b, a
	}
	return b-a <= 2
}

// GlobalName is a decoded GlobalID.
type GlobalName struct {
	Cluster     ClusterID
	Node        uint32
	Incarnation uint32
	Sequence    uint64
	Home        SessionID
	Random      [10]byte
}

// Qualifier is a decoded bqual: which session prepared, or is to prepare, the
// branch and the branch's ordinal within its transaction.
//
//	offset  width  bits  field
//	0       3      15    shard number
//	3       2      10    ordinal
//	5       7      32    connection id
//	12      7      32    server run
type Qualifier struct {
	Session SessionID
	Ordinal uint16 // 1 to 1023; 0 is home
}

// ErrForeign says that a name is not one of ours, or of another cluster.
var ErrForeign = errors.New("not a transaction of this cluster")

const (
	magic    = "x1h"
	alphabet = "0123456789abcdefghijklmnopqrstuv"
)

// ID encodes the name. It fails when a field does not fit.
func (n GlobalName) ID() (GlobalID, error) {
	if uint64(n.Cluster) >= 1<<40 || n.Node > MaxNode || n.Incarnation > MaxIncarnation ||
		n.Sequence > MaxSequence || n.Home.Shard > MaxShard {
		return "", fmt.Errorf("gtrid: a field of %+v is out of range", n)
	}
	var b strings.Builder
	b.Grow(GlobalIDLen)
	b.WriteString(magic)
	put(&b, uint64(n.Cluster), 8)
	put(&b, uint64(n.Node), 4)
	put(&b, uint64(n.Incarnation), 5)
	put(&b, n.Sequence, 8)
	put(&b, uint64(n.Home.Shard), 3)
	put(&b, uint64(n.Home.Conn), 7)
	put(&b, uint64(n.Home.Run), 7)
	for i := 0; i < len(n.Random); i += 5 {
		var v uint64
		for _, c := range n.Random[i : i+5] {
			v = v<<8 | uint64(c)
		}
		put(&b, v, 8)
	}
	return GlobalID(b.String()), nil
}

// Parse decodes g. It fails with an error wrapping ErrForeign for whatever was
// not made by GlobalName.ID.
func (g GlobalID) Parse() (GlobalName, error) {
	var n GlobalName
	s := string(g)
	if len(s) != GlobalIDLen || !strings.HasPrefix(s, magic) {
		return n, fmt.Errorf("gtrid %q: %w", s, ErrForeign)
	}
	r := reader{s: s[len(magic):]}
	n.Cluster = ClusterID(r.take(8, 40))
	n.Node = uint32(r.take(4, 20))
	n.Incarnation = uint32(r.take(5, 25))
	n.Sequence = r.take(8, 40)
	n.Home.Shard = ShardID(r.take(3, 15))
	n.Home.Conn = uint32(r.take(7, 32))
	n.Home.Run = uint32(r.take(7, 32))
	for i := 0; i < len(n.Random); i += 5 {
		v := r.take(8, 40)
		for j := 4; j >= 0; j-- {
			n.Random[i+j] = byte(v)
			v >>= 8
		}
	}
	if r.bad {
		return GlobalName{}, fmt.Errorf("gtrid %q: %w", s, ErrForeign)
	}
	return n, nil
}

// Encode returns the bqual. It fails when a field does not fit.
func (q Qualifier) Encode() (string, error) {
	if q.Session.Shard > MaxShard || q.Ordinal >= 1<<10 {
		return "", fmt.Errorf("bqual: a field of %+v is out of range", q)
	}
	var b strings.Builder
	b.Grow(BranchLen)
	put(&b, uint64(q.Session.Shard), 3)
	put(&b, uint64(q.Ordinal), 2)
	put(&b, uint64(q.Session.Conn), 7)
	put(&b, uint64(q.Session.Run), 7)
	return b.String(), nil
}

// ParseQualifier decodes a bqual; errors wrap ErrForeign.
func ParseQualifier(s string) (Qualifier, error) {
	var q Qualifier
	if len(s) != BranchLen {
		return q, fmt.Errorf("bqual %q: %w", s, ErrForeign)
	}
	r := reader{s: s}
	q.Session.Shard = ShardID(r.take(3, 15))
	q.Ordinal = uint16(r.take(2, 10))
	q.Session.Conn = uint32(r.take(7, 32))
	q.Session.Run = uint32(r.take(7, 32))
	if r.bad {
		return Qualifier{}, fmt.Errorf("bqual %q: %w", s, ErrForeign)
	}
	return q, nil
}

func put(b *strings.Builder, v uint64, width int) {
	for i := width - 1; i >= 0; i-- {
		b.WriteByte(alphabet[v>>(5*uint(i))&31])
	}
}

// reader takes fixed-width numbers from s; bad is set by the first byte outside
// the alphabet or number that has more bits than its field.
type reader struct {
	s   string
	bad bool
}

func (r *reader) take(width int, bits uint) uint64 {
	var v uint64
	for _, c := range []byte(r.s[:width]) {
		d := strings.IndexByte(alphabet, c)
		if d < 0 {
			r.bad = true
			return 0
		}
		v = v<<5 | uint64(d)
	}
	r.s = r.s[width:]
	if v>>bits != 0 {
		r.bad = true
		return 0
	}
	return v
}

// Package route owns the answer to one question: on which shard does a row
// live? It holds the immutable map of tables and rules, the canonical form of
// sharding keys, the named hash and the functions that spread keys. It does not
// know SQL, sessions or connections, and performs no I/O.
//
// A key is placed as the value that the column stores, never as the text of a
// literal:
//
//	column                    class      canonical bytes
//	TINYINT ... BIGINT, BIT   int        8 bytes, big endian, two's complement
//	YEAR                      int        the same
//	CHAR, VARCHAR, ENUM, SET  string     weight bytes of the column's collation, with
//	                                     trailing pad removed where it pads
//	BINARY, VARBINARY         bytes      the bytes as stored
//	UUID of MariaDB           uuid       the 16 bytes, in the order of the text
//	DECIMAL                   decimal    the shortest text: 12.5, -0.25, 0
//	DATE                      date       2024-01-31
//	DATETIME                  datetime   2024-01-31 10:00:00.5, without zeros at the fraction's end
//	TIMESTAMP                 timestamp  the same, in UTC
//	TIME                      time       [-]10:00:00.5
//
// Weight bytes are asked from a shard by the caller (see Key.NeedsWeight); for
// columns of other types no rule can be made.
//
// A rule's text names the function and says everything that places a row. It is
// stored on the shards: a change of what a function does needs a new name.
//
//	jump-xxh64-1   XXH64 with seed 0, jump consistent hash over the shard numbers in ascending order
//	ring-xxh64-1   the first virtual node at or behind the key's XXH64; node i of shard s is at XXH64("s/i")
//	slots-xxh64-1  slot number XXH64 modulo the number of slots
//	mod-1          the remainder of the number, never negative, counts the shard numbers in ascending order
//	range-1        the first bound above the key, else max
//	list-1         the value itself, else default
//
// docs/placement.md publishes vectors; testdata has more, calculated by another
// program.
//
// All values are immutable after construction and safe for concurrent use.
package route

// Package route owns the answer to one question: on which shard does a row
// live? It holds the immutable map of tables and rules, the canonical form of
// sharding keys, the named hash and the jump function. It does not know SQL,
// sessions or connections, and performs no I/O.
//
// A key is hashed as the value that the column stores, never as the text of a
// literal:
//
//	column                    canonical bytes
//	TINYINT ... BIGINT        8 bytes, big endian, two's complement
//	CHAR, VARCHAR             weight bytes of the column's collation, with
//	                          trailing pad removed where it pads
//	BINARY, VARBINARY         the bytes as stored
//
// Weight bytes are asked from a shard by the caller (see Key.NeedsWeight);
// every other column type is refused when a rule is made.
//
// The hash is XXH64 with seed 0 over the canonical bytes, then jump consistent
// hash over the rule's shard numbers in ascending order. The name of the pair,
// "jump-xxh64-1", is part of a rule's text, which is stored on the shards: a
// change of either function needs a new name.
//
// All values are immutable after construction and safe for concurrent use.
package route

// Package wire turns the packets of the MySQL client/server protocol into
// structs and back: framing, the connection phase of both sides, results,
// prepared statements. It does not know sockets, sessions or shards: it reads
// from an io.Reader and writes to an io.Writer that the caller owns.
//
// # Concurrency
//
// A Reader, a Writer, a ServerPhase, a ClientPhase and Parameters belong to one
// goroutine each. All other values are plain data.
//
// # Promises
//
// No sequence of bytes makes a decoder panic or allocate more than the bytes
// that have arrived justify: what does not fit is ErrMalformed. Slices that a
// Reader returns, and what a decoder says aliases its input, are valid until the
// next Read; strings are copies.
//
// Packets are named by their payload, which is what lies behind the headers:
//
//	frame    length (3) | sequence (1) | up to 16 MiB - 1 bytes of payload
//	payload  frames are joined while one has the full length; an empty or
//	         shorter frame ends it
//
// Source: MySQL 8.0 source documentation, "Client/Server Protocol"; MariaDB
// knowledge base, "Clients & Utilities, Protocol".
package wire

package wire

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

const (
	headerLen = 4
	// MaxFrame is the payload length of a frame that says "more follows".
	MaxFrame = 1<<24 - 1
	// bufferLen holds the frames of ordinary rows and commands.
	bufferLen = 16 << 10
	// keepLen is what a Reader keeps of the memory that a long packet needed.
	keepLen = 1 << 20
)

// ErrMalformed says that the bytes are not the packet that was expected here.
var ErrMalformed = errors.New("malformed packet")

// ErrPacketTooLarge says that a packet is longer than the limit. The stream is then
// somewhere within the packet: answer with TooLarge() and close.
var ErrPacketTooLarge = errors.New("packet is larger than the limit")

// SequenceError reports a frame whose sequence number is not the next one. The
// connection can not be used further.
type SequenceError struct {
	Want, Got uint8
	// Said is what the frame says when it is an error packet: servers send one
	// out of turn before they close an idle session. Else nil.
	Said *ServerError
}

func (e *SequenceError) Error() string {
	if e.Said != nil {
		return fmt.Sprintf("out of turn: %v", e.Said)
	}
	return fmt.Sprintf("packet out of order: sequence %d instead of %d", e.Got, e.Want)
}

func (e *SequenceError) Unwrap() error {
	if e.Said == nil {
		return nil
	}
	return e.Said
}

// Reader reads packets.
type Reader struct {
	src        io.Reader
	buf        []byte // buf[start:end] was read from src and not yet taken
	start, end int
	long       []byte // joined frames of a packet that buf can not hold
	limit      int
	next       uint8
}

// NewReader returns a Reader that refuses packets with more than limit bytes.
func NewReader(src io.Reader, limit int) *Reader {
	return &Reader{src: src, buf: make([]byte, bufferLen), limit: limit}
}

// SetLimit changes the limit on packets.
func (r *Reader) SetLimit(limit int) { r.limit = limit }

// Sequence is the sequence number that the next frame must have.
func (r *Reader) Sequence() uint8 { return r.next }

// SetSequence says which sequence number the next frame must have; 0 before a
// command.
func (r *Reader) SetSequence(n uint8) { r.next = n }

// Buffered is the number of bytes that were read from the source and belong to
// later packets.
func (r *Reader) Buffered() int { return r.end - r.start }

// Detach takes the bytes out that were read from the source and not yet taken.
// Who replaces the source, by TLS for example, reads them first.
func (r *Reader) Detach() []byte {
	rest := slices.Clone(r.buf[r.start:r.end])
	r.start, r.end = 0, 0
	return rest
}

// SetSource replaces the source. Bytes that are buffered stay in front: Detach
// them first when they belong to the new source.
func (r *Reader) SetSource(src io.Reader) { r.src = src }

// Read returns the next packet's payload, valid until the next call. At a clean
// end of the source, before a packet, the error is io.EOF.
func (r *Reader) Read() ([]byte, error) {
	size, err := r.header()
	if err != nil {
		return nil, err
	}
	if size < MaxFrame && size <= len(r.buf) {
		if cap(r.long) > keepLen {
			r.long = nil
		}
		if err := r.fill(size); err != nil {
			return nil, err
		}
		p := r.buf[r.start : r.start+size : r.start+size]
		r.start += size
		return p, nil
	}
	return r.join(size)
}

// join reads a packet of several frames, or of one that exceeds the buffer.
func (r *Reader) join(size int) ([]byte, error) {
	r.long = r.long[:0]
	for {
		if err := r.extend(size); err != nil {
			return nil, err
		}
		if size < MaxFrame {
			return r.long, nil
		}
		var err error
		if size, err = r.header(); err != nil {
			return nil, unexpected(err)
		}
		if size > r.limit-len(r.long) {
			return nil, ErrPacketTooLarge
		}
	}
}

// extend moves size bytes to the end of long. It allocates as bytes arrive, not
// as a header promises.
func (r *Reader) extend(size int) error {
	n := min(size, r.end-r.start)
	r.long = append(r.long, r.buf[r.start:r.start+n]...)
	r.start += n
	for size -= n; size > 0; {
		step := min(size, max(len(r.long), bufferLen))
		r.long = slices.Grow(r.long, step)
		at := len(r.long)
		n, err := io.ReadAtLeast(r.src, r.long[at:at+step], step)
		r.long = r.long[:at+n]
		if err != nil {
			return unexpected(err)
		}
		size -= n
	}
	return nil
}

// header takes a frame's header and returns its payload's length.
func (r *Reader) header() (int, error) {
	if err := r.fill(headerLen); err != nil {
		return 0, err
	}
	h := r.buf[r.start : r.start+headerLen]
	size := int(h[0]) | int(h[1])<<8 | int(h[2])<<16
	seq := h[3]
	r.start += headerLen
	if size > r.limit {
		return 0, ErrPacketTooLarge
	}
	if seq != r.next {
		return 0, r.outOfOrder(seq, size)
	}
	r.next++
	return size, nil
}

func (r *Reader) outOfOrder(seq uint8, size int) error {
	e := &SequenceError{Want: r.next, Got: seq}
	if size > len(r.buf) || r.fill(size) != nil {
		return e
	}
	if p := r.buf[r.start : r.start+size]; IsError(p) {
		e.Said = ParseError(p)
	}
	return e
}

// fill reads until n bytes are buffered; n is at most len(buf).
func (r *Reader) fill(n int) error {
	if r.end-r.start >= n {
		return nil
	}
	if r.start == r.end {
		r.start, r.end = 0, 0
	}
	if r.start+n > len(r.buf) {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	m, err := io.ReadAtLeast(r.src, r.buf[r.end:], n-(r.end-r.start))
	had := r.end - r.start
	r.end += m
	if err != nil {
		if had+m > 0 || n != headerLen {
			return unexpected(err)
		}
		return err
	}
	return nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Writer frames packets and writes them when its buffer is full or Flush is
// called. An error is final: every later call returns it.
type Writer struct {
	dst  io.Writer
	buf  []byte
	next uint8
	err  error
}

// NewWriter returns a Writer to dst.
func NewWriter(dst io.Writer) *Writer { return &Writer{dst: dst} }

// SetDestination replaces the destination; flush first.
func (w *Writer) SetDestination(dst io.Writer) { w.dst = dst }

// Sequence is the sequence number that the next frame gets.
func (w *Writer) Sequence() uint8 { return w.next }

// SetSequence says which sequence number the next frame gets.
func (w *Writer) SetSequence(n uint8) { w.next = n }

// Buffered is the number of bytes that wait for Flush.
func (w *Writer) Buffered() int { return len(w.buf) }

// Write frames one packet. The payload may be reused when it returns.
func (w *Writer) Write(payload []byte) error {
	for {
		n := min(len(payload), MaxFrame)
		if err := w.frame(payload[:n]); err != nil {
			return err
		}
		if n < MaxFrame {
			return nil
		}
		payload = payload[n:]
	}
}

func (w *Writer) frame(p []byte) error {
	if len(w.buf) > 0 && len(w.buf)+headerLen+len(p) > bufferLen {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if w.err != nil {
		return w.err
	}
	if w.buf == nil {
		w.buf = make([]byte, 0, bufferLen)
	}
	w.buf = appendHeader(w.buf, len(p), w.next)
	w.next++
	if headerLen+len(p) <= bufferLen {
		w.buf = append(w.buf, p...)
		return nil
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, w.err = w.dst.Write(p)
	return w.err
}

// Flush writes what is buffered.
func (w *Writer) Flush() error {
	if w.err == nil && len(w.buf) > 0 {
		_, w.err = w.dst.Write(w.buf)
		w.buf = w.buf[:0]
	}
	return w.err
}

func appendHeader(dst []byte, size int, seq uint8) []byte {
	return append(dst, byte(size), byte(size>>8), byte(size>>16), seq)
}

// AppendFrames appends payload as frames that begin with the sequence number
// seq, and returns the sequence number that follows them.
func AppendFrames(dst []byte, seq uint8, payload []byte) ([]byte, uint8) {
	for {
		n := min(len(payload), MaxFrame)
		dst = appendHeader(dst, n, seq)
		dst = append(dst, payload[:n]...)
		seq++
		if n < MaxFrame {
			return dst, seq
		}
		payload = payload[n:]
	}
}

package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"xaproxy/proxy/wire"
)

const limit = 1 << 30

func payload(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i * 7)
	}
	return p
}

func TestPacketsSurviveFraming(t *testing.T) {
	sizes := []int{0, 1, 16379, 16380, 16381, 1 << 16, wire.MaxFrame - 1, wire.MaxFrame, wire.MaxFrame + 1, 2*wire.MaxFrame + 5, 3}
	var stream bytes.Buffer
	w := wire.NewWriter(&stream)
	for _, n := range sizes {
		if err := w.Write(payload(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	whole := stream.Bytes()
	for name, src := range map[string]io.Reader{
		"whole": bytes.NewReader(whole), "halves": iotest.HalfReader(bytes.NewReader(whole)),
		"with the end": iotest.DataErrReader(bytes.NewReader(whole)),
	} {
		r := wire.NewReader(src, limit)
		for _, n := range sizes {
			p, err := r.Read()
			if err != nil {
				t.Fatalf("%s: packet of %d: %v", name, n, err)
			}
			if !bytes.Equal(p, payload(n)) {
				t.Fatalf("%s: packet of %d came back different", name, n)
			}
		}
		if _, err := r.Read(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: at the end: %v", name, err)
		}
		if r.Sequence() != w.Sequence() {
			t.Errorf("%s: sequences %d and %d", name, r.Sequence(), w.Sequence())
		}
	}
}

func TestAppendFramesIsWhatAWriterWrites(t *testing.T) {
	for _, n := range []int{0, 5, wire.MaxFrame, wire.MaxFrame + 9} {
		var stream bytes.Buffer
		w := wire.NewWriter(&stream)
		w.SetSequence(250)
		if err := errors.Join(w.Write(payload(n)), w.Flush()); err != nil {
			t.Fatal(err)
		}
		frames, next := wire.AppendFrames(nil, 250, payload(n))
		if !bytes.Equal(frames, stream.Bytes()) || next != w.Sequence() {
			t.Errorf("%d bytes: frames differ, next %d and %d", n, next, w.Sequence())
		}
	}
}

func TestTruncatedStreamIsAnUnexpectedEnd(t *testing.T) {
	frames, _ := wire.AppendFrames(nil, 0, payload(40000))
	for _, n := range []int{1, 3, 4, 5, 100, 39999} {
		if _, err := wire.NewReader(bytes.NewReader(frames[:n]), limit).Read(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes of the stream: %v", n, err)
		}
	}
}

func TestPacketBeyondTheLimitIsRefused(t *testing.T) {
	for _, n := range []int{1000, 20000, wire.MaxFrame + 10} {
		frames, _ := wire.AppendFrames(nil, 0, payload(n))
		if _, err := wire.NewReader(bytes.NewReader(frames), n-1).Read(); !errors.Is(err, wire.ErrPacketTooLarge) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if _, err := wire.NewReader(bytes.NewReader(frames), n).Read(); err != nil {
			t.Errorf("%d bytes, exactly the limit: %v", n, err)
		}
	}
	if e := wire.TooLarge(); e.Number != 1153 || e.State != "08S01" {
		t.Errorf("error %+v", e)
	}
}

func TestHeadersAllocateNothingByThemselves(t *testing.T) {
	// A header that promises 16 MiB, and silence.
	src := bytes.NewReader([]byte{0xfe, 0xff, 0xff, 0})
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			src.Seek(0, io.SeekStart)
			wire.NewReader(src, limit).Read()
		}
	}).AllocedBytesPerOp()
	if allocated > 100<<10 {
		t.Errorf("%d bytes for a header", allocated)
	}
}

func TestOutOfTurnErrorIsReported(t *testing.T) {
	said := &wire.ServerError{Number: 4031, State: "HY000", Message: "idle"}
	frames, _ := wire.AppendFrames(nil, 0, wire.AppendError(nil, said))
	r := wire.NewReader(bytes.NewReader(frames), limit)
	r.SetSequence(1)
	_, err := r.Read()
	var s *wire.SequenceError
	if !errors.As(err, &s) || s.Want != 1 || s.Got != 0 || s.Said == nil || *s.Said != *said {
		t.Errorf("got %v", err)
	}
	var e *wire.ServerError
	if !errors.As(err, &e) {
		t.Error("the server's error is not in the chain")
	}
}

func TestReadingRowsAllocatesNothing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var stream []byte
	const rows = 2000
	seq := uint8(0)
	for range rows {
		stream, seq = wire.AppendFrames(stream, seq, payload(rnd.IntN(40000)))
	}
	src := bytes.NewReader(stream)
	r := wire.NewReader(src, limit)
	w := wire.NewWriter(io.Discard)
	relay := func() {
		src.Seek(0, io.SeekStart)
		r.SetSequence(0)
		for range rows {
			p, err := r.Read()
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Write(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	relay()
	if n := testing.AllocsPerRun(3, relay); n > 1 {
		t.Errorf("%v allocations for %d rows", n, rows)
	}
}

func TestDetachReturnsWhatBelongsToTLS(t *testing.T) {
	frames, _ := wire.AppendFrames(nil, 0, []byte("request"))
	r := wire.NewReader(bytes.NewReader(append(frames, "client hello"...)), limit)
	if _, err := r.Read(); err != nil {
		t.Fatal(err)
	}
	if rest := string(r.Detach()); rest != "client hello" || r.Buffered() != 0 {
		t.Errorf("detached %q", rest)
	}
}

func FuzzReader(f *testing.F) {
	two, _ := wire.AppendFrames(nil, 0, []byte("abc"))
	two, _ = wire.AppendFrames(two, 1, nil)
	f.Add(two)
	f.Add([]byte{0xff, 0xff, 0xff, 0, 1})
	f.Add([]byte{1, 0, 0, 9, 0xff})
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := wire.NewReader(iotest.HalfReader(bytes.NewReader(stream)), 1<<20)
		total := 0
		for {
			p, err := r.Read()
			if err != nil {
				break
			}
			total += len(p) + 4
		}
		if total > len(stream) {
			t.Fatal("more was read than was there")
		}
	})
}

func BenchmarkRelayRow(b *testing.B) {
	for _, n := range []int{50, 5000, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			frames, _ := wire.AppendFrames(nil, 0, payload(n))
			src := bytes.NewReader(frames)
			r, w := wire.NewReader(src, limit), wire.NewWriter(io.Discard)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				src.Reset(frames)
				r.SetSequence(0)
				p, err := r.Read()
				if err != nil {
					b.Fatal(err)
				}
				w.Write(p)
			}
		})
	}
}

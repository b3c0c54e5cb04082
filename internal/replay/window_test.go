// SPDX-License-Identifier: Apache-2.0

package replay_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/authenticated-api/caddy-authenticated-api/internal/replay"
)

// source is a client's body that counts its closings.
type source struct {
	io.Reader
	closed int
	err    error // what Close returns
}

func (s *source) Close() error {
	s.closed++
	return s.err
}

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func again(t *testing.T, w *replay.Window) io.ReadCloser {
	t.Helper()
	if !w.Kept() {
		t.Fatal("the window is not kept")
	}
	body, ok := w.Again()
	if !ok {
		t.Fatal("there is no other attempt")
	}
	return body
}

func gone(t *testing.T, w *replay.Window) {
	t.Helper()
	if w.Kept() {
		t.Error("the window is kept")
	}
	if body, ok := w.Again(); ok || body != nil {
		t.Error("there is another attempt")
	}
}

func TestWindow(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit int
		read  int // how much the first attempt reads
		kept  bool
	}{
		{"nothing read", 4, 0, true},
		{"less than the limit", 4, 3, true},
		{"the limit", 4, 4, true},
		{"more than the limit", 4, 5, false},
		{"all", 4, 10, false},
		{"all within the limit", 10, 10, true},
		{"one below all", 9, 10, false},
		{"no window", 0, 0, true},
		{"no window, one byte", 0, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// One byte at a time, so that the first attempt reads what it is to read and not more.
			w := replay.NewWindow(&source{Reader: iotest.OneByteReader(strings.NewReader("0123456789"))}, tt.limit)
			first := w.First()
			if _, err := io.ReadFull(first, make([]byte, tt.read)); err != nil {
				t.Fatal(err)
			}
			if !tt.kept {
				gone(t, w)
				// The API that is being sent to gets the rest all the same.
				if rest := readAll(t, first); rest != "0123456789"[tt.read:] {
					t.Errorf("the rest is %q", rest)
				}
				return
			}
			if got := readAll(t, again(t, w)); got != "0123456789" {
				t.Errorf("the second attempt sends %q", got)
			}
			if n, err := first.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, io.EOF) {
				t.Errorf("the first attempt still reads: %d, %v", n, err)
			}
			if w.Kept() != (tt.limit >= 10) {
				t.Errorf("after the second attempt kept is %t", w.Kept())
			}
		})
	}
}

func TestWindowThirdAttempt(t *testing.T) {
	w := replay.NewWindow(&source{Reader: strings.NewReader("body")}, 4)
	for range 3 {
		if got := readAll(t, again(t, w)); got != "body" {
			t.Errorf("got %q", got)
		}
	}
}

func TestWindowEnd(t *testing.T) {
	// Data and the end in one read, as io.Reader allows.
	w := replay.NewWindow(&source{Reader: iotest.DataErrReader(strings.NewReader("body"))}, 4)
	for attempt := range 2 {
		body := w.First()
		if attempt > 0 {
			body = again(t, w)
		}
		if got := readAll(t, body); got != "body" {
			t.Errorf("got %q", got)
		}
		for range 2 {
			if n, err := body.Read(make([]byte, 1)); n != 0 || err != io.EOF { //nolint:errorlint // io.EOF is compared with == by readers
				t.Errorf("behind the end: %d, %v", n, err)
			}
		}
	}
	empty := replay.NewWindow(&source{Reader: strings.NewReader("")}, 4)
	if readAll(t, empty.First()) != "" || readAll(t, again(t, empty)) != "" {
		t.Error("something came of nothing")
	}
	if n, err := replay.NewWindow(nil, 4).First().Read(nil); n != 0 || err != nil {
		t.Errorf("a read of no bytes: %d, %v", n, err)
	}
}

// A body that the client broke off must not be sent again as if it had been a whole one.
func TestWindowClientError(t *testing.T) {
	for _, broken := range []error{io.ErrUnexpectedEOF, errors.New("connection reset")} {
		w := replay.NewWindow(&source{Reader: io.MultiReader(strings.NewReader("bo"), iotest.ErrReader(broken))}, 100)
		first := w.First()
		got, err := io.ReadAll(first)
		if string(got) != "bo" || !errors.Is(err, broken) {
			t.Errorf("got %q, %v; want %v", got, err, broken)
		}
		if _, err := first.Read(make([]byte, 1)); !errors.Is(err, broken) {
			t.Errorf("the next read gives %v", err)
		}
		gone(t, w)
	}
}

func TestWindowClose(t *testing.T) {
	closeErr := errors.New("close")
	src := &source{Reader: strings.NewReader("body"), err: closeErr}
	w := replay.NewWindow(src, 100)
	first := w.First()
	if err := first.Close(); err != nil || src.closed != 0 {
		t.Fatalf("the client's body was closed although another attempt may follow (%v)", err)
	}
	if n, err := first.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, io.EOF) {
		t.Errorf("read of a closed body: %d, %v", n, err)
	}
	second := again(t, w)
	w.Finish()
	gone(t, w)
	// The end of the first attempt is not the end of the second.
	if err := first.Close(); err != nil || src.closed != 0 {
		t.Fatalf("closing the first attempt closed the client's body (%v)", err)
	}
	if got := readAll(t, second); got != "body" {
		t.Errorf("the second attempt sends %q", got)
	}
	if err := second.Close(); !errors.Is(err, closeErr) || src.closed != 1 {
		t.Errorf("closed %d times, %v", src.closed, err)
	}
	if err := second.Close(); err != nil || src.closed != 1 {
		t.Errorf("closed %d times, %v", src.closed, err)
	}
	w.Finish()
	if src.closed != 1 {
		t.Errorf("closed %d times", src.closed)
	}
}

func TestWindowFinish(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  func(w *replay.Window) // ends with the client's body closed
	}{
		{"close, finish", func(w *replay.Window) { w.First().Close(); w.Finish() }},
		{"finish, close", func(w *replay.Window) { body := w.First(); w.Finish(); body.Close() }},
		{"finish twice", func(w *replay.Window) { w.First().Close(); w.Finish(); w.Finish() }},
		{"second closed, finish", func(w *replay.Window) {
			w.First()
			body, _ := w.Again()
			body.Close()
			w.Finish()
		}},
		{"both closed, finish", func(w *replay.Window) {
			w.First().Close()
			body, _ := w.Again()
			body.Close()
			w.Finish()
		}},
	} {
		src := &source{Reader: strings.NewReader("body")}
		if tt.run(replay.NewWindow(src, 4)); src.closed != 1 {
			t.Errorf("%s: closed %d times", tt.name, src.closed)
		}
	}
	for _, tt := range []struct {
		name string
		run  func(w *replay.Window) // ends with the client's body open
	}{
		{"finish", func(w *replay.Window) { w.First(); w.Finish() }},
		{"close", func(w *replay.Window) { w.First().Close() }},
		{"first closed, second not, finish", func(w *replay.Window) { w.First().Close(); w.Again(); w.Finish() }},
		{"second begun, first closed, finish", func(w *replay.Window) {
			first := w.First()
			w.Again()
			first.Close()
			w.Finish()
		}},
	} {
		src := &source{Reader: strings.NewReader("body")}
		if tt.run(replay.NewWindow(src, 4)); src.closed != 0 {
			t.Errorf("%s: closed %d times", tt.name, src.closed)
		}
	}
}

// gate is a pipe that says when a read of it begins.
type gate struct {
	*io.PipeReader
	entered chan struct{}
}

func (g *gate) Read(p []byte) (int, error) {
	g.entered <- struct{}{}
	return g.PipeReader.Read(p)
}

// The transport may return an API's early answer while it still waits for more of the body. What
// that read brings belongs to the second attempt.
func TestWindowReadInFlight(t *testing.T) {
	for _, tt := range []struct {
		name    string
		limit   int
		partial string // what the first attempt has read before
		bytes   string // what the read in flight brings
		rest    string
	}{
		{"first read", 100, "", "in flight", ""},
		{"later read", 100, "before ", "in flight", " behind"},
		// It had been decided before that there is another attempt.
		{"more than the limit", 8, "before ", "in flight", " behind"},
		{"nothing", 8, "before ", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pr, pw := io.Pipe()
			src := &gate{pr, make(chan struct{}, 16)}
			w := replay.NewWindow(src, tt.limit)
			first := w.First()
			if tt.partial != "" {
				go pw.Write([]byte(tt.partial))
				if _, err := io.ReadFull(first, make([]byte, len(tt.partial))); err != nil {
					t.Fatal(err)
				}
				<-src.entered
			}

			firstDone := make(chan error)
			go func() {
				n, err := first.Read(make([]byte, 100))
				if n != 0 {
					t.Errorf("the first attempt got %d bytes that the second needs", n)
				}
				firstDone <- err
			}()
			<-src.entered
			second := again(t, w)
			got := make(chan string)
			go func() {
				text, err := io.ReadAll(second)
				if err != nil {
					t.Error(err)
				}
				got <- string(text)
			}()
			go func() {
				io.WriteString(pw, tt.bytes)
				io.WriteString(pw, tt.rest)
				pw.Close()
			}()
			if err := <-firstDone; err == nil || errors.Is(err, io.EOF) {
				t.Errorf("the first attempt is told %v", err)
			}
			if text, want := <-got, tt.partial+tt.bytes+tt.rest; text != want {
				t.Errorf("the second attempt sends %q, want %q", text, want)
			}
		})
	}
}

// A second attempt waits for the client as the first does, and closing its body ends the wait.
func TestWindowCloseInFlight(t *testing.T) {
	pr, pw := io.Pipe()
	defer pw.Close()
	src := &gate{pr, make(chan struct{}, 1)}
	w := replay.NewWindow(src, 100)
	first := w.First()
	errs := make(chan error)
	go func() {
		_, err := first.Read(make([]byte, 1))
		errs <- err
	}()
	<-src.entered
	second := again(t, w)
	go func() {
		_, err := second.Read(make([]byte, 1))
		errs <- err
	}()
	w.Finish()
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-errs; err == nil {
			t.Error("a read of a closed body succeeds")
		}
	}
}

// chunks reads pieces of random sizes, some of them empty, and sometimes tells of the end along
// with the last of them.
type chunks struct {
	data []byte
	rand *rand.Rand
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := min(c.rand.IntN(9), len(p), len(c.data))
	copy(p, c.data[:n])
	c.data = c.data[n:]
	if len(c.data) == 0 && c.rand.IntN(2) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// Whenever the second attempt begins, it sends what the client sent.
func TestWindowConcurrently(t *testing.T) {
	data := []byte(strings.Repeat("0123456789", 20))
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		w := replay.NewWindow(&source{Reader: &chunks{data, random}}, len(data))
		first := w.First()
		begin := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := 0; ; i++ {
				if i == int(seed)%40 {
					close(begin)
				}
				if _, err := first.Read(make([]byte, 7)); err != nil {
					if i < int(seed)%40 {
						close(begin)
					}
					return
				}
			}
		})
		<-begin
		second, ok := w.Again()
		if !ok {
			t.Fatal("a body within the limit is not kept")
		}
		if got := readAll(t, second); got != string(data) {
			t.Fatalf("seed %d: the second attempt sends %q", seed, got)
		}
		wg.Wait()
	}
}

func FuzzWindow(f *testing.F) {
	f.Add([]byte("some body"), 100, 4, uint64(1))
	f.Add([]byte("some body"), 4, 4, uint64(2))
	f.Add([]byte("some body"), 4, 5, uint64(3))
	f.Add([]byte(""), 0, 0, uint64(4))
	f.Add(bytes.Repeat([]byte("x"), 1000), 1000, 1000, uint64(5))
	f.Fuzz(func(t *testing.T, data []byte, limit, stop int, seed uint64) {
		if limit < 0 || limit > 1<<20 {
			t.Skip("no limit")
		}
		random := rand.New(rand.NewPCG(seed, 0))
		src := &source{Reader: &chunks{data, random}}
		w := replay.NewWindow(src, limit)
		first, read := w.First(), 0
		var err error
		for read < stop && err == nil {
			p := make([]byte, random.IntN(11))
			var n int
			n, err = first.Read(p)
			if !bytes.Equal(p[:n], data[read:read+n]) {
				t.Fatalf("the first attempt sends %q at %d", p[:n], read)
			}
			read += n
		}
		if err != nil && (read != len(data) || !errors.Is(err, io.EOF)) {
			t.Fatalf("%v after %d of %d bytes", err, read, len(data))
		}
		for attempt, kept := 2, read <= limit; attempt < 4; attempt++ {
			body, ok := w.Again()
			if ok != kept {
				t.Fatalf("attempt %d: %t after %d bytes, limit %d", attempt, ok, read, limit)
			}
			if !ok {
				return
			}
			got, err := io.ReadAll(iotest.OneByteReader(body))
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("attempt %d sends %q, %v; want %q", attempt, got, err, data)
			}
			body.Close()
			read, kept = len(data), len(data) <= limit
		}
		if w.Finish(); src.closed != 1 {
			t.Fatalf("closed %d times", src.closed)
		}
	})
}

// What net/http sends again must be the whole body, and what a request's trailers are must be
// settled.
func TestWindowGetBody(t *testing.T) {
	for _, tt := range []struct {
		name         string
		read         int // how much the first attempt reads
		limit        int
		any, settled bool
	}{
		{"nothing read", 0, 8, true, true},
		{"in the midst", 3, 8, true, false},
		{"all but the end", 4, 8, true, false},
		{"all", 5, 8, true, true},
		{"more than the window", 5, 3, false, false},
		{"more than the window, not all", 4, 3, false, false},
	} {
		for settled, want := range map[bool]bool{false: tt.any, true: tt.settled} {
			w := replay.NewWindow(&source{Reader: iotest.OneByteReader(strings.NewReader("body"))}, tt.limit)
			first, get := w.First(), w.GetBody
			if settled {
				get = w.GetBodyAtRest
			}
			for range tt.read { // the fifth is the end
				_, _ = first.Read(make([]byte, 1))
			}
			_ = first.Close()
			body, err := get()
			if (err == nil) != want {
				t.Errorf("%s, at rest %t: %v", tt.name, settled, err)
			}
			if want && readAll(t, body) != "body" {
				t.Errorf("%s: another body", tt.name)
			}
			w.Finish()
			if _, err := get(); err == nil {
				t.Errorf("%s: there is a body after the end", tt.name)
			}
		}
	}
}

// racy is a body like that of Caddy's proxy: Close must not be called during a Read.
type racy struct {
	io.ReadCloser
	read int
}

func (r *racy) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.read += n
	return n, err
}

func (r *racy) Close() error {
	if r.read == 0 {
		return nil
	}
	return r.ReadCloser.Close()
}

// TestInterrupt: a body is closed during a read by what it reads from, so the race detector has
// nothing to say, and the read ends.
func TestInterrupt(t *testing.T) {
	for name, end := range map[string]func(*replay.Window, io.Closer){
		"close after finish": func(w *replay.Window, body io.Closer) { w.Finish(); _ = body.Close() },
		"finish after close": func(w *replay.Window, body io.Closer) { _ = body.Close(); w.Finish() },
	} {
		t.Run(name, func(t *testing.T) {
			pr, pw := io.Pipe()
			w := replay.NewWindow(&racy{ReadCloser: pr}, 100)
			w.Interrupt = pr
			body := w.First()
			go func() { _, _ = pw.Write([]byte("begun")) }()
			if _, err := io.ReadFull(body, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error)
			synced := make(chan struct{})
			go func() {
				close(synced)
				_, err := body.Read(make([]byte, 1))
				ended <- err
			}()
			<-synced
			end(w, body)
			if err := <-ended; err == nil {
				t.Error("the read has not failed")
			}
		})
	}
}

// TestWhole: what is read ahead is there for each attempt, and what is larger than the window
// still goes to the first.
func TestWhole(t *testing.T) {
	for _, tt := range []struct {
		size, limit, before int
		whole               bool
	}{
		{0, 0, 0, true},
		{0, 4, 0, true},
		{1, 0, 0, false},
		{10, 10, 0, true},
		{10, 9, 0, false},
		{10, 100, 3, true},
		{10, 5, 3, false},
		{10, 2, 3, false},
		{40_000, 40_000, 0, true},
		{40_001, 40_000, 0, false},
		{100_000, 40_000, 0, false},
	} {
		for name, reader := range map[string]func(io.Reader) io.Reader{
			"as it is": func(r io.Reader) io.Reader { return r }, "with the end": iotest.DataErrReader, "by halves": iotest.HalfReader,
		} {
			text := strings.Repeat("0123456789", tt.size/10+1)[:tt.size]
			w := replay.NewWindow(&source{Reader: reader(strings.NewReader(text))}, tt.limit)
			first := w.First()
			begin := make([]byte, tt.before)
			if _, err := io.ReadFull(first, begin); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				content, whole, err := w.Whole()
				if whole != tt.whole || err != nil || whole && string(content) != text {
					t.Errorf("%s, %+v: %d bytes, %t, %v", name, tt, len(content), whole, err)
				}
			}
			if size, known := w.Size(); known != tt.whole || known && size != tt.size {
				t.Errorf("%s, %+v: the size is %d, %t", name, tt, size, known)
			}
			if kept := w.Kept(); tt.whole && !kept {
				t.Errorf("%s, %+v: it is not kept", name, tt)
			}
			if got := string(begin) + readAll(t, first); got != text {
				t.Errorf("%s, %+v: the first attempt got %d bytes", name, tt, len(got))
			}
			if tt.whole {
				if got := readAll(t, again(t, w)); got != text {
					t.Errorf("%s, %+v: the second attempt got %d bytes", name, tt, len(got))
				}
			}
		}
	}
	broken := errors.New("the client has gone")
	w := replay.NewWindow(&source{Reader: io.MultiReader(strings.NewReader("01"), iotest.ErrReader(broken))}, 10)
	if _, whole, err := w.Whole(); whole || !errors.Is(err, broken) {
		t.Errorf("%t, %v", whole, err)
	}
	gone(t, w)
}

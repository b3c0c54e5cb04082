// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// TestStreamHeader: the header of a stream is sent though no body comes, and nothing is written
// once the handler has ended.
func TestStreamHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waiting, ended, written := httptest.NewRecorder(), httptest.NewRecorder(), httptest.NewRecorder()
		newStream(waiting)
		newStream(ended).end()
		late := newStream(ended)
		late.end()
		late.flushHeader() // as the timer does, where it was about to
		s := newStream(written)
		if _, err := s.Write([]byte("x")); err != nil || !written.Flushed {
			t.Errorf("a piece of the body is flushed: %t, %v", written.Flushed, err)
		}
		written.Flushed = false
		time.Sleep(10 * headerWait)
		synctest.Wait()
		if !waiting.Flushed || ended.Flushed || written.Flushed {
			t.Errorf("flushed while it waits: %t; after the end: %t; again after the first piece: %t", waiting.Flushed, ended.Flushed, written.Flushed)
		}
	})
}

// TestLateInterim: an interim answer that comes when the transport has returned touches nothing of
// the client's, whose final answer is being written.
func TestLateInterim(t *testing.T) {
	for _, late := range []bool{false, true} {
		w := httptest.NewRecorder()
		w.Header().Set("X-Own", "ours")
		a := &answering{w: w}
		if late {
			a.ended()
		}
		if err := a.pass(103, textproto.MIMEHeader{"Link": {"</x>"}}); err != nil {
			t.Fatal(err)
		}
		if passed := w.Result().Header.Get("Link") != ""; passed == late || w.Header().Get("Link") != "" || w.Header().Get("X-Own") != "ours" { //nolint:bodyclose // a recorder's
			t.Errorf("late %t: passed %t; the header left is %v", late, passed, w.Header())
		}
	}
}

// TestRequestBodyLate: net/http reads nothing of a client's body once the handler has returned,
// and closed it.
func TestRequestBodyLate(t *testing.T) {
	left := strings.NewReader("body")
	b := &requestBody{body: left}
	_ = b.Close()
	if n, err := b.Read(make([]byte, 1)); n != 0 || !errors.Is(err, http.ErrBodyReadAfterClose) || left.Len() != len("body") {
		t.Errorf("after Close: %d, %v; %d bytes are left", n, err, left.Len())
	}
}

// TestRequestBodyEnd: nothing is read behind the end of a client's body, which Caddy's server
// closes when it begins to answer.
func TestRequestBodyEnd(t *testing.T) {
	b := &requestBody{body: iotest.OneByteReader(io.MultiReader(strings.NewReader("x"), iotest.ErrReader(io.EOF)))}
	if text, err := io.ReadAll(b); string(text) != "x" || err != nil {
		t.Fatalf("read %q, %v", text, err)
	}
	b.body = iotest.ErrReader(http.ErrBodyReadAfterClose)
	if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF { //nolint:errorlint // never wrapped
		t.Errorf("behind the end: %d, %v", n, err)
	}
}

// TestEarlyData: a request that may be a repeated one, of a TLS handshake that is not complete, is
// marked as such (RFC 8470), and no other.
func TestEarlyData(t *testing.T) {
	for _, complete := range []bool{false, true} {
		r := httptest.NewRequest(http.MethodGet, "/x", nil)
		r.Header.Set("User-Agent", "test")
		r.TLS = &tls.ConnectionState{HandshakeComplete: complete}
		a := &answering{serving: &serving{address: "api:80"}, slot: &slot{x: new(exchange)}}
		if early := a.request(r).Header.Get("Early-Data") == "1"; early == complete || len(r.Header) != 1 {
			t.Errorf("complete %t: marked %t; the client's fields are %v", complete, early, r.Header)
		}
	}
}

// TestTracedAnew: a request that was sent again, and found no connection, leaves its own hook for
// interim answers in an exchange that is used again. The next request does not have it.
func TestTracedAnew(t *testing.T) {
	x := exchanges.Get().(*exchange)
	x.trace.Got1xxResponse = func(int, textproto.MIMEHeader) error { return nil }
	trace := httptrace.ContextClientTrace(x.traced(t.Context()))
	if got, want := reflect.ValueOf(trace.Got1xxResponse).Pointer(), reflect.ValueOf(x.onInterim).Pointer(); trace != &x.trace || got != want {
		t.Error("the hook is that of another request")
	}
}

// TestTrailersAlone: a request that HTTP/2 says has no body may have trailers, and keeps them.
func TestTrailersAlone(t *testing.T) {
	for trailers, want := range map[int]int64{0: 0, 1: -1} {
		r := httptest.NewRequest(http.MethodPost, "/x", http.NoBody)
		r.ContentLength, r.ProtoMajor = 0, 2
		if trailers > 0 {
			r.Trailer = http.Header{"X-Sum": nil}
		}
		a := &answering{serving: &serving{address: "api:80"}, slot: &slot{x: new(exchange)}}
		out := a.request(r)
		if sent := out.Body != nil; out.ContentLength != want || sent != (trailers > 0) || len(out.Trailer) != trailers {
			t.Errorf("%d trailers: length %d, a body %t, %d trailers", trailers, out.ContentLength, sent, len(out.Trailer))
		}
	}
}

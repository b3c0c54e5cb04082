// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
)

// sendClone sends a request as the transport does, and returns the exchange whose clone it was.
func sendClone(t *testing.T, client *http.Transport, url string, body io.Reader) *exchange {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	trace := &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error { return nil }} // as the proxy's
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
	x := exchanges.Get().(*exchange)
	x.ds, x.credential = new(datasource), new(auth.Credential)
	out, sent := x.cloneFor(req, req.URL)
	if out != &x.out || sent != &x.sent || out.URL != &x.url {
		t.Fatal("the first request is no part of the exchange")
	}
	if again, _ := x.cloneFor(req, req.URL); again == out {
		t.Fatal("a request that is sent again has the first one's clone")
	}
	res, err := client.RoundTrip(out)
	if err == nil {
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	return x
}

// TestCloneIsUsedAgainOnlyIfUnreferenced sends clones in all the ways after which net/http may
// still refer to a request, and in the one way after which it does not.
func TestCloneIsUsedAgainOnlyIfUnreferenced(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/whole", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})
	mux.HandleFunc("/close", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		_, _ = io.Copy(w, r.Body)
	})
	mux.HandleFunc("/early", func(w http.ResponseWriter, _ *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusUnauthorized)
		_ = control.Flush()
	})
	mux.HandleFunc("/broken", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	server := httptest.NewUnstartedServer(mux)
	server.Start()
	defer server.Close()
	overHTTP2 := httptest.NewUnstartedServer(mux)
	overHTTP2.EnableHTTP2 = true
	overHTTP2.StartTLS()
	defer overHTTP2.Close()
	client := overHTTP2.Client().Transport.(*http.Transport)
	client.ForceAttemptHTTP2 = true
	defer client.CloseIdleConnections()

	unsent := exchanges.Get().(*exchange)
	if !unsent.unreferenced() {
		t.Error("an exchange that was never sent is not used again")
	}
	pipe, feed := io.Pipe()
	defer feed.CloseWithError(errors.New("the end of the test"))
	for _, test := range []struct {
		name, url string
		body      io.Reader
		want      bool
	}{
		{"request and response are through", server.URL + "/whole", strings.NewReader("body"), true},
		{"no body", server.URL + "/whole", nil, true},
		{"the connection is closed", server.URL + "/close", strings.NewReader("body"), false},
		{"the answer comes before the end of the request", server.URL + "/early", pipe, false},
		{"no answer", server.URL + "/broken", strings.NewReader("body"), false},
		{"HTTP/2", overHTTP2.URL + "/whole", strings.NewReader("body"), false},
	} {
		x := sendClone(t, client, test.url, test.body)
		deadline := time.Now().Add(5 * time.Second)
		if !test.want {
			deadline = time.Now().Add(50 * time.Millisecond)
		}
		for !x.unreferenced() && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond) // net/http keeps the connection after the response was read
		}
		if got := x.unreferenced(); got != test.want {
			t.Errorf("%s: unreferenced %t; %d connections, %d kept", test.name, got, x.conns.Load(), x.idle.Load())
		}
		x.serving = new(serving)
		x.answering.fields = http.Header{"X-Before": {"of the client before"}}
		x.release()
		if reset := x.ds == nil && x.serving == nil; reset != test.want {
			t.Errorf("%s: put back %t", test.name, reset)
		}
		if test.want && len(x.answering.fields) > 0 {
			t.Errorf("%s: the next request has the fields of this one", test.name)
		}
	}
}

// TestLargeMapsAreNotKept: a map does not shrink, and each request would clear all of it.
func TestLargeMapsAreNotKept(t *testing.T) {
	many := make(http.Header)
	for i := range maxKeptFields + 1 {
		many["X-Forwarded-"+strconv.Itoa(i)] = nil
	}
	for name, grow := range map[string]func(*exchange){
		"what the API gets":        func(x *exchange) { x.header = many },
		"what the client has sent": func(x *exchange) { x.answering.fields = many },
	} {
		x := exchanges.Get().(*exchange)
		x.ds = new(datasource)
		grow(x)
		if x.release(); x.ds == nil {
			t.Errorf("%s: an exchange with %d fields is used again", name, len(many))
		}
	}
}

// TestTraceOfOthers: what another handler asks net/http to report to it does not stay in the
// exchange, for the requests of others.
func TestTraceOfOthers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	client := new(http.Transport)
	defer client.CloseIdleConnections()
	reports := 0
	others := map[string]*httptrace.ClientTrace{
		"a hook of its own":       {GotFirstResponseByte: func() { reports++ }},
		"a hook that we need too": {GotConn: func(httptrace.GotConnInfo) { reports++ }},
	}
	for name, other := range others {
		reports = 0
		x := exchanges.Get().(*exchange)
		x.ds, x.credential = new(datasource), new(auth.Credential)
		ctx := x.traced(httptrace.WithClientTrace(t.Context(), other))
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		out, _ := x.cloneFor(req, req.URL)
		res, err := client.RoundTrip(out)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if reports != 1 {
			t.Errorf("%s: %d reports", name, reports)
		}
		if out != &x.out && x.unreferenced() {
			t.Errorf("%s: the exchange is used again, and nothing has counted its connections", name)
		}
		if x.trace.GotFirstResponseByte != nil {
			t.Errorf("%s: the exchange has the hook of the other handler", name)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// TestEndless: what is too long is not read to its end.
func TestEndless(t *testing.T) {
	chunk := bytes.Repeat([]byte(oauthtest.BodyText), 1000)
	var zipped, deflated bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	small, _ := flate.NewWriter(&deflated, flate.BestCompression)
	for range 400 { // some 9 MB
		zip.Write(chunk)
	}
	zip.Close()
	small.Write([]byte(`{"access_token":"t"}`))
	small.Close()
	var written atomic.Int64
	endless := func(begin string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			n, err := io.WriteString(w, begin)
			for ; err == nil && written.Load() < 10<<30; n, err = w.Write(chunk) {
				written.Add(int64(n))
			}
		}
	}
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"endless body":                {endless(oauthtest.BodyText), "longer than 1048576 bytes"},
		"endless JSON string":         {endless(`{"access_token":"`), "longer than 1048576 bytes"},
		"endless behind the document": {endless(`{"access_token":"t"} `), "longer than 1048576 bytes"},
		"gzip bomb":                   {oauthtest.Respond(200, zipped.String(), "Content-Encoding", "gzip"), "longer than 1048576 bytes"},
		"no gzip":                     {oauthtest.Respond(200, oauthtest.BodyText, "Content-Encoding", "gzip"), "is not"},
		"half a gzip":                 {oauthtest.Respond(200, zipped.String()[:200], "Content-Encoding", "gzip"), "reading the answer"},
		"deflate":                     {oauthtest.Respond(200, deflated.String(), "Content-Encoding", "deflate"), "not asked for"},
		"brotli":                      {oauthtest.Respond(200, oauthtest.BodyText, "Content-Encoding", "br"), "not asked for"},
		"gzip twice":                  {oauthtest.Respond(200, zipped.String(), "Content-Encoding", "gzip, gzip"), "not asked for"},
		"one byte too many":           {oauthtest.Respond(200, `{"access_token":"t"}`+strings.Repeat(" ", maxAnswer-19)), "longer than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			written.Store(0)
			err := attemptAt(t, oauthtest.Serve(t, tt.handler))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			// What was written lies in the buffers of the two sockets at most.
			if n := written.Load(); n > 64<<20 {
				t.Errorf("%d bytes could be written", n)
			}
		})
	}
	// The bounds themselves are met.
	var good bytes.Buffer
	zip = gzip.NewWriter(&good)
	io.WriteString(zip, `{"access_token":"t"}`)
	zip.Close()
	for name, handler := range map[string]http.HandlerFunc{
		"gzip":         oauthtest.Respond(200, good.String(), "Content-Encoding", "gzip"),
		"no coding":    oauthtest.Respond(200, `{"access_token":"t"}`, "Content-Encoding", "UTF-8"),
		"the very end": oauthtest.Respond(200, `{"access_token":"t"}`+strings.Repeat(" ", maxAnswer-20)),
	} {
		if err := attemptAt(t, oauthtest.Serve(t, handler)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRedirects: neither the client's secret nor anything else goes to where a token endpoint
// points.
func TestRedirects(t *testing.T) {
	var elsewhere atomic.Int32
	count := func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		io.WriteString(w, `{"access_token":"theirs"}`)
	}
	other := oauthtest.Serve(t, count)
	for _, status := range []int{300, 301, 302, 303, 305, 307, 308} {
		for _, target := range []string{other, "/elsewhere", "//" + strings.TrimPrefix(other, "http://"), "::" + oauthtest.BodyText, ""} {
			mux := http.NewServeMux()
			mux.HandleFunc("/token", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", target)
				w.WriteHeader(status)
				io.WriteString(w, `{"access_token":"theirs","error_description":"`+oauthtest.BodyText+`"}`)
			})
			mux.HandleFunc("/elsewhere", count)
			err, ok := attemptAt(t, oauthtest.Serve(t, mux.ServeHTTP)).(*Error) //nolint:errorlint // it is what requests return
			if !ok || err.Status != status || err.Rejected() || !strings.Contains(err.Remedy(), "redirects") {
				t.Errorf("%d to %q: %v", status, target, err)
			}
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

// TestSlow: the whole call has one time limit.
func TestSlow(t *testing.T) {
	wait := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	drip := func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				io.WriteString(w, " ")
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}
	half := func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"access_token":"`+oauthtest.BodyText)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	for name, handler := range map[string]http.HandlerFunc{"headers": wait, "body": drip, "half a body": half} {
		err := attemptAt(t, oauthtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else the server does not notice that the client has gone
			handler(w, r)
		}))
		if err == nil || !strings.Contains(err.Error(), "no answer in time") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNoHTTP: what net/http says of bytes that are no HTTP quotes them.
func TestNoHTTP(t *testing.T) {
	for _, raw := range []string{
		oauthtest.BodyText + "\r\n\r\n",
		"",
		"HTTP/1.1 " + oauthtest.BodyText + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + oauthtest.BodyText + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\n " + oauthtest.BodyText + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: " + oauthtest.BodyText + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + oauthtest.BodyText + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + oauthtest.BodyText + "\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{" + oauthtest.BodyText,
		"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n{\"access_token\":\"" + oauthtest.BodyText + "\"}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n" + oauthtest.BodyText + "\r\n\r\n",
		strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 10_000),
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Long: "+oauthtest.BodyText+"\r\n", 10_000),
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		answer := []byte(raw)
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Read(make([]byte, 4096))
				conn.Write(answer)
				conn.Close()
			}
		}()
		if err := attemptAt(t, "http://"+l.Addr().String()+"/"); err == nil {
			t.Errorf("%.60q: no error", raw)
		}
		l.Close()
	}
	// Nobody listens there any more.
	if err := attemptAt(t, "http://127.0.0.1:1/"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Error(err)
	}
}

// TestSlowHTTP2: net/http's HTTP/2 tells no cause of a cancelled request. The log says that there
// was no answer in time all the same.
func TestSlowHTTP2(t *testing.T) {
	hang := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(hang) })
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	client := New(&tls.Config{RootCAs: trusted}, new(net.Dialer).DialContext)
	_, err := client.Credentials(t.Context(), configOf(server.URL))
	if err == nil || !strings.Contains(err.Error(), "no answer in time") {
		t.Error(err)
	}
}

// TestRetryAfter: seconds or a date; what is neither says nothing. What is absurd is cut where it
// is used.
func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                              {},
		"120":                           now.Add(2 * time.Minute),
		"0":                             now,
		"Fri, 02 Jan 2026 03:05:05 GMT": now.Add(time.Minute),
		"Fri, 02 Jan 2026 02:04:05 GMT": now.Add(-time.Hour),
		"2147483647":                    now.Add(2147483647 * time.Second),
		"Fri, 31 Dec 9999 23:59:59 GMT": time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		"99999999999999999999":          {},
		"-5":                            {},
		"1.5":                           {},
		"1e3":                           {},
		"soon":                          {},
		"120, 240":                      {},
		"2026-01-02T03:05:05Z":          {},
	} {
		got := retryAfter(&http.Response{Header: http.Header{"Retry-After": {text}}}, now)
		if !got.Equal(want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

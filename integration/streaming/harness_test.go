// SPDX-License-Identifier: Apache-2.0

// Package streaming holds what passes through the gateway against what passes through Caddy's own
// reverse_proxy: bodies of any length in both directions, trailers, interim responses, WebSockets,
// and clients that go away, with each version of HTTP on both sides.
package streaming

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m, nil)) }

// patience is how long a test waits for what must happen at once.
const patience = 15 * time.Second

// refusal is the body of a refusal that passes to the client.
const refusal = "the credential is out of date"

// both are the option auth of a method whose credential never changes, and one for which bodies
// are kept while they stream.
func both(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{"fixed": "auth bearer k1", "renewable": "auth bearer {file." + rig.Save(t, "k1\n") + "}"}
}

// newHTTPAPI runs an API that speaks HTTP/1.1 without TLS until the test ends. It serves nobody
// without the credential.
func newHTTPAPI(t *testing.T, handler http.HandlerFunc) (addr string) {
	t.Helper()
	server := httptest.NewServer(guarded(handler))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func guarded(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header["Authorization"]; !slices.Equal(got, []string{"Bearer k1"}) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler(w, r)
	}
}

func startFor(t *testing.T, base, options string) (gateway string) {
	t.Helper()
	return rig.Start(t, "http://GATEWAY {\nauthenticated_api "+base+" {\n"+options+"\n}\n}")
}

// startTLS runs a gateway that speaks HTTP/1.1, 2 and 3, and returns its URL and what clients
// have to trust.
func startTLS(t *testing.T, base, options string) (url string, client *tls.Config) {
	t.Helper()
	id := rig.NewCertificate(t)
	addr := rig.Start(t, "https://GATEWAY {\ntls "+id.File+" "+id.KeyFile+
		"\nauthenticated_api "+base+" {\n"+options+"\n}\n}")
	return "https://" + addr, &tls.Config{RootCAs: rig.Pool(id.Identity)}
}

// newAPIOf runs an API of one of rig.Versions, and returns the address and the options of the
// directive for it.
func newAPIOf(t *testing.T, version string, handler http.Handler) (base, options string) {
	t.Helper()
	base, certificate := rig.Serve(t, version, handler)
	if certificate != nil {
		options = "self_signed_cert " + certificate.File
	}
	switch version {
	case "h2c":
		options += "\ntransport http {\nversions h2c 2\n}"
	case "3":
		options += "\ntransport http {\nversions 3\n}"
	}
	return base, options
}

func protoOf(major int) string {
	return map[int]string{1: "HTTP/1.1", 2: "HTTP/2.0", 3: "HTTP/3.0"}[major]
}

// clientFor returns a client that speaks one version of HTTP only.
func clientFor(t *testing.T, major int, config *tls.Config) *http.Client {
	t.Helper()
	if major == 3 {
		transport := &http3.Transport{TLSClientConfig: config, DisableCompression: true}
		t.Cleanup(func() { _ = transport.Close() })
		return &http.Client{Transport: transport}
	}
	transport := &http.Transport{
		TLSClientConfig: config, DisableCompression: true, MaxIdleConnsPerHost: 64, Protocols: new(http.Protocols),
	}
	transport.Protocols.SetHTTP1(major == 1)
	transport.Protocols.SetHTTP2(major == 2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func newRequest(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func do(t *testing.T, client *http.Client, req *http.Request) *http.Response {
	t.Helper()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// readLine reads a line; the request's own deadline ends a wait for nothing.
func readLine(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("reading a line: %v, after %q", err, line)
	}
	return strings.TrimSuffix(line, "\n")
}

func wantOK(t *testing.T, res *rig.Reply) {
	t.Helper()
	if res.StatusCode != 200 || res.Text != "ok" {
		t.Errorf("the client got %d %q, want ok", res.StatusCode, res.Text)
	}
}

// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// seen is what an API has seen of a request.
type seen struct {
	proto, host, authorization, path string

	peers []*x509.Certificate
}

// tlsAPI is an API that speaks TLS and one version of HTTP.
type tlsAPI struct {
	addr, port string

	mu   sync.Mutex
	seen []seen
}

func (a *tlsAPI) take() []seen {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.seen
	a.seen = nil
	return s
}

// newTLSAPI runs an API until the test ends. major is the only version of HTTP it speaks, 1 or 2.
func newTLSAPI(t testing.TB, listen string, major int, config *tls.Config, handler http.Handler) *tlsAPI {
	t.Helper()
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	api := &tlsAPI{addr: ln.Addr().String()}
	_, api.port, _ = net.SplitHostPort(api.addr)
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		TLSConfig:         config,
		Protocols:         new(http.Protocols),
		ErrorLog:          log.New(io.Discard, "", 0), // of refused handshakes
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := seen{proto: r.Proto, host: r.Host, authorization: r.Header.Get("Authorization"), path: r.URL.Path}
			s.peers = r.TLS.PeerCertificates
			api.mu.Lock()
			api.seen = append(api.seen, s)
			api.mu.Unlock()
			if handler != nil {
				handler.ServeHTTP(w, r)
				return
			}
			_, _ = io.WriteString(w, "ok")
		}),
	}
	server.Protocols.SetHTTP1(major == 1)
	server.Protocols.SetHTTP2(major == 2)
	go func() { _ = server.ServeTLS(ln, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	return api
}

func protoOf(major int) string {
	return map[int]string{1: "HTTP/1.1", 2: "HTTP/2.0", 3: "HTTP/3.0"}[major]
}

// wantServed sends a request through the gateway and checks that the API got it with the
// credential.
func wantServed(t *testing.T, gateway string, api *tlsAPI, major int, host string) seen {
	t.Helper()
	if res := rig.Get(t, gateway, "/x", ""); res.StatusCode != 200 || res.Text != "ok" {
		t.Fatalf("the client got %d %q", res.StatusCode, res.Text)
	}
	all := api.take()
	if len(all) != 1 {
		t.Fatalf("the API got %d requests, want 1", len(all))
	}
	got := all[0]
	if got.proto != protoOf(major) || got.host != host || got.authorization != "Bearer k1" {
		t.Errorf("the API got %q for host %q with %q, want %q, %q and the credential",
			got.proto, got.host, got.authorization, protoOf(major), host)
	}
	return got
}

// wantRefused checks that the gateway sends nothing to a server that it does not trust.
func wantRefused(t *testing.T, gateway string, api *tlsAPI) {
	t.Helper()
	if res := rig.Get(t, gateway, "/x", ""); res.StatusCode != 502 {
		t.Errorf("the client got %d %q, want 502", res.StatusCode, res.Text)
	}
	if all := api.take(); len(all) != 0 {
		t.Errorf("the API got %d requests, want none", len(all))
	}
}

// eachVersion runs a test for APIs of HTTP/1.1 and HTTP/2.
func eachVersion(t *testing.T, test func(t *testing.T, major int)) {
	t.Helper()
	for _, major := range []int{1, 2} {
		t.Run(protoOf(major), func(t *testing.T) { test(t, major) })
	}
}

// loadError loads a configuration that must be refused, and returns why it was.
func loadError(t *testing.T, caddyfile string) string {
	t.Helper()
	err := rig.Load(strings.ReplaceAll(caddyfile, "GATEWAY", rig.Free(t)))
	if err == nil {
		_ = caddy.Stop()
		t.Fatal("the configuration was accepted")
	}
	return err.Error()
}

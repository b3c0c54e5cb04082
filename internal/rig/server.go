// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// Versions are the versions of HTTP that an API may speak. h2c is HTTP/2 without TLS.
var Versions = []string{"1.1", "2", "h2c", "3"}

// OverTLS is HTTP/1.1 over TLS, which Serve knows besides the Versions.
const OverTLS = "1.1 over TLS"

// Serve runs an API that speaks one of the Versions only, until the test ends. It returns the
// API's URL, and its certificate if it has one.
func Serve(t testing.TB, version string, handler http.Handler) (url string, certificate *Certificate) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	switch version {
	case "1.1":
		server.Config.Protocols.SetHTTP1(true)
		server.Start()
	case "2", OverTLS:
		certificate = NewCertificate(t)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate.TLS()}}
		server.EnableHTTP2 = version == "2"
		server.Config.Protocols.SetHTTP1(version == OverTLS)
		server.Config.Protocols.SetHTTP2(version == "2")
		server.StartTLS()
	case "h2c":
		server.Config.Protocols.SetUnencryptedHTTP2(true)
		server.Start()
	case "3":
		server.Listener.Close()
		return serveHTTP3(t, handler)
	default:
		t.Fatalf("no API of version %s", version)
	}
	t.Cleanup(func() { _ = server.Config.Close() }) // not Close of httptest, which waits for all clients
	return server.URL, certificate
}

func serveHTTP3(t testing.TB, handler http.Handler) (url string, certificate *Certificate) {
	t.Helper()
	certificate = NewCertificate(t)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate.TLS()}}
	server := &http3.Server{Handler: handler, TLSConfig: http3.ConfigureTLSConfig(config)}
	go func() { _ = server.Serve(conn) }()
	t.Cleanup(func() {
		_ = server.Close()
		_ = conn.Close()
	})
	return "https://" + conn.LocalAddr().String(), certificate
}

// Receive waits for a value for some seconds, and fails the test if none comes.
func Receive[T any](t testing.TB, values <-chan T, what string) T {
	t.Helper()
	const patience = 15 * time.Second
	select {
	case v := <-values:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: nothing for %v", what, patience)
		panic("unreachable")
	}
}

// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestTLSClientAuth: the handshake authenticates the client. The parameters only name it, and its
// secret is not sent.
func TestTLSClientAuth(t *testing.T) {
	mine := rig.NewIdentity(t, nil, rig.AsClient)
	var bodies, names []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(body))
		names = append(names, r.Header.Get("Authorization"), r.TLS.PeerCertificates[0].Subject.String())
		io.WriteString(w, `{"access_token":"t"}`)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	client := New(&tls.Config{RootCAs: trusted, Certificates: []tls.Certificate{mine.TLS()}, MinVersion: tls.VersionTLS12}, nil)
	t.Cleanup(client.CloseIdleConnections)
	cfg := configOf(server.URL)
	cfg.ClientAuth, cfg.Timeout = TLSClientAuth, 10*time.Second
	if _, err := client.Credentials(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Refresh(t.Context(), cfg, "r"); err != nil {
		t.Fatal(err)
	}
	if err := client.Revoke(t.Context(), cfg, "a", ""); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"client_id=i&grant_type=client_credentials", "client_id=i&grant_type=refresh_token&refresh_token=r", "client_id=i&token=a&token_type_hint=access_token",
	} {
		if bodies[i] != want || names[2*i] != "" || names[2*i+1] == "" {
			t.Errorf("got %q of %q, want %q", bodies[i], names[2*i:2*i+2], want)
		}
	}
}

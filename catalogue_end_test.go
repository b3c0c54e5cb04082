// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// ends is a listener that tells of the end of each connection.
type ends struct {
	net.Listener
	ended chan struct{}
}

type endingConn struct {
	net.Conn
	ended chan struct{}
}

func (l ends) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return endingConn{conn, l.ended}, nil
}

func (c endingConn) Close() error {
	c.ended <- struct{}{}
	return c.Conn.Close()
}

// endingAPI runs an API that says when a connection to it ends. The API speaks TLS if there is a
// configuration for it.
func endingAPI(t *testing.T, config *tls.Config) (*rig.API, <-chan struct{}) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	ended := make(chan struct{}, 8)
	api := &rig.API{Addr: ln.Addr().String(), Answer: func(string) string { return rig.OK("ok") }}
	var listener net.Listener = ends{ln, ended}
	if config != nil {
		listener = tls.NewListener(listener, config)
	}
	go api.Serve(listener)
	return api, ended
}

// TestIdleConnectionsEnd: with a configuration its idle connections to APIs end, be their
// transport a handler's own, one that the entries of a catalogue share, or a proxy's.
func TestIdleConnectionsEnd(t *testing.T) {
	for name, config := range map[string]string{
		"own":    "authenticated_api http://API {\nauth none\n}",
		"shared": "authenticated_apis {\na http://API\n}",
		"proxy":  "authenticated_apis {\na http://API {\nproxy reverse_proxy\n}\n}",
	} {
		t.Run(name, func(t *testing.T) {
			api, ended := endingAPI(t, nil)
			gateway := rig.Start(t, "http://GATEWAY {\n"+strings.ReplaceAll(config, "API", api.Addr)+"\n}")
			wantOK(t, rig.Get(t, gateway, "/a/x", ""))
			wantOK(t, rig.Get(t, gateway, "/a/x", ""))
			if api.Conns() != 1 || len(ended) != 0 {
				t.Fatalf("%d connections were made for two requests, and %d have ended", api.Conns(), len(ended))
			}
			rig.Stop(t, gateway)
			rig.Receive(t, ended, "the end of the connection")
		})
	}
}

// TestIdleConnectionsEndReplaced: that holds for the transport that has taken the place of the
// first one since the certificates have changed, too. The connections of the first end when that
// happens.
func TestIdleConnectionsEndReplaced(t *testing.T) {
	ca, another := rig.NewIdentity(t, nil, rig.AsCA), rig.NewIdentity(t, nil, rig.AsCA)
	leaf := rig.NewIdentity(t, ca, nil)
	for name, config := range map[string]string{
		"own":    "authenticated_api https://API {\nname a\nself_signed_cert FILE\n}",
		"shared": "authenticated_apis {\na https://API {\nself_signed_cert FILE\n}\n}",
	} {
		t.Run(name, func(t *testing.T) {
			api, ended := endingAPI(t, &tls.Config{Certificates: []tls.Certificate{leaf.TLS()}})
			file := rig.Save(t, ca.PEM)
			global, log := watchedLog(t)
			gateway := rig.Start(t, global+"}\nhttp://GATEWAY {\n"+strings.NewReplacer("API", api.Addr, "FILE", file).Replace(config)+"\n}")
			wantOK(t, rig.Get(t, gateway, "/a/x", ""))
			rotate(t, file, ca.PEM+another.PEM)
			waitFor(t, "the certificates are taken over", func() bool { return slices.Equal(told(t, log, "took over"), []string{"a self_signed_cert"}) })
			rig.Receive(t, ended, "the end of the connection before")
			wantOK(t, rig.Get(t, gateway, "/a/x", ""))
			wantOK(t, rig.Get(t, gateway, "/a/x", ""))
			if api.Conns() != 2 || len(ended) != 0 {
				t.Fatalf("%d connections were made, and %d more have ended", api.Conns(), len(ended))
			}
			rig.Stop(t, gateway)
			rig.Receive(t, ended, "the end of the connection")
		})
	}
}

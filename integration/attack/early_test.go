// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"context"
	"crypto/tls"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestEarlyData sends requests in 0-RTT data, which an attacker who has recorded it can send again
// (RFC 8470). The gateway passes them on with Early-Data: 1, so that an API can answer 425. A
// client cannot remove that field.
func TestEarlyData(t *testing.T) {
	api := rig.NewAPI(t, nil)
	g := start(t, "", everything(api))
	config := clientTLS("h3")
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	quicConfig := &quic.Config{MaxIdleTimeout: time.Minute, TokenStore: quic.NewLRUTokenStore(1, 1)}
	dial := func() *h3Client {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		conn, err := quic.DialAddrEarly(ctx, g.tls, config, quicConfig)
		if err != nil {
			t.Fatal(err)
		}
		control, err := conn.OpenUniStream()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := control.Write(append([]byte{h3ControlStream}, h3Frame(h3Settings, nil)...)); err != nil {
			t.Fatal(err)
		}
		return &h3Client{addr: g.tls, conn: conn}
	}
	first := dial()
	<-first.conn.HandshakeComplete()
	if r := first.do(request{target: "/x", fields: [][2]string{{"connection-x", "early-data"}}}); r.status != http.StatusOK {
		t.Fatalf("the client got %d %v", r.status, r.err)
	}
	theRequest(t, api).wantNone(t, "Early-Data") // the twin: nothing is early here
	time.Sleep(50 * time.Millisecond)            // for the session ticket
	first.Close()

	for _, req := range []request{
		{target: "/x"},
		{target: "/x", fields: [][2]string{{"early-data", "0"}, {"early_data", "0"}, {"x-api-key", "evil"}}},
		{target: "/../../x"},
		{method: http.MethodPost, target: "/x", body: "a=b"},
	} {
		early := false
		// Several attempts, because the request is not always read before the handshake is
		// complete.
		for range 20 {
			c := dial()
			r := c.do(req)
			if !c.conn.ConnectionState().Used0RTT {
				t.Errorf("%+v: it was not early", req)
			}
			seen := requests(t, api)
			for _, s := range seen {
				if leaves(s.path()) {
					t.Errorf("the API got %s", s.target)
				}
				s.wantOne(t, "X-Api-Key", "ours")
				got := s.alike("Early-Data")
				early = early || slices.Contains(got, "1")
				// After the handshake there is only the client's own field.
				if own := []string{"0", "0"}; len(got) > 0 && !slices.Equal(got, []string{"1"}) && !slices.Equal(got, own[:min(len(got), len(own))]) {
					t.Errorf("the API got Early-Data: %q", got)
				}
				t.Logf("%s %s arrived early: %d", s.method, s.target, r.status)
			}
			<-c.conn.HandshakeComplete()
			if r := c.do(request{target: "/x"}); r.status != http.StatusOK {
				t.Errorf("after the handshake the client got %d %v", r.status, r.err)
			}
			api.Requests()
			time.Sleep(50 * time.Millisecond)
			c.Close()
			if early || len(seen) == 0 {
				break
			}
		}
		if !early && !strings.Contains(req.target, "..") {
			t.Errorf("%+v: the API was never told that it was early", req)
		}
	}
}

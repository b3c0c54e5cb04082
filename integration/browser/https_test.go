// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// secure gives a gateway https, with a certificate that no authority has signed.
func secure(t testing.TB) func(*gateway) {
	return func(g *gateway) {
		t.Helper()
		certificate := rig.NewCertificate(t)
		g.url = strings.Replace(g.url, "http://", "https://", 1)
		g.tls = fmt.Sprintf("tls %s %s", certificate.File, certificate.KeyFile)
		g.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // G402: nobody has signed it
	}
}

// TestHTTPS: over https the browser takes the cookie with the name that only this host over https
// can set, and gives it to no script and no plain http.
func TestHTTPS(t *testing.T) {
	g := newGateway(t, time.Minute, secure(t))
	b := g.visitor(t, "ann")
	b.open(t, g.console)
	b.begin(t, shared)
	c := g.flow(t, b)
	if !strings.HasPrefix(c.Name, "__Host-authenticated_api_flow_") || !c.Secure || !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax || c.Path != "/" {
		t.Errorf("the cookie is %+v", c)
	}
	if life := time.Until(time.Unix(int64(c.Expires), 0)); life < 9*time.Minute || life > 11*time.Minute {
		t.Errorf("the cookie lives for %v", life)
	}
	b.allow(t, "eve")
	b.wantState(t, shared, "Connected")
	if script := eval[string](t, b, "document.cookie"); script != "" {
		t.Errorf("a script sees %q", script)
	}
	res := b.open(t, g.callbacks(b)[0])
	g.wantRefused(t, b, int(res.Status), http.StatusOK, "already connected")
	g.wantServed(t, "bob", shared, "eve")

	// The same flow under the name that plain http could set: a neighbour's, perhaps.
	b.open(t, g.console)
	b.begin(t, shared)
	for _, c := range g.flows(t, b) {
		g.forget(t, b, c)
		c.Name, c.Secure = strings.TrimPrefix(c.Name, "__Host-"), false
		g.plant(t, b, c)
	}
	status := b.allow(t, "bob")
	g.wantRefused(t, b, status, http.StatusBadRequest, "This did not begin in this browser")
	g.wantServed(t, "bob", shared, "eve")
}

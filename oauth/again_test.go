// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/caddyserver/caddy/v2"
)

// TestClientIDChanges: client_id is in a file, which changes while the configuration stays. Nothing is sent to the provider under the
// new name: it would refuse the refresh token for good, and what was connected under it would not be found again.
func TestClientIDChanges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "id")
	write := func(id string) {
		if err := os.WriteFile(file, []byte(id), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		s := &web{p: w.p}
		g := w.gateway(s, func(m *Method) { m.Connection, m.ClientID = "{http.auth.user.id}", "{file."+file+"}" })
		g.connect(t, "ann", "good")
		begun, _, err := g.Begin("bob", "bob")
		if err != nil {
			t.Fatal(err)
		}
		write("two")
		time.Sleep(2 * time.Minute)
		sent := len(s.forms)
		if got, err := g.serves(t, "ann"); err == nil || !strings.Contains(err.Error(), "reload Caddy") {
			t.Errorf("ann is served with %q, %v", got, err)
		}
		if _, _, err := g.Begin("bob", "bob"); err == nil || !strings.Contains(err.Error(), "reload Caddy") {
			t.Errorf("a flow begins: %v", err)
		}
		if err := g.Finish(t.Context(), begun, "good-bob"); err == nil || !strings.Contains(err.Error(), "reload Caddy") {
			t.Errorf("bob is connected: %v", err)
		}
		if len(s.forms) != sent {
			t.Errorf("%v was sent", s.forms[sent:])
		}
		write("one")
		time.Sleep(10 * time.Minute)
		if got, err := g.serves(t, "ann"); err != nil {
			t.Errorf("with the client id of before: %q, %v", got, err)
		}
	})
}

// TestTwoRoutes: one datasource stands in two routes of a configuration. Requests of both share the back-off.
func TestTwoRoutes(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		s := &web{p: w.p}
		a, b := w.gateway(s, perUser), w.gateway(s, perUser)
		b.set.pool = a.set.pool
		a.set.Configuration, b.set.Configuration = w, w
		a.connect(t, "ann", "good")
		time.Sleep(2 * time.Minute)
		w.p.fate = func(int) fate { return fate{err: &provider.Error{Status: http.StatusServiceUnavailable}} }
		for range 60 {
			for _, g := range []*gateway{a, b} {
				if got, err := g.serves(t, "ann"); err == nil {
					t.Fatal(got)
				}
			}
			time.Sleep(time.Second)
		}
		if n := w.p.calls(); n > 7 { // after 1, 2, 4, 8, 16, 32 s
			t.Errorf("%d token requests in a minute", n)
		}
	})
}

// TestNothingToRefresh: a token without end and without refresh token, as of GitHub's OAuth apps, is connected, and says so when
// somebody asks for a refresh.
func TestNothingToRefresh(t *testing.T) {
	bubble(t, &issuer{mode: rotateNever}, func(t *testing.T, w *world) {
		n := w.node()
		token := w.p.connect()
		token.Refresh = ""
		if err := n.install(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if err := n.Renew(t.Context()); !errors.Is(err, ErrNotRenewable) {
			t.Errorf("%v", err)
		}
		n.mustHave(t, "access-0")
	})
}

// TestRetryAfterStays: what is no renewal does not end the provider's Retry-After; a new account does.
func TestRetryAfterStays(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
		n := w.connected(1)[0]
		time.Sleep(2 * time.Minute)
		w.p.fate = func(int) fate {
			return fate{err: &provider.Error{Status: http.StatusTooManyRequests, Retry: time.Now().Add(30 * time.Minute)}}
		}
		if _, err := n.Credential(t.Context()); err == nil {
			t.Fatal("there is a token")
		}
		w.p.fate = nil
		if err := n.move(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Credential(t.Context()); err == nil || w.p.calls() != 1 {
			t.Errorf("%v, and %d calls", err, w.p.calls())
		}
		if err := n.install(t.Context(), w.p.connect()); err != nil {
			t.Fatal(err)
		}
		n.mustHave(t, "access-0")
		if st, err := n.Status(t.Context()); err != nil || st.LastError != "" {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

// TestTicketWithoutKey: the key that a record was sealed with is lost. A ticket connects the account again.
func TestTicketWithoutKey(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: time.Hour}, func(t *testing.T, w *world) {
		s := &web{p: w.p}
		w.gateway(s, nil).connect(t, "", "good")
		w.ring = seal.NewRing(oauthtest.NewKey(t))
		g := w.gateway(s, nil)
		if _, err := g.serves(t, ""); !errors.Is(err, record.ErrKeyMissing) {
			t.Fatal(err)
		}
		target, err := g.Ticket(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(target, "?ticket=")
		ticket, err := OpenTicket(w.ring, text)
		if err != nil || g.CheckTicket(t.Context(), ticket) != nil {
			t.Fatal(err)
		}
		flow, _, err := g.BeginWithTicket(ticket)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Finish(t.Context(), flow, "good-again"); err != nil {
			t.Fatal(err)
		}
		if got, err := g.serves(t, ""); err != nil || got != "of-good-again" {
			t.Errorf("%q, %v", got, err)
		}
		if err := g.CheckTicket(t.Context(), ticket); !errors.Is(err, ErrTicketUsed) {
			t.Errorf("the ticket is good once more: %v", err)
		}
	})
}

// canned answers each request in the same way.
type canned struct {
	status int
	body   string
}

// RoundTrip implements http.RoundTripper.
func (c canned) RoundTrip(req *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, req.Body)
	return &http.Response{StatusCode: c.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(c.body)), Request: req}, nil
}

// TestLabelOfDoubt: something in front of the provider has answered, or nobody can read the answer. If the refresh token turns out to be
// spent then, the loss is called one.
func TestLabelOfDoubt(t *testing.T) {
	for name, answer := range map[string]struct {
		status int
		body   string
		want   record.Reason
	}{
		"502":        {http.StatusBadGateway, "<html>", record.ReasonLost},
		"504":        {http.StatusGatewayTimeout, "", record.ReasonLost},
		"cut":        {http.StatusOK, `{"acc`, record.ReasonLost},
		"cut later":  {http.StatusOK, `{"access_token":"a","expires_in":1,"refresh`, record.ReasonLost},
		"503":        {http.StatusServiceUnavailable, "", record.ReasonRevoked},
		"no success": {http.StatusBadRequest, `{"error":"invalid_client"}`, record.ReasonRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &issuer{mode: rotateStrict, life: time.Minute}, func(t *testing.T, w *world) {
				n := w.connected(1)[0]
				var once sync.Once
				redeem := n.set.Redeem
				m := &Method{TokenURL: "http://127.0.0.1/token", ClientID: "i", ClientAuth: provider.ClientAuthNone, Timeout: caddy.Duration(n.set.Timeout)}
				m.texts.TokenURL, m.texts.ClientID = m.TokenURL, m.ClientID
				m.client = provider.New(nil, nil)
				m.client.Transport.RegisterProtocol("http", canned{answer.status, answer.body})
				n.set.Redeem = func(ctx context.Context, _ func() []string, refreshToken string) (c *provider.Answer, err error) {
					c, err = redeem(ctx, nil, refreshToken) // the provider has redeemed it
					once.Do(func() {
						c, err = m.redeem(ctx, nil, refreshToken)
					})
					return c, err
				}
				time.Sleep(time.Minute)
				_, err := n.Credential(t.Context())
				if (err == nil) != (name == "cut later") {
					t.Fatalf("got %v", err)
				}
				time.Sleep(3 * time.Second)
				_, err = n.Credential(t.Context())
				if !isAuthorization(err, answer.want) {
					t.Errorf("%v, want %s", err, answer.want)
				}
			})
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// TestBegin: the URL that a browser is sent to.
func TestBegin(t *testing.T) {
	w := newWorld(t)
	g := w.gateway(&web{}, func(m *Method) {
		m.Scopes, m.Audience, m.Resource = []string{"a", "b"}, "https://api", []string{"https://r/1", "https://r/2?x=y&z"}
		m.AuthorizationParams = map[string]string{"prompt": "consent", "audience": "https://other"}
	})
	flow, target, err := g.Begin(t.Context(), "ann", "user")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(flow.Verifier))
	want := url.Values{
		"tenant": {"a"}, "response_type": {"code"}, "client_id": {"id"}, "redirect_uri": {"https://gw.example/connect/callback"},
		"scope": {"a b"}, "state": {flow.State}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "audience": {"https://other"}, "prompt": {"consent"},
		"resource": {"https://r/1", "https://r/2?x=y&z"},
	}
	got := u.Query()
	for name := range want {
		if !slices.Equal(got[name], want[name]) {
			t.Errorf("%s is %q, want %q", name, got[name], want[name])
		}
	}
	if len(got) != len(want) || u.Host != "p.example" || len(flow.Verifier) < 43 {
		t.Errorf("%s", target)
	}
	if strings.Contains(target, flow.Verifier) || strings.Contains(target, oauthtest.ClientSecret) {
		t.Error("a secret is in the URL")
	}
	again, _, _ := g.Begin(t.Context(), "ann", "user")
	if again.State == flow.State || again.Verifier == flow.Verifier {
		t.Error("two flows are alike")
	}
	g.PKCE = "off"
	if flow, target, _ := g.Begin(t.Context(), "", "user"); flow.Verifier != "" || strings.Contains(target, "challenge") {
		t.Error("PKCE is not off")
	}
}

// TestBlanks: a hop that decodes a URL by RFC 3986, and encodes it again, leaves what it means as
// it was.
func TestBlanks(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*Method){
		"scopes":              func(m *Method) { m.Scopes = []string{"a+b", "c"} },
		"authorization_param": func(m *Method) { m.AuthorizationParams = map[string]string{"scope": "a+b c"} },
		"audience":            func(m *Method) { m.Audience = "a+b c" },
		"resource":            func(m *Method) { m.Resource = []string{"a+b c"} },
		"no query before":     func(m *Method) { m.AuthorizationURL, m.Scopes = "https://p.example/authorize", []string{"a+b", "c"} },
		"a + of the operator": func(m *Method) {
			m.AuthorizationURL, m.Scopes = "https://p.example/a+b?x=1+2", []string{"a+b", "c"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := w.gateway(&web{}, change)
			_, target, err := g.Begin(t.Context(), "", "user")
			own, made := target[:len(g.AuthorizationURL)], target[len(g.AuthorizationURL):]
			if err != nil || own != g.AuthorizationURL || strings.Contains(made, "+") || !strings.Contains(made, "a%2Bb%20c") {
				t.Errorf("%s, %v", target, err)
			}
		})
	}
}

// TestSealedFlow: what the browser keeps opens with the same key for the same flow only, byte for
// byte, and for ten minutes.
func TestSealedFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring := seal.NewRing(oauthtest.NewKey(t))
		f := &Flow{
			State: "s", Verifier: "v", Datasource: "crm", Connection: "\xff\x00 日本", User: "ünï\xfe", Ticket: true, Began: time.Now().Truncate(time.Second),
			Done: true, connected: 7,
		}
		text, err := f.Seal(ring)
		if err != nil {
			t.Fatal(err)
		}
		got, err := OpenFlow(ring, f.ID(), text)
		if err != nil || *got != *f {
			t.Fatalf("%+v, %v; want %+v", got, err, f)
		}
		for i := range text {
			c := byte('A')
			if text[i] == c {
				c = 'B'
			}
			if _, err := OpenFlow(ring, f.ID(), text[:i]+string(c)+text[i+1:]); err == nil {
				t.Errorf("it opens with byte %d changed", i)
			}
		}
		for name, open := range map[string]func() error{
			"another flow": func() error { _, err := OpenFlow(ring, FlowID("other"), text); return err },
			"another key":  func() error { _, err := OpenFlow(seal.NewRing(oauthtest.NewKey(t)), f.ID(), text); return err },
			"a ticket":     func() error { _, err := OpenTicket(ring, text); return err },
			"padding":      func() error { _, err := OpenFlow(ring, f.ID(), text+"="); return err },
			"nothing":      func() error { _, err := OpenFlow(ring, f.ID(), ""); return err },
		} {
			if open() == nil {
				t.Errorf("%s opens it", name)
			}
		}
		for after, want := range map[time.Duration]bool{
			-2 * time.Minute: true, -30 * time.Second: false, 0: false, FlowLifetime - time.Second: false, FlowLifetime: true, 24 * time.Hour: true,
		} {
			if got.Expired(f.Began.Add(after)) != want {
				t.Errorf("expired after %v: %t", after, !want)
			}
		}
	})
}

// TestFinishOnce: a browser sends a callback several times, and leaves. The code is redeemed once,
// and all get the same answer.
func TestFinishOnce(t *testing.T) {
	for _, code := range []string{"good", "bad"} {
		bubble(t, func(t *testing.T, w *world) {
			s := &web{life: time.Hour, slow: time.Second}
			g := w.gateway(s, perUser)
			flow, _, err := g.Begin(t.Context(), "ann", "ann")
			if err != nil {
				t.Fatal(err)
			}
			short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if err := g.Finish(short, flow, code); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who has left got %v", err)
			}
			var browsers sync.WaitGroup
			for range 20 {
				browsers.Go(func() {
					if err := g.Finish(t.Context(), flow, code); (err == nil) != (code == "good") {
						t.Errorf("%s: %v", code, err)
					}
				})
			}
			browsers.Wait()
			time.Sleep(5 * time.Minute)
			if err := g.Finish(t.Context(), flow, code); (err == nil) != (code == "good") {
				t.Errorf("%s, later: %v", code, err)
			}
			if n := s.codes[code]; n != 1 {
				t.Errorf("%s was redeemed %d times", code, n)
			}
			form := s.forms[0]
			if form.Get("code_verifier") != flow.Verifier || form.Get("redirect_uri") != g.Redirect() {
				t.Errorf("the exchange was %v", form)
			}
			if got, err := g.serves(t, "ann"); (got == "of-good") != (code == "good") {
				t.Errorf("%s: %q, %v", code, got, err)
			}
		})
	}
}

// TestEndDuringFlow: a process that ends waits for the tokens of a code that it has sent.
func TestEndDuringFlow(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := w.gateway(&web{life: time.Hour, slow: 5 * time.Second}, perUser)
		flow, _, err := g.Begin(t.Context(), "ann", "ann")
		if err != nil {
			t.Fatal(err)
		}
		go g.Finish(t.Context(), flow, "good")
		time.Sleep(time.Second)
		if err := g.pool.Destruct(); err != nil {
			t.Fatal(err)
		}
		if got, err := w.gateway(&web{life: time.Hour}, perUser).serves(t, "ann"); got != "of-good" {
			t.Errorf("the next process has %q, %v", got, err)
		}
	})
}

// TestTickets: a link of the command line is good for one connect, for ten minutes, and for one
// connection.
func TestTickets(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := w.gateway(&web{life: time.Hour}, perUser)
		link := func() *Ticket {
			t.Helper()
			target, err := g.Ticket(t.Context(), "ann")
			if err != nil {
				t.Fatal(err)
			}
			u, _ := url.Parse(target)
			ring, _ := g.environment.Keys()
			ticket, err := OpenTicket(ring, u.Query().Get("ticket"))
			if err != nil || !strings.HasPrefix(target, "https://gw.example/connect/?ticket=") {
				t.Fatalf("%s: %v", target, err)
			}
			time.Sleep(10 * time.Millisecond)
			return ticket
		}
		use := func(ticket *Ticket, code string) error {
			flow, _, err := g.BeginWithTicket(t.Context(), ticket)
			if err != nil || flow.Connection != "ann" || !flow.Ticket {
				t.Fatalf("%+v, %v", flow, err)
			}
			return g.Finish(t.Context(), flow, code)
		}
		first := link()
		if err := use(first, "good-1"); err != nil {
			t.Fatal(err)
		}
		if err := g.CheckTicket(t.Context(), first); !errors.Is(err, ErrTicketUsed) {
			t.Errorf("a used ticket: %v", err)
		}
		if err := g.Source("ann").Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := use(first, "good-2"); !errors.Is(err, ErrTicketUsed) {
			t.Errorf("a ticket used before a disconnect: %v", err)
		}
		if err := use(link(), "good-3"); err != nil {
			t.Errorf("the next ticket: %v", err)
		}
		// Two browsers with one link, at the same time.
		second := link()
		a, _, _ := g.BeginWithTicket(t.Context(), second)
		b, _, _ := g.BeginWithTicket(t.Context(), second)
		errs := make(chan error)
		go func() { errs <- g.Finish(t.Context(), a, "good-4") }()
		go func() { errs <- g.Finish(t.Context(), b, "good-5") }()
		if one, two := <-errs, <-errs; (one == nil) == (two == nil) {
			t.Errorf("two browsers with one link: %v, %v", one, two)
		}
		old := *link()
		text, _ := sealText(w.ring, ticketContext, &sealedTicket{"crm", []byte("ann"), old.connected, time.Now().Unix()})
		time.Sleep(FlowLifetime)
		if _, err := OpenTicket(w.ring, text); !errors.Is(err, ErrTicketExpired) {
			t.Errorf("after ten minutes: %v", err)
		}
	})
}

// TestSentElsewhere: the code of a flow was sent, and its answer has not come yet. The process
// that has sent it says what came of it; another one does not send it again.
func TestSentElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		s := &web{life: time.Hour, slow: 5 * time.Second}
		a, b := w.gateway(s, perUser), w.gateway(s, perUser)
		flow, _, err := a.Begin(t.Context(), "ann", "ann")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Finish(ctx, flow, "good"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		sent := *flow
		sent.Sent = true
		if err := b.Finish(t.Context(), &sent, "good"); !errors.Is(err, connection.ErrSent) {
			t.Errorf("another process: %v", err)
		}
		if err := a.Finish(t.Context(), &sent, "good"); err != nil {
			t.Errorf("the same process: %v", err)
		}
		if n := s.codes["good"]; n != 1 {
			t.Errorf("the code was sent %d times", n)
		}
	})
}

// TestNobodySharesUsersConnections: without a user there is no credential.
func TestNobodySharesUsersConnections(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		g := w.gateway(&web{life: time.Hour}, perUser)
		g.connect(t, "ann", "good")
		if _, err := g.Credential(t.Context()); err == nil || g.Current() != nil {
			t.Error("there is a shared connection")
		}
	})
}

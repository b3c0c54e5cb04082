// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// TestJudge: what the answer to a refresh says of the refresh token.
func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want verdict
	}{
		{errors.New("the storage fails"), verdictNone},
		{&provider.Error{Err: errors.New("connection refused")}, verdictNone},
		{&provider.Error{Status: 500, Code: "invalid_grant"}, verdictNone},
		{&provider.Error{Status: 503}, verdictNone},
		{&provider.Error{Status: 429, Code: "invalid_grant"}, verdictNone},
		{&provider.Error{Status: 408}, verdictNone},
		{&provider.Error{Status: 425, Code: "x"}, verdictNone},
		{&provider.Error{Status: 407}, verdictNone},
		{&provider.Error{Status: 302, Code: "invalid_grant"}, verdictNone},
		{&provider.Error{Status: 200, Err: errNoDocument}, verdictNone},
		{&provider.Error{Status: 200, Err: errNoToken}, verdictNone},
		{&provider.Error{Status: 200, Err: provider.ErrNotIssued}, verdictRefused}, // WeChat, TikTok
		{&provider.Error{Status: 401, Code: "invalid_client"}, verdictClient},
		{&provider.Error{Status: 200, Code: "incorrect_client_credentials"}, verdictClient},
		{&provider.Error{Status: 200, Code: "bad_client_secret"}, verdictClient},
		{&provider.Error{Status: 400, Code: "unsupported_grant_type"}, verdictClient},
		{&provider.Error{Status: 400, Code: "invalid_scope"}, verdictClient},
		{&provider.Error{Status: 400, Err: errNoDocument}, verdictRefused}, // HubSpot, Strava, Fitbit, Twitch
		{&provider.Error{Status: 401, Err: errNoDocument}, verdictRefused}, // HTML
		{&provider.Error{Status: 401, Code: "invalid_token"}, verdictRefused},
		{&provider.Error{Status: 404}, verdictRefused},
		{&provider.Error{Status: 410}, verdictRefused},
		{&provider.Error{Status: 200, Code: "invalid_code"}, verdictRefused}, // Zoho
		{&provider.Error{Status: 200, Code: "unnamed"}, verdictRefused},
		{&provider.Error{Status: 200, Err: provider.ErrNoIDToken}, verdictRefused},
		{&provider.Error{Status: 400, Code: "invalid_grant"}, verdictRejected},
		{&provider.Error{Status: 200, Code: "invalid_grant"}, verdictRejected},
		{fmt.Errorf("wrapped: %w", &provider.Error{Status: 401, Code: "invalid_grant"}), verdictRejected},
	} {
		if got := judge(tt.err); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.err, got, tt.want)
		}
	}
}

// TestConsequences: nothing ends while the access token is valid, and nothing by one refusal.
func TestConsequences(t *testing.T) {
	documented := documentedConsequences(t)
	for v := verdictNone; v <= verdictRejected; v++ {
		row, ok := consequences[v]
		if !ok {
			t.Errorf("no row for %v", v)
		}
		for i, c := range row {
			if got := documented[v][i]; got != c {
				t.Errorf("verdict %v, column %d: %v, and docs/reliability.md says %v", v, i, c, got)
			}
			if c == endGrant && (v != verdictRejected || i != 2) || c >= askAgain && i == 0 || (c == tryLater) == v.refusal() {
				t.Errorf("verdict %v, column %d: %v", v, i, c)
			}
		}
	}
}

// documentedConsequences reads the table of docs/reliability.md.
func documentedConsequences(t *testing.T) [][]consequence {
	t.Helper()
	page, err := os.ReadFile("../../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n| the provider has said |")
	table, _, _ = strings.Cut(table, "\n\n")
	words := map[string]consequence{
		"try later": tryLater, "wait for the end": waitForEnd, "ask again": askAgain, "tell callers": tellCallers, "end": endGrant,
	}
	var rows [][]consequence
	for _, line := range strings.Split(table, "\n")[2:] {
		var row []consequence
		for _, cell := range strings.Split(strings.Trim(line, "| "), " | ")[1:] {
			c, ok := words[cell]
			if !ok {
				t.Fatalf("docs/reliability.md says %q", cell)
			}
			row = append(row, c)
		}
		rows = append(rows, row)
	}
	if len(rows) != 4 || len(rows[3]) != 3 {
		t.Fatalf("docs/reliability.md has %v", rows)
	}
	return rows
}

// allRefusals are how providers refuse a refresh token, in their own words and in those of RFC
// 6749.
var allRefusals = map[string]*provider.Error{
	"invalid_grant": {Status: http.StatusBadRequest, Code: "invalid_grant"},
	"200":           {Status: http.StatusOK, Code: "invalid_grant"},
	"HubSpot":       {Status: http.StatusBadRequest, Err: errNoDocument},
	"UAA":           {Status: http.StatusUnauthorized, Code: "invalid_token"},
	"HTML":          {Status: http.StatusForbidden, Err: errNoDocument},
	"Gitea":         {Status: http.StatusBadRequest, Code: "unauthorized_client"},
	"GitHub":        {Status: http.StatusOK, Code: "bad_refresh_token"},
	"WeChat":        {Status: http.StatusOK, Err: provider.ErrNotIssued},
}

// eachRefusal runs a test with each of them.
func eachRefusal(t *testing.T, life time.Duration, do func(t *testing.T, w *world, refusal *provider.Error)) {
	t.Helper()
	for name, refusal := range allRefusals {
		t.Run(name, func(t *testing.T) {
			bubble(t, &issuer{mode: rotateStrict, life: life}, func(t *testing.T, w *world) { do(t, w, refusal) })
		})
	}
}

// mustGet fails unless a token can be had within a time.
func mustGet(t *testing.T, n *node, want string, within time.Duration) {
	t.Helper()
	begin := time.Now()
	c, err := n.Credential(t.Context())
	if took := time.Since(begin); err != nil || sent(c) != want || took > within {
		t.Errorf("%s is sent after %v, %v; want %s within %v", sent(c), took, err, want, within)
	}
}

// TestRefusedWhileValid: some providers renew a token only when it has ended (hh.ru). What they
// say before ends nothing.
func TestRefusedWhileValid(t *testing.T) {
	eachRefusal(t, 20*time.Second, func(t *testing.T, w *world, refusal *provider.Error) {
		// A lifetime is whole seconds: the provider takes the token for valid up to a second
		// longer.
		n := w.connected(1)[0]
		w.p.decide(func(int) fate {
			if time.Since(w.p.connectedAt) < w.p.life+900*time.Millisecond {
				return fate{err: refusal}
			}
			return fate{}
		})
		for time.Since(w.p.connectedAt) < w.p.life {
			n.mustHave(t, "access-0")
			time.Sleep(100 * time.Millisecond)
		}
		mustGet(t, n, "access-1", endSettle)
		if st, err := n.Status(t.Context()); err != nil || st.State != StateConnected || st.LastError != "" {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

// TestRefusedOnce: one refusal never costs a person's consent, and no request either.
func TestRefusedOnce(t *testing.T) {
	eachRefusal(t, 10*time.Minute, func(t *testing.T, w *world, refusal *provider.Error) {
		n := w.connected(1)[0]
		w.p.decide(func(i int) fate {
			if i == 1 {
				return fate{err: refusal}
			}
			return fate{}
		})
		time.Sleep(w.p.life + time.Hour) // nobody uses it
		mustGet(t, n, "access-1", 2*settleTime)
		if got := n.stored(); got.Generation != 2 || got.Claim != nil || got.End.Reason != "" {
			t.Errorf("generation %d, claim %+v, end %v", got.Generation, got.Claim, got.End)
		}
	})
}

// TestRefusedAtTheEnd: who uses the connection when the access token has ended is told at once
// that it must be connected again, and who does not sees it within a minute. A success clears it,
// unless the provider has said twice that the grant is gone.
func TestRefusedAtTheEnd(t *testing.T) {
	eachRefusal(t, 10*time.Minute, func(t *testing.T, w *world, refusal *provider.Error) {
		n := w.connected(1)[0]
		w.p.decide(func(int) fate { return fate{err: refusal} })
		time.Sleep(w.p.life - 30*time.Second)
		for range 29 {
			n.mustHave(t, "access-0")
			time.Sleep(time.Second)
		}
		if calls := w.p.calls(); calls > 2 {
			t.Errorf("%d calls while the access token is valid", calls)
		}
		time.Sleep(time.Minute)
		st, err := n.Status(t.Context())
		if err != nil || st.State != StateReauthorize {
			t.Errorf("nobody has used it: %+v, %v", st, err)
		}
		begin := time.Now()
		if _, err = n.Credential(t.Context()); !isAuthorization(err, record.ReasonRevoked) && !isAuthorization(err, record.ReasonRefused) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("the answer took %v", took)
		}
		w.p.decide(nil)
		for range 400 {
			time.Sleep(time.Second)
			_, _ = n.Credential(t.Context())
		}
		_, err = n.Credential(t.Context())
		if refusal.Code == "invalid_grant" {
			if !isAuthorization(err, record.ReasonRevoked) {
				t.Errorf("got %v", err)
			}
			return
		}
		if err != nil {
			t.Errorf("it is not tried again: %v", err)
		}
	})
}

// TestRefusedByBoth: the API refuses an access token that has not ended, of one path perhaps, and
// the provider refuses to renew it. Requests that the API serves go on.
func TestRefusedByBoth(t *testing.T) {
	eachRefusal(t, time.Hour, func(t *testing.T, w *world, refusal *provider.Error) {
		n := w.connected(1)[0]
		w.p.decide(func(int) fate { return fate{err: refusal} })
		c, err := n.Credential(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			if fresh, _ := n.Refresh(t.Context(), c); fresh != c {
				t.Errorf("got %v", fresh)
			}
			time.Sleep(time.Minute)
			n.mustHave(t, "access-0")
		}
		if st, err := n.Status(t.Context()); err != nil || st.State != StateConnected {
			t.Errorf("%+v, %v", st, err)
		}
		w.p.decide(nil)
		time.Sleep(11 * time.Minute)
		n.mustHave(t, "access-1")
	})
}

// TestRefusedWithoutEnd: where the end of an access token is not known the API's refusal is it.
func TestRefusedWithoutEnd(t *testing.T) {
	eachRefusal(t, 0, func(t *testing.T, w *world, refusal *provider.Error) {
		n := w.connected(1)[0]
		c, err := n.Credential(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.p.decide(func(i int) fate {
			if i == 1 {
				return fate{err: refusal}
			}
			return fate{}
		})
		fresh, err := n.Refresh(t.Context(), c)
		if err != nil || fresh == c {
			t.Fatalf("one refusal has ended it: %v, %v", fresh, err)
		}
		w.p.decide(func(int) fate { return fate{err: refusal} })
		time.Sleep(time.Hour)
		_, _ = n.Refresh(t.Context(), fresh)
		_, err = n.Credential(t.Context())
		if !isAuthorization(err, record.ReasonRevoked) && !isAuthorization(err, record.ReasonRefused) {
			t.Errorf("got %v", err)
		}
		if st, err := n.Status(t.Context()); err != nil || st.State != StateReauthorize {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

// TestRefusalsOfManyNodes: four nodes use a connection whose provider renews nothing before its
// end. Nothing is lost, and nobody redeems a refresh token twice.
func TestRefusalsOfManyNodes(t *testing.T) {
	bubble(t, &issuer{mode: rotateStrict, life: 5 * time.Minute}, func(t *testing.T, w *world) {
		nodes := w.connected(4)
		var ends time.Time
		for round := range 6 {
			ends = n0(nodes).stored().Expiry
			w.p.decide(func(int) fate {
				if time.Now().Before(ends) {
					return fate{err: &provider.Error{Status: http.StatusBadRequest, Code: "invalid_grant"}}
				}
				return fate{}
			})
			for time.Now().Before(ends.Add(time.Second)) {
				for _, n := range nodes {
					if _, err := n.Credential(t.Context()); err != nil {
						t.Fatalf("round %d: %v", round, err)
					}
				}
				time.Sleep(500 * time.Millisecond)
			}
		}
		if twice := w.p.twice(); twice != "" || w.p.dead {
			t.Errorf("%s was redeemed twice", twice)
		}
	})
}

func n0(nodes []*node) *node { return nodes[0] }

// TestNotIssued: on the wire, a success without a token is a no if it can be read, whatever its
// words are.
func TestNotIssued(t *testing.T) {
	client := provider.New(nil, nil)
	defer client.CloseIdleConnections()
	for body, want := range map[string]verdict{
		`{"errcode":40030,"errmsg":"invalid refresh_token"}`: verdictRefused,
		`{"data":{"error_code":10010},"message":"error"}`:    verdictRefused,
		`{"ok":false,"refresh_token":"is required"}`:         verdictRefused,
		`{"access_token":null}`:                              verdictRefused,
		`{"access_token":"\n"}`:                              verdictNone,
		`{"refresh_token":"r","acc`:                          verdictNone,
		`<html>come back later</html>`:                       verdictNone,
		``:                                                   verdictNone,
	} {
		cfg := &provider.Config{TokenURL: oauthtest.Serve(t, oauthtest.Respond(http.StatusOK, body)), ClientID: "i", ClientSecret: "s", Timeout: timeout}
		c, err := client.Refresh(t.Context(), cfg, "old")
		if got := judge(err); got != want || c != nil && want == verdictRefused && c.RefreshToken != "" {
			t.Errorf("%s: verdict %v of %v, want %v", body, got, err, want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/keys"
	"github.com/authenticated-api/caddy-authenticated-api/login"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// cardText returns a card as the page shows it to an operator. status is nil if err says why there
// is none.
func cardText(t *testing.T, ds datasource, status *connection.Status, err error, did string) string {
	t.Helper()
	c := &cardView{Name: "x", kind: kindOf(ds)}
	if err != nil {
		c.unreadable()
	} else {
		c.judge(status, ds, time.Now())
		c.Done = noticeOf(c.kind, did, status, time.Now())
	}
	c.fill(ds, status, err, time.Now(), true)
	var page bytes.Buffer
	if err := templates.ExecuteTemplate(&page, "card", c); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

// wantWords fails the test unless a text has some words, and none of others.
func wantWords(t *testing.T, name, text string, want, never []string) {
	t.Helper()
	for _, words := range want {
		if !strings.Contains(text, words) {
			t.Errorf("%s: %q is not on the card:\n%s", name, words, text)
		}
	}
	for _, words := range never {
		if strings.Contains(strings.ToLower(text), words) {
			t.Errorf("%s: the card speaks of %q:\n%s", name, words, text)
		}
	}
}

// TestKeyCard: in each state the card of a key speaks of a key, and of neither accounts, nor
// tokens, nor providers, none of which it has.
func TestKeyCard(t *testing.T) {
	m, err := keys.New(&auth.Bearer{OwnKeys: auth.OwnKeys{Connection: "{test.account}"}}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	yes, no := true, false
	entered := connection.Status{
		State: connection.StateConnected, PerUser: true, Valid: true, Stored: &yes, ConnectedAt: since(time.Second), RefreshedAt: since(time.Second), ConnectedBy: "ann",
	}
	unstored := entered
	unstored.Stored = &no
	refused := entered
	refused.LastRefusal = &connection.Refusal{At: *since(time.Minute), Status: 401, Remedy: "its user must type a new key"}
	for name, test := range map[string]struct {
		status *connection.Status
		err    error
		did    string
		want   []string
	}{
		"none":    {&connection.Status{State: connection.StateNone, PerUser: true}, nil, "", []string{"No key", "Your calls are refused until you enter your key.", "Your key<", "Save the key"}},
		"removed": {&connection.Status{State: connection.StateNone, PerUser: true}, nil, didDisconnect, []string{"No key", "The key is removed, and forgotten."}},
		"saved":   {&entered, nil, didConnect, []string{"The key is saved. It serves your calls from now on."}},
		"entered": {&entered, nil, "", []string{">Key entered<", "by ann", "Yes, sealed", "Replace the key", "Remove the key"}},
		"not stored": {&unstored, nil, didConnect, []string{
			"Not stored yet", "Your calls are served, and the storage does not take the key. If the gateway ended now, you would have to enter it again.",
		}},
		"refused by the API": {&refused, nil, "", []string{"Refused by the API", "With status 401", "its user must type a new key"}},
		"damaged": {&connection.Status{State: connection.StateReauthorize, PerUser: true, LastError: string(record.ReasonDamaged), ConnectedAt: since(time.Hour)}, nil, "", []string{
			"Must be entered again", "Your calls are refused until you enter your key again.", "Replace the key",
		}},
		"key missing": {nil, record.ErrKeyMissing, "", []string{"State not known", "enter your key again"}},
		"storage":     {nil, errors.New("down"), "", []string{"State not known", "What is stored cannot be read now"}},
	} {
		wantWords(t, name, cardText(t, keyed{m}, test.status, test.err, test.did), test.want,
			[]string{"token", "provider", "access", "connected", ">connect", "connect again", "an account", "the account"})
	}
}

// TestLoginCard: the card of a login speaks of the API, and of no provider.
func TestLoginCard(t *testing.T) {
	in := connection.Status{State: connection.StateConnected, Valid: true, Renewable: true, RefreshedAt: since(time.Second), ExpiresAt: since(-time.Hour - time.Second)}
	ending := in
	ending.LastError, ending.NeedsAction, ending.LastErrorSince = "status_401", true, since(time.Minute)
	failing := func(code string, action bool) *connection.Status {
		return &connection.Status{
			State: connection.StateFailing, LastError: code, LastDescription: "no such user", Remedy: "check the password", NeedsAction: action,
			LastErrorSince: since(time.Minute), NextAttemptAt: since(-time.Hour),
		}
	}
	for name, test := range map[string]struct {
		status *connection.Status
		did    string
		want   []string
	}{
		"unused":      {&connection.Status{State: connection.StateNone}, "", []string{"Not used yet", "The first call logs in."}},
		"logged in":   {&in, didRefresh, []string{">Logged in<", "Ends in 1 hour; renewed by itself", "The gateway has logged in anew."}},
		"ending":      {&ending, "", []string{"Logged in, next login refused", "unless somebody mends the login", "The API refuses the login"}},
		"refused":     {failing("status_403", true), "", []string{"until somebody mends the login", "The API refuses the login", "The API says: <q>no such user", "check the password", "In 59 minutes"}},
		"no token":    {failing("status_200", true), "", []string{"a wrong password is answered so, too"}},
		"not there":   {failing("status_404", true), "", []string{"no login at the URL"}},
		"down":        {failing("status_503", false), "", []string{"until the gateway has logged in", "cannot say now"}},
		"unreachable": {failing("no_answer", false), "", []string{"did not answer, or could not be reached"}},
	} {
		wantWords(t, name, cardText(t, session{new(login.Login)}, test.status, nil, test.did), test.want,
			[]string{"provider", "token<", "disconnect", `/connect"`})
	}
}

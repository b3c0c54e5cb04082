// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
)

// fake is a datasource without a provider. It records what it is asked to do.
type fake struct {
	name     string
	machine  bool   // client_credentials
	perUser  bool   // the connection is {test.account}
	base     string // the console's address; default https://gw.example/connect/
	issuer   string
	facts    *oauth.Facts // nil: of an API and a provider
	status   *connection.Status
	keys     []jose.JSONWebKey
	readErr  error // of Status
	err      error // of Begin, Finish, Renew and Disconnect
	document *provider.ClientMetadata
	forgets  bool                      // the client is registered anew
	usedUp   error                     // of CheckTicket
	finished func(ctx context.Context) // called in Finish

	asked

	mu    sync.Mutex
	begun int
	flows []*oauth.Flow // the arguments of Finish
}

// asked is what a datasource was asked to do.
type asked struct {
	mu    sync.Mutex
	calls []string
}

func (a *asked) call(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, fmt.Sprintf(format, args...))
}

// take returns the calls since the last time.
func (a *asked) take() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := strings.Join(a.calls, "; ")
	a.calls = nil
	return s
}

// called checks what the datasource was asked to do since the last time.
func (a *asked) called(t testing.TB, want string) {
	t.Helper()
	if got := a.take(); got != want {
		t.Errorf("it was asked to %q, want %q", got, want)
	}
}

func (f *fake) Datasource() string { return f.name }

func (f *fake) Interactive() bool { return !f.machine }

// PerCaller implements datasource.
func (f *fake) PerCaller() bool { return false }

// PublicKeys implements datasource.
func (f *fake) PublicKeys() ([]jose.JSONWebKey, error) { return f.keys, f.err }

// Connectable implements datasource.
func (f *fake) Connectable() bool { return f.Interactive() }

func (f *fake) PerUser() bool { return f.perUser }

func (f *fake) IssuedBy() string { return f.issuer }

// Describe cuts the secrets in more out of the text.
func (f *fake) Describe(_, text string, more ...string) string {
	for _, secret := range more {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "")
		}
	}
	return text
}

func (f *fake) Key(repl *caddy.Replacer) (string, bool) {
	if !f.perUser {
		return "", true
	}
	return repl.GetString("test.account")
}

func (f *fake) Console() string {
	switch {
	case f.machine:
		return ""
	case f.base != "":
		return f.base
	default:
		return "https://gw.example/connect/"
	}
}

func (f *fake) Redirect() string {
	if f.machine {
		return ""
	}
	return f.Console() + "callback"
}

func (f *fake) begin(flow *oauth.Flow) (*oauth.Flow, string, error) {
	if f.err != nil {
		return nil, "", f.err
	}
	f.mu.Lock()
	f.begun++
	flow.State = fmt.Sprintf("state-%s-%d-%s", f.name, f.begun, seal.NewKey())
	f.mu.Unlock()
	flow.Verifier, flow.Datasource, flow.Began = "the-verifier", f.name, time.Now()
	return flow, "https://provider.example/authorize?state=" + url.QueryEscape(flow.State), nil
}

func (f *fake) Begin(_ context.Context, connection, user string) (*oauth.Flow, string, error) {
	f.call("begin %q %q", connection, user)
	return f.begin(&oauth.Flow{Connection: connection, User: user})
}

func (f *fake) BeginWithTicket(_ context.Context, t *oauth.Ticket) (*oauth.Flow, string, error) {
	f.call("begin with ticket %q", t.Connection)
	return f.begin(&oauth.Flow{Connection: t.Connection, Ticket: true})
}

func (f *fake) Document() *provider.ClientMetadata { return f.document }

func (f *fake) CheckTicket(context.Context, *oauth.Ticket) error { return f.usedUp }

func (f *fake) Finish(ctx context.Context, flow *oauth.Flow, code string) error {
	f.call("finish %q %q", flow.Connection, code)
	f.mu.Lock()
	f.flows = append(f.flows, flow)
	f.mu.Unlock()
	if f.finished != nil {
		f.finished(ctx)
	}
	return f.err
}

func (f *fake) Denied(flow *oauth.Flow, code string) bool {
	f.call("denied %q %q", flow.Connection, code)
	return f.forgets
}

func (f *fake) Facts() oauth.Facts {
	if f.facts != nil {
		return *f.facts
	}
	return oauth.Facts{API: "api.example", Provider: "provider.example", Scopes: []string{"orders.read"}}
}

func (f *fake) Healthy(ctx context.Context) bool {
	st, err := f.Status(ctx, "")
	return err == nil && st.Healthy()
}

func (f *fake) Status(_ context.Context, name string) (*connection.Status, error) {
	f.call("status %q", name)
	if f.readErr != nil {
		return nil, f.readErr
	}
	if f.status != nil {
		return f.status, nil
	}
	return &connection.Status{Datasource: f.name, Connection: name, State: connection.StateNone}, nil
}

func (f *fake) Renew(_ context.Context, connection string) error {
	f.call("renew %q", connection)
	return f.err
}

func (f *fake) Disconnect(_ context.Context, connection string) error {
	f.call("disconnect %q", connection)
	return f.err
}

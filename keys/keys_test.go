// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"github.com/caddyserver/caddy/v2"
)

// bed is a storage, and the methods on it: nodes, or one node after the other.
type bed struct {
	storage *oauthtest.Memory
	ring    *seal.Ring
	logs    oauthtest.Logs
}

func newBed(t *testing.T) *bed {
	t.Helper()
	return &bed{storage: new(oauthtest.Memory), ring: seal.NewRing(oauthtest.NewKey(t))}
}

// method returns a method with keys of users, as a configuration has it.
func (b *bed) method(t *testing.T, of auth.UserKeyed, name string, verify func(context.Context, *auth.Credential) error) *Method {
	t.Helper()
	of.Own().Connection = "{test.user}"
	logger, logs := oauthtest.NewLogger()
	b.logs = logs
	m, err := New(of, logger)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Bind(connection.Environment{
		Datasource: name, API: "api.example.com", Storage: b.storage, Keys: func() (*seal.Ring, error) { return b.ring, nil },
	}); err != nil {
		t.Fatal(err)
	}
	m.Serve(verify, func() string { return "https://gateway.example.com/connect/" })
	t.Cleanup(func() { _ = m.Cleanup() })
	return m
}

func bearer() *auth.Bearer { return &auth.Bearer{OwnKeys: auth.OwnKeys{Connection: "{test.user}"}} }

// sent returns what requests of a user carry in a field, or why there is nothing.
func sent(t *testing.T, m *Method, user, field string) string {
	t.Helper()
	repl := caddy.NewReplacer()
	repl.Set("test.user", user)
	source, ok := m.SourceFor(repl)
	if !ok {
		return "nobody"
	}
	c, err := source.Credential(t.Context())
	if e, is := errors.AsType[*record.AuthorizationError](err); is {
		return string(e.Reason)
	}
	if err != nil {
		return err.Error()
	}
	h := make(http.Header)
	c.SetHeader(h)
	return h.Get(field)
}

// TestKeys: what becomes of a key, from the first one to its removal, on two nodes, and that it
// lies nowhere in clear.
func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		here := b.method(t, bearer(), "crm", nil)
		// A node of its own shares the storage alone, not the pool of connections of the process.
		there := b.method(t, bearer(), "crm", nil)
		there.set = new(connection.Pool).NewSet(there.set.Config)
		want := func(m *Method, user, value string) {
			t.Helper()
			if got := sent(t, m, user, "Authorization"); got != value {
				t.Errorf("%s sends %q, want %q", user, got, value)
			}
		}
		save := func(m *Method, user, key string) {
			t.Helper()
			if err := m.Save(t.Context(), user, user, "", key); err != nil {
				t.Fatal(err)
			}
		}
		want(here, "ann", string(record.ReasonNotConnected))
		save(here, "ann", "canary-ann")
		save(there, "bob", "canary-bob")
		time.Sleep(2 * time.Second)
		for _, m := range []*Method{here, there} {
			want(m, "ann", "Bearer canary-ann")
			want(m, "bob", "Bearer canary-bob")
			want(m, "eve", string(record.ReasonNotConnected))
		}
		save(there, "ann", "canary-second")
		want(there, "ann", "Bearer canary-second")
		time.Sleep(25 * time.Second)
		want(here, "ann", "Bearer canary-second")
		status, err := here.Connections().Source("ann").Status(t.Context())
		if err != nil || status.State != connection.StateConnected || status.ConnectedBy != "ann" || status.Renewable || status.Grant != "bearer" {
			t.Errorf("the status is %+v, %v", status, err)
		}
		time.Sleep(365 * 24 * time.Hour) // nothing ends a key
		want(here, "ann", "Bearer canary-second")
		if err := there.Connections().Source("ann").Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		want(there, "ann", string(record.ReasonDisconnected))
		time.Sleep(25 * time.Second)
		want(here, "ann", string(record.ReasonDisconnected))
		want(here, "bob", "Bearer canary-bob")
		for name, raw := range b.storage.Records {
			if bytes.Contains(raw, []byte("canary")) || strings.Contains(name, "ann") || strings.Contains(name, "bob") {
				t.Errorf("%s has a key in clear, or a user's name", name)
			}
		}
		if text := b.logs.String(); strings.Contains(text, "canary") {
			t.Errorf("a key is in the log: %s", text)
		}
		time.Sleep(time.Minute)
	})
}

// TestSave: what is no key is not kept, nor what the API refuses or says nothing of; what was
// there stays.
func TestSave(t *testing.T) { synctest.Test(t, saves) }

func saves(t *testing.T) {
	b := newBed(t)
	var says error
	asked := ""
	m := b.method(t, &auth.Basic{OwnKeys: auth.OwnKeys{Connection: "{test.user}"}}, "crm", func(_ context.Context, c *auth.Credential) error {
		h := make(http.Header)
		c.SetHeader(h)
		asked = h.Get("Authorization")
		return says
	})
	if err := m.Save(t.Context(), "ann", "ann", "ann", "canary-1"); err != nil || asked != "Basic YW5uOmNhbmFyeS0x" {
		t.Fatalf("%v, asked with %q", err, asked)
	}
	for name, test := range map[string]struct {
		user, key string
		says      error
		invalid   bool
		unchecked bool
		refused   bool
	}{
		"empty":             {"", "", nil, true, false, false},
		"a colon":           {"a:b", "canary", nil, true, false, false},
		"a line break":      {"ann", "canary\r\nX-Evil: 1", nil, true, false, false},
		"NUL":               {"ann", "canary\x00", nil, true, false, false},
		"refused":           {"ann", "canary-2", ErrRefused, false, false, true},
		"says nothing":      {"ann", "canary-2", errors.New("the API answered 503"), false, true, false},
		"refused, at depth": {"ann", "canary-2", errors.Join(errors.New("x"), ErrRefused), false, false, true},
	} {
		says, asked = test.says, ""
		err := m.Save(t.Context(), "ann", "ann", test.user, test.key)
		_, invalid := errors.AsType[*ErrInvalid](err)
		if err == nil || invalid != test.invalid || IsUnchecked(err) != test.unchecked || errors.Is(err, ErrRefused) != test.refused || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
		if test.invalid && asked != "" {
			t.Errorf("%s: the API was asked", name)
		}
		if got := sent(t, m, "ann", "Authorization"); got != "Basic YW5uOmNhbmFyeS0x" {
			t.Errorf("%s: ann sends %q", name, got)
		}
	}
}

// TestKey: whose key a request uses. What is no name is nobody, and no name is another's.
func TestKey(t *testing.T) { synctest.Test(t, knowsWhose) }

func knowsWhose(t *testing.T) {
	b := newBed(t)
	m := b.method(t, bearer(), "crm", nil)
	names := []string{"ann", "Ann", "ann ", "a/b", "a:b", "../ann", "{env.HOME}", "ann\x00", "名", "a\nb"}
	for _, name := range names {
		if err := m.Save(t.Context(), name, name, "", "key-of-"+hexOf(name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		if got := sent(t, m, name, "Authorization"); got != "Bearer key-of-"+hexOf(name) {
			t.Errorf("%q sends %q", name, got)
		}
	}
	for _, name := range []string{"", strings.Repeat("a", maxConnection+1), "a\uFFFDb"} {
		if got := sent(t, m, name, "Authorization"); got != "nobody" {
			t.Errorf("%.20q sends %q", name, got)
		}
	}
}

func hexOf(text string) string {
	const digits = "0123456789abcdef"
	var sb strings.Builder
	for i := range len(text) {
		sb.WriteByte(digits[text[i]>>4])
		sb.WriteByte(digits[text[i]&15])
	}
	return sb.String()
}

// TestOtherPlace: a key goes only where its user has meant it to go: not into another field, nor
// to another method or datasource.
func TestOtherPlace(t *testing.T) { synctest.Test(t, staysInPlace) }

func staysInPlace(t *testing.T) {
	b := newBed(t)
	first := &auth.APIKey{In: "header", Key: "X-Key", OwnKeys: auth.OwnKeys{Connection: "{test.user}"}}
	if err := b.method(t, first, "crm", nil).Save(t.Context(), "ann", "ann", "", "canary"); err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]*Method{
		"field":      b.method(t, &auth.APIKey{In: "header", Key: "X-Other", OwnKeys: auth.OwnKeys{Connection: "{test.user}"}}, "crm", nil),
		"method":     b.method(t, bearer(), "crm", nil),
		"datasource": b.method(t, &auth.APIKey{In: "header", Key: "X-Key", OwnKeys: auth.OwnKeys{Connection: "{test.user}"}}, "files", nil),
	} {
		for _, field := range []string{"X-Key", "X-Other", "Authorization"} {
			if got := sent(t, m, "ann", field); strings.Contains(got, "canary") {
				t.Errorf("another %s: %s has %q", name, field, got)
			}
		}
	}
	again := b.method(t, &auth.APIKey{In: "header", Key: "X-Key", OwnKeys: auth.OwnKeys{Connection: "{test.user}"}}, "crm", nil)
	if got := sent(t, again, "ann", "X-Key"); got != "canary" {
		t.Errorf("as it was: %q", got)
	}
}

// TestSavedAtOnce: of keys that a user saves at the same time one counts, whole.
func TestSavedAtOnce(t *testing.T) { synctest.Test(t, savesAtOnce) }

func savesAtOnce(t *testing.T) {
	b := newBed(t)
	m := b.method(t, bearer(), "crm", nil)
	var wg sync.WaitGroup
	for _, key := range []string{"aaaaaaaa", "bbbbbbbb", "cccccccc"} {
		wg.Go(func() {
			if err := m.Save(t.Context(), "ann", "ann", "", key); err != nil && !errors.Is(err, connection.ErrOvertaken) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got := sent(t, m, "ann", "Authorization")
	if key := strings.TrimPrefix(got, "Bearer "); len(key) != 8 || strings.Count(key, key[:1]) != 8 {
		t.Errorf("ann sends %q", got)
	}
}

// TestStorageDown: a key that cannot be stored serves from memory, and is stored as soon as that
// is possible.
func TestStorageDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		m := b.method(t, bearer(), "crm", nil)
		b.storage.FailWith(func(_ context.Context, op, _ string) error {
			if op == "Store" {
				return errors.New("the disk is full")
			}
			return nil
		})
		_ = m.Save(t.Context(), "ann", "ann", "", "canary")
		if got := sent(t, m, "ann", "Authorization"); got != "Bearer canary" {
			t.Errorf("ann sends %q", got)
		}
		status, err := m.Connections().Source("ann").Status(t.Context())
		if err != nil || status.Stored == nil || *status.Stored {
			t.Errorf("the status is %+v, %v", status, err)
		}
		b.storage.FailWith(nil)
		time.Sleep(5 * time.Second)
		if status, err = m.Connections().Source("ann").Status(t.Context()); err != nil || status.Stored == nil || !*status.Stored {
			t.Errorf("the status is %+v, %v", status, err)
		}
		time.Sleep(5 * time.Minute)
	})
}

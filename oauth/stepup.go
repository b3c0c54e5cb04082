// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

const (
	// maxConsents is how often a person is asked for the same scopes, if the API is not content
	// with what the provider grants for them.
	maxConsents = 3

	// maxScopes bounds the scopes of a connection: an API may think of another one each time.
	maxScopes = 100
)

// wishes are the scopes that APIs have asked for beyond those of a connection's consent (RFC 6750
// §3.1, insufficient_scope). They are kept in the storage, since another node may begin the next
// consent. Nothing depends on them but what the person is asked for then: of two nodes that write
// at once, one may win, and the API says again what it lacks. They last until somebody disconnects
// the account: what comes after that begins with what is configured.
type wishes struct {
	m *Method

	mu    sync.Mutex
	known map[string]wish // what this process has stored last, by connection
}

// wish is what was wished for a grant.
type wish struct {
	scopes  []string
	granted time.Time
}

// store returns where the wishes of a connection are kept.
func (w *wishes) store(connection string) *record.Store {
	env := w.m.environment
	return &record.Store{Connection: connection, Records: &record.Records{
		// No datasource has a name with this ending, so the folder is free.
		Storage: env.Storage, Keys: env.Keys, Datasource: env.Datasource + ".scopes",
		Identity: w.m.bound, Person: true, UnknownKeys: func() bool { return false }, Logger: w.m.logger,
	}}
}

// of returns the scopes that were wished for a connection.
func (w *wishes) of(ctx context.Context, connection string) []string {
	token, err := w.store(connection).Load(ctx)
	if err != nil || token == nil || token.Origin == nil {
		return nil // the API says again what it lacks
	}
	return token.Origin.Scopes
}

// add stores what a connection needs from the next consent on. Another node may have forgotten
// what was wished for an earlier grant.
func (w *wishes) add(ctx context.Context, connection string, wanted wish) error {
	w.mu.Lock()
	last, known := w.known[connection]
	w.mu.Unlock()
	if known && sameScopes(last.scopes, wanted.scopes) && last.granted.Equal(wanted.granted) {
		return nil
	}
	if err := w.save(ctx, connection, wanted.scopes); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known == nil || len(w.known) > 1000 {
		w.known = make(map[string]wish)
	}
	w.known[connection] = wanted
	return nil
}

func (w *wishes) save(ctx context.Context, connection string, scopes []string) error {
	return w.store(connection).Save(ctx, &record.Token{
		Access: "scopes", Obtained: time.Now(), Generation: record.ClockGeneration(time.Now()), Identity: w.m.bound,
		Origin: &record.Origin{Scopes: scopes},
	})
}

// StepUp notes that the API has refused a request because the token of a connection lacks scopes
// ("" for the shared connection). It reports whether a new consent may help: then the person is
// asked for these scopes too. The same scopes are asked for three times at most.
func StepUp(ctx context.Context, m *Method, connection string, challenged []string) bool {
	token := m.Source(connection).Token()
	if m.wishes == nil || token == nil || token.Origin == nil || len(challenged) == 0 {
		return false
	}
	asked := token.Origin.Scopes
	scopes := union(asked, challenged)
	if len(scopes) > maxScopes || sameScopes(scopes, asked) && token.Origin.Consents >= maxConsents {
		return false
	}
	if err := m.wishes.add(ctx, connection, wish{scopes, token.Connected}); err != nil {
		m.logger.Error("what the API asks for could not be stored; it is asked for when the API asks again", zap.Error(err))
		return false
	}
	m.logger.Info("the API asks for scopes that the token lacks; the account must be connected again",
		zap.String("scopes", strings.Join(challenged, " ")), zap.Int("consents", token.Origin.Consents))
	return true
}

// ask adds to the scopes of a consent what the API has asked for since the account was connected
// first.
func (w *wishes) ask(ctx context.Context, connection string, to *provider.Config) {
	scopes := w.of(ctx, connection)
	if len(scopes) == 0 {
		return
	}
	base, err := w.m.Source(connection).Latest(ctx)
	if err != nil || base != nil && base.Generation > 0 && base.End.Reason != record.ReasonDisconnected {
		to.Scopes = union(to.Scopes, scopes)
		return
	}
	if err := w.save(ctx, connection, nil); err != nil {
		w.m.logger.Error("the scopes that the API has asked for before could not be forgotten; the next consent may ask for them again", zap.Error(err))
	}
}

// consents returns how often the scopes of a new grant were asked for in a row. before is the
// token that it replaces, or nil.
func consents(before *record.Token, scopes []string) int {
	if before == nil || before.Origin == nil || !sameScopes(before.Origin.Scopes, scopes) {
		return 1
	}
	return before.Origin.Consents + 1
}

// union returns the scopes of both lists, those of the first in front.
func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, scope := range b {
		if !slices.Contains(all, scope) {
			all = append(all, scope)
		}
	}
	return all
}

func sameScopes(a, b []string) bool {
	in := func(list []string) func(string) bool { return func(s string) bool { return !slices.Contains(list, s) } }
	return !slices.ContainsFunc(a, in(b)) && !slices.ContainsFunc(b, in(a))
}

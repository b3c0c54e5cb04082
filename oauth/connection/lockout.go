// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// A password that is wrong stays wrong until somebody changes it, and many APIs lock an account
// after a few wrong ones: fail2ban's default is five in ten minutes, Okta's is ten in all. So a
// refusal is kept in the storage, with a digest of what was refused: no node tries the same again
// before its time, whether it was restarted or has got another configuration. With another
// password, or when an operator asks, it is tried at once.

// lockoutWaits are how long the same login is not tried after each of its refusals. The last one
// counts for all that follow.
var lockoutWaits = [...]time.Duration{time.Minute, 10 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}

// lockout is what is known of the refusals of one datasource's login. It is nil where a refusal
// locks nobody out.
type lockout struct {
	set   *Set
	store *record.Store

	noted atomic.Bool // there was a note, or may have been one, when the storage was asked last
}

// newLockout returns the lockout of a set.
func newLockout(set *Set) *lockout {
	if set.Attempt == nil {
		return nil
	}
	// The note is kept as a record is: sealed, and under a name that no connection has.
	records := *set.records
	records.Identity, records.Term = "refused login", record.Term{}
	return &lockout{set: set, store: &record.Store{Records: &records, Connection: "\x00refused login"}}
}

// heldError is the last refusal of a login that is not tried again before a time.
type heldError struct {
	refusal *provider.Error
	until   time.Time
}

// Error implements error.
func (e *heldError) Error() string { return e.refusal.Error() }

// Unwrap returns the refusal.
func (e *heldError) Unwrap() error { return e.refusal }

// locksOut reports whether an error may count as a wrong password at the API. A URL at which no
// login is does not.
func locksOut(err error) (*provider.Error, bool) {
	e, ok := errors.AsType[*provider.Error](err)
	return e, ok && e.Rejected() && e.Status != http.StatusNotFound && e.Status != http.StatusMethodNotAllowed
}

// holds returns the refusal because of which the login is not tried now, or nil; and the digest of
// what would be tried. It asks the storage each time: another node may have been refused since.
func (l *lockout) holds(ctx context.Context) (attempt string, err error) {
	if l == nil {
		return "", nil
	}
	attempt = l.set.Attempt()
	note, err := l.store.Load(ctx)
	l.noted.Store(err != nil || note != nil)
	if err != nil {
		return attempt, nil //nolint:nilerr // without the storage this process's own back-off counts
	}
	if note == nil || note.Refused == nil || note.Access != attempt {
		return attempt, nil
	}
	now := time.Now()
	wait := lockoutWait(note.Generation)
	until := time.UnixMilli(note.Refused.At).Add(wait)
	if latest := now.Add(wait); until.After(latest) { // a clock that is ahead has written it
		until = latest
	}
	if !until.After(now) {
		return attempt, nil
	}
	return attempt, &heldError{refusalOf(note), until}
}

// The names of what a note has of a refusal, besides its code and its description.
const (
	noteHost       = "host"
	noteStatus     = "status"
	noteLogin      = "login"
	noteAdvice     = "advice"
	noteClientAuth = "client_auth"
)

// refusalOf returns the error that a note was made of.
func refusalOf(note *record.Token) *provider.Error {
	e := &provider.Error{
		Host: note.Also[noteHost], Code: note.Refused.Code, Description: note.Refused.Description, Login: note.Also[noteLogin] != "",
		Advice: note.Also[noteAdvice], ClientAuth: note.Also[noteClientAuth], Delivery: provider.Answered,
	}
	e.Status, _ = strconv.Atoi(note.Also[noteStatus])
	if e.Login && e.Status < http.StatusBadRequest {
		e.Err = provider.ErrNoLoginToken
	}
	return e
}

// noteOf returns the note of a refusal.
func noteOf(e *provider.Error, attempt string) *record.Token {
	now := time.Now()
	about := map[string]string{noteHost: e.Host, noteStatus: strconv.Itoa(e.Status), noteAdvice: e.Advice, noteClientAuth: e.ClientAuth}
	if e.Login {
		about[noteLogin] = "yes"
	}
	return &record.Token{
		Access: attempt, Also: about, Obtained: now, Generation: 1,
		Refused: &record.Refusal{At: now.UnixMilli(), Code: e.Code, Description: e.Description},
	}
}

// lockoutWait is how long a login is not tried after so many refusals.
func lockoutWait(refusals uint64) time.Duration {
	return lockoutWaits[min(max(refusals, 1), uint64(len(lockoutWaits)))-1]
}

// note keeps what has come of an attempt that has failed, if it is a refusal, and returns it.
func (l *lockout) note(ctx context.Context, attempt string, failed error) error {
	if l == nil {
		return failed
	}
	e, refused := locksOut(failed)
	if !refused || attempt == "" {
		return failed
	}
	note := noteOf(e, attempt)
	note.Identity = l.store.Identity
	if before, err := l.store.Load(ctx); err == nil && before != nil && before.Access == attempt {
		note.Generation = before.Generation + 1
	}
	if err := l.store.Save(ctx, note); err != nil {
		l.set.Logger.Warn("it could not be stored that the login is refused; other nodes may try it too", zap.Error(err))
	}
	return &heldError{e, time.Now().Add(lockoutWait(note.Generation))}
}

// succeeded forgets the refusals after a login that holds has let through.
func (l *lockout) succeeded(ctx context.Context) {
	if l != nil && l.noted.Load() {
		l.clear(ctx)
	}
}

// clear forgets the refusals, whichever node has noted them.
func (l *lockout) clear(ctx context.Context) {
	if l == nil {
		return
	}
	ring, err := l.store.Keys()
	if err != nil {
		return
	}
	for _, name := range l.store.Names(ring) {
		_ = l.store.Within().Delete(ctx, name)
	}
}

// alone waits until no other node logs in after a generation, for as long as a login may take.
// Sessions of one account may end one another, so one login for all nodes is best; nothing relies
// on it, and a lock that is never given back harms no later generation.
func (l *lockout) alone(ctx context.Context, generation uint64) (unlock func()) {
	ring, err := l.store.Keys()
	if err != nil {
		return func() {}
	}
	name := l.store.Names(ring)[0] + "." + strconv.FormatUint(generation, 10)
	lockCtx, cancel := context.WithTimeout(ctx, l.set.Timeout)
	defer cancel()
	if err := l.store.Within().Lock(lockCtx, name); err != nil {
		return func() {}
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), record.StorageTimeout)
		defer cancel()
		_ = l.store.Within().Unlock(ctx, name)
	}
}

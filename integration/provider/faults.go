// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// faults are the ways in which a test has the server misbehave at its token and revocation
// endpoints.
type faults struct {
	Delay atomic.Int64 // before a token request is looked at, in nanoseconds
	// Status is the status of every answer to a token request, which is then not processed. With 0
	// the server answers.
	Status       atomic.Int64
	RevokeStatus atomic.Int64 // the same for revocation requests
	// OmitRefreshToken makes the server answer a refresh without a refresh token. The client's
	// refresh token remains valid.
	OmitRefreshToken atomic.Bool

	mu       sync.Mutex
	rewrite  func(answer map[string]any)
	failures []failure
	drops    int
}

// failure is an answer that a token request gets in place of being processed.
type failure struct {
	status int
	body   string
	fields http.Header
}

// SetRewrite has f change every answer to a token request, for what zitadel's server does not
// send and others do. Nil stops that.
func (fs *faults) SetRewrite(f func(answer map[string]any)) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.rewrite = f
}

// FailNext answers the next token request so, without processing it. Calls add up. fields are
// names and values of header fields in turn, such as Retry-After.
func (fs *faults) FailNext(status int, body string, fields ...string) {
	f := failure{status: status, body: body, fields: http.Header{}}
	if strings.HasPrefix(body, "{") {
		f.fields.Set("Content-Type", "application/json")
	}
	for pair := range slices.Chunk(fields, 2) {
		f.fields.Set(pair[0], pair[1])
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.failures = append(fs.failures, f)
}

// FailNoMore forgets the failures that FailNext has announced and that have not come yet.
func (fs *faults) FailNoMore() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.failures = nil
}

// DropAnswer processes the next n token requests, so that codes and refresh tokens are spent and
// new ones issued, and cuts the connection in place of answering: what a client sees when the
// network fails at the worst moment.
func (fs *faults) DropAnswer(n int) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.drops = n
}

// nextFailure returns the failure with which the next token request is answered, if it is to fail.
func (fs *faults) nextFailure() (f failure, ok bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if len(fs.failures) > 0 {
		f, fs.failures = fs.failures[0], fs.failures[1:]
		return f, true
	}
	status := int(fs.Status.Load())
	return failure{status: status, body: "come again\n"}, status != 0
}

// nextAnswer returns how the next answer is changed, or nil, and whether it is cut off.
func (fs *faults) nextAnswer() (rewrite func(map[string]any), drop bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.drops > 0 {
		fs.drops--
		return nil, true
	}
	return fs.rewrite, false
}

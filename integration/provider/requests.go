// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// requests are what clients have asked of the server.
type requests struct {
	Requests    atomic.Int64 // token requests that have come
	Answered    atomic.Int64 // token requests that have been answered
	Revocations atomic.Int64 // revocation requests that have come

	mu                                 sync.Mutex
	forms, authorizations, revocations []url.Values
}

// record adds what a request has said to one of the lists.
func (rs *requests) record(list *[]url.Values, said url.Values) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	*list = append(*list, said)
}

// WantRequests fails the test unless that many token requests have come since Requests was last
// set to zero.
func (rs *requests) WantRequests(t testing.TB, want int64) {
	t.Helper()
	if got := rs.Requests.Load(); got != want {
		t.Errorf("%d token requests have come, want %d", got, want)
	}
}

// Forms returns what the token requests have said, with the Authorization field as
// "Authorization".
func (rs *requests) Forms() []url.Values { return rs.recorded(&rs.forms) }

// AuthorizationRequests returns the parameters of the authorization requests that have come.
func (rs *requests) AuthorizationRequests() []url.Values { return rs.recorded(&rs.authorizations) }

// RevocationForms is Forms for revocation requests.
func (rs *requests) RevocationForms() []url.Values { return rs.recorded(&rs.revocations) }

func (rs *requests) recorded(list *[]url.Values) []url.Values {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return slices.Clone(*list)
}

// LastForm returns what the last token request has said.
func (rs *requests) LastForm(t testing.TB) url.Values {
	t.Helper()
	forms := rs.Forms()
	if len(forms) == 0 {
		t.Fatal("no token request has come")
	}
	return forms[len(forms)-1]
}

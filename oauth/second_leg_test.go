// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/caller"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// listener counts what an observer is told.
type listener struct {
	mu       sync.Mutex
	events   []string
	requests int
}

func (l *listener) Happened(e connection.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e.Name)
}

func (l *listener) Requested(time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
}

func (*listener) StorageFailed() {}

// legs are two providers: the first issues an assertion for everybody whose token it takes, the
// second takes that of those whom it knows.
type legs struct {
	mu             sync.Mutex
	status, answer string // of the second one for strangers; "" for its usual
}

func (l *legs) serve(t *testing.T) (first, second string) {
	first = oauthtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.PostFormValue("subject_token"), "garbage") {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"invalid_grant"}`)
			return
		}
		fmt.Fprintf(w, `{"access_token":"jag-of-%s","token_type":"N_A","expires_in":60}`, r.PostFormValue("subject_token"))
	})
	second = oauthtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		assertion := r.PostFormValue("assertion")
		if strings.Contains(assertion, "stranger") {
			l.mu.Lock()
			defer l.mu.Unlock()
			status := 400
			_, _ = fmt.Sscan(l.status, &status)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, strings.ReplaceAll(l.answer, "ECHO", assertion))
			return
		}
		fmt.Fprintf(w, `{"access_token":"for-%s","token_type":"Bearer","expires_in":3600}`, assertion)
	})
	return first, second
}

func (l *legs) bind(t *testing.T) (*Method, *listener, oauthtest.Logs) {
	t.Helper()
	first, second := l.serve(t)
	m, logs := methodOf(t, "oauth2 token_exchange {\ntoken_url "+first+"\nclient_id i\nclient_secret s\nsubject_token {http.request.header.Authorization}\n"+
		"then jwt_bearer {\ntoken_url "+second+"\nclient_id j\nclient_secret s2\n}\n}")
	ring, heard := seal.NewRing(oauthtest.NewKey(t)), new(listener)
	if err := m.Bind(Environment{
		Datasource: "crm", Storage: new(oauthtest.Memory), Keys: func() (*seal.Ring, error) { return ring, nil }, CacheSize: 1000, Observer: heard,
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Cleanup() })
	return m, heard, logs
}

func exchangeFor(t *testing.T, m *Method, subject string) (string, error) {
	t.Helper()
	source, ok := m.SourceFor(bearerOf(subject))
	if !ok {
		t.Fatal("there is no source")
	}
	c, err := source.Credential(t.Context())
	if err != nil {
		return "", err
	}
	return sent(c), nil
}

// TestSecondLegRefusals: what the second provider refuses of one caller is that caller's fault,
// and costs nobody else anything; what it refuses of the gateway is the gateway's. A second leg
// that has never worked is for the operator to mend, whosever fault each refusal is.
func TestSecondLegRefusals(t *testing.T) {
	for _, tt := range []struct {
		status, answer string
		callers        bool
	}{
		{"400", `{"error":"invalid_grant","error_description":"no such user: ECHO"}`, true},
		{"400", `{"error":"access_denied"}`, true},
		{"400", `{"error":"interaction_required"}`, true},
		{"400", `{"error":"invalid_request"}`, false}, // the gateway has made the request
		{"400", `{"error":"invalid_scope"}`, false},
		{"401", `{"error":"invalid_client"}`, false},
		{"500", `{"error":"invalid_grant"}`, false},
		{"503", "ECHO", false},
	} {
		l := &legs{status: tt.status, answer: tt.answer}
		for _, worked := range []bool{false, true} {
			m, _, logs := l.bind(t)
			if worked {
				if got, err := exchangeFor(t, m, "ann"); err != nil || got != "for-jag-of-ann" {
					t.Fatal(got, err)
				}
			}
			_, err := exchangeFor(t, m, "stranger-"+oauthtest.TokenText)
			refused, callers := errors.AsType[*caller.SubjectError](err)
			if callers != tt.callers || callers && (!refused.Second || refused.Err.Code == "") {
				t.Errorf("%s %s: %v", tt.status, tt.answer, err)
			}
			st, stErr := m.Source("").Status(t.Context())
			ambiguous := strings.Contains(tt.answer, "no such user")
			if quiet := tt.callers && (worked || !ambiguous); stErr != nil || st.LastError == "" || (st.State != connection.StateFailing) != quiet || quiet && st.NeedsAction ||
				ambiguous && !worked && (!st.NeedsAction || !strings.Contains(st.Remedy, "second leg")) {
				t.Errorf("%s %s, worked before: %t: %+v", tt.status, tt.answer, worked, st)
			}
			if leaks := oauthtest.Leaks(oauthtest.AnyText(err) + logs.String() + fmt.Sprintf("%+v", st)); leaks != nil {
				t.Errorf("%q is shown", leaks)
			}
			for _, name := range []string{"ann", "bob"} { // others go on
				if got, err := exchangeFor(t, m, name); err != nil || got != "for-jag-of-"+name {
					t.Errorf("%s %s: %s gets %q, %v", tt.status, tt.answer, name, got, err)
				}
			}
		}
	}
}

// TestHostileCallersTold: tokens that no provider takes, and users whom the second one does not
// know, between those who are served: one event for the first success, and each request to a
// provider is counted.
func TestHostileCallersTold(t *testing.T) {
	l := &legs{answer: `{"error":"invalid_grant"}`}
	m, heard, logs := l.bind(t)
	const n = 100
	for i := range n {
		for who, fails := range map[string]bool{"garbage": true, "stranger": true, "user": false} {
			if i == 0 && fails {
				continue
			}
			if _, err := exchangeFor(t, m, fmt.Sprint(who, i)); (err != nil) != fails {
				t.Fatalf("%s: %v", who, err)
			}
		}
	}
	heard.mu.Lock()
	defer heard.mu.Unlock()
	if got := strings.Join(heard.events, " "); got != connection.EventRefreshed || heard.requests != 2*n+3*(n-1) {
		t.Errorf("told of %s, and of %d requests", got, heard.requests)
	}
	if logs.Len() > 2 {
		t.Errorf("%d lines", logs.Len())
	}
}

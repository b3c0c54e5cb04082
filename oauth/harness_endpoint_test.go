// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// serve returns the URL of a token endpoint.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections() // a handler may wait for the end of its request
		server.Close()
	})
	return server.URL + "/token"
}

// respond returns a handler that answers with headers in pairs.
func respond(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// attempt has a source with a valid token make one renewal at the endpoint, and returns its error.
// Whatever the endpoint does: the old token stays in use, the renewal ends in time, and nobody
// gets to see secrets or what the endpoint has written.
func attempt(t *testing.T, url string, options ...string) error {
	t.Helper()
	m, observed := provision(t, "token_url "+url+"\nclient_id i\nclient_secret "+oauthtest.ClientSecret+"\ntimeout 500ms\n"+strings.Join(options, "\n"))
	defer m.client.CloseIdleConnections()
	st, _ := newStore(t, new(oauthtest.Memory))
	s, sourceLogs := sourceOf(st, nil)
	s.set.Build = m.build
	s.set.Fetch = m.fetch
	old := issue(oauthtest.TokenText, time.Hour)
	old.Soft = time.Now().Add(-time.Minute)
	s.conn.token.Store(old)

	start := time.Now()
	f, err := s.renew(start, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-f.done
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	err = s.conn.lastErr
	if err != nil {
		if got := s.conn.token.Load(); got != old {
			t.Errorf("after %v the old token is not in use", err)
		}
		if found := oauthtest.Leaks(oauthtest.AnyText(err)); found != nil {
			t.Errorf("the error shows %q: %v", found, err)
		}
	}
	if found := oauthtest.Leaks(observed.String() + sourceLogs.String()); found != nil {
		t.Errorf("the log shows %q: %s", found, sourceLogs)
	}
	return err
}

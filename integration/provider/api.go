// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// API is an API that accepts the tokens of a provider, in the Authorization field, and says whose
// they are.
type API struct {
	URL      string // if NewAPI has made it
	Provider *Provider

	Served  atomic.Int64
	Refused atomic.Int64
}

// NewAPI runs an API on a port of its own until the test ends. For an API with another server, use
// &API{Provider: p}.
func NewAPI(t testing.TB, p *Provider) *API {
	t.Helper()
	a := &API{Provider: p}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.URL = server.URL
	return a
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// All values are compared, so that a token beside another token is not accepted.
	text, found := strings.CutPrefix(strings.Join(r.Header["Authorization"], ", "), "Bearer ")
	user, ok := a.Provider.Accepts(text)
	w.Header().Set("Content-Type", "application/json")
	if !found || !ok {
		a.Refused.Add(1)
		w.Header().Set("Www-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error": "invalid_token"}`))
		return
	}
	a.Served.Add(1)
	_ = json.NewEncoder(w).Encode(map[string]string{"user": user})
}

// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"net/http"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// TestNeedsWhatIsSent: on the wire, an answer is good if it has the token that is sent.
func TestNeedsWhatIsSent(t *testing.T) {
	idToken := oauthtest.JWT(`{"exp":4102444800}`)
	for _, tt := range []struct {
		field, body string
		want        string
	}{
		{"access_token", `{"access_token":"a"}`, "a"},
		{"access_token", `{"id_token":"` + idToken + `"}`, ""},
		{"id_token", `{"id_token":"` + idToken + `"}`, idToken},
		{"id_token", `{"id_token":"` + idToken + `","access_token":"a"}`, idToken},
		{"id_token", `{"access_token":"a"}`, ""},
	} {
		m, _ := provision(t, "token_url "+oauthtest.Serve(t, oauthtest.Respond(http.StatusOK, tt.body))+"\nclient_id i\nclient_secret s\ntoken_field "+tt.field)
		token, err := m.fetch(t.Context(), nil, nil)
		if (err == nil) != (tt.want != "") {
			t.Errorf("%s of %s: %v", tt.field, tt.body, err)
		}
		if err == nil && sent(m.build(token)) != tt.want {
			t.Errorf("%s of %s: %v is sent", tt.field, tt.body, sent(m.build(token)))
		}
	}
}

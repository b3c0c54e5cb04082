// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestKey: a person types a key of theirs, and a user name where that is part of it, sees that it
// is kept, and replaces and removes it.
func TestKey(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, key, _ := r.BasicAuth(); r.Header.Get("X-Key") != "good-key" && (user != "ann" || key != "good-key") {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(api.Close)
	own := func(name, auth string) string {
		return fmt.Sprintf("handle_path /%s/* {\n%sauthenticated_api %s {\nname %s\nauth %s {\nconnection {http.auth.user.id}\nverify /me\n}\n}\n}\n",
			name, gatewayUsers, api.URL, name, auth)
	}
	g := newGateway(t, time.Minute, func(g *gateway) {
		g.without, g.more = true, own("crm", "api_key X-Key")+own("files", "basic")
	})
	bob := g.visitor(t, "bob")
	bob.open(t, g.console)
	bob.wantState(t, "crm", "No key")
	bob.wantText(t, "Your calls are refused until you enter your key.")
	bob.show(t, "key-form")
	bob.fill(t, "#key-crm", "another-key")
	if status := bob.clickCSS(t, "form[action='crm/key'] button").Status; status != http.StatusUnprocessableEntity {
		t.Errorf("a key that the API refuses is answered with %d", status)
	}
	bob.wantText(t, "The API does not take this key")
	bob.show(t, "key-refused")
	bob.click(t, "To the connected accounts")
	bob.fill(t, "#key-crm", "good-key")
	bob.clickCSS(t, "form[action='crm/key'] button")
	bob.wantState(t, "crm", "Key entered")
	bob.wantState(t, "files", "No key")
	bob.wantText(t, "The key is saved. It serves your calls from now on.")
	bob.show(t, "key-saved")
	bob.clickCSS(t, "form[action='crm/disconnect'] button")
	bob.wantText(t, "The gateway forgets the key")
	bob.wantText(t, "Remove your key of crm?")
	bob.show(t, "key-remove")
	bob.clickCSS(t, "form[action='disconnect'] button")
	bob.wantState(t, "crm", "No key")
	bob.wantText(t, "The key is removed, and forgotten.")
	bob.show(t, "key-removed")

	ann := g.visitor(t, "ann")
	ann.open(t, g.console)
	ann.fill(t, "#user-files", "ann")
	ann.fill(t, "#key-files", "good-key")
	ann.clickCSS(t, "form[action='files/key'] button")
	ann.wantState(t, "files", "Key entered")
	ann.wantText(t, "Replace the key")
	ann.show(t, "key-password-saved")
}

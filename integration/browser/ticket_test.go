// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// ticket returns a one-time link from the admin endpoint.
func (g *gateway) ticket(t testing.TB, datasource, connection string) string {
	t.Helper()
	request := map[string]string{"datasource": datasource}
	if connection != "" {
		request["connection"] = connection
	}
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	res, err := g.client.Post("http://"+g.admin+"/authenticated_api/connect", "application/json", bytes.NewReader(body)) //nolint:noctx // the client has a timeout
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct{ URL, Error string }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || !strings.HasPrefix(answer.URL, g.console+"?ticket=") {
		t.Fatalf("the admin endpoint answers %d %+v, %v", res.StatusCode, answer, err)
	}
	return answer.URL
}

// TestTicket checks that a person with a link, who is no user, can connect an account once.
func TestTicket(t *testing.T) {
	g := newGateway(t, time.Minute, func(g *gateway) { g.open = true })
	cmd := exec.CommandContext(t.Context(), os.Args[0], "authenticated-api", "connect", shared, "--address", g.admin) //nolint:gosec // G204: this binary
	cmd.Env = append(os.Environ(), rig.AsCaddy+"=1")
	out, err := cmd.Output()
	link := strings.TrimSpace(string(out))
	if err != nil || !strings.HasPrefix(link, g.console+"?ticket=") {
		t.Fatalf("the command prints %q, %v", out, err)
	}
	b := g.visitor(t, "")
	if res := b.open(t, g.console); res.Status != http.StatusForbidden {
		t.Errorf("nobody is answered with %d", res.Status)
	}
	b.wantText(t, "You are not signed in")
	second := g.ticket(t, shared, "")
	b.open(t, link)
	b.wantText(t, "Connect an account", shared)
	if buttons := b.buttons(t); len(buttons) != 1 || strings.Contains(b.text(t), perUser) {
		t.Errorf("there is %q, with the buttons %q", b.text(t), buttons)
	}
	b.begin(t, shared)
	status := b.allow(t, "eve")
	g.wantRefused(t, b, status, http.StatusOK, "The account is connected")
	if at := b.location(t); strings.Contains(at, "code=") {
		t.Errorf("the page is %s", at)
	}
	b.wantQuiet(t)
	g.wantServed(t, "bob", shared, "eve")
	b.reload(t)
	b.wantText(t, "The account is connected")

	// The link is used now. So is another link that was made before the account was connected, in
	// any browser.
	other := g.visitor(t, "")
	for _, used := range []string{link, second} {
		for _, b := range []*tab{b, other} {
			res := b.open(t, used)
			g.wantRefused(t, b, int(res.Status), http.StatusForbidden, "This link has been used")
		}
	}
	res := other.open(t, link[:len(link)-4])
	g.wantRefused(t, other, int(res.Status), http.StatusForbidden, "This link is not valid")
	if res := b.open(t, g.console); res.Status != http.StatusForbidden {
		t.Errorf("who had a link is answered with %d", res.Status)
	}
	g.provider.WantRequests(t, 1)
	// The twin: a new one.
	other.open(t, g.ticket(t, shared, ""))
	other.begin(t, shared)
	other.allow(t, "bob")
	other.wantText(t, "The account is connected")
	g.wantServed(t, "ann", shared, "bob")
}

// TestTicketTwice: of two browsers that are under way with one link, one connects an account.
func TestTicketTwice(t *testing.T) {
	g := newGateway(t, time.Minute, func(g *gateway) { g.open = true })
	link := g.ticket(t, shared, "")
	first, second := g.visitor(t, ""), g.visitor(t, "")
	for _, b := range []*tab{first, second} {
		b.open(t, link)
		b.begin(t, shared)
	}
	second.allow(t, "bob")
	second.wantText(t, "The account is connected")
	status := first.allow(t, "eve")
	g.wantRefused(t, first, status, http.StatusBadRequest, "This link has been used", "somebody was faster")
	g.wantServed(t, "ann", shared, "bob")
}

// TestTicketForUser checks that a link for a user's own account connects that user's account, even
// if another user is signed in.
func TestTicketForUser(t *testing.T) {
	g := newGateway(t, time.Minute, nil)
	b := g.visitor(t, "bob")
	b.open(t, g.ticket(t, perUser, "ann"))
	b.wantText(t, "The account of ann")
	b.begin(t, perUser)
	b.allow(t, "eve")
	b.wantText(t, "The account is connected")
	g.wantServed(t, "ann", perUser, "eve")
	g.wantUnauthorized(t, "bob", perUser, http.StatusUnauthorized)
	text, err := os.ReadFile(g.log())
	if err != nil || slices.ContainsFunc(strings.Split(string(text), "\n"), func(line string) bool { return strings.Contains(line, "ticket=") }) {
		t.Errorf("the log has the link in it, %v: %s", err, text)
	}
}

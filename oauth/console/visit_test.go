// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/http"
	"strings"
	"testing"
)

// TestLogs checks that the log says who did what, and that refusals are logged at debug level
// only.
func TestLogs(t *testing.T) {
	g := newBed(t, &fake{name: "crm"})
	state, cookie := g.connect("ann", "", "crm")
	g.do(ask{user: "ann", path: back(state, "code", "c"), cookies: []*http.Cookie{cookie}}).is(303)
	g.do(ask{user: "ann", method: "POST", path: "/connect/crm/refresh"}).is(303)
	g.do(ask{user: "ann", method: "POST", path: "/connect/crm/disconnect"}).is(303)
	g.do(ask{user: "bob", method: "POST", path: "/connect/crm/disconnect"}).is(403)
	var lines []string
	for _, entry := range g.logs.All() {
		fields := entry.ContextMap()
		lines = append(lines, entry.Level.String()+" "+entry.Message+" by "+fields["user"].(string))
		if ds := fields["datasource"]; ds != nil && ds != "crm" || ds == nil && entry.Message != "refused a request" {
			t.Errorf("%s: datasource %v", entry.Message, ds)
		}
	}
	want := "info connecting an account by ann\ninfo connected an account by ann\ninfo refreshed a connection by ann\n" +
		"info disconnected an account by ann\ndebug refused a request by bob"
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("the log is\n%s\nwant\n%s", got, want)
	}
}

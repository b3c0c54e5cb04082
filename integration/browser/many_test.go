// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// many are the names of APIs, of which the pictures have as many as they need.
var many = strings.Fields(`accounting analytics billing calendar catalog chat contacts crm documents drive events files
	fleet forms github hr inventory invoices issues ledger mailings maps notes orders payments payroll
	planning reports search shipping`)

// machine returns the configuration of a datasource with client credentials of a provider.
func machine(name, at string) string {
	return fmt.Sprintf("handle_path /%[1]s/* {\nauthenticated_api https://%[1]s.example.com/v1 {\nname %[1]s\nauth oauth2 client_credentials {\n"+
		"token_url %[2]s/token\nclient_id gateway\nclient_secret many-keys-ago\nscopes %[1]s.read\n}\n}\n}\n", name, at)
}

// someFail answers token requests. Which of them fail, the scope says.
func someFail(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch scope := r.FormValue("scope"); {
	case strings.HasPrefix(scope, "crm"):
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error": "invalid_client", "error_description": "The client secret has expired on 1 November."}`)
	case scope == "maps.read":
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		fmt.Fprint(w, `{"access_token": "t", "token_type": "Bearer", "expires_in": 3600}`)
	}
}

// TestMany looks at pages with 30 and with 100 datasources: what needs attention comes first, and
// each datasource can be found.
func TestMany(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(someFail))
	t.Cleanup(server.Close)
	for n, failing := range map[int][]string{30: {"crm", "maps"}, 100: {"crm", "crm-2", "crm-3", "maps"}} {
		t.Run(strconv.Itoa(n), func(t *testing.T) { lookAtMany(t, server.URL, n, failing) })
	}
}

func lookAtMany(t *testing.T, at string, n int, failing []string) {
	var used []string
	g := newGateway(t, time.Minute, func(g *gateway) {
		g.without, g.console = true, g.url+"/connect/"
		for i := range n - 2 {
			name := many[i%len(many)]
			if i >= len(many) {
				name += "-" + strconv.Itoa(i/len(many)+1)
			}
			g.more += machine(name, at)
			if i%7 != 6 || slices.Contains(failing, name) {
				used = append(used, name)
			}
		}
		g.more += g.datasource(perUser, "connection {http.auth.user.id}") + g.datasource("social", "")
	})
	for _, name := range used {
		if status, err := g.refresh("ann", name); err != nil || (status == http.StatusSeeOther) == slices.Contains(failing, name) {
			t.Fatalf("%s: %d, %v", name, status, err)
		}
	}
	b := g.visitor(t, "ann")
	names := func() []string {
		t.Helper()
		return eval[[]string](t, b, "[...document.querySelectorAll('details.row h3')].map(e => e.textContent)")
	}
	b.open(t, g.console)
	attention := slices.Concat(failing, []string{"social"})
	if got := names(); len(got) != n || !slices.Equal(got[:len(attention)], attention) {
		t.Errorf("the page shows %q", got)
	}
	b.wantText(t, fmt.Sprintf("%d of %d need attention; callers are refused by %d.", len(attention), n, len(attention)))
	b.show(t, fmt.Sprintf("console-%d", n))
	if n == 30 {
		b.picture(t, "console-many", 900)
	}

	b.open(t, g.console+"?show=attention")
	if got := names(); !slices.Equal(got, attention) {
		t.Errorf("%q need attention", got)
	}
	b.show(t, fmt.Sprintf("console-%d-attention", n))
	b.fill(t, "#q", "CRM")
	b.click(t, "Search")
	if got := names(); !slices.Equal(got, failing[:len(failing)-1]) {
		t.Errorf("%q are found", got)
	}
	b.open(t, g.console+"?q=nothing+of+the+kind")
	b.wantText(t, "Nothing matches")
	b.wantAccessible(t)
	b.click(t, "Show all")
	if got := names(); len(got) != n {
		t.Errorf("%d are shown", len(got))
	}
	b.toggle(t, fmt.Sprintf("%s\n%s\n%s", "accounting", "accounting.example.com", "Connected"))
	b.wantText(t, "accounting.read", "The gateway's own access")
}

// refresh presses the button Refresh, as a program of a user.
func (g *gateway) refresh(user, datasource string) (status int, err error) {
	req, err := http.NewRequest(http.MethodPost, g.console+datasource+"/refresh", http.NoBody) //nolint:noctx // the client has a timeout
	if err != nil {
		return 0, err
	}
	req.SetBasicAuth(user, user)
	res, err := g.client.Transport.RoundTrip(req) // without the redirect
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

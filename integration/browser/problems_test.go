// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
)

// problems are all that internal/problem/list.go has, by their names there.
var problems = map[string]*problem.Problem{
	"BadPath": problem.BadPath, "Outside": problem.Outside, "BadValue": problem.BadValue, "FieldTwice": problem.FieldTwice,
	"UnknownAPI":    problem.UnknownAPI,
	"TooManyFields": problem.TooManyFields, "TooManyParams": problem.TooManyParams, "TooLarge": problem.TooLarge,
	"SignedChunks": problem.SignedChunks, "Method": problem.Method, "CrossOrigin": problem.CrossOrigin, "Worker": problem.Worker,
	"UnknownHost": problem.UnknownHost, "TokenUnavailable": problem.TokenUnavailable.WithRetryAfter(7),
	"TokenRejected": problem.TokenRejected, "DiscoveryFailed": problem.DiscoveryFailed.WithRetryAfter(1), "KeyMissing": problem.KeyMissing,
	"Identity": problem.Identity, "NoSubject": problem.NoSubject, "Subject": problem.Subject,
	"Authorization": problem.Authorization.WithConnectURL(connectHere), "OwnAuthorization": problem.OwnAuthorization.WithConnectURL(connectHere),
	"MoreAuthorization":    problem.MoreAuthorization.WithConnectURL(connectHere),
	"MoreOwnAuthorization": problem.MoreOwnAuthorization.WithConnectURL(connectHere), "Signature": problem.Signature, "NoSession": problem.NoSession,
	"NoProxy": problem.NoProxy, "Redirect": problem.Redirect, "Refused": problem.Refused, "Unreachable": problem.Unreachable,
}

const connectHere = "https://gateway.example.com/connect/"

// TestProblems looks at the page of each problem, as a person gets it.
func TestProblems(t *testing.T) {
	list, err := os.ReadFile("../../internal/problem/list.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^\t(\w+) += &Problem`).FindAllStringSubmatch(string(list), -1) {
		names = append(names, m[1])
		if problems[m[1]] == nil {
			t.Errorf("problem.%s is not looked at", m[1])
		}
	}
	if len(names) != len(problems) {
		t.Fatalf("the list has %d problems, and %d are looked at", len(names), len(problems))
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := problems[strings.TrimPrefix(r.URL.Path, "/")]; p != nil {
			_ = p.Write(w, r, "orders")
		}
	}))
	t.Cleanup(server.Close)
	b := newBrowser(t)
	for name, p := range problems {
		b.open(t, server.URL+"/"+name)
		if b.wantText(t, "orders"); p.ConnectURL() == "" {
			b.wantText(t, p.Code())
		}
		b.show(t, "problem-"+p.Code()+"-"+strings.ToLower(name))
	}
}

// TestRefusal looks at a card whose API refuses the credential: the operator sees the status and
// what to do, and the card is among those that need attention.
func TestRefusal(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="canary of the API"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(api.Close)
	tokens := httptest.NewServer(http.HandlerFunc(someFail))
	t.Cleanup(tokens.Close)
	g := newGateway(t, time.Minute, func(g *gateway) {
		g.more = fmt.Sprintf("handle_path /stock/* {\nauthenticated_api %s {\nname stock\nauth oauth2 client_credentials {\ntoken_url %s/token\n"+
			"client_id gateway\nclient_secret secret\nscopes stock.read\n}\n}\n}\n", api.URL, tokens.URL)
	})
	res, err := g.client.Get(g.url + "/stock/x") //nolint:noctx // the client has a timeout
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Fatalf("the caller got %d", res.StatusCode)
	}
	ann := g.visitor(t, "ann")
	ann.open(t, g.console)
	ann.wantText(t, "Refused by the API", "With status 401", "compare scopes, audience and resource")
	ann.wantState(t, "stock", "Connected, refused by the API")
	if text := eval[string](t, ann, "document.body.innerText"); strings.Contains(text, "canary") {
		t.Errorf("the page has the API's words: %s", text)
	}
	ann.show(t, "console-refusal")
	bob := g.visitor(t, "bob")
	bob.open(t, g.console)
	if text := eval[string](t, bob, "document.body.innerText"); strings.Contains(text, "Refused by the API") {
		t.Errorf("who may only look sees %s", text)
	}
}

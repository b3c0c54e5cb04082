// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/caller"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// exchanging returns a method of the grant token_exchange that is bound.
func exchanging(t testing.TB, block string) (*Method, oauthtest.Logs) {
	t.Helper()
	m, logs := methodOf(t, "oauth2 token_exchange {\n"+block+"\n}")
	ring := seal.NewRing(oauthtest.NewKey(t))
	if err := m.Bind(Environment{
		Datasource: "crm", Storage: new(oauthtest.Memory), Keys: func() (*seal.Ring, error) { return ring, nil }, CacheSize: 100,
		LastRefusal: func() *connection.Refusal { return &connection.Refusal{Status: 403} },
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Cleanup() })
	return m, logs
}

// asking returns the placeholders of a request with header fields.
func asking(fields map[string]string) *caddy.Replacer {
	repl := caddy.NewReplacer()
	for name, val := range fields {
		repl.Set(name, val)
	}
	return repl
}

// requestSubject is where the tests' callers have their token.
const requestSubject = "http.request.header.Authorization"

func bearerOf(token string) *caddy.Replacer {
	return asking(map[string]string{requestSubject: "Bearer " + token})
}

// living returns a JSON Web Token that ends in a while.
func living(name string, life time.Duration) string {
	return oauthtest.JWT(fmt.Sprintf(`{"sub":%q,"exp":%d}`, name, time.Now().Add(life).Unix()))
}

// TestTokenExchange: what is asked for, for each kind of exchange, byte for byte.
func TestTokenExchange(t *testing.T) {
	w := oauthtest.NewWire(t)
	subject := living("ann", time.Hour)
	actorFile := filepath.Join(t.TempDir(), "actor")
	write(t, actorFile, "actor-1\n")
	const head, client = "subject_token {http.request.header.Authorization}\n", "client_id i\nclient_secret s\n"
	const urn, types = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange", "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3A"
	for name, tt := range map[string]struct{ block, auth, body string }{
		"the least": {client, "Basic aTpz", "grant_type=" + urn + "&subject_token=SUBJECT&subject_token_type=" + types + "access_token"},
		"everything": {
			client + "subject_token_type id_token\nrequested_token_type urn:x:y\nactor_token {file." + actorFile + "}\nactor_token_type jwt\n" +
				"audience aud\nresource https://r/\nscopes a b\ntoken_param k v", "Basic aTpz",
			"actor_token=actor-1&actor_token_type=" + types + "jwt&audience=aud&grant_type=" + urn + "&k=v&requested_token_type=urn%3Ax%3Ay" +
				"&resource=https%3A%2F%2Fr%2F&scope=a+b&subject_token=SUBJECT&subject_token_type=" + types + "id_token",
		},
		"no client": {"audience aud", "", "audience=aud&grant_type=" + urn + "&subject_token=SUBJECT&subject_token_type=" + types + "access_token"},
		"on behalf of": {
			client + "client_auth client_secret_post\non_behalf_of\nscopes https://graph.microsoft.com/.default", "",
			"assertion=SUBJECT&client_id=i&client_secret=s&" + jwtBearerForm + "&requested_token_use=on_behalf_of&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := exchanging(t, "token_url "+w.URL()+"\n"+head+tt.block)
			source, ok := m.SourceFor(bearerOf(subject))
			if !ok {
				t.Fatal("there is no source")
			}
			c, err := source.Credential(t.Context())
			if err != nil || sent(c) != "t" {
				t.Fatal(sent(c), err)
			}
			want := wholeRequest(w, "/token", tt.auth, form, strings.ReplaceAll(tt.body, "SUBJECT", url.QueryEscape(subject)))
			if got := <-w.Requests; got != want {
				t.Errorf("got\n%q\nwant\n%q", got, want)
			}
			again, _ := m.SourceFor(bearerOf(subject))
			if again != source || m.Current() != nil {
				t.Error("the same token has another source")
			}
		})
	}
	if len(w.Requests) != 0 {
		t.Errorf("%d requests more", len(w.Requests))
	}
}

// TestIDJAG: two legs, at two providers, each with its own client.
func TestIDJAG(t *testing.T) {
	var first, second url.Values
	grant := living("jag", time.Minute)
	idp := oauthtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		first = r.PostForm
		fmt.Fprintf(w, `{"access_token":%q,"issued_token_type":"urn:ietf:params:oauth:token-type:id-jag","token_type":"N_A","expires_in":60}`, grant)
	})
	as := oauthtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		second = r.PostForm
		if id, secret, _ := r.BasicAuth(); id != "at-resource" || secret != "s2" {
			t.Errorf("the second leg's client is %s", id)
		}
		_, _ = io.WriteString(w, `{"access_token":"of-resource","token_type":"Bearer","expires_in":3600}`)
	})
	m, _ := exchanging(t, "token_url "+idp+"\nclient_id i\nclient_secret s\nsubject_token {http.request.header.Authorization}\n"+
		"audience https://as.example.com/\nresource https://api.example.com/\nscopes a\n"+
		"then jwt_bearer {\ntoken_url "+as+"\nclient_id at-resource\nclient_secret s2\nscopes b c\n}")
	subject := living("ann", time.Hour)
	source, _ := m.SourceFor(bearerOf(subject))
	c, err := source.Credential(t.Context())
	if err != nil || sent(c) != "of-resource" {
		t.Fatal(sent(c), err)
	}
	const types = "urn:ietf:params:oauth:token-type:"
	if first.Get("subject_token") != subject || first.Get("subject_token_type") != types+"id_token" || first.Get("requested_token_type") != types+"id-jag" ||
		first.Get("audience") != "https://as.example.com/" || first.Get("resource") != "https://api.example.com/" || first.Get("scope") != "a" {
		t.Errorf("the first leg asks for %v", first)
	}
	if second.Get("assertion") != grant || second.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || second.Get("scope") != "b c" ||
		second.Has("subject_token") || second.Has("audience") {
		t.Errorf("the second leg asks for %v", second)
	}
}

// TestSubjects: which values of the placeholder are a token.
func TestSubjects(t *testing.T) {
	m, _ := exchanging(t, "token_url https://p.example/\nsubject_token {http.request.header.Authorization}")
	for text, want := range map[string]bool{
		"Bearer abc": true, "bearer  abc": true, "abc": true, "": false, "Basic YTpi": false, "Bearer": true, "Bearer ": false, "a b": false,
		"Bearer a b": false, "a\x00b": false, "é": false, strings.Repeat("a", maxSubject+1): false,
	} {
		if _, ok := m.SourceFor(asking(map[string]string{requestSubject: text})); ok != want {
			t.Errorf("%.20q: %t", text, ok)
		}
	}
	if _, ok := m.SourceFor(caddy.NewReplacer()); ok {
		t.Error("a request without a token has a source")
	}
	if c, err := m.Credential(t.Context()); c != nil || err == nil {
		t.Error("there is a credential without a caller")
	}
}

// TestExchangeKey: another caller, actor, scope or client has another token.
func TestExchangeKey(t *testing.T) {
	t.Setenv("TEST_SCOPE", "a")
	m, _ := exchanging(t, "token_url https://p.example/\nclient_id i\nclient_secret s\nsubject_token {http.request.header.Authorization}\n"+
		"actor_token {http.vars.actor}\nscopes {env.TEST_SCOPE}")
	of := func(subject, actor string) any {
		s, ok := m.SourceFor(asking(map[string]string{requestSubject: "Bearer " + subject, "http.vars.actor": actor}))
		if !ok {
			t.Fatal("there is no source")
		}
		return s
	}
	base := of("ann", "x")
	if of("ann", "x") != base || of("bob", "x") == base || of("ann", "y") == base || of("an", "nx") == base {
		t.Error("callers share a token, or one has two")
	}
	if _, ok := m.SourceFor(asking(map[string]string{requestSubject: "Bearer ann"})); ok {
		t.Error("without an actor there is a source")
	}
	t.Setenv("TEST_SCOPE", "b")
	m.exchanges.rest.Store(nil)
	if of("ann", "x") == base {
		t.Error("another scope has the same token")
	}
}

// TestExchangeFailures: whose fault a failure is, and what status says; no canary is shown.
func TestExchangeFailures(t *testing.T) {
	status, answer := 400, ""
	sts := oauthtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.ReplaceAll(answer, "ECHO", r.PostFormValue("subject_token")))
	})
	for _, tt := range []struct {
		status        int
		answer        string
		callers, acts bool
		state         string
	}{
		{400, `{"error":"invalid_request","error_description":"bad ECHO"}`, true, false, connection.StateNone},
		{400, `{"error":"invalid_grant"}`, true, false, connection.StateNone},
		{401, `{"error":"invalid_client","error_description":"ECHO"}`, false, true, connection.StateFailing},
		{400, `{"error":"invalid_target"}`, false, true, connection.StateFailing},
		{500, `{"error":"invalid_grant"}`, false, false, connection.StateFailing},
		{503, "ECHO", false, false, connection.StateFailing},
		{200, "{}", false, true, connection.StateFailing},
		{200, `{"access_token":"a\u0000"}`, false, false, connection.StateFailing},
		{302, "", false, false, connection.StateFailing},
	} {
		status, answer = tt.status, tt.answer
		m, logs := exchanging(t, "token_url "+sts+"\nclient_id i\nclient_secret s\nsubject_token {http.request.header.Authorization}")
		source, _ := m.SourceFor(bearerOf(oauthtest.TokenText))
		_, err := source.Credential(t.Context())
		_, callers := errors.AsType[*caller.SubjectError](err)
		st, stErr := m.Source("").Status(t.Context())
		if err == nil || stErr != nil || callers != tt.callers || st.State != tt.state || st.NeedsAction != tt.acts || st.LastError == "" {
			t.Errorf("%d %s: %v; status %+v", tt.status, tt.answer, err, st)
		}
		shown := oauthtest.AnyText(err) + logs.String() + fmt.Sprintf("%+v %v", st, m)
		if oauthtest.Leaks(shown) != nil {
			t.Errorf("%d %s: %q is shown", tt.status, tt.answer, oauthtest.Leaks(shown))
		}
		if st.LastRefusal == nil || st.LastRefusal.Status != 403 || (tt.acts && tt.status != 200) && st.Remedy == "" {
			t.Errorf("%d %s: the API's refusal is %v, and the remedy %q", tt.status, tt.answer, st.LastRefusal, st.Remedy)
		}
		if m.Healthy(t.Context()) != (!tt.acts && tt.state != connection.StateFailing) {
			t.Errorf("%d %s: healthy is %t", tt.status, tt.answer, m.Healthy(t.Context()))
		}
	}
	status, answer = 200, `{"access_token":"a","expires_in":60}`
	m, _ := exchanging(t, "token_url "+sts+"\nsubject_token {http.request.header.Authorization}")
	source, _ := m.SourceFor(bearerOf("x"))
	if _, err := source.Credential(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := m.Statuses(t.Context())
	if err != nil || len(list) != 1 || list[0].State != connection.StateConnected || list[0].Grant != "token_exchange" {
		t.Errorf("%+v, %v", list, err)
	}
	if tally := m.set.Tally(); tally.Cached != 1 || tally.States[connection.StateConnected] != 1 {
		t.Errorf("%+v", tally)
	}
	if m.Source("").Renew(t.Context()) == nil {
		t.Error("there is something to refresh")
	}
}

// TestTakes: the places that hold the caller's token are known.
func TestTakes(t *testing.T) {
	m, _ := exchanging(t, "token_url https://p.example/\nsubject_token {http.request.header.x-id-token}{http.request.uri.query.t}\nactor_token {http.request.cookie.c}")
	if got := fmt.Sprint(m.Takes()); got != "[{x-id-token   } { t  } {Cookie   }]" {
		t.Error(got)
	}
}

// TestTokenExchangeErrors: what is wrong is said when the configuration loads.
func TestTokenExchangeErrors(t *testing.T) {
	const good = "subject_token {http.request.header.Authorization}\n"
	for block, hint := range map[string]string{
		"":                                 "subject_token is missing",
		"subject_token {env.X}":            "no placeholder of the request",
		"subject_token text":               "no placeholder of the request",
		good + "client_id i":               "client_secret is missing",
		good + "subject_token_type access": "no token type",
		good + "requested_token_type access-token":                             "no token type",
		good + "actor_token_type jwt":                                          "actor_token is missing",
		good + "on_behalf_of\nsubject_token_type jwt":                          "Microsoft's own protocol",
		good + "on_behalf_of yes":                                              "takes no value",
		good + "then jwt_bearer {\nclient_id i\n}":                             "token_url is missing",
		good + "then client_credentials {\ntoken_url https://q/\n}":            "takes jwt_bearer and a block",
		good + "then jwt_bearer {\ntoken_url https://q/\nassertion_file /a\n}": "assertion_file: a second leg has the options",
		good + "then jwt_bearer {\ntoken_url https://q/\ntimeout 5s\n}":        "timeout: a second leg has the options",
		good + "then jwt_bearer {\ntoken_url https://q/\nclient_id j\nclient_auth tls_client_auth {\ncertificate /a\n}\n}": "not possible here",
		good + "then jwt_bearer {\ntoken_url http://q.example/\n}":                                                         "http sends secrets in clear",
		good + "discover\nthen jwt_bearer {\ndiscover\n}":                                                                  "the API does not name",
		good + "then jwt_bearer {\ndiscover\nclient_auth private_key_jwt {\nkey /a\n}\n}":                                  "no client is registered for a second leg",
		good + "then jwt_bearer {\ndiscover http://q.example\n}":                                                           "discover: with http",
		good + "connection {http.auth.user.id}":                                                                            "belongs to the grant authorization_code",
	} {
		m := new(Method)
		err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser("oauth2 token_exchange {\ntoken_url https://p.example/\n" + block + "\n}"))
		if err == nil {
			err = provisionError(t, m)
		}
		if err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%q: %v, without %q", block, err, hint)
		}
	}
}

// FuzzJWTEnd: nothing that a caller sends ends the process.
func FuzzJWTEnd(f *testing.F) {
	for _, text := range []string{"a.b.c", living("a", time.Hour), oauthtest.JWT(`{"exp":1e300}`), oauthtest.JWT(`{"exp":"1"}`), oauthtest.JWT(`{"exp":-1}`), "..", "e30.e30.e30"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if end := jwtEnd(text); !end.IsZero() && end.Year() > 40000 {
			t.Errorf("%q ends in %v", text, end)
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/caddyserver/caddy/v2"
)

const secret = "s3cr3t-hunter2"

func provision(t testing.TB, m caddy.Provisioner) auth.Method {
	t.Helper()
	if err := m.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	return m.(auth.Method)
}

func secretFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	rewrite(t, path, content)
	return path
}

func rewrite(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMethods(t *testing.T) {
	t.Setenv("METHODS_KEY", secret)
	t.Setenv("METHODS_USER", "ann")
	t.Setenv("METHODS_BRACES", "{env.METHODS_KEY}")
	file := "{file." + secretFile(t, "from a file\n") + "}"
	for _, tt := range []struct {
		name      string
		method    caddy.Provisioner
		renewable bool
		place     auth.Placement
		header    string // the value of its field
		query     string // what becomes of "a=%zz&api_key=evil&API%5FKEY[]=evil&b=1"
	}{
		{name: "none", method: new(auth.None), query: "a=%zz&api_key=evil&API%5FKEY[]=evil&b=1"},
		// The example of RFC 7617 §2.
		{name: "basic", method: &auth.Basic{Username: "Aladdin", Password: "open sesame"}, header: "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
		// RFC 7617 §2.1: UTF-8.
		{name: "basic UTF-8", method: &auth.Basic{Username: "test", Password: "123£"}, header: "Basic dGVzdDoxMjPCow=="},
		{name: "basic colon", method: &auth.Basic{Username: "ann", Password: "a:b: "}, header: "Basic YW5uOmE6Yjog"},
		// RFC 7617 §2: either side may be empty.
		{name: "basic without a password", method: &auth.Basic{Username: "{env.METHODS_KEY}"}, header: "Basic czNjcjN0LWh1bnRlcjI6"},
		{name: "basic without a user", method: &auth.Basic{Password: "{env.METHODS_KEY}"}, header: "Basic OnMzY3IzdC1odW50ZXIy"},
		{name: "basic file without a password", method: &auth.Basic{Username: file}, renewable: true, header: "Basic ZnJvbSBhIGZpbGU6"},
		{name: "basic env", method: &auth.Basic{Username: "{env.METHODS_USER}", Password: "{env.METHODS_KEY}"}, header: "Basic YW5uOnMzY3IzdC1odW50ZXIy"},
		{name: "basic file", method: &auth.Basic{Username: "ann", Password: file}, renewable: true, header: "Basic YW5uOmZyb20gYSBmaWxl"},
		{name: "bearer", method: &auth.Bearer{Token: "mF_9.B5f-4.1JqM"}, header: "Bearer mF_9.B5f-4.1JqM"},
		{name: "bearer env", method: &auth.Bearer{Token: "{env.METHODS_KEY}"}, header: "Bearer " + secret},
		{name: "bearer braces", method: &auth.Bearer{Token: "{env.METHODS_BRACES}"}, header: "Bearer {env.METHODS_KEY}"},
		{name: "bearer file", method: &auth.Bearer{Token: file}, renewable: true, header: "Bearer from a file"},
		{name: "api_key", method: &auth.APIKey{Key: "x-api-key", Value: "{env.METHODS_KEY}"}, place: auth.Placement{Header: "X-Api-Key"}, header: secret},
		{
			name: "api_key in header", method: &auth.APIKey{Key: "Authorization", Value: "k", In: "header", Prefix: "Token token="},
			header: "Token token= k",
		},
		{name: "api_key prefix env", method: &auth.APIKey{Key: "X_Key", Value: file, Prefix: "{env.METHODS_USER}"}, renewable: true, place: auth.Placement{Header: "X_key"}, header: "ann from a file"},
		{
			name: "api_key in query", method: &auth.APIKey{Key: "api_key", Value: "a+b&c=d", In: "query"}, place: auth.Placement{Query: "api_key"},
			query: "api_key=a%2Bb%26c%3Dd&a=%zz&b=1",
		},
		{
			name: "api_key in query, escaped name", method: &auth.APIKey{Key: "api key[]", Value: "{env.METHODS_KEY}", In: "query"},
			place: auth.Placement{Query: "api key[]"}, query: "api%20key%5B%5D=" + secret + "&a=%zz&b=1",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := provision(t, tt.method)
			if tt.header != "" && tt.place == (auth.Placement{}) {
				tt.place.Header = "Authorization"
			}
			if got := m.Placement(); got != tt.place {
				t.Errorf("placement %+v, want %+v", got, tt.place)
			}
			cred, err := m.Credential(t.Context())
			if err != nil || cred == nil || m.Current() != cred {
				t.Fatalf("credential %p, current %p, error %v", cred, m.Current(), err)
			}
			h := http.Header{"Accept": {"a"}}
			if tt.header != "" {
				h[tt.place.Header] = []string{"evil", "evil"}
			}
			cred.SetHeader(h)
			if got := h[tt.place.Header]; tt.header != "" && (len(got) != 1 || got[0] != tt.header) {
				t.Errorf("header %q, want %q", got, tt.header)
			}
			if tt.header == "" && len(h) != 1 {
				t.Errorf("header %v", h)
			}
			const raw = "a=%zz&api_key=evil&API%5FKEY[]=evil&b=1"
			if tt.query == "" {
				tt.query = raw
			}
			if got := cred.SetQuery(raw); got != tt.query {
				t.Errorf("query %q, want %q", got, tt.query)
			}
			if m.Renewable() != tt.renewable {
				t.Errorf("renewable: %t", m.Renewable())
			}
			if again, err := m.Refresh(t.Context(), cred); again != cred || err != nil {
				t.Errorf("refreshing what has not changed gives %p, %v; want %p", again, err, cred)
			}
			for _, val := range []any{cred, *cred} {
				for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
					if text := fmt.Sprintf(verb, val); strings.Contains(text, "Basic") || strings.Contains(text, secret) || strings.Contains(text, "file") {
						t.Errorf("%s shows %s", verb, text)
					}
				}
			}
		})
	}
}

func TestCredentialInFrontOfAQuery(t *testing.T) {
	cred := auth.NewCredential(auth.Placement{Query: "key"}, "1")
	for raw, want := range map[string]string{"": "key=1", "a": "key=1&a", "key=0": "key=1", "key=0;b": "key=1&b", "KEY=0&b=": "key=1&b="} {
		if got := cred.SetQuery(raw); got != want {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
		if got := cred.SetQuery(cred.SetQuery(raw)); got != want {
			t.Errorf("%q, set twice: got %q", raw, got)
		}
	}
}

// All requests share a credential's slice.
func TestCredentialAliasing(t *testing.T) {
	cred := auth.NewCredential(auth.Placement{Header: "X-Api-Key"}, secret)
	a, b := make(http.Header), make(http.Header)
	cred.SetHeader(a)
	a.Add("X-Api-Key", "more")
	cred.SetHeader(b)
	b["X-Api-Key"] = append(b["X-Api-Key"], "other")
	if a["X-Api-Key"][1] != "more" {
		t.Errorf("two requests share the slice: %q", a)
	}
}

// The way of every request allocates nothing.
func TestCredentialAllocations(t *testing.T) {
	t.Setenv("METHODS_KEY", secret)
	for _, method := range []caddy.Provisioner{
		new(auth.None), &auth.Basic{Username: "ann", Password: secret}, &auth.Bearer{Token: "{env.METHODS_KEY}"}, &auth.APIKey{Key: "X-Key", Value: secret},
	} {
		m := provision(t, method)
		h, ctx := http.Header{"Authorization": nil, "X-Key": nil}, t.Context()
		if n := testing.AllocsPerRun(100, func() {
			cred, _ := m.Credential(ctx)
			cred.SetHeader(h)
		}); n != 0 {
			t.Errorf("%T: %v allocations", method, n)
		}
	}
}

func TestRefresh(t *testing.T) {
	path := secretFile(t, "one\n")
	m := provision(t, &auth.Bearer{Token: "{file." + path + "}"})
	one := m.Current()
	authorization := func(cred *auth.Credential) string {
		h := make(http.Header)
		cred.SetHeader(h)
		return h.Get("Authorization")
	}

	rewrite(t, path, "two")
	if m.Current() != one {
		t.Error("the file is read without need")
	}
	two, err := m.Refresh(t.Context(), one)
	if err != nil || authorization(two) != "Bearer two" || m.Current() != two {
		t.Fatalf("refreshed: %q, %v; current %p", authorization(two), err, m.Current())
	}
	// The line end is not part of it, so this is the same credential.
	rewrite(t, path, "two\n")
	if again, err := m.Refresh(t.Context(), two); again != two || err != nil {
		t.Errorf("nothing has changed, but %q, %v", authorization(again), err)
	}
	// A request that was sent with the first one, and is refused only now, takes what is there.
	rewrite(t, path, "three")
	if late, err := m.Refresh(t.Context(), one); late != two || err != nil {
		t.Errorf("a late refusal gives %q, %v", authorization(late), err)
	}
	// An unreadable file costs nobody the credential that there is.
	for _, content := range []string{"", "a\nb", secret + " "} {
		rewrite(t, path, content)
		if cred, err := m.Refresh(t.Context(), two); cred != nil || err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%q in the file gives %v, %v", content, cred, err)
		}
		if m.Current() != two {
			t.Error("the credential was lost")
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Refresh(t.Context(), two); err == nil || m.Current() != two {
		t.Errorf("without a file: error %v", err)
	}
	rewrite(t, path, "four")
	if four, err := m.Refresh(t.Context(), two); err != nil || authorization(four) != "Bearer four" {
		t.Errorf("%v", err)
	}
}

func TestRefreshConcurrently(t *testing.T) {
	path := secretFile(t, "one")
	m := provision(t, &auth.APIKey{Key: "api_key", In: "query", Value: "{file." + path + "}"})
	one := m.Current()
	rewrite(t, path, "two")

	const requests = 64
	got := make([]*auth.Credential, requests)
	var wg sync.WaitGroup
	for i := range requests {
		wg.Go(func() {
			cred, err := m.Refresh(t.Context(), one)
			if err != nil {
				t.Error(err)
			}
			if now, err := m.Credential(t.Context()); now != cred || err != nil {
				t.Errorf("the credential is %p, %v", now, err)
			}
			got[i] = cred
		})
	}
	wg.Wait()
	for _, cred := range got {
		if cred == one || cred != m.Current() {
			t.Fatal("not all requests got the one new credential")
		}
	}
	if query := m.Current().SetQuery(""); query != "api_key=two" {
		t.Errorf("got %q", query)
	}
}

func TestProvisionErrors(t *testing.T) {
	t.Setenv("METHODS_KEY", secret)
	t.Setenv("METHODS_EMPTY", "")
	t.Setenv("METHODS_BLANK", secret+" ")
	t.Setenv("METHODS_LF", secret+"\n"+secret)
	for _, tt := range []struct {
		name   string
		method caddy.Provisioner
		hint   string
	}{
		{"basic without anything", &auth.Basic{}, "auth basic: the user name and the password are both empty"},
		{"basic unset user alone", &auth.Basic{Username: "{env.METHODS_UNSET}"}, "auth basic: username: {env.METHODS_UNSET}"},
		{"basic empty file alone", &auth.Basic{Password: "{file." + secretFile(t, "") + "}"}, "auth basic: password: {file."},
		{"basic with a colon", &auth.Basic{Username: "ann:" + secret, Password: "b"}, "RFC 7617 §2"},
		{"basic with a colon in the variable", &auth.Basic{Username: "{env.METHODS_KEY}:", Password: "b"}, "RFC 7617 §2"},
		{"basic unset user", &auth.Basic{Username: "{env.METHODS_UNSET}", Password: secret}, "auth basic: username: {env.METHODS_UNSET}"},
		{"basic empty password", &auth.Basic{Username: "ann", Password: "{env.METHODS_EMPTY}"}, "auth basic: password: {env.METHODS_EMPTY}"},
		{"basic LF", &auth.Basic{Username: "ann", Password: "{env.METHODS_LF}"}, "control character"},
		{"basic CR", &auth.Basic{Username: "ann\r", Password: secret}, "auth basic: username: "},
		{"bearer empty", new(auth.Bearer), "auth bearer: token: the value is empty"},
		{"bearer unset", &auth.Bearer{Token: "{env.METHODS_UNSET}"}, "{env.METHODS_UNSET} is not set"},
		{"bearer no file", &auth.Bearer{Token: "{file./no/such/file}"}, "no such file or directory"},
		{"bearer empty file", &auth.Bearer{Token: "{file." + secretFile(t, "\n") + "}"}, "empty"},
		{"bearer request", &auth.Bearer{Token: "{http.request.header.X}"}, "belongs to a request"},
		{"bearer moustache", &auth.Bearer{Token: "{{" + secret + "}}"}, "one brace"},
		{"bearer LF", &auth.Bearer{Token: secret + "\nX: y"}, "control character"},
		{"bearer blank before", &auth.Bearer{Token: " " + secret}, "blank"},
		{"bearer blank behind", &auth.Bearer{Token: "{env.METHODS_BLANK}"}, "blank"},
		{"api_key no value", &auth.APIKey{Key: "X-Key"}, "auth api_key: value: the value is empty"},
		{"api_key blank", &auth.APIKey{Key: "X-Key", Value: secret + "\t"}, "blank"},
		{"api_key NUL", &auth.APIKey{Key: "k", Value: secret + "\x00", In: "query"}, "control character"},
		{"api_key unset prefix", &auth.APIKey{Key: "X-Key", Value: secret, Prefix: "{env.METHODS_EMPTY}"}, "auth api_key: prefix: {env.METHODS_EMPTY}"},
		{"api_key blank prefix", &auth.APIKey{Key: "X-Key", Value: secret, Prefix: "Key "}, "auth api_key: prefix: "},
		{"api_key no key", &auth.APIKey{Value: secret}, "name of a header field"},
		{"api_key no key in query", &auth.APIKey{Value: secret, In: "query"}, "name of the query parameter"},
		{"api_key blank in name", &auth.APIKey{Key: "X Key", Value: secret}, "RFC 9110 §5.1"},
		{"api_key colon in name", &auth.APIKey{Key: "X-Key:", Value: secret}, "RFC 9110 §5.1"},
		{"api_key LF in name", &auth.APIKey{Key: "X-Key\n", Value: secret}, "RFC 9110 §5.1"},
		{"api_key placeholder in name", &auth.APIKey{Key: "{env.METHODS_KEY}", Value: secret}, "no placeholder"},
		{"api_key placeholder in name of query", &auth.APIKey{Key: "{env.METHODS_KEY}", Value: secret, In: "query"}, "no placeholder"},
		{"api_key brackets", &auth.APIKey{Key: "[]", Value: secret, In: "query"}, "no name of a query parameter"},
		{"api_key Host", &auth.APIKey{Key: "host", Value: secret}, "base URL"},
		{"api_key prefix in query", &auth.APIKey{Key: "k", Value: secret, In: "query", Prefix: "Key"}, "header only"},
		{"api_key in body", &auth.APIKey{Key: "k", Value: secret, In: "body"}, "header, query"},
		{"api_key blank in cookie", &auth.APIKey{Key: "k", Value: secret + " a", In: "cookie"}, "RFC 6265"},
		{"api_key semicolon in cookie", &auth.APIKey{Key: "k", Value: "a;b=" + secret, In: "cookie"}, "RFC 6265"},
		{"api_key dots in path", &auth.APIKey{Value: "..", In: "path"}, "would lead elsewhere"},
		{"api_key dots in a segment", &auth.APIKey{Value: secret + "/%2e%2e/x", In: "path"}, "would lead elsewhere"},
		{"api_key empty segment", &auth.APIKey{Value: secret + "//x", In: "path"}, "would lead elsewhere"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.method.Provision(caddy.Context{})
			switch {
			case err == nil:
				t.Error("no error")
			case !strings.HasPrefix(err.Error(), "auth ") || !strings.Contains(err.Error(), tt.hint):
				t.Errorf("%q does not say %q", err, tt.hint)
			case strings.Contains(err.Error(), secret):
				t.Errorf("%q shows the secret", err)
			}
			if cred := tt.method.(auth.Method).Current(); cred != nil {
				t.Error("there is a credential along with an error")
			}
		})
	}
	// RFC 9110 §7.6.1 and RFC 9112 §6: these never reach the API, or break the message.
	for _, name := range []string{
		"Connection", "content-length", "Expect", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "TE",
		"Trailer", "Transfer-Encoding", "Upgrade",
	} {
		if err := (&auth.APIKey{Key: name, Value: secret}).Provision(caddy.Context{}); err == nil || !strings.Contains(err.Error(), "RFC 9110 §7.6.1") {
			t.Errorf("%s: error %v", name, err)
		}
		if err := (&auth.APIKey{Key: name, Value: secret, In: "query"}).Provision(caddy.Context{}); err != nil {
			t.Errorf("%s as a query parameter: %v", name, err)
		}
	}
}

// Caddy logs module types at debug level.
func TestMarshalLogObject(t *testing.T) {
	for _, method := range []caddy.Provisioner{
		&auth.Basic{Username: "user-" + secret, Password: secret}, &auth.Bearer{Token: secret}, &auth.APIKey{Key: "X-Key", Value: secret, Prefix: "p-" + secret},
	} {
		provision(t, method)
		buf, err := zapcore.NewJSONEncoder(zapcore.EncoderConfig{}).EncodeEntry(zapcore.Entry{}, []zapcore.Field{
			zap.Object("a", method.(zapcore.ObjectMarshaler)), zap.Any("b", method), zap.Any("c", method.(auth.Method).Current()),
		})
		if err != nil {
			t.Fatal(err)
		}
		if text := buf.String(); strings.Contains(text, secret) || !strings.Contains(text, `"method":`) {
			t.Errorf("%T: logged as %s", method, text)
		}
	}
}

func TestModules(t *testing.T) {
	for name, want := range map[string]caddy.Module{
		"none": new(auth.None), "basic": new(auth.Basic), "bearer": new(auth.Bearer), "api_key": new(auth.APIKey),
	} {
		info, err := caddy.GetModule("http.authenticated_api.auth." + name)
		if err != nil {
			t.Error(err)
		} else if got := info.New(); fmt.Sprintf("%T", got) != fmt.Sprintf("%T", want) || got == info.New() {
			t.Errorf("%s: New returns a %T", name, got)
		}
	}
}

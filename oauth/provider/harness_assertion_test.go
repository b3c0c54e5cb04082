// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// judge verifies assertions as a provider does, with a library of its own.
type judge struct {
	alg, id, audience string
	key               any // a public key, or a secret
	lifetime          time.Duration
	header            map[string]string // further fields of the header

	mu   sync.Mutex
	seen map[string]bool // jti
}

// verify reports what is wrong with an assertion. It must not have come before.
func (j *judge) verify(t *testing.T, assertion string) {
	t.Helper()
	jws, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(j.alg)})
	if err != nil {
		t.Fatalf("%q: %v", assertion, err)
	}
	payload, err := jws.Verify(j.key)
	if err != nil {
		t.Fatalf("%q: %v", assertion, err)
	}
	header := jws.Signatures[0].Protected
	got := map[string]string{"kid": header.KeyID}
	for name, val := range header.ExtraHeaders {
		got[string(name)], _ = val.(string)
	}
	for _, name := range []string{"kid", "typ", "x5t#S256"} {
		want := j.header[name]
		if name == "typ" {
			want = "JWT"
		}
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	claims := struct {
		Iss, Sub, Aud, Jti string
		Iat, Nbf, Exp      int64
	}{}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
	now := time.Now().Unix()
	switch {
	case claims.Iss != j.id || claims.Sub != j.id:
		t.Errorf("%s: iss or sub is not %q", payload, j.id)
	case claims.Aud != j.audience:
		t.Errorf("%s: aud is not %q", payload, j.audience)
	case claims.Exp-claims.Iat != int64(j.lifetime/time.Second) || claims.Nbf != claims.Iat:
		t.Errorf("%s: it does not live for %v", payload, j.lifetime)
	case claims.Iat > now || claims.Iat < now-int64(maxBackdate/time.Second)-2 || claims.Exp <= now:
		t.Errorf("%s: it is not valid at %d", payload, now)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.seen == nil {
		j.seen = make(map[string]bool)
	}
	if len(claims.Jti) < 22 || j.seen[claims.Jti] {
		t.Errorf("%s: its jti is short, or has come before", payload)
	}
	j.seen[claims.Jti] = true
}

// cutAssertion splits the assertion out of a request whose body is a form. In its place is
// ASSERTION then, and LENGTH in the place of the body's length.
func cutAssertion(t *testing.T, raw string) (request, assertion string) {
	t.Helper()
	header, body, _ := strings.Cut(raw, "\r\n\r\n")
	form, err := url.ParseQuery(body)
	if err != nil || len(form["client_assertion"]) != 1 {
		t.Fatalf("%q: no assertion (%v)", raw, err)
	}
	lines := strings.Split(header, "\r\n")
	if i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "Content-Length: ") }); i > 0 {
		lines[i] = "Content-Length: LENGTH"
	}
	assertion = form.Get("client_assertion")
	body = strings.Replace(body, url.QueryEscape(assertion), "ASSERTION", 1)
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body, assertion
}

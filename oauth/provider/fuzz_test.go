// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzAnswer: whatever an endpoint answers, what is taken of it can be sent in a header, and
// its numbers are sane.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"access_token":"a","refresh_token":"r","id_token":"i","expires_in":3600,"token_type":"bearer","scope":"x"}`,
		`{"access_token":"a","expires_in":"3600 "}`, `{"access_token":"a","expires_in":1e3}`, `{"access_token":"a","expires_in":-1e999}`,
		`{"Access_Token":"b","access_token":"a","access_token":"c"}`, `{"access_token":"a\r\nX-Evil: 1"}`, "{\"access_token\":\"\xff\"}",
		`{"error":"invalid_client","error_description":"\u0000<b>"}`, `{"error":{"a":1},"access_token":["a"]}`, `{"access_token":"a"}{}`,
		"{\"access_token\":\"a\",\"name\":\"Jos\xe9\\q\n\"}", `<b>Warning</b>: x {"access_token":"a b","error":0}`, `[{"id_token":"a.eyJleHAiOjF9.b"}]`,
		"\xef\xbb\xbf{}", "access_token=a&expires_in=3600&error=", "error=x%0d%0a", "<html>", "", nested(20), `{"a":` + nested(20) + `}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		given := bytes.Clone(body)
		a, err := parseAnswer(body)
		if !bytes.Equal(body, given) {
			t.Error("the body was changed")
		}
		if err != nil {
			if a != nil {
				t.Error("an answer and an error")
			}
			if len(body) > 8 && strings.Contains(err.Error(), string(body)) {
				t.Errorf("the error shows the body: %v", err)
			}
			return
		}
		for _, token := range []string{a.AccessToken, a.RefreshToken, a.IDToken} {
			for i := range len(token) {
				if token[i] < ' ' || token[i] > '~' {
					t.Errorf("%q cannot be sent", token)
				}
			}
		}
		if a.Lifetime < 0 || a.Lifetime > MaxLifetime {
			t.Errorf("lifetime %v", a.Lifetime)
		}
		if len(a.errorCode) > 64 || strings.ContainsFunc(a.errorCode, func(c rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", c)
		}) {
			t.Errorf("error code %q", a.errorCode)
		}
	})
}

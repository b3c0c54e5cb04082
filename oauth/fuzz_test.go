// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"bytes"
	"encoding/binary"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// FuzzAnswer (Z3): whatever an endpoint answers, what is taken of it can be sent in a header, and its numbers are sane.
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
		for _, token := range []string{a.accessToken, a.refreshToken, a.idToken} {
			for i := range len(token) {
				if token[i] < ' ' || token[i] > '~' {
					t.Errorf("%q cannot be sent", token)
				}
			}
		}
		if a.lifetime < 0 || a.lifetime > maxLifetime {
			t.Errorf("lifetime %v", a.lifetime)
		}
		if len(a.errorCode) > 64 || strings.ContainsFunc(a.errorCode, func(c rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", c)
		}) {
			t.Errorf("error code %q", a.errorCode)
		}
		now := time.Now()
		token := newToken(a, now, term{}, nil)
		if token.expiry.IsZero() != (a.lifetime == 0) || token.soft.After(token.expiry) || token.expiry.Before(token.obtained) && !token.expiry.IsZero() {
			t.Errorf("obtained %v, soft %v, expires %v", token.obtained, token.soft, token.expiry)
		}
	})
}

// FuzzRecord (Z8): of whatever lies in the storage, only the record itself gives a token.
func FuzzRecord(f *testing.F) {
	storage := new(memory)
	s, _ := newStore(f, storage)
	want := stored(tokenText, 3)
	if err := s.save(f.Context(), want); err != nil {
		f.Fatal(err)
	}
	key, good := storage.only(f)
	name := path.Base(key)
	ring, err := s.ring()
	if err != nil {
		f.Fatal(err)
	}
	// A record of the right key that holds no record: the JSON is ours to check all the same.
	odd, err := ring.Seal([]byte(`{"identity":1}`), s.context(name, 3))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:9])
	f.Add(good[:17])
	f.Add(append(bytes.Clone(good), 0))
	f.Add(append(binary.BigEndian.AppendUint64([]byte{recordVersion}, 3), odd...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		token, _, err := s.open(ring, name, raw)
		switch {
		case err != nil && token != nil:
			t.Error("a token and an error")
		case err != nil && leaks(err.Error()) != nil:
			t.Errorf("the error shows the token: %v", err)
		case token != nil && !bytes.Equal(raw, good):
			t.Errorf("%x gives a token", raw)
		case err == nil && token == nil:
			t.Errorf("%x is taken for a record of another identity", raw)
		}
	})
}

// FuzzRecordPlain: what is in a record was ours once, but of another version perhaps. No panic, and times that make sense.
func FuzzRecordPlain(f *testing.F) {
	key := newKey(f)
	ring := seal.NewRing(key)
	s, _ := newStore(f, new(memory), key)
	f.Add([]byte(`{"identity":"identity","access_token":"a","obtained_at":1,"expires_at":2}`))
	f.Add([]byte(`{"identity":"identity","access_token":"a","obtained_at":9223372036854775807,"expires_at":-9223372036854775808}`))
	f.Add([]byte(`{"identity":"identity"}`))
	f.Add([]byte(`null`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, plain []byte) {
		sealed, err := ring.Seal(plain, s.context("name", 7))
		if err != nil {
			t.Fatal(err)
		}
		token, _, err := s.open(ring, "name", append(binary.BigEndian.AppendUint64([]byte{recordVersion}, 7), sealed...))
		if err != nil || token == nil {
			return // of another version, or identity
		}
		if token.generation != 7 || token.access == "" && token.end.Reason == "" {
			t.Errorf("generation %d, access %q", token.generation, token.access)
		}
	})
}

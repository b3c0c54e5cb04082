// SPDX-License-Identifier: Apache-2.0

package record

import (
	"encoding/base64"
	"encoding/json"
	"path"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// A record that the version wrote which kept records in package oauth, and its key. Both are made
// up.
const (
	oldKey  = "ztpUdtewzsDRKyKGoEtEc+745QD9LR52UGKvpiS1VRk="
	oldName = "71d155f19f0955c535e7d4f4371c2b7244f4db750af1a419825a5917fd1167d7"
)

const oldRecord = "" +
	"AQAAAAAAAAAHpnpFSXQB8CCskcpw4UaOHBHYrZzXDZmeosoTj7w7x0DeBrvnJP+1cm3vS3ay2YVh1ycr080UX+/l" +
	"NTwHgx2yWBST7W7LfIwDg3l70TSwdlOdFVF7pcyqvvUp9WJ2QJiVV644l77wq3Pw3MnU/pX7brB8uoD2dN7swUJL" +
	"a5ywE2t3dqdheJJBd9xbpIjN10LeuKzlQMMIvOw9EFlwxKmPcL3eY/FxExXt/d9G0YjavS/a4n9cDRInVv+/+GYU" +
	"7+oFwQ9LlQn2cc77oLaPaobRypAT1mvVv7bw8Jyyu2SYjy0IpkO8M7aylYF31gxwW0XtfNNdH2XOuwsk+25oUVqy" +
	"M3fyfnyMFkWpTz8NbAbqpmnVK6gxbllFBXQqdU0A+Ej9HiiYTgfV1f55LI9TNlkarTyIa0Y4c9wN9LAXnnUDaebS" +
	"Zw1EnCeuaD2RXVpX9+KLavcB4IH7vs8DVpLmY8rc/Ir4POAG03pjAleG/LPu4pjMVBcZ2gqOhJ5yOFY4oEseuYW6" +
	"66haGOSaOO44B50BoXnX4cboBEN7jOPhz8nafwTr/QerywbVuTHtIAznPxxnScLPPGWY0vzvLf/GWxZqAKhK0YjD" +
	"IVjnIHM3qNkvYL6QYnlK3IEoEa6xLzvB/q7K7mxKDGC+tVuLPzplvz9QCnniKA=="

// TestOldRecord: a record that an earlier version has written opens, with all that is in it. So a
// gateway can be updated, and nodes of two versions can share a storage.
func TestOldRecord(t *testing.T) {
	key, err := seal.ParseKey(oldKey)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := newStore(t, new(oauthtest.Memory), key)
	s.Person, s.Connection = true, "ann"
	ring := seal.NewRing(key)
	if name := path.Base(s.Names(ring)[0]); name != oldName {
		t.Errorf("its name is %s now", name)
	}
	raw, err := base64.StdEncoding.DecodeString(oldRecord)
	if err != nil {
		t.Fatal(err)
	}
	got, rec, err := s.Open(ring, oldName, raw)
	if err != nil {
		t.Fatal(err)
	}
	at := func(seconds int64) time.Time { return time.UnixMilli(1_790_000_000_005 + 1000*seconds) }
	want := &Token{
		Access: "access", ID: "id", Refresh: "refresh", Generation: 7, Identity: "identity",
		Obtained: at(0), Expiry: at(3600), Soft: got.Soft, RefreshEnd: at(7200),
		Grant: "GRANT", Connected: at(-60), Changed: at(-30),
		Claim:   &Claim{Owner: "OWNER", Attempt: 2, Sent: true, Doubt: true, Abandoned: true, At: 1_790_000_001_000},
		Refused: &Refusal{At: 1_790_000_002_000, Code: "invalid_grant", Description: "why"},
	}
	if !reflect.DeepEqual(got, want) || string(rec.Connection) != "ann" {
		t.Errorf("%q: got %+v, want %+v", rec.Connection, plain(got), plain(want))
	}
	if got.Soft.IsZero() || !got.Soft.Before(got.Expiry) {
		t.Errorf("it is renewed at %v", got.Soft)
	}
}

// plain returns a token as a type that shows what is in it.
func plain(t *Token) any {
	type shown Token
	return shown(*t)
}

// TestTokenShowsNothing: whatever formats or encodes a token does not show what is in it.
func TestTokenShowsNothing(t *testing.T) {
	token := stored(oauthtest.TokenText, 1)
	encoded, err := json.Marshal(map[string]any{"token": token})
	if err != nil {
		t.Fatal(err)
	}
	text := string(encoded) + oauthtest.AnyText(tokenError{token}) + token.GoString()
	if leaks := oauthtest.Leaks(text); leaks != nil || !strings.Contains(string(encoded), "[token]") {
		t.Errorf("%q is shown: %s", leaks, text)
	}
}

type tokenError struct{ token *Token }

func (e tokenError) Error() string { return e.token.String() }

// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"encoding/binary"
	"path"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// FuzzRecord: of whatever lies in the storage, only the record itself gives a token.
func FuzzRecord(f *testing.F) {
	storage := new(oauthtest.Memory)
	s, _ := newStore(f, storage)
	want := stored(oauthtest.TokenText, 3)
	if err := s.Save(f.Context(), want); err != nil {
		f.Fatal(err)
	}
	key, good := storage.Only(f)
	name := path.Base(key)
	ring, err := s.Keys()
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
	f.Add(append(binary.BigEndian.AppendUint64([]byte{version}, 3), odd...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		token, _, err := s.Open(ring, name, raw)
		switch {
		case err != nil && token != nil:
			t.Error("a token and an error")
		case err != nil && oauthtest.Leaks(err.Error()) != nil:
			t.Errorf("the error shows the token: %v", err)
		case token != nil && !bytes.Equal(raw, good):
			t.Errorf("%x gives a token", raw)
		case err == nil && token == nil:
			t.Errorf("%x is taken for a record of another identity", raw)
		}
	})
}

// FuzzRecordPlain: what is in a record was ours once, but of another version perhaps. No panic,
// and times that make sense.
func FuzzRecordPlain(f *testing.F) {
	key := oauthtest.NewKey(f)
	ring := seal.NewRing(key)
	s, _ := newStore(f, new(oauthtest.Memory), key)
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
		token, _, err := s.Open(ring, "name", append(binary.BigEndian.AppendUint64([]byte{version}, 7), sealed...))
		if err != nil || token == nil {
			return // of another version, or identity
		}
		if token.Generation != 7 || token.Access == "" && token.End.Reason == "" {
			t.Errorf("generation %d, access %q", token.Generation, token.Access)
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

// Package record is what is known of a connection, and how that is kept: tokens with their
// generations, ends, claims and reasons, sealed in a storage.
//
// It knows no provider, no configuration of Caddy and no request. Two rules stand behind it: a
// token never changes, and the newest generation counts.
package record

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

const (
	// version is the first byte of a record.
	version = 1

	// head is how many bytes of a record stand before its sealed part: the version and the
	// generation.
	head = 9
)

// recordName matches the names of records: an HMAC in hexadecimal digits.
var recordName = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Record is the sealed part of a record. Times are Unix times in milliseconds, and 0 is not known.
type Record struct {
	Identity string `json:"identity"`

	// Connection is whose it is, in its exact bytes; empty for the shared one.
	Connection []byte `json:"connection,omitempty"`

	Access  string `json:"access_token,omitempty"` // "" if the connection was disconnected
	ID      string `json:"id_token,omitempty"`
	Refresh string `json:"refresh_token,omitempty"`

	// Also is what requests carry beside the token of a login, by name.
	Also map[string]string `json:"also,omitempty"`

	Obtained  int64  `json:"obtained_at"`
	Expiry    int64  `json:"expires_at,omitempty"`
	Connected int64  `json:"connected_at,omitempty"`
	RefreshBy int64  `json:"refresh_by,omitempty"` // when the refresh token ends; older versions do not know it
	Changed   int64  `json:"changed_at,omitempty"`
	By        []byte `json:"connected_by,omitempty"` // the user, in exact bytes
	ByLink    bool   `json:"connected_by_link,omitempty"`
	Grant     string `json:"grant,omitempty"` // names the consent that the tokens come of
	Seed      string `json:"seed,omitempty"`  // a digest of the refresh token that the operator had written last
	Node      string `json:"node,omitempty"`  // which node has written the record, if it has an entry

	Origin *Origin `json:"origin,omitempty"`

	End     End      `json:"end,omitzero"`
	Claim   *Claim   `json:"claim,omitempty"`
	Refused *Refusal `json:"refused,omitempty"`
}

// context is what a record is authenticated with: under another name, or with another generation,
// it does not open. The name is an HMAC of whose record it is.
func (s *Store) context(name string, generation uint64) string {
	return "record\x00" + s.Datasource + "\x00" + name + "\x00" + strconv.FormatUint(generation, 10)
}

// seal returns the record of a token under a name.
func (s *Store) seal(ring *seal.Ring, name string, token *Token) ([]byte, error) {
	plain, err := json.Marshal(Record{ //nolint:gosec // G117: it is sealed next
		Identity: cmp.Or(token.Identity, s.Identity), Connection: []byte(s.Connection),
		Access: token.Access, ID: token.ID, Refresh: token.Refresh, Also: token.Also,
		Obtained: Millis(token.Obtained), Expiry: Millis(token.Expiry), Connected: Millis(token.Connected),
		RefreshBy: Millis(token.RefreshEnd), Changed: Millis(token.Changed),
		By: []byte(token.By.User), ByLink: token.By.Link,
		Grant: token.Grant, Seed: token.Seed, Node: s.Node, Origin: token.Origin, End: token.End, Claim: token.Claim, Refused: token.Refused,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding a record: %w", err)
	}
	sealed, err := ring.Seal(plain, s.context(name, token.Generation))
	if err != nil {
		return nil, fmt.Errorf("sealing a record: %w", err)
	}
	raw := make([]byte, head, head+len(sealed))
	raw[0] = version
	binary.BigEndian.PutUint64(raw[1:], token.Generation)
	return append(raw, sealed...), nil
}

// Open reads the bytes of the record with a name. It returns seal.ErrDamaged, or a
// seal.UnknownKeyError.
func (s *Store) Open(ring *seal.Ring, name string, raw []byte) (*Token, *Record, error) {
	if len(raw) < head || raw[0] != version {
		return nil, nil, seal.ErrDamaged
	}
	generation := binary.BigEndian.Uint64(raw[1:head])
	plain, err := ring.Open(raw[head:], s.context(name, generation))
	if err != nil {
		return nil, nil, err
	}
	rec := new(Record)
	if err := json.Unmarshal(plain, rec); err != nil || rec.Access == "" && rec.End.Reason == "" {
		return nil, nil, seal.ErrDamaged
	}
	token := &Token{
		Access: rec.Access, ID: rec.ID, Refresh: rec.Refresh, Also: rec.Also, Generation: generation, Identity: s.shared(rec.Identity),
		Obtained: unmillis(rec.Obtained), Connected: unmillis(rec.Connected), RefreshEnd: unmillis(rec.RefreshBy),
		Changed: unmillis(rec.Changed), Grant: rec.Grant, Seed: rec.Seed, Node: s.shared(rec.Node), Origin: rec.Origin, By: Connector{s.shared(string(rec.By)), rec.ByLink},
		End: rec.End, Claim: rec.Claim, Refused: rec.Refused,
	}
	expiry := s.Term.reopened(token, unmillis(rec.Expiry))
	if !expiry.IsZero() {
		s.Term.SetEnd(token, expiry, expiry.Sub(token.Obtained))
		if token.Obtained.After(time.Now().Add(time.Minute)) {
			// A clock that is ahead has written it, so its age is not known, and it is renewed
			// soon.
			token.Soft = time.Time{}.Add(1)
		}
	}
	return token, rec, nil
}

// shared returns a text of a record in the memory that the store has it in already, if it does.
// There may be a million records.
func (s *Store) shared(text string) string {
	for _, known := range [...]string{s.Identity, s.Connection, s.Node} {
		if text == known {
			return known
		}
	}
	return text
}

// isUnknownKey reports whether a record was sealed with a key that is not in the ring.
func isUnknownKey(err error) bool {
	_, ok := errors.AsType[*seal.UnknownKeyError](err)
	return ok
}

// Millis returns a time as records have it.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func unmillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// SPDX-License-Identifier: Apache-2.0

package oauth

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
	// recordVersion is the first byte of a record.
	recordVersion = 1

	// recordHead is how many bytes of a record stand in front of what is sealed: the version and the generation.
	recordHead = 9
)

// recordName matches the names of records: an HMAC in hexadecimal digits.
var recordName = regexp.MustCompile(`^[0-9a-f]{64}$`)

// record is what is sealed.
type record struct {
	Identity string `json:"identity"`

	// Connection is whose it is, in its exact bytes; empty for the shared one.
	Connection []byte `json:"connection,omitempty"`

	Access    string `json:"access_token,omitempty"` // "" in the record of a connection that was disconnected
	ID        string `json:"id_token,omitempty"`
	Refresh   string `json:"refresh_token,omitempty"`
	Obtained  int64  `json:"obtained_at"`            // Unix time in milliseconds
	Expiry    int64  `json:"expires_at,omitempty"`   // the same; 0: not known
	Connected int64  `json:"connected_at,omitempty"` // the same
	RefreshBy int64  `json:"refresh_by,omitempty"`   // the same: when the refresh token ends; older versions do not know it
	Changed   int64  `json:"changed_at,omitempty"`   // the same
	Grant     string `json:"grant,omitempty"`        // names the consent of which the tokens are, from the first one on
	Node      string `json:"node,omitempty"`         // which node has written the record, if it has an entry; see presence
	End       ending `json:"end,omitzero"`
	Claim     *claim `json:"claim,omitempty"`

	Refused *refusal `json:"refused,omitempty"`
}

// refusal is the last one of the refresh token of this generation. So others know of it, and this process after a restart.
type refusal struct {
	At   int64  `json:"at"`   // Unix time in milliseconds
	Code string `json:"code"` // as words has it

	// Description is what the provider has written of it; see Error.
	Description string `json:"description,omitempty"`
}

// claim says that a node is about to redeem the refresh token of this generation, or was.
type claim struct {
	// Owner is the connection's random name in that process.
	Owner string `json:"owner"`

	// Attempt counts the claims of one generation.
	Attempt int `json:"attempt"`

	// Sent says that the refresh token may have been redeemed. Before, it surely has not.
	Sent bool `json:"sent,omitempty"`

	// Doubt says that it may have been redeemed before, under a claim whose owner has not learnt what came of it.
	Doubt bool `json:"doubt,omitempty"`

	// Over says that the owner has given up, so that nobody need wait for it.
	Over bool `json:"over,omitempty"`

	// At is the Unix time in milliseconds by the clock of the owner.
	At int64 `json:"at"`
}

// doubtful reports whether the refresh token may have been redeemed under a claim, or before it.
func (c *claim) doubtful() bool { return c != nil && (c.Sent || c.Doubt) }

// context is what a record is authenticated with: under another name or with another generation it does not open. The name
// is an HMAC of whose it is.
func (s *store) context(name string, generation uint64) string {
	return "record\x00" + s.datasource + "\x00" + name + "\x00" + strconv.FormatUint(generation, 10)
}

// seal returns the record of a token under a name.
func (s *store) seal(ring *seal.Ring, name string, token *Token) ([]byte, error) {
	plain, err := json.Marshal(record{ //nolint:gosec // G117: it is sealed next
		Identity: cmp.Or(token.identity, s.identity), Connection: []byte(s.connection),
		Access: token.access, ID: token.id, Refresh: token.refresh,
		Obtained: millis(token.obtained), Expiry: millis(token.expiry), Connected: millis(token.connected), Changed: millis(token.changed),
		RefreshBy: millis(token.refreshEnd),
		Grant:     token.grant, Node: s.presence.own(), End: token.end, Claim: token.claim, Refused: token.refused,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding a record: %w", err)
	}
	sealed, err := ring.Seal(plain, s.context(name, token.generation))
	if err != nil {
		return nil, fmt.Errorf("sealing a record: %w", err)
	}
	raw := make([]byte, recordHead, recordHead+len(sealed))
	raw[0] = recordVersion
	binary.BigEndian.PutUint64(raw[1:], token.generation)
	return append(raw, sealed...), nil
}

// open reads a record. It returns seal.ErrDamaged, or a seal.UnknownKeyError.
func (s *store) open(ring *seal.Ring, name string, raw []byte) (*Token, *record, error) {
	if len(raw) < recordHead || raw[0] != recordVersion {
		return nil, nil, seal.ErrDamaged
	}
	generation := binary.BigEndian.Uint64(raw[1:recordHead])
	plain, err := ring.Open(raw[recordHead:], s.context(name, generation))
	if err != nil {
		return nil, nil, err
	}
	rec := new(record)
	if err := json.Unmarshal(plain, rec); err != nil || rec.Access == "" && rec.End.Reason == "" {
		return nil, nil, seal.ErrDamaged
	}
	token := &Token{
		access: rec.Access, id: rec.ID, refresh: rec.Refresh, generation: generation, identity: rec.Identity,
		obtained: unmillis(rec.Obtained), connected: unmillis(rec.Connected), changed: unmillis(rec.Changed), grant: rec.Grant, node: rec.Node,
		refreshEnd: unmillis(rec.RefreshBy), end: rec.End, claim: rec.Claim, refused: rec.Refused,
	}
	expiry := s.term.reopened(token, unmillis(rec.Expiry))
	if !expiry.IsZero() {
		s.term.end(token, expiry, expiry.Sub(token.obtained))
		if token.obtained.After(time.Now().Add(time.Minute)) {
			token.soft = time.Time{}.Add(1) // written by a clock that is ahead: its age is not known, so it is renewed soon
		}
	}
	return token, rec, nil
}

// isUnknownKey reports whether a record was sealed with a key that is not in the ring.
func isUnknownKey(err error) bool {
	_, ok := errors.AsType[*seal.UnknownKeyError](err)
	return ok
}

func millis(t time.Time) int64 {
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

// SPDX-License-Identifier: Apache-2.0

package record

import "time"

// Claim says that a node is about to redeem the refresh token of this generation, or was.
type Claim struct {
	// Owner is the connection's random name in that process.
	Owner string `json:"owner"`

	// Attempt counts the claims of one generation.
	Attempt int `json:"attempt"`

	// Sent says that the owner may have sent the refresh token. Before, it surely has not.
	Sent bool `json:"sent,omitempty"`

	// Doubt says that the refresh token may have been redeemed under an earlier claim, whose owner
	// has not learnt what came of it.
	Doubt bool `json:"doubt,omitempty"`

	// Abandoned says that the owner has given up, so that nobody waits for it.
	Abandoned bool `json:"over,omitempty"`

	// At is the Unix time in milliseconds by the owner's clock.
	At int64 `json:"at"`
}

// Doubtful reports whether the refresh token may have been redeemed, under this claim or an
// earlier one.
func (c *Claim) Doubtful() bool { return c != nil && (c.Sent || c.Doubt) }

// Age is how long ago the owner wrote the claim, by its clock.
func (c *Claim) Age() time.Duration { return time.Since(time.UnixMilli(c.At)) }

// Refusal is the provider's last refusal of the refresh token of this generation. It is stored, so
// that other nodes know of it, and this process after a restart.
type Refusal struct {
	At   int64  `json:"at"`   // Unix time in milliseconds
	Code string `json:"code"` // the OAuth error, or a few fixed words

	// Description is what the provider has written of it, for operators.
	Description string `json:"description,omitempty"`
}

// SPDX-License-Identifier: Apache-2.0

package oauth

import "errors"

var (
	// ErrTicketExpired says that a ticket's ten minutes are over.
	ErrTicketExpired = errors.New("the link is older than ten minutes; make a new one: caddy authenticated-api connect <name>")

	// ErrTicketUsed says that a ticket has been used.
	ErrTicketUsed = errors.New("the link has been used already; make a new one: caddy authenticated-api connect <name>")
)

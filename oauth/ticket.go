// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"errors"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

var (
	// ErrTicketExpired says that a ticket's ten minutes are over.
	ErrTicketExpired = errors.New("the link is older than ten minutes; make a new one: caddy authenticated-api connect <name>")

	// ErrTicketUsed says that a ticket has been used.
	ErrTicketUsed = errors.New("the link has been used already; make a new one: caddy authenticated-api connect <name>")
)

// Ticket lets somebody connect one connection once, without being a user. The command line hands
// it out.
type Ticket struct {
	Datasource string
	Connection string // "" for the shared connection
	Made       time.Time

	// connected is when the account was connected that the connection had when the ticket was
	// made, in Unix milliseconds. If the connection has another account by now, the ticket was
	// used.
	connected int64
}

// sealedTicket is a Ticket as it is sealed.
type sealedTicket struct {
	Datasource string `json:"d"`
	Connection []byte `json:"c,omitempty"`
	Connected  int64  `json:"o,omitempty"`
	Made       int64  `json:"m"` // Unix time in seconds
}

const ticketContext = "ticket"

// Ticket returns the URL of the console with a new ticket for a connection.
func (m *Method) Ticket(ctx context.Context, connection string) (target string, err error) {
	if !m.Interactive() {
		return "", errors.New("there is nothing to connect: the gateway itself gets the tokens of " + m.Grant)
	}
	if !m.Connectable() {
		return "", errNoConsent
	}
	base, err := latest(ctx, m, connection)
	if err != nil {
		return "", err
	}
	ring, err := m.environment.Keys()
	if err != nil {
		return "", err
	}
	text, err := sealText(ring, ticketContext, &sealedTicket{
		m.set.Datasource, []byte(connection), record.Millis(base.Connected), time.Now().Unix(),
	})
	if err != nil {
		return "", err
	}
	return m.Console() + "?ticket=" + text, nil
}

// OpenTicket opens the value of the parameter ticket. It fails with ErrTicketExpired, or because
// no gateway with one of these keys has made the ticket.
func OpenTicket(ring *seal.Ring, text string) (*Ticket, error) {
	var sealed sealedTicket
	if err := openText(ring, ticketContext, text, &sealed); err != nil {
		return nil, err
	}
	t := &Ticket{sealed.Datasource, string(sealed.Connection), time.Unix(sealed.Made, 0), sealed.Connected}
	if expired(t.Made, time.Now()) {
		return nil, ErrTicketExpired
	}
	return t, nil
}

// CheckTicket returns ErrTicketUsed if a ticket of this datasource has been used.
func (m *Method) CheckTicket(ctx context.Context, t *Ticket) error {
	base, err := latest(ctx, m, t.Connection)
	if err != nil {
		return err
	}
	if record.Millis(base.Connected) != t.connected {
		return ErrTicketUsed
	}
	return nil
}

// latest returns the newest token of a connection. A record that was sealed with a lost key
// counts as none: a ticket may be the only way to connect the account again.
func latest(ctx context.Context, m *Method, connection string) (*record.Token, error) {
	base, err := m.Source(connection).Latest(ctx)
	if base == nil && errors.Is(err, record.ErrKeyMissing) {
		return new(record.Token), nil
	}
	return base, err
}

// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
	"golang.org/x/oauth2"
)

// FlowLifetime is how long a flow, and a ticket, can be used.
const FlowLifetime = connection.FlowLifetime

// Flow is an authorization that is under way in a browser (RFC 6749 §4.1). Nothing of it is kept in the gateway: the
// browser keeps it, sealed, so it may end on another node.
type Flow struct {
	State      string // random; the provider sends it back
	Verifier   string // of PKCE, RFC 7636; "" if it is off
	Datasource string
	Connection string // "" for the shared one
	User       string // who has begun it; "" if a ticket did
	Ticket     bool   // a ticket stands for the user
	Began      time.Time
	Sent       bool // its code was sent, and what came of that was not known yet
	Done       bool // it has ended, well

	connected int64 // when the account was connected that there was when the ticket was made; see Ticket
}

// sealedFlow is a Flow as it is sealed: names in their exact bytes, which need not be UTF-8.
type sealedFlow struct {
	State      string `json:"s"`
	Verifier   string `json:"v,omitempty"`
	Datasource string `json:"d"`
	Connection []byte `json:"c,omitempty"`
	User       []byte `json:"u,omitempty"`
	Ticket     bool   `json:"t,omitempty"`
	Began      int64  `json:"b"` // Unix time in seconds
	Sent       bool   `json:"y,omitempty"`
	Done       bool   `json:"x,omitempty"`
	Connected  int64  `json:"o,omitempty"`
}

// ID names the flow: it is made from the state, and tells nothing of it.
func (f *Flow) ID() string { return FlowID(f.State) }

// FlowID returns the ID of the flow with a state that a request has brought. It consists of 32 hexadecimal digits.
func FlowID(state string) string {
	sum := sha256.Sum256([]byte(state))
	return hex.EncodeToString(sum[:16])
}

// Expired reports whether the flow's ten minutes are over, or have not begun.
func (f *Flow) Expired(now time.Time) bool { return expired(f.Began, now) }

func expired(began, now time.Time) bool {
	age := now.Sub(began)
	return age < -connection.ClockSkew || age >= FlowLifetime
}

// Seal returns the flow as text that only the gateways with the same key can read or make: visible ASCII, good for a cookie.
func (f *Flow) Seal(ring *seal.Ring) (string, error) {
	return sealText(ring, "flow\x00"+f.ID(), &sealedFlow{
		f.State, f.Verifier, f.Datasource, []byte(f.Connection), []byte(f.User), f.Ticket, f.Began.Unix(), f.Sent, f.Done, f.connected,
	})
}

// OpenFlow opens what Seal has made of the flow with that ID.
func OpenFlow(ring *seal.Ring, id, text string) (*Flow, error) {
	var f sealedFlow
	if err := openText(ring, "flow\x00"+id, text, &f); err != nil {
		return nil, err
	}
	return &Flow{
		f.State, f.Verifier, f.Datasource, string(f.Connection), string(f.User), f.Ticket, time.Unix(f.Began, 0), f.Sent, f.Done, f.Connected,
	}, nil
}

func sealText(ring *seal.Ring, context string, v any) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encoding: %w", err)
	}
	sealed, err := ring.Seal(plain, context)
	if err != nil {
		return "", fmt.Errorf("sealing: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

func openText(ring *seal.Ring, context, text string, v any) error {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return seal.ErrDamaged
	}
	plain, err := ring.Open(sealed, context)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plain, v); err != nil {
		return seal.ErrDamaged
	}
	return nil
}

// Begin begins a flow for a connection. It returns the flow and the URL of the provider's page that the browser goes to.
func (m *Method) Begin(connection, user string) (flow *Flow, authorizationURL string, err error) {
	return m.begin(&Flow{Connection: connection, User: user})
}

// BeginWithTicket is Begin for who has a ticket.
func (m *Method) BeginWithTicket(t *Ticket) (flow *Flow, authorizationURL string, err error) {
	return m.begin(&Flow{Connection: t.Connection, Ticket: true, connected: t.connected})
}

func (m *Method) begin(f *Flow) (*Flow, string, error) {
	to, err := m.resolve()
	if err == nil {
		err = m.checkUnchanged(to)
	}
	if err != nil {
		return nil, "", &provider.Error{Err: err}
	}
	f.Datasource, f.Began = m.set.Datasource, time.Now()
	f.State = rand.Text() + rand.Text()[:6] // 160 bits
	if m.PKCE != pkceOff {
		f.Verifier = oauth2.GenerateVerifier()
	}
	return f, to.AuthCodeURL(f.State, f.Verifier), nil
}

// Finish redeems the code of a flow, and stores what the provider has issued; from then on the connection is served with
// that. A flow that this process has finished already is not finished again: it returns what it returned then. One whose code
// another process has sent fails with connection.ErrSent. A flow of a ticket fails with ErrTicketUsed if the connection has changed since the ticket was made.
func (m *Method) Finish(ctx context.Context, flow *Flow, code string) error {
	return m.set.RedeemOnce(ctx, flow.ID(), flow.Sent, func(ctx context.Context) error { return m.finish(ctx, flow, code) })
}

func (m *Method) finish(ctx context.Context, flow *Flow, code string) error {
	s := m.Source(flow.Connection)
	unused := func(base *record.Token) error {
		if flow.Ticket && base != nil && record.Millis(base.Connected) != flow.connected {
			return ErrTicketUsed
		}
		return nil
	}
	if flow.Ticket {
		if err := m.CheckTicket(ctx, &Ticket{Connection: flow.Connection, connected: flow.connected}); err != nil {
			return err
		}
	}
	token, err := m.exchange(ctx, code, flow.Verifier)
	if err != nil {
		return err
	}
	token.Connected = token.Obtained
	err = s.Connect(ctx, token, unused)
	if errors.Is(err, connection.ErrOvertaken) && flow.Ticket {
		return ErrTicketUsed // by somebody who was faster on another node, with this link or another one
	}
	return err
}

// Ticket lets somebody connect one connection once, without being a user: the command line hands it out.
type Ticket struct {
	Datasource string
	Connection string // "" for the shared one
	Made       time.Time

	connected int64 // when the account was connected that there was, Unix time in milliseconds: another one has used the ticket
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
		return "", errors.New("there is nothing to connect: the gateway itself gets the tokens of client_credentials")
	}
	base, err := m.current(ctx, connection)
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

// OpenTicket opens the value of the parameter ticket. It fails with ErrTicketExpired, or because nobody here made it.
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
	base, err := m.current(ctx, t.Connection)
	if err != nil {
		return err
	}
	if record.Millis(base.Connected) != t.connected {
		return ErrTicketUsed
	}
	return nil
}

// current returns what there is of a connection. What was sealed with a key that is lost is nothing: a ticket may be the only way to
// connect the account again.
func (m *Method) current(ctx context.Context, connection string) (*record.Token, error) {
	base, err := m.Source(connection).Latest(ctx)
	if base == nil && errors.Is(err, record.ErrKeyMissing) {
		return new(record.Token), nil
	}
	return base, err
}

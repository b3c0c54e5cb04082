// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"golang.org/x/oauth2"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// FlowLifetime is how long a flow, or a ticket, can be used.
const FlowLifetime = connection.FlowLifetime

// Flow is an authorization that is under way in a browser (RFC 6749 §4.1). The gateway stores
// nothing of it: the browser has the flow, sealed, so the flow may end on another node than it
// began on.
type Flow struct {
	State      string // random; the provider sends it back
	Verifier   string // of PKCE (RFC 7636); "" if PKCE is off
	Datasource string
	Connection string // "" for the shared connection
	User       string // who has begun the flow; "" if a ticket has
	Ticket     bool   // a ticket stands for the user
	Began      time.Time
	Sent       bool   // the code was sent, and its outcome was not known when the flow was sealed
	Done       bool   // the flow has ended in success
	Return     string // the path to which the person wants to go back

	// Redirect is where the provider sends the browser, "" for redirect_url. A command waits there.
	Redirect string

	// Origin is where the grant will come from, without the client's secret; nil without discovery.
	Origin *record.Origin

	// NamesIssuer says that the provider names itself when it sends the browser back (RFC 9207).
	NamesIssuer bool

	connected int64 // Ticket.connected of the ticket that has begun the flow
}

// sealedFlow is a Flow as it is sealed. Names are in their exact bytes, which need not be UTF-8.
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
	Redirect   string `json:"l,omitempty"`
	Return     string `json:"r,omitempty"`

	Origin      *record.Origin `json:"p,omitempty"`
	NamesIssuer bool           `json:"i,omitempty"`
}

// ID names the flow. It is made from the state, and does not reveal the state.
func (f *Flow) ID() string { return FlowID(f.State) }

// FlowID returns the ID of the flow whose state a request has brought. It consists of 32
// hexadecimal digits.
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

// Seal returns the flow as text for a cookie or a command, which only gateways with the same key
// can read or make.
func (f *Flow) Seal(ring *seal.Ring) (string, error) {
	return sealText(ring, flowContext(f.ID(), f.Redirect != ""), &sealedFlow{
		f.State, f.Verifier, f.Datasource, []byte(f.Connection), []byte(f.User), f.Ticket, f.Began.Unix(), f.Sent, f.Done, f.connected, f.Redirect, f.Return,
		f.Origin, f.NamesIssuer,
	})
}

// flowContext is what a flow is sealed for: no browser can bring the flow of a command.
func flowContext(id string, local bool) string {
	if local {
		return "local\x00" + id
	}
	return "flow\x00" + id
}

// OpenFlow opens the text that Seal has returned for the flow of a browser with an ID.
func OpenFlow(ring *seal.Ring, id, text string) (*Flow, error) {
	return openFlow(ring, flowContext(id, false), text)
}

func openFlow(ring *seal.Ring, context, text string) (*Flow, error) {
	var f sealedFlow
	if err := openText(ring, context, text, &f); err != nil {
		return nil, err
	}
	return &Flow{
		f.State, f.Verifier, f.Datasource, string(f.Connection), string(f.User), f.Ticket, time.Unix(f.Began, 0), f.Sent, f.Done, f.Return, f.Redirect,
		f.Origin, f.NamesIssuer, f.Connected,
	}, nil
}

// Begin begins a flow for a connection. It returns the flow, and the URL of the provider's page
// that the browser goes to.
func (m *Method) Begin(ctx context.Context, connection, user string) (flow *Flow, authorizationURL string, err error) {
	return begin(ctx, m, &Flow{Connection: connection, User: user})
}

// BeginWithTicket is Begin for somebody who has a ticket.
func (m *Method) BeginWithTicket(ctx context.Context, t *Ticket) (flow *Flow, authorizationURL string, err error) {
	return begin(ctx, m, &Flow{Connection: t.Connection, Ticket: true, connected: t.connected})
}

func begin(ctx context.Context, m *Method, f *Flow) (*Flow, string, error) {
	if !m.Connectable() {
		return nil, "", errNoConsent
	}
	f.Datasource, f.Began = m.set.Datasource, time.Now()
	f.State = rand.Text() + rand.Text()[:6] // 160 bits
	if m.PKCE != pkceOff {
		f.Verifier = oauth2.GenerateVerifier()
	}
	target, err := depart(ctx, m, f)
	if gone(m, f.Origin, err) { // of a request that was pushed
		target, err = depart(ctx, m, f)
	}
	if err != nil {
		connection.NoteFailedConnect(m.Source(f.Connection), err)
		return nil, "", err
	}
	return f, target, nil
}

// depart returns the URL of the provider's page for a flow.
func depart(ctx context.Context, m *Method, f *Flow) (string, error) {
	to, err := configuration(m, nil)
	if err != nil {
		return "", err
	}
	to.RedirectURL = cmp.Or(f.Redirect, to.RedirectURL)
	if err := discoverFlow(ctx, m, f, to); err != nil {
		return "", err
	}
	if to.PARURL != "" {
		return clientFor(m, to.Public.PAR).Push(ctx, to, f.State, f.Verifier)
	}
	return to.AuthCodeURL(f.State, f.Verifier), nil
}

// Finish redeems the code of a flow, and stores the tokens that the provider has issued;
// requests are served with them from then on. If this process has finished the flow already,
// Finish returns what it returned then. If another process has sent the code, it returns
// connection.ErrSent. If a ticket has begun the flow and the connection has changed since the
// ticket was made, it returns ErrTicketUsed.
func (m *Method) Finish(ctx context.Context, flow *Flow, code string) error {
	return m.set.RedeemOnce(ctx, flow.ID(), flow.Sent, func(ctx context.Context) error {
		return finish(ctx, m, flow, code)
	})
}

func finish(ctx context.Context, m *Method, flow *Flow, code string) error {
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
	token, err := exchange(ctx, m, flow, code)
	if err != nil {
		connection.NoteFailedConnect(s, err)
		return err
	}
	token.Connected, token.By = token.Obtained, record.Connector{User: flow.User, Link: flow.Ticket}
	if token.Origin != nil {
		token.Origin = token.Origin.With(func(*record.Origin) {})
		token.Origin.Consents = consents(s.Token(), token.Origin.Scopes)
	}
	err = s.Connect(ctx, token, unused)
	if errors.Is(err, connection.ErrOvertaken) && flow.Ticket {
		return ErrTicketUsed // by somebody who was faster on another node, with this link or another one
	}
	return err
}

// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"cmp"
	"errors"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// DiscoveryFailed is the LastError of a datasource whose provider cannot be discovered.
const DiscoveryFailed = "discovery_failed"

// The ways in which a client becomes known to a provider.
const (
	RegisteredByHand     = "client_id"
	RegisteredByDocument = "metadata_document"
	RegisteredByRequest  = "dynamic"
)

// Discovered is what was found out of a provider, and of the client there. A grant has what it was
// made with; what was found since counts from the next consent on.
type Discovered struct {
	// Issuer is the provider's identifier, "" as long as it is not known.
	Issuer string `json:"issuer,omitempty"`

	// The endpoints that were found, without their queries. Those that are written out are not
	// among them.
	AuthorizationURL string `json:"authorization_url,omitempty"`
	TokenURL         string `json:"token_url,omitempty"`
	RevocationURL    string `json:"revocation_url,omitempty"`

	// Registration says how the client is registered: client_id (by the operator),
	// metadata_document or dynamic. It is "" as long as that is not known.
	Registration string `json:"registration,omitempty"`

	// Because says why it is registered so.
	Because string `json:"because,omitempty"`

	// ClientID is the client's identifier, if the operator has written none.
	ClientID string `json:"client_id,omitempty"`

	// ClientAuth is how the client authenticates.
	ClientAuth string `json:"client_auth,omitempty"`

	// Scopes are what the person was asked for.
	Scopes []string `json:"scopes,omitempty"`

	// Resource is what the tokens are asked for (RFC 8707).
	Resource []string `json:"resource,omitempty"`

	// PAR says that the authorization request is pushed (RFC 9126).
	PAR bool `json:"par,omitempty"`

	// DPoP says that tokens are bound to a key (RFC 9449).
	DPoP bool `json:"dpop,omitempty"`

	// WrittenOut are the options that count in place of what could be found.
	WrittenOut []string `json:"written_out,omitempty"`
}

// Fact is a line of what was found out: the same on every surface.
type Fact struct{ Name, Text string }

// maxFact bounds what is shown of one fact: servers may write long texts.
const maxFact = 400

// Facts returns what was found out, in words for people. There is no secret among them.
func (d *Discovered) Facts() (facts []Fact) {
	if d == nil {
		return nil
	}
	add := func(name, text string) {
		if len(text) > maxFact {
			text = strings.ToValidUTF8(text[:maxFact], "") + "…"
		}
		if text != "" {
			facts = append(facts, Fact{name, text})
		}
	}
	add("Issuer", d.Issuer)
	add("Authorization endpoint", d.AuthorizationURL)
	add("Token endpoint", d.TokenURL)
	add("Revocation endpoint", d.RevocationURL)
	add("Client", d.client())
	add("Client authentication", d.ClientAuth)
	add("Scopes asked for", strings.Join(d.Scopes, " "))
	add("Resource", strings.Join(d.Resource, " "))
	if d.PAR {
		add("Authorization request", "pushed to the provider (PAR, RFC 9126)")
	}
	if d.DPoP {
		add("Tokens", "bound to a key (DPoP, RFC 9449)")
	}
	if len(facts) > 0 {
		add("Written out", strings.Join(d.WrittenOut, ", "))
	}
	return facts
}

// client says how the client is registered, and why.
func (d *Discovered) client() string {
	words := map[string]string{
		RegisteredByHand: "registered by hand", RegisteredByDocument: "described by a metadata document", RegisteredByRequest: "registered dynamically",
	}
	text := cmp.Or(words[d.Registration], d.Registration)
	if text != "" && d.ClientID != "" {
		text += ", " + d.ClientID
	}
	if text != "" && d.Because != "" {
		text += ", since " + d.Because
	}
	return text
}

// discoveredBy returns what a grant was made with, or nil.
func discoveredBy(token *record.Token) *Discovered {
	if token == nil || token.Origin == nil || token.Origin.Issuer == "" {
		return nil
	}
	o := token.Origin
	d := &Discovered{
		Issuer: o.Issuer, TokenURL: provider.Bare(o.TokenURL), RevocationURL: provider.Bare(o.RevocationURL), Registration: RegisteredByHand,
		ClientID: o.ClientID, ClientAuth: o.ClientAuth, Scopes: o.Scopes, Resource: o.Resource, DPoP: len(o.Key) > 0,
	}
	if o.Registered {
		d.Registration = RegisteredByRequest
	} else if o.ClientID != "" {
		d.Registration = RegisteredByDocument
	}
	return d
}

// complete adds to statuses what the method knows beyond a grant.
func complete(set *Set, statuses ...*Status) {
	if set.Complete != nil {
		set.Complete(statuses)
	}
}

func isDiscovery(err error) bool {
	_, is := errors.AsType[*provider.DiscoveryError](err)
	return is
}

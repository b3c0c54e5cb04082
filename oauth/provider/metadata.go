// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ServerMetadata is what an authorization server says of itself (RFC 8414, OpenID Connect
// Discovery 1.0).
type ServerMetadata struct {
	Address string // of the document
	Issuer  string // as the document has it: what a callback's iss is compared with

	AuthorizationURL string
	TokenURL         string
	RegistrationURL  string
	RevocationURL    string
	PARURL           string // of pushed authorization requests, RFC 9126

	Scopes      []string
	ClientAuths []string // the ways of client authentication at the token endpoint
	Challenges  []string // the methods of PKCE
	DPoP        []string // the algorithms of proofs, RFC 9449

	SaysClientAuths bool // ClientAuths was given; without it client_secret_basic is the way
	SaysChallenges  bool // Challenges was given

	NamesIssuer       bool // callbacks have an iss (RFC 9207)
	TakesMetadataURLs bool // a client may be the URL of a Client ID Metadata Document
	DemandsPAR        bool

	Term time.Duration // for how long this may be used

	aliases aliases
}

// aliases are the endpoints of clients that present a certificate (RFC 8705 §5), where they are
// not those of all other clients.
type aliases struct {
	Token      string `json:"token_endpoint"`
	Revocation string `json:"revocation_endpoint"`
	PAR        string `json:"pushed_authorization_request_endpoint"`
}

// ForCertificate returns the metadata as it is for a client that presents a certificate.
func (m *ServerMetadata) ForCertificate() *ServerMetadata {
	c := *m
	c.TokenURL = cmp.Or(m.aliases.Token, m.TokenURL)
	c.RevocationURL = cmp.Or(m.aliases.Revocation, m.RevocationURL)
	c.PARURL = cmp.Or(m.aliases.PAR, m.PARURL)
	return &c
}

// wellKnown are the addresses of an issuer's metadata, in the order in which they are asked:
// RFC 8414 §3.1, OpenID Connect Discovery 1.0 under RFC 8414 §5, and as it has always been.
func wellKnown(issuer *url.URL) []string {
	u := *issuer
	u.RawQuery, u.Fragment, u.User = "", "", nil
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	at := func(path string) string {
		u.Path, u.RawPath = "", ""
		return u.String() + path
	}
	addresses := []string{at("/.well-known/oauth-authorization-server" + path), at("/.well-known/openid-configuration" + path)}
	if path != "" {
		addresses = append(addresses, at(path+"/.well-known/openid-configuration"))
	}
	return addresses
}

// ServerMetadata fetches the metadata of an issuer. The document must name wanted as its issuer,
// or issuer itself if wanted is "". Its errors are *DiscoveryError.
func (d *Discovery) ServerMetadata(ctx context.Context, issuer, wanted string) (*ServerMetadata, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Hostname() == "" {
		return nil, &DiscoveryError{Address: Bare(issuer), Reason: "it is no URL of an issuer", Option: "write discover <issuer>"}
	}
	if wanted == "" {
		wanted = issuer
	}
	doc, err := d.firstOf(ctx, wellKnown(u), func(doc *document) error { return checkIssuer(doc, wanted) })
	if err != nil {
		if fail, ok := errors.AsType[*DiscoveryError](err); ok && fail.Option == "" {
			fail.Option = "look whether discover has the provider's issuer, or write out token_url (and authorization_url)"
		}
		return nil, err
	}
	return serverMetadata(doc), nil
}

// checkIssuer compares the issuer of a document with the one that was asked for. RFC 8414 §3.3
// wants them to be identical, since any server could pass for another one otherwise. One slash at
// the end is tolerated: all MCP servers of Google are at odds with themselves in that.
func checkIssuer(doc *document, wanted string) error {
	issuer := doc.text("issuer")
	if issuer == "" {
		return &DiscoveryError{
			Address: doc.address, Reason: "metadata of an authorization server was expected, and the document has no issuer", absent: true,
		}
	}
	if !SameIssuer(issuer, wanted) {
		return &DiscoveryError{
			Address: doc.address, Reason: fmt.Sprintf("the issuer %q was expected, and the document says %q", shortened(wanted), shortened(issuer)),
			Option: "if that is the right one, pin it: issuer " + shortened(issuer),
		}
	}
	return nil
}

// SameIssuer reports whether two identifiers are the same but for one slash at the end.
func SameIssuer(a, b string) bool { return a == b || a+"/" == b || a == b+"/" }

// maxShown bounds what errors show of a text that a server has sent.
const maxShown = 200

// shortened returns a text of a server as an error may show it.
func shortened(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "…"
	}
	return text
}

func serverMetadata(doc *document) *ServerMetadata {
	m := &ServerMetadata{
		Address: doc.address, Issuer: doc.text("issuer"), AuthorizationURL: doc.text("authorization_endpoint"),
		TokenURL: doc.text("token_endpoint"), RegistrationURL: doc.text("registration_endpoint"),
		RevocationURL: doc.text("revocation_endpoint"), PARURL: doc.text("pushed_authorization_request_endpoint"),
		NamesIssuer:       doc.flag("authorization_response_iss_parameter_supported"),
		TakesMetadataURLs: doc.flag("client_id_metadata_document_supported"),
		DemandsPAR:        doc.flag("require_pushed_authorization_requests"), Term: doc.term(),
	}
	m.Scopes, _ = doc.texts("scopes_supported")
	m.ClientAuths, m.SaysClientAuths = doc.texts("token_endpoint_auth_methods_supported")
	m.Challenges, m.SaysChallenges = doc.texts("code_challenge_methods_supported")
	m.DPoP, _ = doc.texts("dpop_signing_alg_values_supported")
	if raw, ok := doc.members["mtls_endpoint_aliases"]; ok && json.Unmarshal(raw, &m.aliases) != nil {
		m.aliases = aliases{}
	}
	return m
}

// S256 reports whether the server says that it takes PKCE's method S256.
func (m *ServerMetadata) S256() bool { return slices.Contains(m.Challenges, "S256") }

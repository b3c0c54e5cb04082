// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// ClientMetadata is what a client says of itself, in a registration (RFC 7591 §2) and in a Client
// ID Metadata Document (draft-ietf-oauth-client-id-metadata-document).
type ClientMetadata struct {
	ClientID        string   `json:"client_id,omitempty"` // in a document only: its own address
	Name            string   `json:"client_name,omitempty"`
	RedirectURLs    []string `json:"redirect_uris,omitempty"`
	GrantTypes      []string `json:"grant_types,omitempty"`
	ResponseTypes   []string `json:"response_types,omitempty"`
	ClientAuth      string   `json:"token_endpoint_auth_method,omitempty"`
	JWKSURL         string   `json:"jwks_uri,omitempty"`
	ApplicationType string   `json:"application_type,omitempty"` // OpenID Connect Registration 1.0: web, or native for loopback
	Scope           string   `json:"scope,omitempty"`
	DPoP            bool     `json:"dpop_bound_access_tokens,omitempty"`
}

// RegisteredClient is a client as a server has registered it.
type RegisteredClient struct {
	ID         string
	Secret     string    // "" for a client without one
	ClientAuth string    // how it authenticates
	SecretEnd  time.Time // when the secret ends; zero: never
}

// String keeps the secret out of logs and errors.
func (*RegisteredClient) String() string { return "[client]" }

// GoString is String for %#v.
func (r *RegisteredClient) GoString() string { return r.String() }

// MarshalText keeps the secret out of JSON and of reflecting loggers.
func (r *RegisteredClient) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Register registers a client (RFC 7591 §3). It may not be called again for an answer that was
// lost without leaving a client behind that nobody knows. Its errors are *DiscoveryError.
func (d *Discovery) Register(ctx context.Context, address string, client *ClientMetadata) (*RegisteredClient, error) {
	fail := &DiscoveryError{Address: Bare(address), Option: "register a client there by hand, and write client_id (and client_secret)"}
	if err := d.CheckAddress(address); err != nil {
		fail.Reason, fail.Err = "the address of registrations is not used", err
		return nil, fail
	}
	body, err := json.Marshal(client)
	if err != nil {
		return nil, fmt.Errorf("encoding a registration: %w", err)
	}
	ctx, cancel := withTimeout(ctx, d.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	if err != nil {
		fail.Reason = "it is no URL"
		return nil, fail
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("Content-Type", "application/json")
	setBody(req, body)
	t := d.Client.send(req)
	switch {
	case t.err != nil:
		fail.Reason, fail.Err, fail.temporary = "a registration has no answer", networkError(t.err), true
		return nil, fail
	case t.cut != nil:
		fail.Reason, fail.Err, fail.temporary = "the answer to a registration breaks off", t.cut, true
		return nil, fail
	case t.res.StatusCode != http.StatusCreated && t.res.StatusCode != http.StatusOK:
		fail.Reason = "a registration was refused with the status " + strconv.Itoa(t.res.StatusCode) + refusedFor(t.body)
		if t.res.StatusCode >= 500 || t.res.StatusCode == http.StatusTooManyRequests {
			fail.temporary, fail.Retry = true, retryAfter(t.res, t.at)
		}
		return nil, fail
	}
	registered, err := registeredClient(t.body, client.ClientAuth)
	if err != nil {
		fail.Reason, fail.Err = "the answer to a registration is of no use", err
		return nil, fail
	}
	return registered, nil
}

// refusedFor returns the error code of a refused registration, for the end of a sentence. The
// description may repeat what was sent, which is public.
func refusedFor(body []byte) string {
	members, err := strictObject(body)
	if err != nil || text(members["error"]) == "" {
		return ""
	}
	s := ": " + errorCode(text(members["error"]), true)
	if description := text(members["error_description"]); description != "" {
		s += fmt.Sprintf(" (%q)", shortened(description))
	}
	return s
}

// registeredClient reads the answer to a registration (RFC 7591 §3.2.1). asked is the way of
// client authentication that was asked for, which counts unless the server names another one.
func registeredClient(body []byte, asked string) (*RegisteredClient, error) {
	members, err := strictObject(body)
	if err != nil {
		return nil, err
	}
	r := &RegisteredClient{ID: usable(text(members["client_id"])), Secret: usable(text(members["client_secret"])), ClientAuth: asked}
	if r.ID == "" {
		return nil, fmt.Errorf("it has no client_id that can be sent")
	}
	if way := text(members["token_endpoint_auth_method"]); way != "" {
		r.ClientAuth = way
	}
	switch r.ClientAuth {
	case ClientSecretBasic, ClientSecretPost, ClientSecretJWT:
		if r.Secret == "" {
			return nil, fmt.Errorf("the client is to authenticate with %s, and there is no client_secret that can be sent", r.ClientAuth)
		}
	case ClientAuthNone, PrivateKeyJWT, TLSClientAuth:
		r.Secret = ""
	default:
		return nil, fmt.Errorf("the client is to authenticate with %q, which is not known here", shortened(r.ClientAuth))
	}
	if at, err := strconv.ParseFloat(string(members["client_secret_expires_at"]), 64); err == nil && r.Secret != "" && at > 0 && at < math.MaxInt32*2 {
		r.SecretEnd = time.Unix(int64(at), 0)
	}
	return r, nil
}

// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/signingkey"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
)

// serviceAccount is the key file of a Google service account, as far as it is needed.
type serviceAccount struct {
	Type     string `json:"type"`
	Email    string `json:"client_email"`
	KeyID    string `json:"private_key_id"`
	Key      string `json:"private_key"` //nolint:gosec // G117: it is read, and never written
	TokenURI string `json:"token_uri"`

	key *provider.ClientKey
}

// googleTokenURI is Google's token endpoint, for files that do not name one.
const googleTokenURI = "https://oauth2.googleapis.com/token" //nolint:gosec // G101: a URL

const serviceAccountOption = "auth oauth2: service_account"

// parseServiceAccount reads a key file. An error shows nothing of it.
func parseServiceAccount(text string) (*serviceAccount, error) {
	s := new(serviceAccount)
	if err := json.Unmarshal([]byte(strings.TrimPrefix(text, "\ufeff")), s); err != nil {
		return nil, errors.New(serviceAccountOption + ": it is no JSON; it must be the key file as Google has made it")
	}
	switch {
	case s.Type == "authorized_user":
		return nil, errors.New(serviceAccountOption + ": it is a person's credential (authorized_user); use authorization_code with its refresh_token")
	case s.Type == "external_account":
		return nil, errors.New(serviceAccountOption + ": it is a workload identity (external_account), which has no key; use token_exchange at its token_url")
	case s.Type != "" && s.Type != "service_account" || s.Email == "" || s.Key == "":
		return nil, errors.New(serviceAccountOption + `: it is no key file of a service account; that has "type": "service_account", ` +
			`"client_email" and "private_key"`)
	}
	signer, err := signingkey.ParsePEM(s.Key)
	if err != nil {
		return nil, fmt.Errorf("%s: private_key: %w", serviceAccountOption, err)
	}
	alg, err := signingkey.AlgorithmFor(signer, "")
	if err != nil {
		return nil, fmt.Errorf("%s: private_key: %w", serviceAccountOption, err)
	}
	s.key = &provider.ClientKey{Signer: signer, ID: s.KeyID, Algorithm: alg}
	return s, nil
}

// googleLifetime is the longest that Google lets an assertion live. A shorter one has no use: it
// does not shorten the token's life.
const googleLifetime = 10 * time.Minute

// fromAccount completes an assertion by what the service account's file has. Google wants the
// scopes in the assertion; what is written out wins.
func (k *assertionKey) fromAccount(a *provider.Assertion, to *provider.Config) error {
	text, err := resolveKey(serviceAccountOption, k.account)
	if err != nil {
		return err
	}
	account, err := k.accounts.of(text, func() (*serviceAccount, error) { return parseServiceAccount(text) })
	if err != nil {
		return err
	}
	uri := cmp.Or(account.TokenURI, googleTokenURI)
	to.TokenURL = cmp.Or(to.TokenURL, uri)
	a.Key, a.Issuer, a.Audience = account.key, cmp.Or(a.Issuer, account.Email), cmp.Or(a.Audience, uri)
	a.Lifetime = cmp.Or(a.Lifetime, googleLifetime)
	if a.Subject == "" {
		a.Claims["sub"] = "" // only who speaks for somebody else has one
	}
	if len(to.Scopes) > 0 && a.Claims["scope"] == "" {
		a.Claims["scope"] = strings.Join(to.Scopes, " ")
		to.ScopeInAssertion = true
	}
	return nil
}

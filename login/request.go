// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// resolver makes something of the text of an option. name is that of the value, which errors may
// not show.
type resolver func(option, name, text string) (string, error)

// each replaces the texts that may hold placeholders by what f makes of them, in order.
func (opts *Options) each(f resolver) error {
	var err error
	replace := func(option, name string, text *string) {
		if err == nil && *text != "" {
			*text, err = f(label+": "+option, name, *text)
		}
	}
	replaceAll := func(option string, texts map[string]string) {
		for _, name := range slices.Sorted(maps.Keys(texts)) {
			text := texts[name]
			replace(value.Label(option, name, isCommon(name)), name, &text)
			texts[name] = text
		}
	}
	replace("url", "url", &opts.URL)
	replaceAll("form", opts.Form)
	replaceAll("header", opts.Headers)
	if opts.Basic != nil {
		replace("basic: username", "username", &opts.Basic.Username)
		replace("basic: password", "password", &opts.Basic.Password)
	}
	if err == nil {
		err = eachJSON(opts.JSON, f)
	}
	return err
}

// isCommon reports whether errors may show the name of a value.
func isCommon(name string) bool {
	return slices.Contains([]string{
		"username", "user", "login", "email", "name", "password", "passwd", "pass", "pwd", "secret", "key", "api_key", "apikey", "token",
		"client_id", "client_secret", "account", "domain", "tenant", "Authorization", "X-Api-Key", "Accept", "Origin", "Referer",
	}, name)
}

// copied returns a copy whose maps may be written to.
func (opts *Options) copied() (*Options, error) {
	raw, err := json.Marshal(opts)
	if err != nil {
		return nil, err
	}
	c := new(Options)
	return c, json.Unmarshal(raw, c)
}

// request resolves the placeholders and returns the login. It is called for each, since a
// password in a file may have been changed.
func (l *Login) request() (*provider.Login, error) {
	to, err := l.texts.copied()
	if err != nil {
		return nil, err
	}
	in := &provider.Login{
		Method: l.RequestMethod, Header: make(http.Header), Token: l.token, Also: l.also, Expires: l.expire.at,
		Timeout: time.Duration(l.Timeout), Takes: l.takes,
	}
	if in.Method == "" {
		in.Method = http.MethodPost
	}
	err = to.each(func(option, _, text string) (string, error) {
		resolve := value.Resolve // a body may have any text
		switch {
		case option == label+": url":
			written, err := value.Parse(option, text)
			if err != nil {
				return "", err
			}
			for _, val := range written.Secrets() {
				if !strings.Contains(val, "://") { // the beginning of the URL
					in.Secrets = append(in.Secrets, val)
				}
			}
			return wire.ResolveURL(option, text, nil)
		case strings.HasPrefix(option, label+": header"):
			resolve = value.ResolveLine
		}
		val, err := resolve(option, text)
		if err == nil {
			err = value.CheckSecret(option, val)
			in.Secrets = append(in.Secrets, val)
		}
		return val, err
	})
	if err != nil {
		return nil, err
	}
	if in.URL = to.URL; to.URL == "" {
		return nil, errNoURL
	}
	u, err := l.checkURL(in.URL)
	if err != nil {
		return nil, err
	}
	for name, values := range u.Query() {
		if isSecret(name) {
			in.Secrets = append(in.Secrets, values...)
		}
	}
	in.Header.Set("Accept", "application/json, */*;q=0.5")
	if err := to.body(in); err != nil {
		return nil, err
	}
	for name, val := range to.Headers {
		in.Header.Set(name, val)
	}
	return in, l.authorize(to, in)
}

// body gives the request its body.
func (opts *Options) body(in *provider.Login) (err error) {
	switch {
	case opts.JSON != nil:
		in.Header.Set("Content-Type", "application/json")
		if in.Body, err = json.Marshal(opts.JSON); err != nil {
			return fmt.Errorf("%s: json: %w", label, err)
		}
	case opts.Form != nil:
		in.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		form := make(url.Values, len(opts.Form))
		for name, val := range opts.Form {
			form.Set(name, val)
		}
		in.Body = []byte(form.Encode())
	}
	return nil
}

// authorize adds what the login itself is authenticated with.
func (l *Login) authorize(to *Options, in *provider.Login) error {
	if to.Basic != nil {
		if strings.Contains(to.Basic.Username, ":") {
			return errors.New(label + ": basic: a user name cannot have a colon in it (RFC 7617 §2)")
		}
		pair := base64.StdEncoding.EncodeToString([]byte(to.Basic.Username + ":" + to.Basic.Password))
		in.Header.Set("Authorization", "Basic "+pair)
		in.Secrets = append(in.Secrets, pair)
	}
	if l.signer == nil {
		return nil
	}
	if _, err := l.signer.Renew(); err != nil {
		return fmt.Errorf("%s: jwt: %w", label, err)
	}
	token, err := l.signer.Sign(nil)
	if err != nil {
		return fmt.Errorf("%s: jwt: %w", label, err)
	}
	in.Header.Set("Authorization", "Bearer "+token[0])
	in.Secrets = append(in.Secrets, token[0])
	return nil
}

// checkURL checks the resolved URL, and returns it.
func (l *Login) checkURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New(label + ": url: it is no URL; it looks like https://nas.example.com/api/login")
	case u.User != nil:
		return nil, errors.New(label + ": url: a user name or password cannot stand in it; see basic, json and form")
	case u.Fragment != "":
		return nil, errors.New(label + ": url: a fragment (#…) is never sent to a server; remove it")
	case u.Scheme == "http" && !isLoopback(u.Hostname()) && !l.InsecureHTTP:
		return nil, errors.New(label + ": url: http sends the password in clear; write https, or insecure_http if you must")
	}
	return u, nil
}

// isLoopback reports whether a host is this machine.
func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// identity returns a digest of what a session is for: a stored one of another identity is not
// used. A password is a part of it, since with it the account may have changed; the digest lies
// in the sealed record only.
func (l *Login) identity(in *provider.Login) string {
	parts := []string{grant, in.Method, in.URL, l.Token, string(in.Body)}
	for _, name := range slices.Sorted(maps.Keys(in.Header)) {
		if name == "Authorization" && l.signer != nil {
			parts = append(parts, l.signer.Digest()) // each token differs
			continue
		}
		parts = append(parts, name, in.Header.Get(name))
	}
	for _, name := range slices.Sorted(maps.Keys(l.Also)) {
		parts = append(parts, name, l.Also[name])
	}
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// term says how long a token is used.
func (opts *Options) term() record.Term { return record.Term{Configured: opts.expire.fixed} }

// fetch signs in. before is the token that the new one replaces, or nil.
func (l *Login) fetch(ctx context.Context, known func() []string, before *record.Token) (*record.Token, error) {
	in, err := l.request()
	if err != nil {
		return nil, &provider.Error{Login: true, Err: err}
	}
	in.Secrets = append(in.Secrets, known()...)
	began := time.Now()
	got, err := l.client.Login(ctx, in)
	if l.environment.Observer != nil {
		l.environment.Observer.Requested(time.Since(began), err)
	}
	if err != nil {
		return nil, err
	}
	token := record.New(record.Issued{
		Access: got.Token, Also: got.Also, Lifetime: got.Lifetime, Expired: got.Expired, Received: got.Received,
	}, l.term(), before)
	// With a new password in a file the nodes of a cluster go on sharing a session.
	token.Identity = l.set.Identity
	return token, nil
}

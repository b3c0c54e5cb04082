// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"golang.org/x/oauth2"

	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// preset is what a provider wants, for the option provider. TENANT in a URL stands for the word
// behind the name.
type preset struct {
	name          string
	endpoint      oauth2.Endpoint
	refreshURL    string
	revocationURL string
	tenant        string // what the word behind the name looks like; "" if there is none
	usually       string // that word, if it is left out; "" if it must be there
	clientAuth    string
	separator     string // between scopes; "" for a blank
	json          bool   // token requests are JSON
	pkce          string
	consent       map[string]string // parameters of authorization requests
	sources       []string          // each an address and a date
}

// Preset is what people may know of a preset.
type Preset struct {
	Name             string            `json:"name"`
	Tenant           string            `json:"tenant,omitempty"` // what stands behind the name
	AuthorizationURL string            `json:"authorization_url,omitempty"`
	TokenURL         string            `json:"token_url"`
	RefreshURL       string            `json:"refresh_url,omitempty"`
	RevocationURL    string            `json:"revocation_url,omitempty"`
	ClientAuth       string            `json:"client_auth,omitempty"`
	TokenRequest     string            `json:"token_request,omitempty"`
	ScopeSeparator   string            `json:"scope_separator,omitempty"`
	PKCE             string            `json:"pkce,omitempty"`
	Consent          map[string]string `json:"authorization_param,omitempty"`
	Sources          []string          `json:"sources"`
}

// Presets returns all presets, by name.
func Presets() []Preset {
	list := make([]Preset, len(presets))
	for i, p := range presets {
		tenant := p.tenant
		if p.usually != "" {
			tenant = p.usually
		}
		list[i] = Preset{
			p.name, p.tenant, p.at(p.endpoint.AuthURL, tenant), p.at(p.endpoint.TokenURL, tenant), p.refreshURL, p.at(p.revocationURL, tenant),
			p.clientAuth, p.tokenRequest(), p.separator, p.pkce, maps.Clone(p.consent), p.sources,
		}
	}
	return list
}

func (p *preset) at(url, tenant string) string { return strings.ReplaceAll(url, "TENANT", tenant) }

func (p *preset) tokenRequest() string {
	if p.json {
		return tokenRequestJSON
	}
	return ""
}

// unmarshalProvider reads the option provider.
func unmarshalProvider(opts *Options, d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 || args[0] == "" || len(args) == 2 && args[1] == "" {
		return d.Errf("auth oauth2: provider: takes a name, and for some providers a tenant behind it; `caddy authenticated-api providers` lists them")
	}
	opts.Provider = args[0]
	if len(args) == 2 {
		opts.ProviderTenant = args[1]
	}
	return nil
}

// presetOf returns the preset of the option provider, or nil if the option is not given.
func presetOf(opts *Options) (*preset, error) {
	if opts.Provider == "" {
		if opts.ProviderTenant != "" {
			return nil, errors.New("auth oauth2: provider_tenant: provider is missing")
		}
		return nil, nil //nolint:nilnil // there is none
	}
	var names []string
	for i := range presets {
		if p := &presets[i]; p.name == opts.Provider {
			return p, p.checkTenant(opts.ProviderTenant)
		}
		names = append(names, presets[i].name)
	}
	hint := "`caddy authenticated-api providers` lists those that are; of others write authorization_url and token_url"
	if meant := value.Nearest(opts.Provider, names...); meant != "" {
		hint = option.Suggest(opts.Provider, names...)
	}
	return nil, fmt.Errorf("auth oauth2: provider: %s is not known; %s", value.Mention(opts.Provider, names...), hint)
}

// checkTenant checks the word behind the name.
func (p *preset) checkTenant(tenant string) error {
	switch {
	case p.tenant == "" && tenant != "":
		return fmt.Errorf("auth oauth2: provider %s: nothing stands behind the name; remove it", p.name)
	case p.tenant == "" || tenant == "" && p.usually != "":
		return nil
	case tenant == "":
		return fmt.Errorf("auth oauth2: provider %s: write %s behind the name", p.name, p.tenant)
	case strings.ContainsAny(placeholder.ReplaceAllString(tenant, ""), "/?#@:\\ <>"):
		return fmt.Errorf("auth oauth2: provider %s: %s is not of the form of %s", p.name, value.Shape(tenant), p.tenant)
	}
	return value.CheckVariable("auth oauth2: provider "+p.name, tenant)
}

// applyPreset fills in what is not written out and what the grant has.
func applyPreset(opts *Options) error {
	p, err := presetOf(opts)
	if p == nil || err != nil {
		return err
	}
	tenant := cmp.Or(opts.ProviderTenant, p.usually)
	set := func(name, text string) {
		if o := optionNamed(name); text != "" && o.belongsTo(opts.Grant) && *o.text(opts) == "" {
			*o.text(opts) = text
		}
	}
	set("token_url", p.at(p.endpoint.TokenURL, tenant))
	set("token_request", p.tokenRequest())
	if opts.ClientAuth == "" && opts.ClientAuthOptions == nil && !nameless(opts) {
		opts.ClientAuth = p.clientAuth
	}
	opts.separator = p.separator
	if !opts.Interactive() {
		return nil
	}
	set("refresh_url", p.refreshURL)
	set("revocation_url", p.at(p.revocationURL, tenant))
	if opts.RefreshToken != "" && opts.RedirectURL == "" {
		return nil // nobody connects an account in a browser
	}
	set("authorization_url", p.at(p.endpoint.AuthURL, tenant))
	set("pkce", p.pkce)
	if params := maps.Clone(p.consent); params != nil {
		maps.Copy(params, opts.AuthorizationParams)
		opts.AuthorizationParams = params
	}
	return nil
}

// checkParsed checks options that were read from a Caddyfile. A preset is not put into the
// configuration, so that the next version of this module may know better.
func checkParsed(opts *Options) error {
	if opts.Provider == "" {
		return opts.Validate()
	}
	text, err := json.Marshal(opts) //nolint:gosec // G117: it is read again at once
	if err != nil {
		return fmt.Errorf("auth oauth2: encoding the options: %w", err)
	}
	whole := &Options{second: opts.second}
	if err := json.Unmarshal(text, whole); err != nil {
		return fmt.Errorf("auth oauth2: decoding the options: %w", err)
	}
	return whole.Validate()
}

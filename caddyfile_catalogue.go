// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

const catalogueName = "authenticated_apis"

func init() {
	httpcaddyfile.RegisterDirective(catalogueName, parseCatalogue)
	httpcaddyfile.RegisterDirectiveOrder(catalogueName, httpcaddyfile.Before, "reverse_proxy")
}

// parseCatalogue sets up a catalogue from Caddyfile tokens. Syntax:
//
//	authenticated_apis [<matcher>] {
//	    name   <placeholder>
//	    <name> <base_url> {
//	        # the block of authenticated_api
//	    }
//	}
//
// Caddy itself replaces an import by what it imports, before this is called.
func parseCatalogue(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	matcher, d, err := beginDirective(h)
	if err != nil {
		return nil, err
	}
	if d.NextArg() {
		return nil, d.Errf("%s: takes no argument but a matcher; each API stands in the block: <name> <base_url> { … }", catalogueName)
	}
	c := &Catalogue{APIs: make(map[string]*API)}
	for d.NextBlock(0) {
		if err := c.parseEntry(h, d); err != nil {
			return nil, err
		}
	}
	if len(c.APIs) == 0 {
		return nil, d.WrapErr(errNoAPIs)
	}
	c.AdminAddress = adminAddress(h)
	// JSONModuleObject would decode all of it, and encode it again.
	return route(matcher, caddyconfig.JSON(struct {
		Handler string `json:"handler"`
		*Catalogue
	}{catalogueName, c}, nil)), nil
}

// parseEntry reads one line of the block, with the block behind it. The dispenser stands on its
// first word.
func (c *Catalogue) parseEntry(h httpcaddyfile.Helper, d *caddyfile.Dispenser) error {
	name := d.Token()
	args := d.RemainingArgsAsTokens()
	if name.Text == "name" && (len(args) != 1 || !isURL(args[0].Text)) {
		return c.parseChoice(d, name, args)
	}
	if err := checkEntryName(name.Text); err != nil {
		return d.WrapErr(err)
	}
	if c.APIs[name.Text] != nil {
		return d.Errf("%s: given twice; give one of the two APIs another name", name.Text)
	}
	if len(args) != 1 || args[0].Text == "" {
		if subdirectives[name.Text] != nil {
			return d.Errf("%s: it is an option of one API; put it into the block behind that API's base URL: <name> <base_url> { %s … }", name.Text, name.Text)
		}
		return option.WithEmpty([]caddyfile.Token{name},
			d.Errf("%s: takes one base URL, and a block: %s https://api.example.com { … }", name.Text, name.Text))
	}
	opts := &directive{given: make(map[string]bool), entry: name.Text}
	proxy, err := opts.parseAPI(h, d, name, args[0])
	if err != nil {
		return fmt.Errorf("%s: %w", name.Text, err)
	}
	api := &API{Handler: opts.handler}
	api.Name, api.AdminAddress = "", "" // the catalogue has both
	if proxy != nil {
		api.ProxyRaw = caddyconfig.JSONModuleObject(proxy, "handler", "reverse_proxy", nil)
	} else if isDefault(api.Transport) {
		api.Transport = nil
	}
	c.APIs[name.Text] = api
	return nil
}

// parseAPI reads the block of an entry. It returns the proxy that sends the requests, or nil if
// the handler does.
func (opts *directive) parseAPI(h httpcaddyfile.Helper, d *caddyfile.Dispenser, name, baseURL caddyfile.Token) (*reverseproxy.Handler, error) {
	opts.handler.Name = opts.entry
	tokens, err := splitBlock(d, []caddyfile.Token{name, baseURL}, opts.take)
	if err != nil {
		return nil, err
	}
	return opts.withBaseURL(h, d, tokens)
}

// isDefault reports whether a transport says nothing.
func isDefault(t *Transport) bool {
	return reflect.DeepEqual(t, &Transport{HTTPTransport: new(reverseproxy.HTTPTransport)})
}

// isURL reports whether the argument of the word `name` says that it is the name of an API.
func isURL(text string) bool { return strings.Contains(text, "://") }

// parseChoice reads `name <placeholder>`.
func (c *Catalogue) parseChoice(d *caddyfile.Dispenser, name caddyfile.Token, args []caddyfile.Token) error {
	if c.Name != "" {
		return d.Errf("name: given twice; one placeholder says which API a request is for")
	}
	if len(args) != 1 || args[0].Text == "" || d.NextBlock(d.Nesting()) {
		return option.WithEmpty([]caddyfile.Token{name}, d.Errf("name: takes one placeholder, which says which API a request is for"))
	}
	c.Name = args[0].Text
	return wrap(d, checkChoice(c.Name))
}

// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

const directiveName = "authenticated_api"

func init() {
	httpcaddyfile.RegisterDirective(directiveName, parseDirective)
	httpcaddyfile.RegisterDirectiveOrder(directiveName, httpcaddyfile.Before, "reverse_proxy")
	httpcaddyfile.RegisterGlobalOption(directiveName, parseGlobalOption)
}

// directive is the content of the block of an authenticated_api directive.
type directive struct {
	handler    Handler
	transport  transportOptions
	methods    []auth.Method // of auth
	given      map[string]bool
	firstOther string // the first subdirective that is reverse_proxy's, or unknown
	entry      string // the name of the API in a catalogue; "": it is in none

	// caddysProxy says that the block asks for Caddy's proxy, or for something that it alone does.
	caddysProxy bool
}

// parseDirective sets up the handler, and the proxy behind it, from Caddyfile tokens. Syntax:
//
//	authenticated_api [<matcher>] [<base_url>] {
//	    name                 <name>
//
//	    header               [+|-|?]<field> [<value>]
//	    query                [+|-|?]<key> [<value>]
//	    auth                 <method> <args...> { ... }
//	    signature            <secret> { ... }
//	    self_signed_cert     <pem>
//
//	    allow_origin         <origin...>
//	    pass_request_header  <field...>
//	    pass_response_header <field...>
//	    mcp
//	    map_links            off
//	    sandbox              off
//	    max_header_fields    <number>|off
//	    max_query_params     <number>|off
//	    replay               <size>|off
//	    refresh_on           <status>[:<location>]...
//	    errors               caddy
//	    proxy                reverse_proxy
//
//	    # any other subdirective is reverse_proxy's own
//	}
//
// It makes a route of our handler alone. With a base URL and anything for reverse_proxy in the
// block, besides `transport http`, a reverse_proxy with our transport follows.
func parseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	matcher, d, err := beginDirective(h)
	if err != nil {
		return nil, err
	}
	name := d.Token()
	args := d.RemainingArgsAsTokens()
	if len(args) > 1 {
		return nil, d.Errf("one base URL at most is possible; further upstreams go into the subdirective to")
	}
	opts := &directive{given: make(map[string]bool)}
	tokens, err := splitBlock(d, append([]caddyfile.Token{name}, args...), opts.take)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(opts.methods, dials) {
		opts.handler.AdminAddress = adminAddress(h) // for the token endpoint
	}
	if len(args) == 0 {
		if empty := option.Empty([]caddyfile.Token{name}); len(empty) > 0 {
			return nil, d.Errf("base URL: %s is empty: not set, or empty, for the process that reads the Caddyfile", strings.Join(empty, ", "))
		}
		return opts.handlerAlone(h, d, matcher)
	}
	proxy, err := opts.withBaseURL(h, d, tokens)
	if err != nil {
		return nil, err
	}
	handler := caddyconfig.JSONModuleObject(&opts.handler, "handler", directiveName, nil)
	if proxy == nil {
		return route(matcher, handler), nil
	}
	return route(matcher, handler, caddyconfig.JSONModuleObject(proxy, "handler", "reverse_proxy", nil)), nil
}

// beginDirective returns the matcher of a directive, and a dispenser of all else that stands on
// its line and in its block, at the directive's name.
func beginDirective(h httpcaddyfile.Helper) (caddy.ModuleMap, *caddyfile.Dispenser, error) {
	if !h.Next() {
		return nil, nil, h.ArgErr()
	}
	matcher, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, nil, err
	}
	h.Next() // ExtractMatcherSet has gone back to before the directive's name
	return matcher, h.Dispenser, nil
}

// withBaseURL completes the handler of a block with a base URL, and returns the proxy that must
// follow, or nil if the handler has a transport of its own. tokens are the directive, or the name
// of an entry in a catalogue, the base URL, and the block of what is not ours.
func (opts *directive) withBaseURL(h httpcaddyfile.Helper, d *caddyfile.Dispenser, tokens []caddyfile.Token) (*reverseproxy.Handler, error) {
	opts.handler.BaseURL = tokens[1].Text
	base, err := opts.handler.check()
	if err != nil {
		return nil, option.WithEmpty(tokens[1:2], d.WrapErr(err))
	}
	tokens[1].Text = base.Origin() // reverse_proxy reads the upstream, without a path
	proxy, transport, err := opts.reverseProxy(h, tokens, base)
	if err != nil {
		return nil, err
	}
	if !opts.caddysProxy {
		opts.serve(transport)
		return nil, nil //nolint:nilnil // no proxy follows
	}
	transport.Datasource = cmp.Or(opts.handler.Name, base.Name())
	proxy.TransportRaw = caddyconfig.JSONModuleObject(transport, "protocol", directiveName, nil)
	return proxy, nil
}

// splitBlock goes through the subdirectives of a block, each with its arguments and its own
// block. It calls take with a dispenser that stands on the subdirective's name. take returns
// false for a subdirective that another parser must read. splitBlock returns head, followed by a
// block of those subdirectives if there are any.
//
// It goes by segments, never by words: `lb_policy header X-Node` is no header of ours.
func splitBlock(
	d *caddyfile.Dispenser, head []caddyfile.Token,
	take func(word string, d *caddyfile.Dispenser, segment caddyfile.Segment) (bool, error),
) ([]caddyfile.Token, error) {
	var opening caddyfile.Token
	var others []caddyfile.Token
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if opening.Text == "" {
			d.Prev()
			opening = d.Token()
			d.Next()
		}
		word := d.Val()
		segment := d.NextSegment()
		dispenser := caddyfile.NewDispenser(segment)
		dispenser.Next()
		taken, err := take(word, dispenser, segment)
		if err != nil {
			return nil, err
		}
		if !taken {
			others = append(others, segment...)
		}
	}
	if len(others) == 0 {
		return head, nil
	}
	return slices.Concat(head, []caddyfile.Token{opening}, others, []caddyfile.Token{d.Token()}), nil
}

// take reads a subdirective of the directive's block, if it is ours.
func (opts *directive) take(word string, d *caddyfile.Dispenser, segment caddyfile.Segment) (bool, error) {
	parse, ours := subdirectives[word]
	if word == "name" && opts.entry != "" {
		return false, d.Errf("name: the datasource is called %s already, as its entry is; remove it", opts.entry)
	}
	if (ours && word != "header" && word != "query" && word != "auth" || word == "transport") && opts.given[word] {
		return false, d.Errf("%s: given twice; a datasource has one", word)
	}
	opts.given[word] = true
	if word == "transport" && (!d.NextArg() || d.Val() != "http") {
		return false, d.Errf("transport: no other transport can carry the credential; only " +
			"`transport http { … }` is possible here, and configures the transport of this module")
	}
	if !ours && !slices.Contains(proxySubdirectives, word) {
		if where := option.Elsewhere(word); where != "" {
			return false, d.Errf("%s", where)
		}
	}
	if !ours {
		if opts.firstOther == "" {
			opts.firstOther = word
		}
		opts.caddysProxy = opts.caddysProxy || word != "transport"
		return false, nil
	}
	for _, token := range segment[1:] {
		if strings.Contains(token.Text, "{{") {
			return false, d.WrapErr(value.Check(word, "{{"))
		}
	}
	if err := parse(opts, d); err != nil {
		return false, option.WithEmpty(segment, err)
	}
	// The check is here, since the dispenser knows the line.
	_, err := opts.handler.check()
	return true, option.WithEmpty(segment, wrap(d, err))
}

// handlerAlone makes the route of a directive without a base URL.
func (opts *directive) handlerAlone(h httpcaddyfile.Helper, d *caddyfile.Dispenser, matcher caddy.ModuleMap) ([]httpcaddyfile.ConfigValue, error) {
	if opts.firstOther != "" {
		remedy := "without a base URL the proxy is one of your own, and its subdirectives go there"
		if meant := value.Nearest(opts.firstOther, slices.Sorted(maps.Keys(subdirectives))...); meant != "" {
			remedy = "did you mean " + meant + "?"
		}
		return nil, d.Errf("unrecognized subdirective %s; %s", value.Mention(opts.firstOther, knownWords()...), remedy)
	}
	if opts.caddysProxy {
		return nil, d.Errf("proxy: without a base URL the proxy is one of your own; remove it")
	}
	if word := opts.transport.given(); word != "" {
		return nil, d.Errf("%s: without a base URL it belongs into the block of your own proxy's transport: "+
			"reverse_proxy … { transport authenticated_api { %s … } }", word, word)
	}
	if _, err := opts.handler.check(); err != nil {
		return nil, d.WrapErr(err)
	}
	opts.handler.AdminAddress = adminAddress(h)
	return route(matcher, caddyconfig.JSONModuleObject(&opts.handler, "handler", directiveName, nil)), nil
}

// adminAddress returns the address in the global option admin, or "".
func adminAddress(h httpcaddyfile.Helper) string {
	admin, ok := h.Option("admin").(*caddy.AdminConfig)
	if !ok || admin == nil || admin.Listen == caddy.DefaultAdminListen {
		return ""
	}
	return admin.Listen
}

func route(matcher caddy.ModuleMap, handlers ...json.RawMessage) []httpcaddyfile.ConfigValue {
	r := caddyhttp.Route{HandlersRaw: handlers}
	if matcher != nil {
		r.MatcherSetsRaw = []caddy.ModuleMap{matcher}
	}
	return []httpcaddyfile.ConfigValue{{Class: "route", Value: r}}
}

// serve gives the handler a transport of its own. What follows from the base URL is left out.
func (opts *directive) serve(t *Transport) {
	opts.handler.AdminAddress, t.AdminAddress = t.AdminAddress, ""
	if t.TLS != nil && reflect.DeepEqual(*t.TLS, reverseproxy.TLSConfig{}) {
		t.TLS = nil
	}
	opts.handler.Transport = t
}

// reverseProxy has Caddy's own parser read the proxy's part of the block, if there is one, and
// makes our transport of its transport http.
func (opts *directive) reverseProxy(
	h httpcaddyfile.Helper, tokens []caddyfile.Token, base *wire.BaseURL,
) (*reverseproxy.Handler, *Transport, error) {
	d := caddyfile.NewDispenser(tokens)
	d.Next()
	t := &Transport{HTTPTransport: new(reverseproxy.HTTPTransport)}
	var proxy *reverseproxy.Handler
	if opts.caddysProxy || opts.firstOther != "" || base.PortOfOther() { // else it has nothing to read or to refuse
		var err error
		if proxy, err = caddysPart(h, tokens, t); err != nil {
			return nil, nil, err
		}
	}
	if opts.transport.selfSignedCert != "" && !base.TLS() {
		return nil, nil, d.Errf("%s: the base URL is http, so there is no certificate to trust; write https, or remove it", certOption)
	}
	opts.transport.apply(t)
	t.AdminAddress = adminAddress(h)
	return proxy, t, wrap(d, t.check())
}

// caddysPart has Caddy's parser read a proxy, and decodes its transport http into t.
func caddysPart(h httpcaddyfile.Helper, tokens []caddyfile.Token, t *Transport) (*reverseproxy.Handler, error) {
	d := caddyfile.NewDispenser(tokens)
	proxy := new(reverseproxy.Handler)
	if err := proxy.UnmarshalCaddyfile(d); err != nil {
		return nil, withSuggestion(withoutValues(d, tokens, err), err)
	}
	if err := proxy.FinalizeUnmarshalCaddyfile(h); err != nil {
		return nil, withoutValues(d, tokens, err)
	}
	if proxy.TransportRaw == nil {
		return proxy, nil
	}
	var named map[string]json.RawMessage
	if err := json.Unmarshal(proxy.TransportRaw, &named); err != nil {
		return nil, fmt.Errorf("decoding the proxy's transport: %w", err)
	}
	delete(named, "protocol")
	if err := json.Unmarshal(caddyconfig.JSON(named, nil), t); err != nil {
		return nil, fmt.Errorf("decoding the proxy's transport: %w", err)
	}
	return proxy, nil
}

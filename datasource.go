// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/auth"
	"github.com/authenticated-api/caddy-authenticated-api/internal/clean"
	"github.com/authenticated-api/caddy-authenticated-api/internal/crossorigin"
	"github.com/authenticated-api/caddy-authenticated-api/internal/edit"
	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/authenticated-api/caddy-authenticated-api/oauth"
	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
)

// Datasource is one API: where it is, what every request to it carries, and how it is
// authenticated.
type Datasource struct {
	// What the datasource is called in logs and answers. Lower-case letters, digits and `-`, 63 at
	// most. Default: the host of the base URL, other characters as `-`, and its port if it is not
	// the scheme's own.
	Name string `json:"name,omitempty"`

	// The base URL of the API, `http(s)://host[:port][/path][?query]`. A request's path and query
	// are joined to it; one for the route itself asks for it as it is written, with or without a
	// slash at the end. No placeholders. Empty: the request is left to a proxy behind this
	// handler.
	BaseURL string `json:"base_url,omitempty"`

	// Header fields of the requests to the API.
	Headers *edit.Edits `json:"headers,omitempty"`

	// Query parameters of the requests to the API.
	Query *edit.Edits `json:"query,omitempty"`

	// How requests are authenticated. Default: `none`.
	AuthRaw json.RawMessage `json:"auth,omitempty" caddy:"namespace=http.authenticated_api.auth inline_key=method"`

	// More methods, whose credentials requests carry besides, each in a place of its own: a key and
	// a token, say. Default: none.
	MoreAuthRaw []json.RawMessage `json:"more_auth,omitempty" caddy:"namespace=http.authenticated_api.auth inline_key=method"`

	// How requests are signed. Default: not at all.
	SignatureRaw json.RawMessage `json:"signature,omitempty" caddy:"namespace=http.authenticated_api.signers inline_key=signer"`

	// Header fields of the client that the API may see although they are removed by default:
	// `Authorization`, `Proxy-Authorization`, `Cookie`, `Forwarded`, `X-Forwarded-*`, `Via`,
	// `Origin`, `Referer`, `Sec-Fetch-*`, `X-Original-URL`, `X-Rewrite-URL`, `X-HTTP-Method*`
	// (such as `X-HTTP-Method-Override`), `X-Method-Override`. A field that names a place, such as
	// `Destination`, passes as it is.
	PassRequestHeader []string `json:"pass_request_header,omitempty"`

	// Header fields of the API's response that the caller may see although they are removed by
	// default, since they would act on the gateway's own origin: `Set-Cookie`, `WWW-Authenticate`
	// (its challenges Basic, Digest, Negotiate and NTLM), `Clear-Site-Data`,
	// `Strict-Transport-Security`, `Alt-Svc`, `Service-Worker-Allowed`, `Reporting-Endpoints`,
	// `Report-To`, `NEL`, `Accept-CH`, `Expect-CT`, `Origin-Agent-Cluster`, `Public-Key-Pins`,
	// `Public-Key-Pins-Report-Only`, `Sec-Session-*` and `Secure-Session-*` (`Challenge` and
	// `Registration`), `Set-Cookie2`, `Set-Login`, `Shared-Storage-Write`, `Use-As-Dictionary`,
	// `X-Permitted-Cross-Domain-Policies`; or on a server in front of it: `X-Accel-*` but for
	// `X-Accel-Buffering`, `X-Sendfile*`, `X-Lighttpd-*`, `X-Litespeed-*`, `X-Reproxy-*`,
	// `Fly-Replay*`. A value that shows the credential is dropped all the same.
	PassResponseHeader []string `json:"pass_response_header,omitempty"`

	// Origins whose pages may use this route from a browser, such as `https://app.example.com`. To
	// them the gateway answers CORS itself. Pages of all other origins are refused unsafe
	// requests, WebSockets and preflights. Default: none.
	AllowOrigin []string `json:"allow_origin,omitempty"`

	// Whether the API is a server of the Model Context Protocol. Then no client is led into an
	// OAuth of its own: challenges of the API and the status 401 do not pass, and a request that
	// cannot be served is answered as JSON-RPC, with the link where an account can be connected.
	// Default: `false`.
	MCP bool `json:"mcp,omitempty"`

	// How many header fields a client may send, of those that the API gets; the cookies of a
	// Cookie that is passed and announced trailers count too. More get 431: some servers stop
	// reading at a number of fields, and miss what the gateway sets. `0`: any number. Default:
	// `256`.
	MaxHeaderFields *int `json:"max_header_fields,omitempty"`

	// How many query parameters a client may send. More get 400, for the same reason. `0`: any
	// number. Default: `900`.
	MaxQueryParams *int `json:"max_query_params,omitempty"`

	// Whether URLs below the base URL in header fields that lead a client on (`Location`,
	// `Content-Location`, `Link`, `Refresh`, `Operation-Location` and others), and the paths of
	// cookies, are mapped to the route as callers see it: with their scheme and host, or what a
	// trusted proxy says in `X-Forwarded-*`, and what was stripped from the path of the original
	// request. Default: `true`.
	MapLinks *bool `json:"map_links,omitempty"`

	// Whether documents of the API, such as HTML and SVG, get a `Content-Security-Policy: sandbox`
	// where a console has the same origin: in a browser they could use the console in the name of
	// whoever looks at them. Default: `true`.
	Sandbox *bool `json:"sandbox,omitempty"`

	ground *ground // of the catalogue that the datasource is in; nil: it is in none
}

// isName reports whether a text can be the name of a datasource. Thousands of entries of a
// catalogue are asked, so it is no regular expression.
func isName(text string) bool {
	for i := range len(text) {
		c := text[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c != '-' || i == 0) {
			return false
		}
	}
	return text != "" && len(text) <= 63
}

// check reports what is wrong with the configuration and can be known without resolving
// placeholders. It returns the base URL, nil if there is none.
func (d *Datasource) check() (base *wire.BaseURL, err error) {
	if d.Name != "" && !isName(d.Name) {
		return nil, fmt.Errorf("name: %s does not fit; lower-case letters, digits and - do, 63 at most, a letter or digit first", value.Shape(d.Name))
	}
	if d.BaseURL != "" {
		if base, err = wire.ParseBaseURL(d.BaseURL); err != nil {
			return nil, err
		}
	}
	if err := d.Headers.CheckHeaders(); err != nil {
		return nil, err
	}
	if err := d.Query.CheckQuery(); err != nil {
		return nil, err
	}
	for _, name := range d.PassRequestHeader {
		if err := clean.CheckWithheld(name); err != nil {
			return nil, err
		}
	}
	for _, name := range d.PassResponseHeader {
		if err := clean.CheckWithheldResponse(name); err != nil {
			return nil, err
		}
	}
	if d.MCP && slices.ContainsFunc(d.PassResponseHeader, func(name string) bool { return strings.EqualFold(name, "WWW-Authenticate") }) {
		return nil, errors.New("pass_response_header: WWW-Authenticate would lead MCP clients into an OAuth of their own; remove it, or mcp")
	}
	for _, origin := range d.AllowOrigin {
		if err := crossorigin.CheckOrigin(origin); err != nil {
			return nil, err
		}
	}
	return base, d.checkLimits()
}

// datasource is a Datasource that has been provisioned. It is shared by all requests.
type datasource struct {
	name    string
	config  string        // what was configured, as text
	base    *wire.BaseURL // nil: the proxy behind the handler knows where the API is
	method  auth.Method   // all that methods are
	methods []auth.Method
	users   auth.PerRequest // the method, if each user has a connection of their own; else nil
	signing *signing        // nil: requests are not signed
	cleaner *clean.Requests

	values  atomic.Pointer[values]
	load    func() (*values, error) // reads the values again; nil: none of them comes from a file
	renewer signature.Renewer       // the signer, if what it signs with can come from a file
	files   []string                // of header, query and signature
	reading sync.Mutex              // held while the files are read again

	response    *clean.Responses
	keyInPath   bool // the credential is a part of the path
	crossOrigin *crossorigin.Rule
	mapLinks    bool
	mcp         bool
	consents    atomic.Int32 // requests that wait for an account to be connected, see awaitConsent
	site        site
	limits      limits

	// What is logged now and then: that a proxy in front is not trusted, and that redirects of the
	// API lead back.
	untrusted, turned hourly

	// logger is the handler's.
	logger *zap.Logger

	// served says that a transport of ours is there for the datasource's requests, though it has
	// no base URL.
	served atomic.Bool

	refusals refusalTrace
	meter    *meter

	// account is what callers and the operator are told of the account that the credential is of.
	account account
}

// provision resolves and loads what was configured.
func (d *Datasource) provision(ctx caddy.Context) (*datasource, error) {
	base, err := d.check()
	if err != nil {
		return nil, err
	}
	// LoadModule clears the raw fields, so the configuration is kept as text before.
	config, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encoding the datasource: %w", err)
	}
	ds := &datasource{name: d.Name, base: base, limits: d.limits()}
	if ds.name == "" && base != nil {
		ds.name = base.Name()
	}
	if err := ds.loadGuests(ctx, d); err != nil {
		return nil, err
	}
	if err := ds.loadValues(ctx, d); err != nil {
		return nil, err
	}
	if err := ds.loadCleaners(d); err != nil {
		return nil, err
	}
	ds.mapLinks, ds.mcp = d.MapLinks == nil || *d.MapLinks, d.MCP
	ds.site.sandbox = d.Sandbox == nil || *d.Sandbox
	if ds.crossOrigin, err = crossorigin.New(d.AllowOrigin); err != nil {
		return nil, err
	}

	app, err := appOf(ctx)
	if err != nil {
		return nil, err
	}
	if ds.site.ground = d.ground; ds.site.ground == nil {
		ds.site.ground = &ground{app: app}
	}
	ds.meter = app.metering.of(ds.name, ds.site.many)
	if err := app.registry.add(ds, string(config), d.Name != ""); err != nil {
		return nil, err
	}
	app.literals.warnOf(loggerOf(app, ctx.Module()), ds, d)
	watchFiles(app.watcher, ds)
	return ds, app.attach(ds)
}

// loadCleaners makes what removes the gateway's own from requests and answers.
func (ds *datasource) loadCleaners(d *Datasource) error {
	carried := clean.Carried{Secrets: ds.values.Load().secrets, Challenges: d.MCP}
	for _, place := range auth.PlacementsOf(ds.method) {
		switch {
		case place.Header != "":
			carried.Fields = append(carried.Fields, place.Header)
		case place.Query != "":
			carried.Params = append(carried.Params, place.Query)
		case place.Cookie != "":
			carried.Cookies = append(carried.Cookies, place.Cookie)
		case place.Path != "":
			carried.InPath, ds.keyInPath = true, true
		}
	}
	if m, ok := connectedOf(ds).(*oauth.Method); ok && oauth.MayProve(m) {
		carried.Fields = append(carried.Fields, auth.ProofField)
	}
	if ds.keyInPath && ds.base == nil {
		return errors.New("auth: in path: a key in the path takes a base URL, since it stands right behind that; give one")
	}
	if err := ds.signing.check(carried, d); err != nil {
		return err
	}
	carried.Fields = append(carried.Fields, ds.signing.fields()...)
	fields, params := slices.Concat(carried.Fields, d.Headers.Names()), slices.Concat(d.Query.Names(), carried.Params, ds.signing.params())
	if m, ok := ds.method.(auth.Taker); ok {
		for _, taken := range m.Takes() {
			if err := d.checkTaken(taken); err != nil {
				return err
			}
			fields, params = append(fields, taken.Header), append(params, taken.Query)
		}
	}
	ds.cleaner = clean.NewRequests(clean.Own{Fields: fields, Params: params}, d.PassRequestHeader)
	ds.response = clean.NewResponses(carried, ds.cleaner, d.PassResponseHeader)
	return nil
}

// checkTaken reports that pass_request_header names a field whose content the auth method takes
// from requests, and never forwards.
func (d *Datasource) checkTaken(taken auth.Placement) error {
	for _, name := range d.PassRequestHeader {
		if taken.Header != "" && strings.EqualFold(name, taken.Header) {
			return fmt.Errorf("pass_request_header: auth takes the caller's token from %s, and it is never forwarded; remove one",
				http.CanonicalHeaderKey(name))
		}
	}
	return nil
}

// host returns the Host header field of the API, or "" if only the proxy behind the handler knows
// it.
func (ds *datasource) host() string {
	if ds.base == nil {
		return ""
	}
	return ds.base.Host()
}

// demandsTLS reports whether the credential must not go out in clear.
func (ds *datasource) demandsTLS() bool { return ds.base != nil && ds.base.TLS() }

// perUser reports whether what the API answers is one user's own.
func (ds *datasource) perUser() bool { return ds.users != nil }

// reject returns the answer to a request that is not sent to the API, or whose answer cannot pass.
func (ds *datasource) reject(req *http.Request, p *problem.Problem) *http.Response {
	if ds.mcp {
		p = p.WithoutChallenge()
	}
	ds.meter.reject(p)
	return respond(req, ds.name, p)
}

// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

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
}

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// check reports what is wrong with the configuration and can be known without resolving
// placeholders.
func (d *Datasource) check() error {
	if d.Name != "" && !validName.MatchString(d.Name) {
		return fmt.Errorf("name: %s does not fit; lower-case letters, digits and - do, 63 at most, a letter or digit first", value.Shape(d.Name))
	}
	if d.BaseURL != "" {
		if _, err := wire.ParseBaseURL(d.BaseURL); err != nil {
			return err
		}
	}
	if err := d.Headers.CheckHeaders(); err != nil {
		return err
	}
	if err := d.Query.CheckQuery(); err != nil {
		return err
	}
	for _, name := range d.PassRequestHeader {
		if err := clean.CheckWithheld(name); err != nil {
			return err
		}
	}
	for _, name := range d.PassResponseHeader {
		if err := clean.CheckWithheldResponse(name); err != nil {
			return err
		}
	}
	for _, origin := range d.AllowOrigin {
		if err := crossorigin.CheckOrigin(origin); err != nil {
			return err
		}
	}
	return d.checkLimits()
}

// datasource is a Datasource that has been provisioned. It is shared by all requests.
type datasource struct {
	name    string
	config  string        // what was configured, as text
	base    *wire.BaseURL // nil: the proxy behind the handler knows where the API is
	method  auth.Method
	users   auth.PerRequest  // the method, if each user has a connection of their own; else nil
	signer  signature.Signer // nil: requests are not signed
	cleaner *clean.Requests

	values  atomic.Pointer[values]
	load    func() (*values, error) // reads the values again; nil: none of them comes from a file
	renewer signature.Renewer       // the signer, if what it signs with can come from a file
	reading sync.Mutex              // held while the files are read again

	response    *clean.Responses
	crossOrigin *crossorigin.Rule
	mapLinks    bool
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
	if err := d.check(); err != nil {
		return nil, err
	}
	// LoadModule clears the raw fields, so the configuration is kept as text before.
	config, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encoding the datasource: %w", err)
	}
	ds := &datasource{name: d.Name, limits: d.limits()}
	if d.BaseURL != "" {
		if ds.base, err = wire.ParseBaseURL(d.BaseURL); err != nil {
			return nil, err
		}
		if ds.name == "" {
			ds.name = ds.base.Name()
		}
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
	ds.mapLinks = d.MapLinks == nil || *d.MapLinks
	ds.site.sandbox = d.Sandbox == nil || *d.Sandbox
	if ds.crossOrigin, err = crossorigin.New(d.AllowOrigin); err != nil {
		return nil, err
	}

	app, err := ctx.App("authenticated_api")
	if err != nil {
		return nil, fmt.Errorf("loading the authenticated_api app: %w", err)
	}
	ds.site.app = app.(*App)
	ds.meter = ds.site.app.metering.of(ds.name)
	if err := app.(*App).registry.add(ds, string(config), d.Name != ""); err != nil {
		return nil, err
	}
	ds.site.app.literals.warnOf(ctx.Logger(), ds, d)
	return ds, app.(*App).attach(ds)
}

// loadCleaners makes what removes the gateway's own from requests and answers.
func (ds *datasource) loadCleaners(d *Datasource) error {
	place := ds.method.Placement()
	own := []string{place.Header}
	if ds.signer != nil {
		if ds.signer.Header() == place.Header {
			return fmt.Errorf("signature: header: %s carries the credential of auth already; give another field", ds.signer.Header())
		}
		own = append(own, ds.signer.Header())
	}
	if m, ok := ds.method.(*oauth.Method); ok && oauth.MayProve(m) {
		own = append(own, auth.ProofField)
	}
	ds.cleaner = clean.NewRequests(clean.Own{
		Fields: slices.Concat(own, d.Headers.Names()), Params: append(d.Query.Names(), place.Query),
	}, d.PassRequestHeader)
	ds.response = clean.NewResponses(clean.Carried{
		Fields: own, Param: place.Query, Secrets: ds.values.Load().secrets,
	}, ds.cleaner, d.PassResponseHeader)
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

func (ds *datasource) loadGuests(ctx caddy.Context, d *Datasource) error {
	ds.method = new(auth.None)
	raw := d.AuthRaw
	if raw == nil {
		raw = json.RawMessage(`{"method":"none"}`)
	}
	d.AuthRaw = raw
	if err := checkRawModule("auth", "http.authenticated_api.auth", "method", raw); err != nil {
		return err
	}
	guest, err := ctx.LoadModule(d, "AuthRaw")
	if err != nil {
		return fmt.Errorf("loading the auth method: %w", err)
	}
	method, ok := guest.(auth.Method)
	if !ok {
		return fmt.Errorf("auth: %T is not a method", guest)
	}
	ds.method = method
	if m, ok := method.(auth.PerRequest); ok && m.PerUser() {
		ds.users = m
	}
	if d.SignatureRaw == nil {
		return nil
	}
	if err := checkRawModule("signature", "http.authenticated_api.signers", "signer", d.SignatureRaw); err != nil {
		return err
	}
	if guest, err = ctx.LoadModule(d, "SignatureRaw"); err != nil {
		return fmt.Errorf("loading the signer: %w", err)
	}
	if ds.signer, ok = guest.(signature.Signer); !ok {
		return fmt.Errorf("signature: %T is not a signer", guest)
	}
	return nil
}

// perUser reports whether what the API answers is one user's own.
func (ds *datasource) perUser() bool { return ds.users != nil }

// sign puts the signature on h, if there is one.
func (ds *datasource) sign(h http.Header, repl *caddy.Replacer) error {
	if ds.signer == nil {
		return nil
	}
	values, err := ds.signer.Sign(repl)
	if err != nil {
		return err
	}
	h[ds.signer.Header()] = values
	return nil
}

// reject returns the answer to a request that is not sent to the API, or whose answer cannot pass.
func (ds *datasource) reject(req *http.Request, p *problem.Problem) *http.Response {
	ds.meter.reject(p)
	return respond(req, ds.name, p)
}

// unsigned returns the problem that a request could not be signed. What a client has brought is no
// fault of the gateway's, so the log has it for who looks for it.
func (ds *datasource) unsigned(logger *zap.Logger, err error) *problem.Problem {
	level, p := zapcore.ErrorLevel, problem.Signature
	if errors.Is(err, signature.ErrNotUTF8) {
		level, p = zapcore.DebugLevel, problem.BadValue
	}
	if c := logger.Check(level, "signing failed"); c != nil {
		c.Write(zap.String("datasource", ds.name), zap.Error(err))
	}
	return p
}

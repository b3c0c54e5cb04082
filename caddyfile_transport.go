// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// transportOptions are the options of our transport. If the directive has a base URL, and so
// makes the proxy, they stand in the directive; otherwise they stand in the block of `transport
// authenticated_api`.
type transportOptions struct {
	selfSignedCert string
	replay         *int64
	refreshOn      []int
	redirects      map[int][]string // of refresh_on
}

// given returns the name of an option that is set, or "".
func (o *transportOptions) given() string {
	switch {
	case o.selfSignedCert != "":
		return certOption
	case o.replay != nil:
		return "replay"
	case o.refreshOn != nil || o.redirects != nil:
		return "refresh_on"
	default:
		return ""
	}
}

func (o *transportOptions) apply(t *Transport) {
	t.SelfSignedCert, t.Replay, t.RefreshOn, t.RefreshOnRedirect = o.selfSignedCert, o.replay, o.refreshOn, o.redirects
}

// parse reads one of the transport's options. The dispenser stands on its name.
func (o *transportOptions) parse(d *caddyfile.Dispenser) error {
	word := d.Val()
	args := d.RemainingArgs()
	if len(args) == 0 || word != "refresh_on" && len(args) != 1 || args[0] == "" || d.NextBlock(0) {
		return d.Errf("%s: takes %s", word, map[string]string{
			certOption:   "the path of one PEM file, or the text of one",
			"replay":     "one size, such as 64KiB, or off",
			"refresh_on": "one status or more, such as 401, or 302:/login* for a redirect to a login page",
		}[word])
	}
	switch word {
	case certOption:
		o.selfSignedCert = args[0]
		return wrap(d, value.Check(word, args[0]))
	case "replay":
		size := uint64(0)
		if args[0] != "off" {
			var err error
			if size, err = humanize.ParseBytes(args[0]); err != nil || size > 1<<30 {
				return d.Errf("replay: %s is no size up to 1GiB; write 64KiB, 1MiB, or off", value.Shape(args[0]))
			}
		}
		o.replay = new(int64)
		*o.replay = int64(size)
	case "refresh_on":
		for _, arg := range args {
			if strings.Contains(arg, ":") {
				status, pattern, err := parseRedirect(arg)
				if err != nil {
					return d.WrapErr(err)
				}
				if o.redirects == nil {
					o.redirects = make(map[int][]string)
				}
				o.redirects[status] = append(o.redirects[status], pattern)
				continue
			}
			status, err := strconv.Atoi(arg)
			if err != nil {
				return d.Errf("refresh_on: %s is no status; write numbers such as 401 403", value.Shape(arg))
			}
			if !isRefusal(status) {
				return d.Errf("refresh_on: %s is no status of an error; "+refusals, value.Shape(arg))
			}
			o.refreshOn = append(o.refreshOn, status)
		}
	}
	return nil
}

// wrap adds the dispenser's position to an error.
func wrap(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// UnmarshalCaddyfile sets up the transport from Caddyfile tokens, for a proxy behind a directive
// without a base URL. All options of the transport http are possible besides ours. Syntax:
//
//	transport authenticated_api {
//	    datasource       <name>
//	    self_signed_cert <pem>
//	    replay           <size>|off
//	    refresh_on       <status>[:<location>]...
//	    # any option of the transport http
//	}
func (t *Transport) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the transport's name
	name := d.Token()
	if d.NextArg() {
		return d.Errf("transport %s: takes no argument", directiveName)
	}
	var opts transportOptions
	var datasource string
	given := make(map[string]bool)
	tokens, err := splitBlock(d, []caddyfile.Token{name}, func(word string, d *caddyfile.Dispenser, _ caddyfile.Segment) (bool, error) {
		switch word {
		case certOption, "replay", "refresh_on", "datasource":
		default:
			return false, nil
		}
		if given[word] {
			return false, d.Errf("%s: given twice", word)
		}
		given[word] = true
		if word != "datasource" {
			return true, opts.parse(d)
		}
		if !d.AllArgs(&datasource) || !isName(datasource) {
			return false, d.Errf("datasource: takes the name of the authenticated_api in front of the proxy")
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	if err := t.HTTPTransport.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)); err != nil {
		return withoutValues(d, tokens, err)
	}
	opts.apply(t)
	t.Datasource = datasource
	if t.SelfSignedCert != "" && t.TLS == nil {
		t.TLS = new(reverseproxy.TLSConfig)
	}
	return wrap(d, t.check())
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Transport)(nil)

// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/authenticated-api/caddy-authenticated-api/internal/clean"
	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Servers stop reading header fields and parameters at some number of them, and a few do so in
// silence. So a client that sends enough could have an API miss what the gateway sets. Node, PHP,
// Express, Python and uWSGI were measured, the other servers are as documented:
//
//   - Header fields: Node 20 keeps 1,000 and drops the rest in silence. Go's client writes them by
//     name, so ours cannot be put in front. Python's http.server, Apache, Tomcat, Kestrel and
//     Envoy refuse more than 100, uWSGI more than about 115. Browsers send 20 to 40, and at most
//     180 cookies, which are fields of their own over HTTP/2.
//   - Parameters: PHP and Express (qs, querystring) read the first 1,000, OpenResty the first 100;
//     Django and Tomcat refuse more than 1,000; Go's net/url reads none of more than 10,000. What
//     the gateway sets stands in front, what it adds does not. The longest queries of real clients
//     are lists of some hundred ids, and tables: DataTables sends 6 for each column.
const (
	defaultMaxHeaderFields = 256
	defaultMaxQueryParams  = 900
)

// limits are the bounds of what a client may send. 0 is none.
type limits struct {
	fields, params int
}

func (d *Datasource) limits() limits {
	l := limits{defaultMaxHeaderFields, defaultMaxQueryParams}
	if d.MaxHeaderFields != nil {
		l.fields = *d.MaxHeaderFields
	}
	if d.MaxQueryParams != nil {
		l.params = *d.MaxQueryParams
	}
	return l
}

func (d *Datasource) checkLimits() error {
	if d.MaxHeaderFields != nil && *d.MaxHeaderFields < 0 {
		return errors.New("max_header_fields: the number is below zero; 0 is no bound")
	}
	if d.MaxQueryParams != nil && *d.MaxQueryParams < 0 {
		return errors.New("max_query_params: the number is below zero; 0 is no bound")
	}
	return nil
}

// tooMany says why a request with its number of fields or parameters is refused.
func (l limits) tooMany(cleaner *clean.Requests, r *http.Request) *problem.Problem {
	if l.fields > 0 && cleaner.Exceeds(l.fields, r.Header, r.Trailer) {
		return problem.TooManyFields
	}
	if l.params > 0 && wire.CountQuery(r.URL.RawQuery) > l.params {
		return problem.TooManyParams
	}
	return nil
}

// cleanTrailer removes from the trailers what an API must not get. Most of them are known only at
// the end of a body, where a request can no longer be refused, so too many are dropped together.
func (l limits) cleanTrailer(cleaner *clean.Requests, trailer http.Header) {
	cleaner.Trailer(trailer)
	if l.fields > 0 && cleaner.Exceeds(l.fields, trailer) {
		clear(trailer)
	}
}

// parseLimit reads `max_header_fields <number>|off`, and the same for parameters.
func parseLimit(d *caddyfile.Dispenser, limit **int) error {
	word := d.Val()
	var arg string
	if !d.AllArgs(&arg) || d.NextBlock(0) {
		return d.Errf("%s: takes one number, or off", word)
	}
	*limit = new(int)
	if arg == "off" {
		return nil
	}
	n, err := strconv.Atoi(arg)
	if err != nil || n <= 0 {
		return d.Errf("%s: %s is no number above zero; write one, or off", word, value.Shape(arg))
	}
	**limit = n
	return nil
}

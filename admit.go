// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"maps"
	"net/http"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// admit returns the request with the places that it names as the API knows them, or the problem
// that it must not be sent.
func (ds *datasource) admit(r *http.Request) (*http.Request, *problem.Problem) {
	if p := ds.checkHost(r); p != nil {
		return r, p
	}
	if p := ds.site.checkWorker(r); p != nil {
		return r, p
	}
	if p := checkRequest(r); p != nil {
		return r, p
	}
	if ds.mcp {
		if p := checkMCP(r); p != nil {
			return r, p
		}
	}
	if p := ds.limits.tooMany(ds.cleaner, r); p != nil {
		return r, p
	}
	if ds.keyInPath {
		return r, nil // the places of the API are known when the credential is
	}
	return ds.mapPlaces(r, ds.base)
}

// checkRequest refuses methods and paths that are never sent to an API.
func checkRequest(r *http.Request) *problem.Problem {
	switch r.Method {
	case http.MethodTrace:
		return problem.Method
	case http.MethodConnect:
		// RFC 8441, RFC 9220: a WebSocket over HTTP/2 and HTTP/3.
		overHTTP2 := r.ProtoMajor == 2 && r.Header.Get(":protocol") == "websocket"
		if !overHTTP2 && (r.ProtoMajor != 3 || r.Proto != "websocket") {
			return problem.Method
		}
	}
	if r.URL.Opaque != "" || r.URL.Path != "" && r.URL.Path[0] != '/' || wire.EscapesBase(wire.EscapedPath(r.URL)) {
		return problem.BadPath
	}
	return nil
}

// withoutUpgrade returns h without an Upgrade to another version of HTTP: h itself if there is
// none, else a copy.
func withoutUpgrade(h http.Header) http.Header {
	if !speaksHTTP(h["Upgrade"]) {
		return h
	}
	h = maps.Clone(h)
	delete(h, "Upgrade")
	return h
}

// speaksHTTP reports whether an Upgrade field asks for another version of HTTP, or for TLS below
// it (RFC 9110 §7.8). Through the tunnel that an API would open then, a client could send requests
// that nobody has looked at. A server need not upgrade.
func speaksHTTP(upgrade []string) bool {
	for _, list := range upgrade {
		for protocol := range strings.SplitSeq(list, ",") {
			name, _, _ := strings.Cut(strings.TrimSpace(protocol), "/")
			switch strings.ToLower(name) {
			case "h2", "h2c", "http", "tls":
				return true
			}
		}
	}
	return false
}

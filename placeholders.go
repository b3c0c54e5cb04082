// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// The placeholders {http.reverse_proxy.*} of a request that its handler serves itself, for access
// logs and for the handlers around. Caddy's proxy sets about twenty of them for each request.
// Here they are computed when somebody asks.

// placeholderPrefix begins the names of the placeholders.
const placeholderPrefix = "http.reverse_proxy."

// served is what the placeholders of a request say.
type served struct {
	serving  *serving
	mapped   bool  // the replacer asks
	requests int64 // under way when this one began
	start    time.Time
	latency  time.Duration // until the header of the answer came
	total    time.Duration
	complete bool

	status     int // 0: there is no answer
	statusText string
	header     http.Header
}

// begin has the replacer of a request ask this slot.
func (s *slot) begin(by *serving, repl *caddy.Replacer) {
	if !s.mapped {
		repl.Map(s.placeholder)
	}
	s.served = served{serving: by, mapped: true, requests: by.inFlight.Add(1) - 1, start: time.Now()}
}

// forgetProxies removes what another proxy has said of the request before, such as that of
// forward_auth. A replacer would ask that first.
func forgetProxies(repl *caddy.Replacer) { repl.DeleteByPrefix(placeholderPrefix) }

// answered has the placeholders show an answer.
func (s *slot) answered(res *http.Response, latency time.Duration) {
	s.latency, s.status, s.statusText, s.header = latency, res.StatusCode, res.Status, res.Header
}

func (s *slot) finish(complete bool) {
	s.total, s.complete = time.Since(s.start), complete
}

// placeholder is a caddy.ReplacerFunc.
func (s *slot) placeholder(key string) (any, bool) {
	name, ok := strings.CutPrefix(key, placeholderPrefix)
	if !ok || s.serving == nil {
		return nil, false
	}
	if field, ok := strings.CutPrefix(name, "header."); ok {
		values, ok := s.header[field]
		return strings.Join(values, ","), ok
	}
	switch name {
	case "upstream.address":
		return s.serving.network, true
	case "upstream.hostport":
		return s.serving.address, true
	case "upstream.host":
		return s.serving.host, true
	case "upstream.port":
		return s.serving.port, true
	case "upstream.requests":
		return int(s.requests), true
	case "upstream.max_requests", "upstream.fails":
		return 0, true
	case "retries":
		return 0, s.total > 0
	case "duration", "duration_ms":
		return duration(name, s.total), s.total > 0
	case "upstream.latency", "upstream.latency_ms":
		return duration(name, s.latency), s.status > 0
	case "upstream.duration", "upstream.duration_ms":
		return duration(name, s.total), s.complete
	case "status_code":
		return s.status, s.status > 0
	case "status_text":
		return s.statusText, s.status > 0
	default:
		return nil, false
	}
}

// duration returns a duration as a placeholder of that name has it.
func duration(name string, d time.Duration) any {
	if strings.HasSuffix(name, "_ms") {
		return d.Seconds() * 1e3
	}
	return d
}

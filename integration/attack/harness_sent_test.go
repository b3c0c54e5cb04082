// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// sent is a request as an API has received it.
type sent struct {
	raw    string
	method string
	target string
	fields [][2]string // names as they came
	body   string      // with the framing of chunks, and with trailers
}

func parseSent(t testing.TB, raw string) sent {
	t.Helper()
	head, body, ok := strings.Cut(raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	words := strings.Split(lines[0], " ")
	if !ok || len(words) != 3 || words[2] != "HTTP/1.1" {
		t.Fatalf("the API got no request:\n%s", raw)
	}
	s := sent{raw: raw, method: words[0], target: words[1], body: body}
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ": ")
		if !ok && !strings.HasSuffix(line, ":") {
			t.Fatalf("the API got the line %q", line)
		}
		s.fields = append(s.fields, [2]string{strings.TrimSuffix(name, ":"), value})
	}
	return s
}

// alike returns the values of the fields that some server takes for that name. lighttpd, for
// example, replaces every byte that is no letter and no digit with _ when it passes fields to a
// CGI program.
func (s sent) alike(name string) []string {
	var values []string
	for _, field := range s.fields {
		if cgiName(field[0]) == cgiName(name) {
			values = append(values, field[1])
		}
	}
	return values
}

func cgiName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		default:
			return '_'
		}
	}, name)
}

// path returns the path of the target.
func (s sent) path() string {
	path, _, _ := strings.Cut(s.target, "?")
	return path
}

// wantFraming fails the test if two servers could disagree about where the request ends (RFC 9112
// §6.3).
func (s sent) wantFraming(t testing.TB) {
	t.Helper()
	framing := 0
	for _, field := range s.fields {
		switch cgiName(field[0]) {
		case "CONTENT_LENGTH":
			framing++
		case "TRANSFER_ENCODING":
			framing++
			if field[1] != "chunked" {
				t.Errorf("the API got Transfer-Encoding: %q", field[1])
			}
		}
	}
	if framing > 1 {
		t.Errorf("the end of a request is ambiguous:\n%s", s.raw)
	}
}

// wantOne fails the test unless the request has exactly one field of that name, in any spelling,
// with that value.
func (s sent) wantOne(t testing.TB, name, value string) {
	t.Helper()
	if got := s.alike(name); len(got) != 1 || got[0] != value {
		t.Errorf("the API got %s: %q, want one %q:\n%s", name, got, value, s.raw)
	}
}

// wantNone fails the test if the request has a field of that name, in any spelling.
func (s sent) wantNone(t testing.TB, name string) {
	t.Helper()
	if got := s.alike(name); len(got) != 0 {
		t.Errorf("the API got %s: %q, want none:\n%s", name, got, s.raw)
	}
}

// requests returns the requests that an API has got since the last call.
func requests(t testing.TB, api *rig.API) []sent {
	t.Helper()
	var all []sent
	for _, raw := range api.Requests() {
		all = append(all, parseSent(t, raw))
	}
	return all
}

// theRequest returns the only request that an API has got since the last call.
func theRequest(t testing.TB, api *rig.API) sent {
	t.Helper()
	all := requests(t, api)
	if len(all) != 1 {
		t.Fatalf("the API got %d requests, want 1: %v", len(all), all)
	}
	return all[0]
}

// wantNothing fails the test if a request has reached the API.
func wantNothing(t testing.TB, api *rig.API) {
	t.Helper()
	for _, raw := range api.Requests() {
		t.Errorf("this has reached the API:\n%s", raw)
	}
}

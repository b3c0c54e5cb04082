// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// odd is a request as a client sends it, byte for byte, and the API's answer to it.
type odd struct {
	name    string
	request string
	answer  string
}

// exchange is what came of it: what the API got, and what the client got.
type exchange struct {
	requests []string
	answer   string
}

// sentinel follows each request on its connection, which ends with it: what is in front of its
// answer belongs to the request. No site has its host, so Caddy answers it itself, but where the
// connection has become a tunnel to the API.
const sentinel = "GET /sentinel HTTP/1.1\r\nHost: nobody.example.com\r\nConnection: close\r\n\r\n"

var answerToSentinel = regexp.MustCompile(`HTTP/1\.1 200 OK\r\nServer: Caddy\r\nDate: [^\r]*\r\nContent-Length: 0\r\nConnection: close\r\n\r\n$`)

// TestDifferential sends odd requests, and has odd answers to them, through Caddy's own
// reverse_proxy with the credential in a header_up, and through this module. The bytes that the
// API and the client get must be the same, except for the differences in the tables of
// docs/clients.md.
func TestDifferential(t *testing.T) {
	var answer atomic.Pointer[string]
	api := rig.NewAPI(t, func(request string) string {
		if strings.Contains(request, " /sentinel HTTP/1.1\r\n") {
			return rig.OK("out of the tunnel") + rig.HangUp
		}
		return *answer.Load()
	})
	ours := rig.Free(t)
	stock := rig.Start(t, fmt.Sprintf("http://GATEWAY {\nreverse_proxy http://%[1]s {\nheader_up Authorization \"Bearer %[2]s\"\n"+
		"header_up Host {http.reverse_proxy.upstream.hostport}\n}\n}\nhttp://%[3]s {\nauthenticated_api http://%[1]s {\nauth bearer %[2]s\n}\n}\n",
		api.Addr, key, ours))

	rows := differences(t)
	cases := oddities()
	names := make(map[string]bool)
	for _, c := range cases {
		if names[c.name] {
			t.Fatalf("two cases are named %q", c.name)
		}
		names[c.name] = true
		run := func(addr string) exchange {
			text := strings.ReplaceAll(c.answer, "{api}", api.Addr)
			answer.Store(&text)
			got := talk(t, addr, strings.ReplaceAll(c.request, "{host}", addr)+sentinel)
			requests := slices.DeleteFunc(api.Requests(), func(r string) bool { return strings.Contains(r, " /sentinel HTTP/1.1\r\n") })
			for i := range requests {
				requests[i] = strings.ReplaceAll(requests[i], addr, "{host}")
			}
			return exchange{requests, strings.ReplaceAll(got, addr, "{host}")}
		}
		var first, second exchange
		var unexplained []string
		// Only a difference that shows each time counts. A request on a connection that the API is
		// just closing gets a 502. From stock Caddy, a POST gets one.
		for range 3 {
			first, second, unexplained = run(stock), run(ours), nil
			for _, difference := range first.compared(second) {
				if !explained(rows, c.name, difference) {
					unexplained = append(unexplained, difference)
				}
			}
			if len(unexplained) == 0 {
				break
			}
		}
		if len(unexplained) > 0 {
			t.Errorf("%s: %s\n  request %.300q\n  answer %.300q\n  stock: %.700q\n  here:  %.700q",
				c.name, strings.Join(unexplained, "; "), c.request, c.answer, first, second)
		}
	}
	for _, r := range rows {
		if !r.used {
			t.Errorf("docs/clients.md: no case has the difference %q of %q", r.difference, r.cases)
		}
	}
	t.Logf("%d requests and answers", len(cases))
}

// talk sends bytes and returns those that come until the connection ends.
func talk(t *testing.T, addr, request string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	go func() { _, _ = io.WriteString(conn, request) }()
	got, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Logf("the connection stays open after %.100q", request)
		return string(got) + "(and the connection stays open)"
	}
	return string(got)
}

// difference is a row of the tables of differences to reverse_proxy.
type difference struct {
	cases, difference string
	used              bool
}

// differences reads the tables of docs/clients.md that are headed by cases.
func differences(t *testing.T) []*difference {
	t.Helper()
	page, err := pageOfClients()
	if err != nil {
		t.Fatal(err)
	}
	var rows []*difference
	for _, cells := range table(string(page), "cases") {
		if len(cells) != 3 {
			t.Fatalf("docs/clients.md: the row %q has not three cells", cells)
		}
		for what := range strings.SplitSeq(cells[1], "; ") {
			rows = append(rows, &difference{cases: strings.Trim(cells[0], "`"), difference: strings.ReplaceAll(what, "`", "")})
		}
	}
	return rows
}

// explained reports whether a row tells of a difference of a case.
func explained(rows []*difference, name, what string) bool {
	found := false
	for _, r := range rows {
		for pattern := range strings.SplitSeq(r.cases, "`, `") {
			if matches(pattern, name) && matches(r.difference, what) {
				r.used, found = true, true
			}
		}
	}
	return found
}

func matches(pattern, text string) bool {
	if pattern == "*" {
		return true
	}
	letters := strings.NewReplacer("/", "\x01") // path.Match knows no * that a / is part of
	ok, err := path.Match(letters.Replace(pattern), letters.Replace(text))
	return ok && err == nil
}

// compared returns how a second exchange differs from a first.
func (e exchange) compared(other exchange) []string {
	var all []string
	switch {
	case len(e.requests) == 0 && len(other.requests) == 0:
	case len(other.requests) == 0:
		status, _, _ := strings.Cut(strings.TrimPrefix(other.answer, "HTTP/1.1 "), " ")
		return []string{"refused with " + status}
	case len(e.requests) == 0:
		return []string{"refused by stock alone"}
	default:
		if len(e.requests) != len(other.requests) {
			all = append(all, fmt.Sprintf("request: sent %d times, not %d", len(other.requests), len(e.requests)))
		}
		all = append(all, message(e.requests[0]).compared("request", message(other.requests[0]))...)
	}
	first, second := answers(e.answer), answers(other.answer)
	if len(first) != len(second) {
		return append(all, fmt.Sprintf("answer: %d heads, not %d", len(second), len(first)))
	}
	for i := range first {
		all = append(all, first[i].compared("answer", second[i])...)
	}
	return all
}

// wire is a message: its first line, its fields by name as they were sent, and the bytes after
// them.
type wire struct {
	line   string
	fields map[string][]string
	body   string
}

var today = regexp.MustCompile(`(?m)^(Date: ).*GMT\r$`)

func message(raw string) wire {
	head, body, _ := strings.Cut(today.ReplaceAllString(raw, "${1}NOW\r"), "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	m := wire{line: lines[0], fields: make(map[string][]string), body: body}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		if name == "Trailer" { // Go announces trailers in any order
			names := strings.Split(strings.TrimSpace(value), ", ")
			slices.Sort(names)
			value = strings.Join(names, ", ")
		}
		m.fields[name] = append(m.fields[name], value)
	}
	return m
}

// answers splits what a client got into the interim answers and the final one. The answer to the
// sentinel shows that the connection was kept.
func answers(raw string) []wire {
	kept := false
	if place := answerToSentinel.FindStringIndex(raw); place != nil {
		raw, kept = raw[:place[0]], true
	}
	var all []wire
	for strings.HasPrefix(raw, "HTTP/1.1 1") && !strings.HasPrefix(raw, "HTTP/1.1 101") {
		head, rest, _ := strings.Cut(raw, "\r\n\r\n")
		all = append(all, message(head))
		raw = rest
	}
	last := message(raw)
	last.join()
	last.fields["(connection)"] = []string{fmt.Sprint("kept: ", kept)}
	return append(all, last)
}

// join makes one chunk of all chunks, and no chunk of nothing, because timing decides how an
// answer of unknown length is cut.
func (m *wire) join() {
	if !slices.Equal(m.fields["Transfer-Encoding"], []string{" chunked"}) {
		return
	}
	rest := bufio.NewReader(strings.NewReader(m.body))
	data, err := io.ReadAll(httputil.NewChunkedReader(rest))
	if err != nil {
		return
	}
	trailers, err := io.ReadAll(rest)
	if err != nil {
		return
	}
	if m.body = string(data) + "(end)" + string(trailers); m.body == "(end)\r\n" {
		m.body = ""
		delete(m.fields, "Transfer-Encoding")
		m.fields["Content-Length"] = []string{" 0"}
	}
}

// compared returns how a second message differs from a first.
func (m wire) compared(what string, other wire) []string {
	var all []string
	if m.line != other.line {
		all = append(all, what+": line")
	}
	names := make(map[string]bool)
	for name := range m.fields {
		names[name] = true
	}
	for name := range other.fields {
		names[name] = true
	}
	for name := range names {
		first, second := m.fields[name], other.fields[name]
		switch {
		case slices.Equal(first, second):
		case len(second) == 0:
			all = append(all, what+": "+name+" removed")
		case len(first) == 0:
			all = append(all, what+": "+name+" added")
		default:
			all = append(all, what+": "+name+" changed")
		}
	}
	if m.body != other.body {
		all = append(all, what+": body")
	}
	slices.Sort(all)
	return all
}

// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What the targets are to put on requests.
const (
	parameter     = "api_key"
	token         = "sk-0123456789abcdefghijklmnopqrstuv" //nolint:gosec // G101: of a benchmark
	basicUser     = "gateway"
	basicPassword = "0123456789abcdef"
	basicValue    = "Basic Z2F0ZXdheTowMTIzNDU2Nzg5YWJjZGVm"
	signingSecret = "0123456789abcdef0123456789abcdef" //nolint:gosec // G101: of a benchmark
	clientID      = "benchmark"
	clientSecret  = "benchmark's secret"
)

const body = `{"hello":"caller, ok"}`

// upstream is the API, and the provider of its tokens. It reads requests by hand, so that it costs
// little beside what is measured.
type upstream struct {
	mu      sync.RWMutex
	tokens  map[string]access // by the access token
	codes   map[string]string // users, by codes and refresh tokens
	spent   map[string]bool   // access tokens that /refuse/now refuses
	fetched int               // token requests

	signatures sync.Map // verified signatures
}

// access is what an access token is good for.
type access struct {
	user string
	end  time.Time
}

// serveUpstream serves on an address until the process ends.
func serveUpstream(addr string) error {
	ln, err := net.Listen("tcp", addr) //nolint:noctx // the whole process is that server
	if err != nil {
		return err
	}
	u := &upstream{tokens: map[string]access{}, codes: map[string]string{}, spent: map[string]bool{}}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go u.serve(conn)
	}
}

// request is what the upstream reads of one.
type request struct {
	method, target                      string
	authorization, key, signature, user string
	fields                              int // X-Field-…
	length                              int64
	body                                []byte
}

var ok = []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)

// serve serves one connection.
func (u *upstream) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 16<<10)
	for {
		var req request
		if err := req.read(r); err != nil {
			return
		}
		path, _, _ := strings.Cut(req.target, "?")
		kind, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		answer := ok
		switch kind {
		case "token":
			answer = u.token(&req, rest)
		case "authorize":
			answer = u.authorize(&req)
		case "fetched":
			u.mu.RLock()
			answer = plain("200 OK", "text/plain", strconv.Itoa(u.fetched))
			u.mu.RUnlock()
		case "big":
			if !u.right("bearer", &req) || sendBig(conn, rest) != nil {
				return
			}
			continue
		case "events":
			if u.right("bearer", &req) {
				sendEvents(conn)
			}
			return
		default:
			if !u.right(kind, &req) {
				answer = plain("401 Unauthorized", "text/plain", "not the credential of "+kind)
			}
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

func plain(status, contentType, text string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", status, contentType, len(text), text)
}

// read reads a request with a body of known length.
func (q *request) read(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	method, rest, _ := strings.Cut(string(line), " ")
	q.method = method
	q.target, _, _ = strings.Cut(rest, " ")
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		q.field(line)
	}
	if q.length == 0 {
		return nil
	}
	if q.length > 1<<20 {
		_, err = io.CopyN(io.Discard, r, q.length)
		return err
	}
	q.body = make([]byte, q.length)
	_, err = io.ReadFull(r, q.body)
	return err
}

// field reads a header field.
func (q *request) field(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	at := func(s string) bool { return len(name) == len(s) && strings.EqualFold(string(name), s) }
	value = bytes.TrimSpace(value)
	switch {
	case at("Authorization"):
		q.authorization = string(value)
	case at("X-Api-Key"):
		q.key = string(value)
	case at("X-Appsmith-Signature"):
		q.signature = string(value)
	case at("X-User"):
		q.user = string(value)
	case at("Content-Length"):
		q.length, _ = strconv.ParseInt(string(value), 10, 64)
	case len(name) == len("X-Field-0") && strings.EqualFold(string(name[:8]), "X-Field-"):
		q.fields++
	}
}

// right reports whether a request has the credential of its kind.
func (u *upstream) right(kind string, q *request) bool {
	switch kind {
	case "plain":
		return true
	case "bearer":
		return q.authorization == "Bearer "+token
	case "basic":
		return q.authorization == basicValue
	case "key":
		return q.key == token
	case "query":
		return strings.HasSuffix(q.target, "?"+parameter+"="+token)
	case "fields":
		return q.fields == 8 && q.authorization == "Bearer "+token && strings.HasSuffix(q.target, "?a=1&b=2")
	case "oauth":
		return u.holds(q) != ""
	case "signed":
		return u.holds(q) != "" && u.signed(q.signature)
	case "user":
		return q.authorization == "Bearer "+token && strings.HasPrefix(q.user, "user")
	case "users":
		user := u.holds(q)
		return strings.HasPrefix(user, "user") && q.user == user
	case "lua": // signed, with the static token
		return q.authorization == "Bearer "+token && u.signed(q.signature)
	case "refuse":
		return u.holds(q) != "" && u.kept(q)
	}
	return false
}

// holds returns whose access token a request has: clientID for one of the client itself.
func (u *upstream) holds(q *request) string {
	text, found := strings.CutPrefix(q.authorization, "Bearer ")
	if !found {
		return ""
	}
	u.mu.RLock()
	a := u.tokens[text]
	u.mu.RUnlock()
	if !time.Now().Before(a.end) {
		return ""
	}
	return a.user
}

// kept serves /refuse/later with any token, and refuses /refuse/now with a token that has served
// the former.
func (u *upstream) kept(q *request) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !strings.HasSuffix(q.target, "/now") {
		u.spent[q.authorization] = true
		return true
	}
	return !u.spent[q.authorization]
}

// signed reports whether a signature is one by the secret that has not expired. One that comes
// again is not computed again.
func (u *upstream) signed(signature string) bool {
	if end, ok := u.signatures.Load(signature); ok {
		return time.Now().Before(end.(time.Time)) //nolint:forcetypeassert // only signed stores there
	}
	claims := jwt.RegisteredClaims{}
	parsed, err := jwt.ParseWithClaims(signature, &claims, func(*jwt.Token) (any, error) { return []byte(signingSecret), nil }, jwt.WithValidMethods([]string{"HS256"}))
	if err != nil || !parsed.Valid {
		return false
	}
	if claims.Subject == "" { // one with a claim of the request does not come again
		u.signatures.Store(signature, claims.ExpiresAt.Time)
	}
	return true
}

// authorize consents at once, for the user whom the state of the benchmark names.
func (u *upstream) authorize(q *request) []byte {
	_, raw, _ := strings.Cut(q.target, "?")
	query, err := url.ParseQuery(raw)
	if err != nil {
		return plain("400 Bad Request", "text/plain", "")
	}
	code := rand.Text()
	u.mu.Lock()
	u.codes[code] = query.Get("login_hint")
	u.mu.Unlock()
	to := query.Get("redirect_uri") + "?" + url.Values{"code": {code}, "state": {query.Get("state")}}.Encode()
	return fmt.Appendf(nil, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", to)
}

// token answers a token request with a token that lives as long as the path says, in seconds;
// after a slash follows how long the answer takes, in milliseconds.
func (u *upstream) token(q *request, path string) []byte {
	form, err := url.ParseQuery(string(q.body))
	life, delay, _ := strings.Cut(path, "/")
	seconds, lifeErr := strconv.Atoi(life)
	if err != nil || lifeErr != nil {
		return plain("400 Bad Request", "application/json", `{"error":"invalid_request"}`)
	}
	if ms, err := strconv.Atoi(delay); err == nil {
		time.Sleep(time.Duration(ms) * time.Millisecond)
	}
	answer := map[string]any{"token_type": "Bearer", "expires_in": seconds}
	user := clientID
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fetched++
	if form.Get("grant_type") != "client_credentials" {
		spent := form.Get("code") + form.Get("refresh_token")
		if user = u.codes[spent]; user == "" {
			return plain("400 Bad Request", "application/json", `{"error":"invalid_grant"}`)
		}
		delete(u.codes, spent)
		refresh := rand.Text()
		u.codes[refresh] = user
		answer["refresh_token"] = refresh
	}
	text := rand.Text()
	u.tokens[text] = access{user, time.Now().Add(time.Duration(seconds)*time.Second + 200*time.Millisecond)}
	answer["access_token"] = text
	encoded, err := json.Marshal(answer)
	if err != nil {
		return plain("500 Internal Server Error", "text/plain", "")
	}
	return plain("200 OK", "application/json", string(encoded))
}

// sendBig sends as many MiB as the path says.
func sendBig(conn net.Conn, path string) error {
	n, err := strconv.Atoi(path)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", int64(n)<<20); err != nil {
		return err
	}
	block := make([]byte, 256<<10)
	for range n * 4 {
		if _, err := conn.Write(block); err != nil {
			return err
		}
	}
	return nil
}

// sendEvents sends the time, in nanoseconds, as an event of a stream, 200 times.
func sendEvents(conn net.Conn) {
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
	for range 200 {
		time.Sleep(5 * time.Millisecond)
		event := "data: " + strconv.FormatInt(time.Now().UnixNano(), 10) + "\n\n"
		if _, err := fmt.Fprintf(conn, "%x\r\n%s\r\n", len(event), event); err != nil {
			return
		}
	}
	_, _ = io.WriteString(conn, "0\r\n\r\n")
}

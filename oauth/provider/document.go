// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// DiscoveryError says that metadata could not be had, or cannot be believed, or that no client
// could be registered. It holds addresses and identifiers of servers, which are public, and no
// secret.
type DiscoveryError struct {
	// Address is what was asked, without its query.
	Address string

	// Reason says what was expected, and what came in its place.
	Reason string

	// Option says which options pin what could not be found out, and is what an operator can do.
	Option string

	// Retry says when another attempt makes sense. It is zero where waiting does not help.
	Retry time.Time

	// Err says more.
	Err error

	temporary bool // waiting may help; whoever counts the attempts sets Retry
	absent    bool // nothing is at the address, so another one may be asked
}

// Temporary reports whether waiting may help.
func (e *DiscoveryError) Temporary() bool { return e.temporary || !e.Retry.IsZero() }

// Absent reports whether there is nothing at the address, and waiting does not help.
func (e *DiscoveryError) Absent() bool { return e.absent && !e.Temporary() }

// Error implements error.
func (e *DiscoveryError) Error() string {
	s := "discovery at " + e.Address + ": " + e.Reason
	if e.Err != nil {
		s = fmt.Sprintf("%s: %v", s, e.Err)
	}
	return s
}

// Unwrap returns what lies below.
func (e *DiscoveryError) Unwrap() error { return e.Err }

// Discovery fetches metadata.
type Discovery struct {
	Client       *Client
	Timeout      time.Duration // of one request
	InsecureHTTP bool          // http addresses may be elsewhere than on loopback
}

// CheckAddress reports why an address that a server has named is not used: what goes there, and
// what comes from there, must be safe from listeners.
func (d *Discovery) CheckAddress(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("it is no URL with https")
	case u.User != nil || u.Fragment != "":
		return errors.New("it has a user name or a fragment in it")
	case u.Scheme == "http" && !wire.IsLoopback(u.Hostname()) && !d.InsecureHTTP:
		return errors.New("it is http, and not on a loopback address")
	}
	return nil
}

// maxDocument bounds a document of metadata. The largest that are known have some 30 KB.
const maxDocument = 256 << 10

// document is a JSON object that was fetched.
type document struct {
	address string
	members map[string]json.RawMessage
	header  http.Header
}

// Bare returns an address without what may be secret in it, "" for none.
func Bare(address string) string {
	if address == "" {
		return ""
	}
	u, err := url.Parse(address)
	if err != nil {
		return "an address that is none"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// fetch gets a JSON object. It follows no redirect: what answers in the place of a document must
// not choose the address of the next request. Its errors are *DiscoveryError.
func (d *Discovery) fetch(ctx context.Context, address string) (*document, error) {
	fail := &DiscoveryError{Address: Bare(address)}
	if err := d.CheckAddress(address); err != nil {
		fail.Reason, fail.Err, fail.absent = "the address is not used", err, true
		return nil, fail
	}
	ctx, cancel := withTimeout(ctx, d.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		fail.Reason = "it is no URL"
		return nil, fail
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity")
	t := d.Client.send(req)
	switch {
	case t.err != nil:
		fail.Reason, fail.Err, fail.temporary = "there is no answer", networkError(t.err), true
		return nil, fail
	case t.res.StatusCode != http.StatusOK:
		fail.Reason = "a document with the status 200 was expected, and the status is " + strconv.Itoa(t.res.StatusCode)
		fail.absent = true
		if s := t.res.StatusCode; s >= 300 && s < 400 {
			fail.Reason += "; redirects are not followed"
		} else if s >= 500 || s == http.StatusTooManyRequests || s == http.StatusRequestTimeout {
			fail.temporary, fail.Retry = true, retryAfter(t.res, t.at)
		}
		return nil, fail
	case t.cut != nil && errors.Is(t.cut, errTooLarge) || len(t.body) > maxDocument:
		fail.Reason = fmt.Sprintf("the document has more than %d KiB", maxDocument>>10)
		return nil, fail
	case t.cut != nil:
		fail.Reason, fail.Err, fail.temporary = "the answer breaks off", t.cut, true
		return nil, fail
	}
	members, err := strictObject(t.body)
	if err != nil {
		fail.Reason, fail.Err = "a JSON object was expected", err
		fail.absent = !errors.Is(err, errTwice) // sites answer all paths with their page
		return nil, fail
	}
	return &document{fail.Address, members, t.res.Header}, nil
}

var (
	errTwice  = errors.New("a member is there twice")
	errNoJSON = errors.New("the answer is no JSON object")
)

// strictObject reads a JSON object of which each member is there once: of two, one reader takes
// the first and another the last, so a document could say two things.
func strictObject(body []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return nil, errNoJSON
	}
	members := make(map[string]json.RawMessage)
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, errNoJSON
		}
		if _, twice := members[name]; twice {
			return nil, errTwice
		}
		var raw json.RawMessage
		if d.Decode(&raw) != nil {
			return nil, errNoJSON
		}
		members[name] = raw
	}
	if _, err := d.Token(); err != nil {
		return nil, errNoJSON
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errNoJSON
	}
	return members, nil
}

// text returns a member that is a text, or "".
func (d *document) text(name string) string { return text(d.members[name]) }

// flag reports whether a member is true.
func (d *document) flag(name string) bool { return string(d.members[name]) == "true" }

// texts returns a member that is a list of texts. given says that the member is there. Anything
// but a list of texts counts as an empty list.
func (d *document) texts(name string) (list []string, given bool) {
	raw, given := d.members[name]
	if !given || string(raw) == "null" || json.Unmarshal(raw, &list) != nil {
		return nil, given && string(raw) != "null"
	}
	return list, true
}

const (
	shortestTerm = 5 * time.Minute
	usualTerm    = time.Hour
	longestTerm  = 24 * time.Hour
)

// term returns for how long a document may be used: what its header says (RFC 9111 §5.2.2.1),
// within limits, or an hour.
func (d *document) term() time.Duration {
	for directive := range strings.SplitSeq(strings.ToLower(strings.Join(d.header["Cache-Control"], ",")), ",") {
		name, val, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-store", "no-cache":
			return shortestTerm
		case "max-age":
			if seconds, err := strconv.ParseUint(strings.Trim(val, `"`), 10, 31); err == nil {
				return min(max(time.Duration(seconds)*time.Second, shortestTerm), longestTerm)
			}
		}
	}
	return usualTerm
}

// firstOf returns the document of the first address that has one and passes check. If none has, it
// returns the most telling of the errors: one that may pass by waiting, or else the first one.
func (d *Discovery) firstOf(ctx context.Context, addresses []string, check func(*document) error) (*document, error) {
	var first, temporary *DiscoveryError
	for _, address := range addresses {
		doc, err := d.fetch(ctx, address)
		if err == nil {
			err = check(doc)
		}
		if err == nil {
			return doc, nil
		}
		fail, ok := errors.AsType[*DiscoveryError](err)
		if !ok || !fail.absent {
			return nil, err
		}
		first = cmp.Or(first, fail)
		if fail.temporary {
			temporary = cmp.Or(temporary, fail)
		}
	}
	if temporary != nil {
		return nil, temporary
	}
	return nil, first
}

// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// A request names a place by its path, and some requests name a second place in a header field:
// where to copy to, what to copy from. The rule is the same for both: no client reaches a place
// beside the base URL.

// place is how the value of a header field names a place.
type place int

const (
	noPlace place = iota

	// urlPlace is a URL, or a path, as the client sees the gateway: Destination (RFC 4918 §10.3).
	urlPlace

	// taggedPlace has such URLs between < and >: the tagged lists of If (RFC 4918 §10.4).
	taggedPlace

	// namePlace is a name that the API gave, /bucket/key or bucket/key, or a URL:
	// X-Amz-Copy-Source and its like.
	namePlace

	// containerPlace is container/object below an account of OpenStack Object Storage, with or
	// without a slash in front.
	containerPlace

	// accountPlace is the account of such a place.
	accountPlace

	// concatPlace has such URLs behind "final;": Upload-Concat of tus names the uploads to join.
	concatPlace
)

func placeOf(name string) place {
	if !wire.PlainName(name) {
		name = wire.Hyphenated(name)
	}
	switch name {
	case "Destination":
		return urlPlace
	case "If":
		return taggedPlace
	case "X-Copy-From", "X-Object-Manifest", "X-Versions-Location", "X-History-Location":
		return containerPlace
	case "Destination-Account", "X-Copy-From-Account", "X-Symlink-Target-Account":
		return accountPlace
	case "Upload-Concat":
		return concatPlace
	}
	switch {
	case strings.HasPrefix(name, "X-") && strings.HasSuffix(name[1:], "-Symlink-Target"):
		// These are OpenStack's, and X-Oss-Symlink-Target and its like, which name an object of the
		// same bucket.
		return containerPlace
	case saysFromOrTo(name):
		return namePlace
	}
	return noPlace
}

// saysFromOrTo reports whether a field names the other side of a copy or a move. Each object store
// has a field of its own for it, and the names differ in the middle only: X-Amz-Copy-Source,
// X-Goog-Copy-Source, X-Ms-Rename-Source.
func saysFromOrTo(name string) bool {
	if name == "" || name[0] != 'X' {
		return false
	}
	end := strings.LastIndexByte(name, '-')
	if end < 0 {
		return false
	}
	switch name[end+1:] {
	case "Source", "From", "To", "Destination", "Target":
	default:
		return false
	}
	switch verb := name[strings.LastIndexByte(name[:end], '-')+1 : end]; verb {
	case "Copy", "Move", "Rename":
		return true
	default:
		return false
	}
}

// NamesPlace reports whether the value of a header field names a place.
func NamesPlace(name string) bool { return placeOf(name) != noPlace }

// NamesPlaces reports whether a client's header fields name places besides the path.
func NamesPlaces(h http.Header) bool {
	for name := range h {
		if placeOf(name) != noPlace {
			return true
		}
	}
	return false
}

// MapPlaces returns a copy of h in which the fields that name places lead to what the client
// meant, for the API. An error names a field whose place is not below the base URL. A field stays
// as it is if exempt reports true for its hyphenated name.
func (r *Route) MapPlaces(h http.Header, exempt func(name string) bool) (http.Header, error) {
	mapped := maps.Clone(h)
	seen := make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(h)) {
		kind := placeOf(name)
		plain := wire.Hyphenated(name)
		if kind == noPlace || exempt(plain) {
			continue
		}
		values := slices.Clone(h[name])
		if kind != taggedPlace && (len(values) > 1 || seen[plain]) {
			// Servers differ in which of the two they take.
			return nil, fmt.Errorf("%s is there twice", name)
		}
		seen[plain] = true
		for i, val := range values {
			to, ok := r.mapPlace(kind, strings.TrimSpace(val))
			if !ok {
				return nil, fmt.Errorf("%s names a place that is not behind this route", name)
			}
			values[i] = to
		}
		mapped[name] = values
	}
	return mapped, nil
}

func (r *Route) mapPlace(kind place, val string) (string, bool) {
	root, account := r.account()
	switch {
	case kind == taggedPlace:
		return r.mapTagged(val)
	case kind == concatPlace:
		return rewriteConcat(val, r.ToAPI)
	case kind == accountPlace:
		return val, r.Base.Path() == "" || account != "" && val == account
	case isURL(val) || kind == urlPlace && root == "":
		return r.ToAPI(val)
	case !plainPlace(val):
		return "", false
	}
	within := r.Base.Path()
	if bucket := bucketOf(r.Base.Hostname()); kind == namePlace && bucket != "" {
		within = "/" + bucket + within
	} else if kind != namePlace {
		within = strings.TrimPrefix(within, root)
	}
	if isBelow(wire.Unescape("/"+strings.TrimPrefix(val, "/"), false), within) {
		return val, true // a name of the API's own, which is sent as it is
	}
	if r.Prefix != "" && val[0] == '/' {
		return r.ToAPI(val)
	}
	return "", false
}

// plainPlace reports whether a value leads to one place only, however it is read.
func plainPlace(val string) bool {
	if val == "" || wire.EscapesBase(val) {
		return false
	}
	for range 3 {
		if strings.ContainsFunc(val, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			// Some parsers drop such a byte, and get another path than the one that was looked at.
			return false
		}
		val = wire.Unescape(val, false)
	}
	return true
}

// account returns the path of an account of OpenStack Object Storage (…/v1/AUTH_name, or
// …/swift/v1 of Ceph) that the base URL leads to or into, and the account's own name. Below an
// account places are container/object. If the base URL is a whole host, the request's path may
// name the account, since a client cannot leave the base URL then.
func (r *Route) account() (root, name string) {
	path := r.Base.Path()
	if path == "" {
		path = wire.Unescape(r.Path, false)
	}
	end := 0
	for segment := range strings.SplitSeq(path, "/") {
		end += len(segment)
		if strings.HasPrefix(segment, "AUTH_") {
			return path[:end], segment
		}
		end++
	}
	const ceph = "/swift/v1"
	if i := strings.Index(path, ceph); i >= 0 && isBelow(path[i:], ceph) {
		return path[:i+len(ceph)], ""
	}
	return "", ""
}

// bucketOf returns the bucket in a host's name. Object stores have a host for each bucket, but the
// names in a copy's source begin with the bucket even there.
func bucketOf(host string) string {
	for _, service := range []string{".s3.", ".s3-", ".storage.googleapis.com", ".oss-", ".cos.", ".obs."} {
		if bucket, _, ok := strings.Cut(host, service); ok {
			return bucket
		}
	}
	return ""
}

// mapTagged maps the tags of an If field. Parentheses enclose conditions, in which URLs are names
// of locks.
func (r *Route) mapTagged(val string) (string, bool) {
	if !strings.Contains(val, "<") {
		return val, true
	}
	var sb strings.Builder
	for i := 0; i < len(val); {
		switch val[i] {
		case '<':
			end := strings.IndexByte(val[i:], '>')
			if end < 0 {
				return "", false
			}
			tag := val[i+1 : i+end]
			if !plainPlace(tag) {
				return "", false
			}
			to, ok := r.ToAPI(tag)
			if !ok {
				return "", false
			}
			sb.WriteString("<" + to + ">")
			i += end + 1
		case '(':
			end := conditionsEnd(val, i)
			if end < 0 {
				return "", false
			}
			sb.WriteString(val[i:end])
			i = end
		default:
			sb.WriteByte(val[i])
			i++
		}
	}
	return sb.String(), true
}

// conditionsEnd returns the index behind the list of conditions that begins at i, -1 if servers
// could find another end.
func conditionsEnd(val string, i int) int {
	for i++; i < len(val); i++ {
		var closing byte
		switch val[i] {
		case ')':
			return i + 1
		case '<':
			closing = '>'
		case '[':
			closing = ']'
		case '(', '>', ']', '"':
			return -1
		default:
			continue
		}
		length := strings.IndexByte(val[i+1:], closing)
		if length < 0 || strings.ContainsAny(val[i+1:i+1+length], "<>") {
			return -1
		}
		i += 1 + length
	}
	return -1
}

// hasScheme reports whether a reference begins with the scheme of a URL.
func hasScheme(ref string) bool {
	i := strings.IndexAny(ref, ":/?#\\")
	return i >= 0 && ref[i] == ':'
}

// isURL reports whether a value is a URL, and not a path with a colon in it.
func isURL(val string) bool {
	if strings.HasPrefix(val, "//") {
		return true
	}
	scheme, rest, ok := strings.Cut(val, ":")
	return ok && hasScheme(val) && (strings.HasPrefix(rest, "/") || strings.HasPrefix(strings.ToLower(scheme), "http"))
}

// isBelow reports whether path is root, or leads to a place below it.
func isBelow(path, root string) bool {
	rest, ok := strings.CutPrefix(path, root)
	return ok && (rest == "" || rest[0] == '/')
}

// authorityOf splits an absolute URL, or one that begins with //, into its origin and what stands
// behind it.
func authorityOf(ref string) (*url.URL, string, bool) {
	start := strings.Index(ref, "//") + 2
	end := len(ref)
	if i := strings.IndexAny(ref[start:], "/?#\\"); i >= 0 {
		end = start + i
	}
	u, err := url.Parse(ref[:end])
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" || u.Path != "" {
		return nil, "", false
	}
	return u, ref[end:], true
}

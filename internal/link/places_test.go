// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/link"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// none exempts no field.
func none(string) bool { return false }

// An empty want means that the request is refused.
func TestMapPlaces(t *testing.T) {
	for _, test := range []struct{ name, val, want string }{
		{"Destination", "https://gw.example.com/crm/items/8", "https://api.example.com/v2/items/8"},
		{"Destination", " /crm/items/8 ", "/v2/items/8"},
		{"Destination", "8", "/v2/items/8"},
		{"Destination", "https://gw.example.com/other/8", ""},
		{"Destination", "https://files.example.net/f", ""},
		// RFC 4918 §10.4: URLs in parentheses are names of locks.
		{"If", `(<urn:uuid:1> ["a)"])`, `(<urn:uuid:1> ["a)"])`},
		{"If", `["a"]`, `["a"]`},
		{"If", "</crm/a> (<urn:uuid:1>) <https://gw.example.com/crm/b> (Not <DAV:no-lock>)", "</v2/a> (<urn:uuid:1>) <https://api.example.com/v2/b> (Not <DAV:no-lock>)"},
		{"If", "<https://api.example.com/v1/a> ([\"x\"])", ""},
		{"If", "</crm/../a> ([\"x\"])", ""},
		{"If", "</crm/a", ""},
		{"If", `(["x) </crm/a> ("])`, ""},
		{"If", "(<urn:uuid:1>", ""},
		{"Upload-Concat", "partial", "partial"},
		{"Upload-Concat", "final;/crm/a https://gw.example.com/crm/b", "final;/v2/a https://api.example.com/v2/b"},
		{"Upload-Concat", "final;/crm/a /v1/b", ""},
		// Names that the API gave are sent as they are.
		{"X-Ms-Copy-Source", "https://gw.example.com/crm/a?sig=x%2Fy", "https://api.example.com/v2/a?sig=x%2Fy"},
		{"X-Amz-Copy-Source", "v2/a?versionId=3", "v2/a?versionId=3"},
		{"X-Amz-Copy-Source", "/v2%2Fa", "/v2%2Fa"},
		{"X-Amz-Copy-Source", "/crm/a", "/v2/a"},
		{"X-Amz-Copy-Source", "/v1/a", ""},
		{"X-Amz-Copy-Source", "v1/a", ""},
		{"X-Amz-Copy-Source", "v2%2F..%2Fa", ""},
		{"X-Amz-Copy-Source-Range", "bytes=0-9", "bytes=0-9"},
		// This base URL is no account of OpenStack.
		{"Destination-Account", "other", ""},
		{"X-Object-Manifest", "other/parts", ""},
		{"X-Oss-Symlink-Target", "v2/a", "v2/a"},
		{"X-Oss-Symlink-Target", "other/a", ""},
		{"X-Other", "https://files.example.net/f", "https://files.example.net/f"},
	} {
		sent := http.Header{test.name: {test.val}}
		h, err := newRoute(t, "/crm", "/items/7").MapPlaces(sent, none)
		if (err != nil) != (test.want == "") || err == nil && !slices.Equal(h[test.name], []string{test.want}) {
			t.Errorf("%s: %s becomes %q (%v), want %q", test.name, test.val, h[test.name], err, test.want)
		}
		if sent[test.name][0] != test.val {
			t.Errorf("%s: %s: the client's own header is changed", test.name, test.val)
		}
	}
}

func TestMapPlacesTwice(t *testing.T) {
	for _, test := range []struct {
		h    http.Header
		pass bool
	}{
		{http.Header{"Destination": {"/crm/a", "/crm/b"}}, false},
		{http.Header{"X-Amz-Copy-Source": {"/v2/a"}, "X.Amz.Copy.Source": {"/v2/a"}}, false},
		{http.Header{"If": {"</crm/a> ([x])", "</crm/b> ([x])"}}, true},
	} {
		if _, err := newRoute(t, "/crm", "/items/7").MapPlaces(test.h, none); (err == nil) != test.pass {
			t.Errorf("%v: %v", test.h, err)
		}
	}
}

func TestMapPlacesExempt(t *testing.T) {
	const field = "X_ms_copy_source" // as net/http writes a name with underscores
	h := http.Header{field: {"https://files.example.net/f"}}
	exempt := func(name string) bool { return name == "X-Ms-Copy-Source" }
	if got, err := newRoute(t, "/crm", "/items/7").MapPlaces(h, exempt); err != nil || got[field][0] != "https://files.example.net/f" {
		t.Errorf("an exempt field: %v, %v", got, err)
	}
}

func TestNamesPlace(t *testing.T) {
	for _, name := range []string{
		"Destination", "If", "Upload-Concat", "X-Copy-From", "X-Copy-From-Account", "X-Symlink-Target", "X-Amz-Copy-Source", "X_amz_copy_source",
		"X-Goog-Copy-Source", "X-Ms-Rename-Source", "X-Upyun-Move-Source", "X-New-Move-Destination", "X-Versions-Location",
	} {
		if !link.NamesPlace(name) || !link.NamesPlaces(http.Header{"Accept": {"a"}, name: {"b"}}) {
			t.Errorf("%s names no place", name)
		}
	}
	for _, name := range []string{"Accept", "If-Match", "Source", "Copy-Source", "X-Source", "X-Amz-Copy-Source-Range", "X-Amz-Meta-Source", ""} {
		if link.NamesPlace(name) || link.NamesPlaces(http.Header{name: {"b"}}) {
			t.Errorf("%q names a place", name)
		}
	}
}

// TestMapPlacesByBase looks at base URLs that say what the names below them are.
func TestMapPlacesByBase(t *testing.T) {
	for _, test := range []struct {
		base, path, field, value, want string // an empty want: refused
	}{
		{"http://api.test", "/x", "X-Amz-Copy-Source", "/any/key", "/any/key"},
		{"http://api.test", "/x", "X-Amz-Copy-Source", "arn:aws:s3:eu-west-1:1:accesspoint/a/object/b", "arn:aws:s3:eu-west-1:1:accesspoint/a/object/b"},
		{"http://api.test", "/x", "X-Amz-Copy-Source", "/any/../key", ""},
		{"http://api.test", "/x", "X-Ms-Copy-Source", "http://other.test/any", ""},
		{"http://api.test", "/x", "Destination", "/%2Fevil.test/x", ""},
		{"https://mine.storage.googleapis.com", "/x", "X-Goog-Copy-Source", "mine/a", "mine/a"},
		{"https://mine.storage.googleapis.com", "/x", "X-Goog-Copy-Source", "/theirs/a", ""},
		{"https://mine.s3.eu-west-1.amazonaws.com/docs", "/x", "X-Amz-Copy-Source", "/mine/docs/a", "/mine/docs/a"},
		{"https://mine.s3.eu-west-1.amazonaws.com/docs", "/x", "X-Amz-Copy-Source", "/mine/other/a", ""},
		{"https://s3.eu-west-1.amazonaws.com/mine", "/x", "X-Amz-Copy-Source", "mine/a", "mine/a"},
		{"http://swift.test", "/v1/AUTH_ann/c/o", "Destination", "/c2/o2", "/c2/o2"},
		{"http://swift.test/v1/AUTH_ann", "/c/o", "Destination", "/c2/o2", "/c2/o2"},
		{"http://swift.test/v1/AUTH_ann", "/c/o", "Destination", "c2/o2", "c2/o2"},
		{"http://swift.test/v1/AUTH_ann", "/c/o", "X-Copy-From", "/c2/o2", "/c2/o2"},
		{"http://swift.test/v1/AUTH_ann", "/c/o", "X-Copy-From", "/c2/../../o2", ""},
		{"http://swift.test/v1/AUTH_ann", "/c/o", "X-Copy-From-Account", "AUTH_ann", "AUTH_ann"},
		{"http://swift.test/v1/AUTH_ann", "/c/o", "X-Copy-From-Account", "AUTH_bob", ""},
		{"http://swift.test/v1/AUTH_ann/c", "/o", "Destination", "/c/o2", "/c/o2"},
		{"http://swift.test/v1/AUTH_ann/c", "/o", "Destination", "/c2/o2", ""},
		{"http://swift.test/v1/AUTH_ann/c", "/o", "X-Object-Manifest", "c%2Fparts", "c%2Fparts"},
		{"http://swift.test/v1/AUTH_ann/c", "/o", "X-Object-Manifest", "c2/parts", ""},
		{"http://rgw.test/swift/v1", "/c/o", "X-Copy-From", "c2/o2", "c2/o2"},
		{"http://dav.test/team-a", "/AUTH_x/o", "Destination", "/team-b/o", "/team-a/team-b/o"},
	} {
		route := &link.Route{Base: baseURL(t, test.base), Hosts: [2]string{"gateway.test"}, Known: true, Path: test.path}
		h, err := route.MapPlaces(http.Header{test.field: {test.value}}, none)
		if _, other := route.MapPlaces(http.Header{strings.ReplaceAll(test.field, "-", "."): {test.value}}, none); (other != nil) != (err != nil) {
			t.Errorf("%s: %s below %s, in another spelling: %v", test.field, test.value, test.base, other)
		}
		if got := h.Get(test.field); got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%s %s: %s below %s became %q (%v), want %q", test.path, test.field, test.value, test.base, got, err, test.want)
		}
	}
}

// FuzzPlaces looks for a reference that is mapped to a place beside the base URL, in any reading
// of it.
func FuzzPlaces(f *testing.F) {
	for _, ref := range []string{
		"http://gateway.test/dav/x", "https://api.test/v1/public/x", "/dav/x", "/v1/public/x", "x/y", "//gateway.test/dav/x", "/dav/%2e%2e/x", "/dav/..%252fx", `/dav/..\x`,
		"/dav/.\t./x", "/dav/.%09./x", "http://api.test/v1/public%2f..", "/dav/..;/x", "/dav/..#", "http://gateway.test\\@evil.test/dav/", "/dav//evil.test", "/dav/%5cevil.test",
	} {
		f.Add(ref, "/dav", "/a/b")
		f.Add(ref, "", "/")
	}
	base := baseURL(f, "https://api.test/v1/public")
	f.Fuzz(func(t *testing.T, ref, prefix, path string) {
		if prefix != "" && prefix[0] != '/' || path == "" || path[0] != '/' || wire.EscapesBase(path) || strings.ContainsAny(path, "\r\n\t") {
			return
		}
		route := &link.Route{Base: base, Hosts: [2]string{"gateway.test"}, Prefix: prefix, Known: true, Path: path}
		to, ok := route.ToAPI(ref)
		if !ok {
			return
		}
		if !strings.HasPrefix(to, "https://api.test/") && to != "https://api.test" && (to[0] != '/' || strings.HasPrefix(to, "//")) {
			t.Fatalf("%q became %q, which is on another host", ref, to)
		}
		for _, text := range []string{to, strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(to), rig.Unescape(to)} {
			if rig.Leaves(strings.TrimPrefix(text, "https://api.test"), "/v1/public") {
				t.Errorf("%q became %q, which leaves the base URL", ref, to)
			}
		}
		if u, err := url.Parse(to); err == nil {
			if u.Host != "" && u.Host != "api.test" || rig.Leaves(u.Path, "/v1/public") || rig.Leaves(u.EscapedPath(), "/v1/public") {
				t.Errorf("%q became %q, which Go reads as %q", ref, to, u.Path)
			}
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/clean"
	"github.com/authenticated-api/caddy-authenticated-api/internal/link"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// placesSite has one API below /dav and at the root.
func placesSite(base, options string) string {
	block := " {\nauth bearer ours\n" + options + "\n}\n"
	return "handle_path /dav/* {\nauthenticated_api " + base + block + "}\nhandle {\nauthenticated_api " + base + " {\nname root\nauth bearer ours\n" + options + "\n}\n}"
}

// TestPlaces names a second place in a header field. API stands for the API's host and port, GW
// for the gateway's. An empty want means that the request is refused.
func TestPlaces(t *testing.T) {
	api := rig.NewAPI(t, nil)
	g := start(t, "", placesSite("http://"+api.Addr+"/v1/public", ""))
	for _, test := range []struct{ field, value, root, dav string }{
		// URLs of the gateway become the API's; a scheme in front of a gateway without TLS is
		// mended.
		{"Destination", "http://GW/new.txt", "http://API/v1/public/new.txt", ""},
		{"Destination", "https://GW/new.txt", "http://API/v1/public/new.txt", ""},
		{"destination", "//GW/new.txt", "http://API/v1/public/new.txt", ""},
		{"Destination", "http://GW/dav/a%20b/?x=1", "http://API/v1/public/dav/a%20b/?x=1", "http://API/v1/public/a%20b/?x=1"},
		{"Destination", "http://GW/dav", "http://API/v1/public/dav", "http://API/v1/public"},
		{"Destination", "/new.txt", "/v1/public/new.txt", ""},
		{"Destination", "/dav/new.txt", "/v1/public/dav/new.txt", "/v1/public/new.txt"},
		{"Destination", "new.txt", "/v1/public/new.txt", "/v1/public/new.txt"},
		{"Destination", "/davx/new.txt", "/v1/public/davx/new.txt", ""},
		// URLs of the API itself.
		{"Destination", "http://API/v1/public/new.txt", "http://API/v1/public/new.txt", "http://API/v1/public/new.txt"},
		{"Destination", "/v1/public/new.txt", "/v1/public/v1/public/new.txt", "/v1/public/new.txt"},
		{"Destination", "http://API/v1/other/x", "", ""},
		{"Destination", "http://API/v1/publicity/x", "", ""},
		{"Destination", "http://API/", "", ""},
		{"Destination", "http://API", "", ""},
		// Attacks on the parsing of URLs.
		{"Destination", "/../other/x", "", ""},
		{"Destination", "../other/x", "", ""},
		{"Destination", "http://GW/%2e%2e/other", "", ""},
		{"Destination", "http://GW/%252e%252e/other", "", ""},
		{"Destination", "http://GW/..%2fother", "", ""},
		{"Destination", `http://GW/..\other`, "", ""},
		{"Destination", "http://GW/.\t./other", "", ""},
		{"Destination", "http://GW/.%09./other", "", ""},
		{"Destination", "http://GW/..;/other", "", ""},
		{"Destination", "http://API/v1/public/../other", "", ""},
		{"Destination", "http://API/v1/public%2f..%2fother", "", ""},
		{"Destination", "http://API/v1/public#/x", "", ""},
		{"Destination", `http://API\v1/public/x`, "", ""},
		{"Destination", "http://ann@API/v1/public/x", "", ""},
		{"Destination", "http://GW@evil.test/x", "", ""},
		{"Destination", "http://evil.test/v1/public/x", "", ""},
		{"Destination", "//evil.test/v1/public/x", "", ""},
		{"Destination", "http:/v1/public/x", "", ""},
		{"Destination", "http:x", "", ""},
		{"Destination", "file:///v1/public/x", "", ""},
		{"Destination", `\v1\public`, "", ""},
		{"Destination", "?x", "", ""},
		{"Destination", "", "", ""},
		// Object stores.
		{"X-Amz-Copy-Source", "/v1/public/a", "/v1/public/a", "/v1/public/a"},
		{"x-amz-copy-source", "v1/public/a?versionId=3", "v1/public/a?versionId=3", "v1/public/a?versionId=3"},
		{"X-Amz-Copy-Source", "v1%2Fpublic%2Fa", "v1%2Fpublic%2Fa", "v1%2Fpublic%2Fa"},
		{"X-Amz-Copy-Source", "/v1/other/a", "", ""},
		{"X-Amz-Copy-Source", "v1/other/a", "", ""},
		{"X-Amz-Copy-Source", "/v1/public/%2e%2e/other", "", ""},
		{"X-Amz-Copy-Source", "v1%2Fpublic%2F..%2Fother", "", ""},
		{"X-Amz-Copy-Source", "arn:aws:s3:eu-west-1:1:accesspoint/v1/object/a", "", ""},
		{"X-Goog-Copy-Source", "/v1/other/a", "", ""},
		{"X-Oss-Copy-Source", "/v1/other/a", "", ""},
		{"X-Cos-Copy-Source", "/v1/other/a", "", ""},
		{"X-Obs-Copy-Source", "/v1/other/a", "", ""},
		{"X-Upyun-Move-Source", "/v1/other/a", "", ""},
		{"X-Ms-Rename-Source", "/v1/other/a", "", ""},
		{"X-Ms-File-Rename-Source", "http://API/v1/other/a", "", ""},
		{"X-Ms-Copy-Source", "http://API/v1/other/a?sig=x", "", ""},
		{"X-Ms-Copy-Source", "http://API/v1/public/a?sig=x%2F..", "", ""},
		{"X-Ms-Copy-Source", "http://API/v1/public/a?sig=x%2Fy", "http://API/v1/public/a?sig=x%2Fy", "http://API/v1/public/a?sig=x%2Fy"},
		{"X-Ms-Copy-Source", "https://GW/dav/a?sig=x", "http://API/v1/public/dav/a?sig=x", "http://API/v1/public/a?sig=x"},
		{"X-Amz-Copy-Source-Range", "bytes=0-9", "bytes=0-9", "bytes=0-9"},
		// OpenStack, where this base URL is not an account.
		{"X-Copy-From", "/other/a", "", ""},
		{"X-Copy-From-Account", "other", "", ""},
		{"Destination-Account", "other", "", ""},
		{"X-Object-Manifest", "other/parts", "", ""},
		{"X-Symlink-Target", "other/a", "", ""},
		// A link that a GET follows.
		{"X-Oss-Symlink-Target", "other/a", "", ""},
		{"X-Tos-Symlink-Target", "/v1/other/a", "", ""},
		{"X-Oss-Symlink-Target", "v1/public/a", "v1/public/a", "v1/public/a"},
		// RFC 4918's lists.
		{"If", `(<urn:uuid:1> ["a)"])`, `(<urn:uuid:1> ["a)"])`, `(<urn:uuid:1> ["a)"])`},
		{"If", "<http://GW/dav/a> (<urn:uuid:1>) </dav/b> (Not <DAV:no-lock>)", "<http://API/v1/public/dav/a> (<urn:uuid:1>) </v1/public/dav/b> (Not <DAV:no-lock>)", "<http://API/v1/public/a> (<urn:uuid:1>) </v1/public/b> (Not <DAV:no-lock>)"},
		{"If", "<http://API/v1/other/a> ([W/\"x\"])", "", ""},
		{"If", "<http://API/v1/other/a", "", ""},
		{"If", `(["x) <http://API/v1/other/a> ("])`, "", ""},
		{"If", "(<urn:uuid:1>", "", ""},
	} {
		names := strings.NewReplacer("API", api.Addr, "GW", g.plain)
		for prefix, want := range map[string]string{"": test.root, "/dav": test.dav} {
			c := &h1Client{addr: g.plain}
			r := c.do(request{method: "COPY", target: prefix + "/mine.txt", fields: [][2]string{{test.field, names.Replace(test.value)}}})
			switch {
			case want == "":
				if r.problem() != "bad-path" || r.status != 400 {
					t.Errorf("%s %s: %s: the client got %d %q", prefix, test.field, test.value, r.status, r.body)
				}
				wantNothing(t, api)
			case r.status != 200:
				t.Errorf("%s %s: %s: the client got %d %q", prefix, test.field, test.value, r.status, r.body)
			default:
				theRequest(t, api).wantOne(t, test.field, names.Replace(want))
			}
			c.Close()
		}
	}
}

// TestPlacesTwice sends such a field twice, and behind the body.
func TestPlacesTwice(t *testing.T) {
	api := rig.NewAPI(t, nil)
	g := start(t, "", placesSite("http://"+api.Addr+"/v1/public", ""))
	for _, c := range clients(t, g) {
		for _, fields := range [][][2]string{
			{{"Destination", "/a"}, {"Destination", "/b"}},
			{{"X-Amz-Copy-Source", "/v1/public/a"}, {"X-Amz-Copy-Source", "/v1/public/b"}},
		} {
			lower := make([][2]string, len(fields))
			for i, field := range fields {
				lower[i] = [2]string{strings.ToLower(field[0]), field[1]}
			}
			if r := c.do(request{method: "COPY", target: "/x", fields: lower}); !r.refused() {
				t.Errorf("%s: %v: the client got %d", c.name(), fields, r.status)
			}
			wantNothing(t, api)
		}
		r := c.do(request{method: "PUT", target: "/x", body: "a", trailers: [][2]string{{"destination", "/v1/other"}, {"x-sum", "1"}}})
		if r.status != 200 {
			t.Errorf("%s: the client got %d %v", c.name(), r.status, r.err)
		}
		for _, s := range requests(t, api) {
			if strings.Contains(strings.ToLower(s.raw), "destination") {
				t.Errorf("%s: the API got\n%s", c.name(), s.raw)
			}
		}
	}
}

// TestPlacesByBase looks at base URLs that say what the names below them are.
func TestPlacesByBase(t *testing.T) {
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
		base, err := wire.ParseBaseURL(test.base)
		if err != nil {
			t.Fatal(err)
		}
		cleaner := clean.NewRequests(clean.Own{}, nil)
		route := &link.Route{Base: base, Hosts: [2]string{"gateway.test"}, Known: true, Path: test.path}
		h, err := cleaner.MapPlaces(http.Header{test.field: {test.value}}, route)
		if _, other := cleaner.MapPlaces(http.Header{strings.ReplaceAll(test.field, "-", "."): {test.value}}, route); (other != nil) != (err != nil) {
			t.Errorf("%s: %s below %s, in another spelling: %v", test.field, test.value, test.base, other)
		}
		if got := h.Get(test.field); got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%s %s: %s below %s became %q (%v), want %q", test.path, test.field, test.value, test.base, got, err, test.want)
		}
	}
}

// TestPlacesPass lets a field pass that the operator has allowed.
func TestPlacesPass(t *testing.T) {
	api := rig.NewAPI(t, nil)
	g := start(t, "", placesSite("http://"+api.Addr+"/v1/public", "pass_request_header X-Ms-Copy-Source"))
	c := &h1Client{addr: g.plain}
	defer c.Close()
	c.do(request{method: "PUT", target: "/x", fields: [][2]string{{"X-Ms-Copy-Source", "https://other.test/a?sig=x"}}})
	theRequest(t, api).wantOne(t, "X-Ms-Copy-Source", "https://other.test/a?sig=x")
	if r := c.do(request{method: "PUT", target: "/x", fields: [][2]string{{"X-Amz-Copy-Source", "https://other.test/a?sig=x"}}}); r.problem() != "bad-path" {
		t.Errorf("the client got %d %q", r.status, r.body)
	}
	wantNothing(t, api)
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
	base, err := wire.ParseBaseURL("https://api.test/v1/public")
	if err != nil {
		f.Fatal(err)
	}
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
		for _, text := range []string{to, strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(to), decodeOnce(to)} {
			if leaves(strings.TrimPrefix(text, "https://api.test")) {
				t.Errorf("%q became %q, which leaves the base URL", ref, to)
			}
		}
		if u, err := url.Parse(to); err == nil {
			if u.Host != "" && u.Host != "api.test" || leaves(u.Path) || leaves(u.EscapedPath()) {
				t.Errorf("%q became %q, which Go reads as %q", ref, to, u.Path)
			}
		}
	})
}

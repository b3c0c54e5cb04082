// SPDX-License-Identifier: Apache-2.0

package link

import (
	"net/http"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// linkForm is how the value of a header field of an answer holds URLs.
type linkForm int

const (
	noLink linkForm = iota

	// locationForm is a URL, and nothing else.
	locationForm

	// linkListForm is Link's (RFC 8288).
	linkListForm

	// refreshForm is Refresh's.
	refreshForm

	// concatForm is a list of URLs behind "final;": Upload-Concat of tus.
	concatForm
)

// linkFormOf returns how a field holds URLs. The rule: a field is mapped if its definition has
// clients send a request to its URL. A field that names a thing, or that is somebody's data, stays
// as the API wrote it, even if there is a URL in it. A challenge stays too: it says where a caller
// gets credentials of their own.
//
// Besides the fields of HTTP and HTML these are the upload URLs of Google's APIs, the URLs at
// which Azure's tell how a long operation goes (Azure REST guidelines; Azure Resource Manager),
// OData's (Part 1, 8.3.4; DataServiceId is that of version 2), Pingback's, source maps'
// (ECMA-426), and those at which htmx and Inertia go on.
func linkFormOf(name string) linkForm {
	switch name {
	case "Location", "Content-Location",
		"X-Goog-Upload-Url", "X-Goog-Upload-Control-Url",
		"Operation-Location", "Azure-Asyncoperation",
		"Odata-Entityid", "Dataserviceid",
		"X-Pingback", "Sourcemap", "X-Sourcemap",
		"Hx-Location", "Hx-Redirect", "Hx-Push-Url", "Hx-Replace-Url", "X-Inertia-Location":
		return locationForm
	case "Link":
		return linkListForm
	case "Refresh":
		return refreshForm
	case "Upload-Concat":
		return concatForm
	}
	return noLink
}

// HasLinks reports whether h has a field that Rewrite or MapCookies would look at.
func HasLinks(h http.Header) bool {
	for name := range h {
		if linkFormOf(name) != noLink || name == "Set-Cookie" {
			return true
		}
	}
	return false
}

// Rewrite replaces the URLs in the fields of h that lead a client on, in place.
func Rewrite(h http.Header, rewrite func(ref string) string) {
	for name, values := range h {
		form := linkFormOf(name)
		if form == noLink {
			continue
		}
		for i, val := range values {
			values[i] = rewriteField(form, val, rewrite)
		}
	}
}

func rewriteField(form linkForm, val string, rewrite func(string) string) string {
	switch form {
	case linkListForm:
		return rewriteLink(val, rewrite)
	case refreshForm:
		return rewriteRefresh(val, rewrite)
	case concatForm:
		val, _ = rewriteConcat(val, func(ref string) (string, bool) { return rewrite(ref), true })
		return val
	case noLink, locationForm:
	}
	return rewrite(val)
}

// rewriteConcat calls rewrite for the URLs in an Upload-Concat field of tus, "final;/a /b". It
// returns false where rewrite does.
func rewriteConcat(val string, rewrite func(string) (string, bool)) (string, bool) {
	const final = "final;"
	list, ok := strings.CutPrefix(val, final)
	if !ok {
		return val, true // partial
	}
	refs := strings.Split(list, " ")
	for i, ref := range refs {
		if ref == "" {
			continue
		}
		if refs[i], ok = rewrite(ref); !ok {
			return "", false
		}
	}
	return final + strings.Join(refs, " "), true
}

// rewriteLink calls rewrite for the URLs in a Link field (RFC 8288 §3): the targets, which stand
// between < and >, and the anchor parameters.
func rewriteLink(val string, rewrite func(string) string) string {
	var sb strings.Builder
	for i := 0; i < len(val); {
		switch val[i] {
		case '"':
			end := wire.QuotedEnd(val, i)
			if isAnchor(val[:i]) && end > i+1 && val[end-1] == '"' && !strings.Contains(val[i:end], `\`) {
				sb.WriteString(`"` + rewrite(strings.TrimSpace(val[i+1:end-1])) + `"`)
			} else {
				sb.WriteString(val[i:end])
			}
			i = end
		case '<':
			end := strings.IndexByte(val[i:], '>')
			if end < 0 {
				sb.WriteString(val[i:])
				return sb.String()
			}
			sb.WriteByte('<')
			sb.WriteString(rewrite(strings.TrimSpace(val[i+1 : i+end])))
			sb.WriteByte('>')
			i += end + 1
		default:
			sb.WriteByte(val[i])
			i++
		}
	}
	return sb.String()
}

// isAnchor reports whether the value of an anchor parameter follows.
func isAnchor(before string) bool {
	const name = "anchor"
	before, ok := strings.CutSuffix(strings.TrimRight(before, " \t"), "=")
	before = strings.TrimRight(before, " \t")
	start := len(before) - len(name)
	return ok && start > 0 && strings.EqualFold(before[start:], name) && strings.IndexByte("; \t", before[start-1]) >= 0
}

// rewriteRefresh calls rewrite for the URL in a Refresh field, `5; url=https://…`, as browsers
// read it (HTML, "shared declarative refresh steps"): the separator may be a comma or a blank,
// url= may be missing, quotes are optional.
func rewriteRefresh(val string, rewrite func(string) string) string {
	start := strings.IndexAny(val, ";, \t")
	if start < 0 {
		return val
	}
	for start < len(val) && strings.IndexByte(";, \t", val[start]) >= 0 {
		start++
	}
	if rest := val[start:]; len(rest) >= 3 && strings.EqualFold(rest[:3], "url") {
		if after := strings.TrimLeft(rest[3:], " \t"); strings.HasPrefix(after, "=") {
			start = len(val) - len(strings.TrimLeft(after[1:], " \t"))
		}
	}
	end := len(val)
	if start < end && (val[start] == '"' || val[start] == '\'') {
		quote := val[start]
		start++
		if i := strings.IndexByte(val[start:], quote); i >= 0 {
			end = start + i
		}
	}
	return val[:start] + rewrite(strings.TrimSpace(val[start:end])) + val[end:]
}

// SPDX-License-Identifier: Apache-2.0

package console

import (
	"net/url"
	"strings"
)

// maxBack is the longest way back that is remembered. It is in a cookie.
const maxBack = 500

// cameFrom returns where a person has come from, as a path of this origin, or "". A page of the
// gateway that wants an account connected leads here. Only pages of this origin count, so nobody
// else's page can choose where the link leads. The console itself does not count.
func (v *visit) cameFrom() string {
	from, err := url.Parse(v.r.Referer())
	if err != nil || from.Host != v.r.Host || v.crossOrigin(nil) {
		return ""
	}
	if site := v.r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return ""
	}
	if strings.HasPrefix(from.Path+"/", v.address.sent) || strings.Contains(from.Path, `\`) {
		return ""
	}
	back := from.EscapedPath()
	if from.RawQuery != "" {
		back += "?" + from.RawQuery
	}
	return wayBack(back)
}

// wayBack returns a text if it is a path of this origin, and "" otherwise.
func wayBack(text string) string {
	// Browsers take "//" and "/\" for the beginning of a host, and leave out control characters.
	if len(text) > maxBack || !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") || strings.Contains(text, `\`) {
		return ""
	}
	for _, c := range []byte(text) {
		if c <= ' ' || c >= 0x7f {
			return ""
		}
	}
	if u, err := url.Parse(text); err != nil || u.IsAbs() || u.Host != "" {
		return ""
	}
	return text
}

// backFrom returns the way back of the flow that has connected an account of a datasource in this
// browser, or "".
func (v *visit) backFrom(datasource string) string {
	ring, err := v.h.ring()
	if err != nil {
		return ""
	}
	back := ""
	for _, flow := range v.cookies.all(ring) {
		if flow.Done && flow.Datasource == datasource && flow.User == v.user {
			back = wayBack(flow.Return)
		}
	}
	return back
}

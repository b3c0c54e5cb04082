// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

// navigates reports whether a human being is about to see the answer: a browser goes to it as to a page.
func navigates(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	if r.Method != http.MethodGet {
		return false
	}
	first, _, _ := strings.Cut(r.Header.Get("Accept"), ",")
	kind, _, _ := strings.Cut(first, ";")
	return strings.EqualFold(strings.TrimSpace(kind), "text/html")
}

const pageStyle = `:root{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}` +
	`body{margin:0;min-height:100vh;display:grid;place-items:center;background:Canvas;color:CanvasText}` +
	`main{max-width:32rem;padding:2rem}h1{font-size:1.5rem;margin:0 0 .5rem}` +
	`a{display:inline-block;margin-top:1rem;padding:.75rem 1.25rem;border-radius:.5rem;background:#1d4ed8;color:#fff;text-decoration:none}` +
	`a:focus-visible{outline:3px solid;outline-offset:3px}`

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{{.Title}}</title><style>{{.Style}}</style></head>
<body><main><h1>{{.Title}}</h1><p>{{.Text}}</p><a href="{{.URL}}">Connect</a></main></body></html>
`))

// page returns the problem as a small page with a link, and sets the header fields for that.
func (p *problem) page(h http.Header) []byte {
	text := "An operator of this gateway must connect an account before the API can be used."
	if p.status == http.StatusUnauthorized {
		text = "Connect your account once; then come back to this page."
	}
	var page bytes.Buffer
	err := pageTemplate.Execute(&page, struct {
		Title, Text, URL string
		Style            template.CSS
	}{p.title, text, p.url, pageStyle})
	if err != nil {
		panic(err) // the template and its data are constant but for a URL
	}
	sum := sha256.Sum256([]byte(pageStyle))
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(page.Len()))
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+
		"'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	return page.Bytes()
}

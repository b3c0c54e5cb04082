// SPDX-License-Identifier: Apache-2.0

package problem

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

// navigates reports whether a person is about to see the answer: a browser requests it as a page.
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

// pageStyle is in the colours of the console.
const pageStyle = `:root{color-scheme:light dark}*{box-sizing:border-box}` +
	`body{margin:0;min-height:100vh;display:grid;place-items:center;background:#f4f5f8;color:#171a21;` +
	`font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;overflow-wrap:anywhere}` +
	`main{max-width:32rem;margin:1rem;padding:2rem;background:#fff;border:1px solid #dcdfe6;border-radius:.875rem}` +
	`h1{font-size:1.5rem;line-height:1.3;margin:0 0 .75rem}p{margin:0}p+p{margin-top:.75rem}.quiet{color:#565d6b;font-size:.9375rem}` +
	`code{font:.875em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}` +
	`a{display:inline-flex;align-items:center;min-height:2.75rem;margin-top:1.5rem;padding:.5rem 1.125rem;border-radius:.5625rem;` +
	`background:#2a4fd0;color:#fff;font-size:.9375rem;font-weight:600;text-decoration:none}` +
	`a:hover{background:#1f3da6}a:focus-visible{outline:.1875rem solid #2a4fd0;outline-offset:.1875rem}` +
	`@media(prefers-color-scheme:dark){body{background:#101217;color:#eceef3}main{background:#191c23;border-color:#2d323d}.quiet{color:#a4abba}` +
	`a{background:#9db4ff;color:#0e1533}a:hover{background:#bccbff}a:focus-visible{outline-color:#9db4ff}}`

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{{.Title}}</title><style>{{.Style}}</style></head>
<body><main><h1>{{.Title}}</h1><p>{{.Text}}</p>
{{- if .Retry}}<p>Try again in {{.Retry}} {{if eq .Retry 1}}second{{else}}seconds{{end}}.</p>{{end -}}
{{- if .URL}}<a href="{{.URL}}">{{.Link}}</a>{{else -}}
<p class="quiet">{{.Status}} <code>{{.Code}}</code>{{if .Datasource}} for <code>{{.Datasource}}</code>{{end}}</p>{{end -}}
</main></body></html>
`))

// page returns the problem as a small page, and sets the header fields for that.
func (p *Problem) page(h http.Header, datasource string) []byte {
	view := struct {
		Title, Text, Link, URL, Code, Datasource string
		Status, Retry                            int
		Style                                    template.CSS
	}{
		Title: p.title, Text: strings.ReplaceAll(p.detail, nowhere, ""), URL: p.connectURL, Code: p.code, Datasource: datasource, Status: p.status, Retry: p.retryAfter,
		Style: pageStyle,
	}
	switch {
	case p.connectURL == "":
	case p.more:
		view.Title = datasource + " asks for a further consent"
		view.Text = strings.ReplaceAll(p.detail, nowhere, "")
		if view.Link = "To the connected accounts"; p.own {
			view.Link = "Connect again"
		}
	case p.own:
		view.Title = "Your account for " + datasource + " is not connected"
		view.Text, view.Link = "Connect it once; then come back to this page.", "Connect"
	default:
		view.Title = datasource + " is not connected"
		view.Text, view.Link = "An operator of this gateway must connect an account before the API can be used.", "To the connected accounts"
	}
	var page bytes.Buffer
	if err := pageTemplate.Execute(&page, view); err != nil {
		panic(err) // the template and its data are constant but for a URL
	}
	sum := sha256.Sum256([]byte(pageStyle))
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(page.Len()))
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+
		"'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	if p.connectURL != "" { // a console of the same origin offers the way back
		h.Set("Referrer-Policy", "same-origin")
	}
	return page.Bytes()
}

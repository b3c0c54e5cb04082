// SPDX-License-Identifier: Apache-2.0

package foreign

import (
	"strings"
	"text/tabwriter"
)

// columns is how wide a comment is.
const columns = 96

// print returns the Caddyfile.
func (d *draft) print() string {
	var out strings.Builder
	remark(&out, 0, "Made by `caddy authenticated-api import "+d.format+"`. Read it before it serves anybody. Whoever reaches these "+
		"routes calls the APIs with their credentials: put basic_auth or forward_auth in front.")
	if d.console {
		d.toSet = append(d.toSet,
			item{gateway, "this Caddy's address for browsers; register <address>/connect/callback at each provider"},
			item{operatorHash, "what `caddy hash-password` makes for the user operator, who connects accounts at <address>/connect/"})
	}
	if len(d.toSet) > 0 {
		remark(&out, 0, "", "To set for the Caddy process; the file's secrets are not in here:", "")
		table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
		for _, i := range d.toSet {
			_, _ = table.Write([]byte("#   " + commented(i.name) + "\t" + commented(i.from) + "\n"))
		}
		_ = table.Flush()
	}
	if len(d.notes) > 0 {
		remark(&out, 0, "")
	}
	for _, note := range d.notes {
		remark(&out, 0, "Not translated: "+note+".")
	}
	site := line{words: []string{"http://localhost:8080"}}
	if d.console {
		site.words[0] = "{$" + gateway + ":http://localhost:8080}"
		users := line{words: []string{"basic_auth"}, block: []line{{words: []string{"operator", "{env." + operatorHash + "}"}}}}
		console := line{words: []string{"authenticated_api_console"}, block: []line{{words: []string{"operators", "operator"}}}}
		site.block = append(site.block, users, line{words: []string{"handle_path", "/connect/*"}, block: []line{console}})
	}
	out.WriteString(strings.Join(site.words, " ") + " {\n")
	for _, l := range site.block {
		l.print(&out, 1)
	}
	for _, a := range d.apis {
		a.print(&out)
	}
	out.WriteString("\thandle {\n\t\trespond \"no such API\" 404\n\t}\n}\n")
	return out.String()
}

// print writes the route of an API.
func (a *api) print(out *strings.Builder) {
	about := strings.ToUpper(a.label[:1]) + a.label[1:] + "."
	if a.comment != "" {
		about += " " + a.comment
	}
	remark(out, 1, about)
	for _, note := range a.notes {
		remark(out, 1, "Not translated: "+note+".")
	}
	directive := line{
		words: []string{"authenticated_api", a.url},
		block: append([]line{{words: []string{"name", a.name}}}, a.lines...),
	}
	line{words: []string{"handle_path", "/" + a.name + "/*"}, block: []line{directive}}.print(out, 1)
}

// print writes a line and its block.
func (l line) print(out *strings.Builder, depth int) {
	indent := strings.Repeat("\t", depth)
	out.WriteString(indent + strings.Join(l.words, " "))
	if len(l.block) > 0 {
		out.WriteString(" {\n")
		for _, inner := range l.block {
			inner.print(out, depth+1)
		}
		out.WriteString(indent + "}")
	}
	out.WriteString("\n")
}

// commented returns a text as it can stand in a comment. Caddy replaces {$NAME} there too.
func commented(text string) string {
	return strings.NewReplacer("{$", "{", "\n", " ", "\r", " ").Replace(text)
}

// remark writes paragraphs as comments.
func remark(out *strings.Builder, depth int, paragraphs ...string) {
	begin := strings.Repeat("\t", depth) + "#"
	for _, paragraph := range paragraphs {
		width := 4*depth + 1
		out.WriteString(begin)
		for word := range strings.FieldsSeq(commented(paragraph)) {
			if width+1+len(word) > columns && width > 4*depth+1 {
				out.WriteString("\n" + begin)
				width = 4*depth + 1
			}
			out.WriteString(" " + word)
			width += 1 + len(word)
		}
		out.WriteString("\n")
	}
}

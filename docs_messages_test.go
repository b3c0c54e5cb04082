// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocsLog: docs/troubleshooting.md has every message that the log can have, and no other.
func TestDocsLog(t *testing.T) {
	text := section(t, "docs/troubleshooting.md", "What the log says")
	table, debug, _ := strings.Cut(text, "\nAt level DEBUG")
	known := words(tables(table))
	for _, m := range quoted.FindAllStringSubmatch(debug, -1) {
		known[strings.Join(strings.Fields(m[1]), " ")] = true
	}
	used := make(map[string]bool)
	for _, message := range logMessages(t) {
		var found bool
		for phrase := range known {
			if message == phrase || len(phrase) >= 20 && strings.HasPrefix(message, phrase) {
				found, used[phrase] = true, true
			}
		}
		if !found {
			t.Errorf("docs/troubleshooting.md does not have the message %q", message)
		}
	}
	for phrase := range known {
		if !used[phrase] && strings.Contains(phrase, " ") {
			t.Errorf("docs/troubleshooting.md has the message %q, which no code writes", phrase)
		}
	}
}

// logMessages returns what the code writes to loggers.
func logMessages(t *testing.T) (all []string) {
	t.Helper()
	inspect(t, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if strings.HasPrefix(nameOf(call.Fun), "warn") { // a function that hands its message to a logger
			for _, arg := range call.Args {
				if message, ok := text(arg); ok && strings.Contains(message, " ") {
					all = append(all, message)
				}
			}
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !strings.HasSuffix(strings.ToLower(nameOf(method.X)), "logger") && nameOf(method.X) != "Named" {
			return true
		}
		arg := 0
		switch method.Sel.Name {
		case "Check":
			arg = 1
		case "Debug", "Info", "Warn", "Error":
		default:
			return true
		}
		if len(call.Args) > arg {
			message, ok := text(call.Args[arg])
			if ok {
				all = append(all, message)
			} else if _, parameter := call.Args[arg].(*ast.Ident); !parameter {
				t.Errorf("a message is made at run time: %v", call.Args[arg])
			}
		}
		return true
	})
	if len(all) < 40 {
		t.Fatalf("only %d messages were found", len(all))
	}
	return all
}

// others are messages of Caddy and of Go's library that docs/troubleshooting.md explains.
var others = []string{
	"certificate signed by unknown authority", "certificate is valid for ", "certificate has expired or is not yet valid",
	"http: server gave HTTP response to HTTPS client", "first record does not look like a TLS handshake",
	"malformed HTTP response", "connection refused", "network is unreachable", "no route to host", "no such file or directory",
	"permission denied", "no such host", "remote error: tls: unrecognized name", "remote error: tls:",
	"timeout awaiting response headers", "TLS handshake timeout", "i/o timeout", "connection reset by peer",
	"unrecognized subdirective",
}

// TestDocsMessages: what docs/troubleshooting.md quotes from errors and pages is what the code
// says.
func TestDocsMessages(t *testing.T) {
	var corpus strings.Builder
	inspect(t, func(n ast.Node) bool {
		if e, ok := n.(ast.Expr); ok {
			if said, ok := text(e); ok {
				corpus.WriteString(said + "\n")
			}
		}
		return true
	})
	templates, err := filepath.Glob("oauth/console/templates/*.html")
	if err != nil || len(templates) == 0 {
		t.Fatalf("templates: %v", err)
	}
	for _, file := range templates {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		corpus.Write(raw)
	}
	corpus.WriteString(strings.Join(others, "\n"))
	page, _, _ := strings.Cut(read(t, "docs/troubleshooting.md"), "\n## What the log says\n")
	_, commands, _ := strings.Cut(read(t, "docs/troubleshooting.md"), "\n## What the command line says\n")
	for _, row := range tables(withoutFences(page + "\n" + commands)) {
		for _, cell := range row[:len(row)-1] {
			for _, m := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(cell, -1) {
				for part := range strings.SplitSeq(strings.ReplaceAll(m[1], "<name>", "…"), "…") {
					part = strings.Trim(part, " `.")
					if len(part) >= 12 && !strings.Contains(corpus.String(), part) && !strings.Contains(row[0], "The provider, not the gateway") {
						t.Errorf("docs/troubleshooting.md quotes %q, which no code says", part)
					}
				}
			}
		}
	}
}

// TestDocsReasons: each reason why an account must be connected, by the word that status and the
// admin API use, is explained.
func TestDocsReasons(t *testing.T) {
	known := words(tables(section(t, "docs/troubleshooting.md", "What the console says of a connection")))
	var reasons []string
	inspect(t, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			if !strings.HasPrefix(name.Name, "Reason") || i >= len(spec.Values) {
				continue
			}
			if reason, ok := text(spec.Values[i]); ok {
				reasons = append(reasons, reason)
			}
		}
		return true
	})
	if !slices.Contains(reasons, "lost_in_crash") {
		t.Fatalf("the reasons are %q", reasons)
	}
	for _, reason := range reasons {
		if !known[reason] {
			t.Errorf("docs/troubleshooting.md does not explain %s", reason)
		}
	}
}

// TestDocsPages: the title of each page that says one thing is explained.
func TestDocsPages(t *testing.T) {
	page := read(t, "docs/troubleshooting.md")
	var titles int
	inspect(t, func(n ast.Node) bool {
		pair, ok := n.(*ast.KeyValueExpr)
		if !ok || nameOf(pair.Key) != "Title" {
			return true
		}
		if title, ok := text(pair.Value); ok {
			titles++
			if !strings.Contains(page, `"`+title+`"`) {
				t.Errorf("docs/troubleshooting.md does not have the page %q", title)
			}
		}
		return true
	})
	if titles < 30 {
		t.Errorf("only %d titles were found", titles)
	}
}

// SPDX-License-Identifier: Apache-2.0

package foreign_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/authenticated-api/caddy-authenticated-api/internal/foreign"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// What others have exported is not ours to copy. It is in packages of npm, which `make judges`
// installs.
const exports = "../../.cache/exports/node_modules"

// unread has the exports that are no file of their format, and what is said about them.
var unread = map[string]string{
	// Written in a draft of version 2.1, in which item was items.
	"postman-collection-transformer/examples/v2.1.0/": "item: there is no request in it; export the collection in Postman as Collection v2.1, with its requests",
}

// formatOf returns the format of an export, or "".
func formatOf(file, content string) string {
	switch ext := filepath.Ext(file); {
	case ext != ".json" && ext != ".yaml" && ext != ".yml" || strings.HasSuffix(file, "package.json"):
		return ""
	case strings.Contains(strings.ReplaceAll(content, `\/`, "/"), "schema.getpostman.com/json/collection/v2"):
		return "postman"
	case openapiVersion.MatchString(content):
		return "openapi"
	}
	return ""
}

// openapiVersion matches the line that makes a description one.
var openapiVersion = regexp.MustCompile(`\A\s*\{\s*"openapi"\s*:\s*"3|(?m)\Aopenapi: *['"]?3`)

// TestExports: what Postman and others have exported is read, and becomes a Caddyfile that Caddy
// takes, in which none of its secrets is.
func TestExports(t *testing.T) {
	found, secrets := make(map[string]int), make(map[string]int)
	err := filepath.WalkDir(exports, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content := read(t, file)
		format := formatOf(file, content)
		if format == "" {
			return nil
		}
		name := filepath.ToSlash(strings.TrimPrefix(file, filepath.FromSlash(exports)+string(filepath.Separator)))
		found[format]++
		t.Run(name, func(t *testing.T) { secrets[format] += imported(t, format, name, content) })
		return nil
	})
	if err != nil {
		rig.Lacking(t, err.Error()+"; make judges installs it")
	}
	t.Logf("exports: %v, secrets in them: %v", found, secrets)
	if found["postman"] < 70 || found["openapi"] < 130 || secrets["postman"] < 100 || secrets["openapi"] < 500 {
		t.Errorf("exports: %v, secrets in them: %v; are these all?", found, secrets)
	}
}

// imported imports a file, and returns how many of its values it has replaced by a canary first.
func imported(t *testing.T, format, name, content string) int {
	t.Helper()
	got, err := foreign.Caddyfile(format, strings.NewReader(content))
	for prefix, want := range unread {
		if strings.HasPrefix(name, prefix) {
			if err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
			return 0
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	serve(t, got)

	var tree any
	if err := decoder(name)([]byte(content), &tree); err != nil {
		t.Fatal(err)
	}
	p := &planter{secret: postmanSecret}
	if format == "openapi" {
		p.secret = openapiSecret
	}
	planted, err := json.Marshal(p.plant(tree, nil, ""))
	if err != nil {
		t.Fatal(err)
	}
	got, err = foreign.Caddyfile(format, strings.NewReader(string(planted)))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got, canary) {
		t.Errorf("a secret is in\n%s", got)
	}
	return p.planted
}

func decoder(name string) func([]byte, any) error {
	if filepath.Ext(name) == ".json" {
		return json.Unmarshal
	}
	return yaml.Unmarshal
}

// planter replaces the secrets of a document by canaries.
type planter struct {
	secret  func(path []string, key string) bool
	planted int
}

// plant returns a piece of a document with canaries. path are the keys that lead to it, and key is
// the name that a member beside it gives it.
func (p *planter) plant(piece any, path []string, key string) any {
	switch piece := piece.(type) {
	case map[string]any:
		named, _ := piece["key"].(string)
		if named == "" {
			named, _ = piece["id"].(string)
		}
		for k, val := range piece {
			piece[k] = p.plant(val, append(slices.Clip(path), k), named)
		}
		return piece
	case map[any]any: // the keys of YAML may be numbers
		texts := make(map[string]any, len(piece))
		for k, val := range piece {
			texts[fmt.Sprint(k)] = val
		}
		return p.plant(texts, path, key)
	case []any:
		for i := range piece {
			piece[i] = p.plant(piece[i], path, key)
		}
		return piece
	case string:
		if piece != "" && !strings.Contains(piece, "{{") && p.secret(path, key) {
			p.planted++
			return fmt.Sprintf("%s-%d", canary, p.planted)
		}
	}
	return piece
}

// open matches what authentications, fields and parameters say in clear, in any program.
var open = regexp.MustCompile(`(?i)^(type|in|addTokenTo|grant_type|scope|clientId|accessTokenUrl|authUrl|redirect_uri|callback|name|` +
	`headerPrefix|client_authentication|.*algorithm|.*method|realm|region|service|version|v|accept(-.*)?|content-type|user-agent|` +
	`cache-control|prefer|x-requested-with|format|output|pretty|page|limit|offset|per_?page|page_?size|lang|language|locale|sort|order|` +
	`fields|expand|include|api[-_.]?version|.*-version)$`)

// named matches the names of variables that hold a secret.
var named = regexp.MustCompile(`(?i)token|secret|key|pass|auth`)

// postmanSecret: the values of authentications, of header fields and of parameters, whatever their
// names, but those that are known to be open; and variables whose names are those of secrets.
func postmanSecret(path []string, key string) bool {
	last := path[len(path)-1]
	for i, p := range path {
		switch p {
		case "auth":
			if last == "value" { // version 2.1: a list of names and values
				return key != "key" && !open.MatchString(key)
			}
			return len(path) == i+3 && last != "key" && !open.MatchString(last)
		case "header", "query":
			return last == "value" && !open.MatchString(key)
		case "variable":
			return last == "value" && named.MatchString(key) && i == 0
		case "response", "body", "event":
			return false
		}
	}
	return false
}

// openapiSecret: examples and defaults, which people copy from what they use.
func openapiSecret(path []string, _ string) bool {
	switch path[len(path)-1] {
	case "example", "x-default":
		return true
	case "default":
		return path[0] != "servers"
	}
	return false
}

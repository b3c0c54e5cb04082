// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/wire"
)

// A datasource with a base URL has three ways to its API: the handler sends requests itself, it
// does so as an entry of a catalogue, or a reverse_proxy of Caddy's sends them. Tests take the
// first. With CADDYS_PROXY=1 or CATALOGUE=1 in the environment those that call Load or Start take
// another.

// withBase matches the line that begins a directive with a base URL.
var withBase = regexp.MustCompile(`(?m)^([ \t]*authenticated_api[ \t]+(?:[@/*]\S*[ \t]+)?https?://[^\s{]+)[ \t]*(\{?)[ \t]*$`)

// ThroughCaddysProxy returns a Caddyfile whose requests Caddy's proxy sends.
func ThroughCaddysProxy(caddyfile string) string {
	return withBase.ReplaceAllStringFunc(caddyfile, func(line string) string {
		if begin, ok := strings.CutSuffix(strings.TrimSpace(line), "{"); ok {
			return begin + "{\nproxy reverse_proxy"
		}
		return line + " {\nproxy reverse_proxy\n}"
	})
}

// adaptChosen adapts a Caddyfile whose requests go the way that the environment chooses.
func adaptChosen(caddyfile string) ([]byte, error) {
	if os.Getenv("CADDYS_PROXY") == "1" {
		caddyfile = ThroughCaddysProxy(caddyfile)
	}
	config, err := Adapt(caddyfile)
	if err != nil || os.Getenv("CATALOGUE") != "1" {
		return config, err
	}
	return intoCatalogues(config)
}

// intoCatalogues returns a configuration in which each handler that sends requests itself is the
// only entry of a catalogue. All requests that pass are for it, and nothing is cut off their
// paths.
func intoCatalogues(config []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(config))
	decoder.UseNumber()
	var all any
	if err := decoder.Decode(&all); err != nil {
		return nil, err
	}
	replaceHandlers(all)
	return json.Marshal(all)
}

func replaceHandlers(value any) {
	switch value := value.(type) {
	case []any:
		for _, v := range value {
			replaceHandlers(v)
		}
	case map[string]any:
		for _, v := range value {
			replaceHandlers(v)
		}
		base, _ := value["base_url"].(string)
		if value["handler"] != "authenticated_api" || base == "" || value["transport"] == nil {
			return
		}
		name, _ := value["name"].(string)
		if name == "" {
			url, err := wire.ParseBaseURL(base)
			if err != nil {
				return // a mistake that a test is about
			}
			name = url.Name()
		}
		entry := maps.Clone(value)
		delete(entry, "name")
		delete(entry, "handler")
		clear(value)
		value["handler"], value["name"], value["apis"] = "authenticated_apis", name+"{http.vars.none}", map[string]any{name: entry}
	}
}

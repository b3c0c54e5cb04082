// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// proxySubdirectives are the subdirectives of reverse_proxy.
var proxySubdirectives = strings.Fields(`
	to dynamic lb_policy lb_retries lb_try_duration lb_try_interval lb_retry_match
	health_uri health_upstream health_port health_interval health_passes health_fails health_timeout health_method health_status health_body
	health_request_body health_follow_redirects health_headers fail_duration max_fails unhealthy_status unhealthy_latency
	unhealthy_request_count flush_interval request_buffers response_buffers stream_timeout stream_buffer_size stream_close_delay
	trusted_proxies header_up header_down method rewrite verbose_logs transport handle_response replace_status`)

// proxyWords are the options of reverse_proxy's transport http.
var proxyWords = strings.Fields(`
	read_buffer write_buffer read_timeout write_timeout max_response_header proxy_protocol forward_proxy_url network_proxy dial_timeout
	dial_fallback_delay response_header_timeout expect_continue_timeout resolvers tls tls_client_auth tls_trust_pool tls_insecure_skip_verify
	tls_curves tls_timeout tls_server_name tls_renegotiation tls_except_ports tls_trusted_ca_certs keepalive keepalive_interval
	keepalive_idle_conns keepalive_idle_conns_per_host versions compression max_conns_per_host local_address http`)

// knownWords are the words of a block that errors may show.
func knownWords() []string {
	known := slices.Concat(proxySubdirectives, proxyWords, slices.Collect(maps.Keys(subdirectives)), []string{directiveName, "datasource", "reverse_proxy"})
	for _, id := range caddy.Modules() {
		known = append(known, caddy.ModuleID(id).Name())
	}
	return known
}

// unrecognized matches the errors of Caddy's parsers about an unknown word.
var unrecognized = regexp.MustCompile(`unrecognized subdirective ([^\s,]+)`)

// withSuggestion adds to an error about an option that the proxy does not know the option that
// was meant, or a list of all. said is the error as Caddy has made it.
func withSuggestion(err, said error) error {
	m := unrecognized.FindStringSubmatch(said.Error())
	if m == nil {
		return err
	}
	own := slices.Sorted(maps.Keys(subdirectives))
	if meant := value.Nearest(m[1], slices.Concat(own, proxySubdirectives, proxyWords)...); meant != "" {
		return fmt.Errorf("%w; did you mean %s?", err, meant)
	}
	return fmt.Errorf("%w; besides those of reverse_proxy there are %s", err, strings.Join(own, ", "))
}

// shortest is the length from which a part of a word could reveal something of a secret.
const shortest = 6

// withoutValues returns an error of Caddy's parsers without the unknown words among the tokens.
// The parsers quote their input, which may be a secret.
func withoutValues(d *caddyfile.Dispenser, tokens []caddyfile.Token, err error) error {
	if err == nil {
		return nil
	}
	known, text, replaced := knownWords(), err.Error(), false
	var words []string
	for _, token := range tokens {
		if len(token.Text) > 2 && !strings.HasPrefix(value.Quote(token.Text, known...), `"`) {
			words = append(words, token.Text)
		}
	}
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
	for _, word := range words {
		if strings.Contains(text, word) {
			text, replaced = strings.ReplaceAll(text, word, "("+value.Shape(word)+")"), true
		}
	}
	if slices.ContainsFunc(words, func(word string) bool { return sharesPart(text, word) }) {
		return d.Errf("an option of Caddy's own is wrong, in a way whose description would show what it was given")
	}
	if !replaced {
		return err
	}
	return errors.New(text)
}

// sharesPart reports whether a part of a word is in a text.
func sharesPart(text, word string) bool {
	if _, rest, ok := strings.Cut(word, "://"); ok {
		word = rest
	}
	for i := range len(word) - shortest + 1 {
		if strings.Contains(text, word[i:i+shortest]) {
			return true
		}
	}
	return false
}

// checkModule reports that there is no module of a name. Caddy's own error would show the name.
// kind is what the module would be.
func checkModule(option, kind, namespace, name string) error {
	if _, err := caddy.GetModule(namespace + "." + name); err == nil {
		return nil
	}
	names := moduleNames(namespace)
	return fmt.Errorf("%s: there is no %s %s; there are %s", option, kind, value.Mention(name, names...), strings.Join(names, ", "))
}

// checkRawModule is checkModule for a module in JSON. The module's name stands under key.
func checkRawModule(option, namespace, key string, raw json.RawMessage) error {
	var fields map[string]json.RawMessage
	var name string
	if json.Unmarshal(raw, &fields) != nil || json.Unmarshal(fields[key], &name) != nil {
		return fmt.Errorf("%s: it is no JSON object whose %s is a string", option, key)
	}
	return checkModule(option, key, namespace, name)
}

// moduleNames returns the names of the modules in a namespace.
func moduleNames(namespace string) []string {
	infos := caddy.GetModules(namespace)
	names := make([]string, 0, len(infos))
	for _, info := range infos {
		names = append(names, info.ID.Name())
	}
	return names
}

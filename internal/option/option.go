// SPDX-License-Identifier: Apache-2.0

// Package option knows the blocks of a Caddyfile and the options of each. With that it makes the
// errors about an option that stands in the wrong block, or that does not exist.
package option

import (
	"fmt"
	"slices"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// place is a block and its options.
type place struct {
	block   string
	options []string
}

// global are the options of the block at the top. A test of the directive compares all these
// lists with the parsers.
var global = strings.Fields("key storage cache_size sweep_after keep_alive deny_private allow_dial")

// places are the other blocks.
var places = []place{
	{"a site's authenticated_api", strings.Fields("name header query auth signature self_signed_cert allow_origin pass_request_header " +
		"pass_response_header mcp map_links sandbox max_header_fields max_query_params replay refresh_on errors")},
	{"auth oauth2", strings.Fields("provider token_url refresh_url refresh_token assertion assertion_file service_account subject_token subject_token_type requested_token_type " +
		"actor_token actor_token_type on_behalf_of then username password token_header answer authorization_url redirect_url issuer revocation_url insecure_http client_id client_secret client_auth " +
		"refresh_client_auth discover client_name registration dpop token_request scopes send_scope_on_refresh audience resource authorization_param token_param expires_in refresh_before network_proxy " +
		"add_token_to header_prefix token_field connection pkce self_signed_cert timeout")},
	{"answer", strings.Fields("access_token refresh_token id_token expires_in")},
	{"client_auth private_key_jwt", strings.Fields("key key_id algorithm certificate audience lifetime")},
	{"auth login", strings.Fields("method json form basic jwt token also add_token_to header_prefix self_signed_cert insecure_http timeout expires_in")},
	{"auth jwt", strings.Fields("secret_encoding algorithm key_file key_id issuer audience lifetime claim add_token_to header_prefix")},
	{"auth api_key", strings.Fields("in prefix verify")},
	{"signature", strings.Fields("header algorithm key_file key_id issuer audience lifetime claim")},
	{"authenticated_api_console", strings.Fields("user operators")},
	{"transport http", strings.Fields("read_buffer write_buffer read_timeout write_timeout max_response_header proxy_protocol forward_proxy_url network_proxy " +
		"dial_timeout dial_fallback_delay response_header_timeout expect_continue_timeout resolvers tls tls_client_auth tls_trust_pool " +
		"tls_insecure_skip_verify tls_curves tls_timeout tls_server_name tls_renegotiation tls_except_ports keepalive keepalive_interval " +
		"keepalive_idle_conns keepalive_idle_conns_per_host versions compression max_conns_per_host local_address")},
}

// Elsewhere says to which block an option belongs that was found in another, or "".
func Elsewhere(word string) string {
	if slices.Contains(global, word) {
		return fmt.Sprintf("%s is a global option; write it in the block at the top of the Caddyfile: { authenticated_api { %s … } }", word, word)
	}
	var blocks []string
	for _, p := range places {
		if slices.Contains(p.options, word) {
			blocks = append(blocks, p.block+" { … }")
		}
	}
	if len(blocks) == 0 {
		return ""
	}
	return fmt.Sprintf("%s is an option of %s; write it there", word, strings.Join(blocks, " and of "))
}

// Unrecognized says what is wrong with a word that is no option of a block, and what to do about
// it.
func Unrecognized(word string, options ...string) string {
	if where := Elsewhere(word); where != "" {
		if meant := longer(word, options); meant != "" {
			return "unrecognized option " + word + "; did you mean " + meant + "? If not, " + where
		}
		return where
	}
	return "unrecognized option " + value.Mention(word, options...) + "; " + Suggest(word, options...)
}

// longer returns the option that a word is the beginning or the end of, or "".
func longer(word string, options []string) string {
	i := slices.IndexFunc(options, func(o string) bool { return strings.HasPrefix(o, word) || strings.HasSuffix(o, "_"+word) })
	if i < 0 {
		return ""
	}
	return options[i]
}

// Suggest asks whether the nearest option was meant. If no option is near, it lists all of them.
func Suggest(word string, options ...string) string {
	if meant := value.Nearest(word, options...); meant != "" {
		return "did you mean " + meant + "?"
	}
	switch last := len(options) - 1; last {
	case -1:
		return "there are none"
	case 0:
		return "there is " + options[0]
	default:
		return "there are " + strings.Join(options[:last], ", ") + " and " + options[last]
	}
}

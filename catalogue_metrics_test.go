// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestCatalogueMetrics: a scrape has of each entry what there is to say, and no zeros, of which
// thousands of entries would make megabytes; and names that no entry has are counted.
func TestCatalogueMetrics(t *testing.T) {
	r := newMetricsRig(t)
	api := rig.NewAPI(t, accepting("Authorization: Bearer "+metricsCanary+"-a2"))
	entry := func(name, auth string) string {
		return name + " http://" + api.Addr + " {\n" + auth + "\n}\n"
	}
	gateway := rig.Start(t, r.caddyfile(t, "", "authenticated_apis {\n", entry("unused", "auth bearer "+metricsCanary), entry("refused", "auth bearer "+metricsCanary),
		entry("robot", "auth oauth2 client_credentials {\n"+r.client("/token")+"}"),
		entry("account", "auth oauth2 authorization_code {\n"+r.client("/token")+"authorization_url http://"+r.provider.Addr+
			"/authorize\nredirect_url https://gateway.example.com/connect/callback\n}"), "}\n"))
	unknown := func() (n int) {
		for _, line := range r.scrape(t) {
			if text, ok := strings.CutPrefix(line, `requests_rejected_total{datasource="",code="unknown-api"} `); ok {
				n, _ = strconv.Atoi(text)
			}
		}
		return n
	}
	before := unknown()
	wantOK(t, rig.Get(t, gateway, "/robot/x", "")) // the first token is refused, the second is not
	for _, path := range []string{"/refused/x", "/account/x", "/none/x", "/"} {
		rig.Get(t, gateway, path, "")
	}
	if n := unknown() - before; n != 2 {
		t.Errorf("%d unknown names were counted, want 2", n)
	}
	got := r.scrape(t)
	wantLines(t, got, "unused")
	wantLines(t, got, "refused", `refusals_total{DS,status="401"} 1`)
	wantLines(t, got, "robot", `cached_connections{DS} 1`, `connections{DS,state="connected"} 1`, `last_success_timestamp_seconds{DS} TIME`,
		`replays_total{DS,outcome="served"} 1`, `token_expiry_timestamp_seconds{DS} TIME`,
		`token_request_duration_seconds_count{DS,grant="client_credentials"} 2`, `token_requests_total{DS,grant="client_credentials",outcome="success"} 2`)
	wantLines(t, got, "account", `connections{DS,state="not_connected"} 1`, `requests_rejected_total{DS,code="authorization-required"} 1`)
}

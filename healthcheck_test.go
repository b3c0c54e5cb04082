// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestHealthCheckInClear: an active health check that would leave without TLS although the base
// URL is https is refused, as a request is. The scheme of a check is that of the upstream's port,
// whichever port is dialled.
func TestHealthCheckInClear(t *testing.T) {
	for name, test := range map[string]struct {
		to, options, except string // UPSTREAM and CHECKED are ports
	}{
		"the port of health_port":      {"UPSTREAM", "health_port CHECKED", "CHECKED"},
		"the upstream's port":          {"CHECKED", "", "CHECKED"},
		"health_upstream, by the port": {"UPSTREAM", "health_upstream 127.0.0.1:CHECKED", "UPSTREAM"},
		"both ports":                   {"UPSTREAM", "health_port CHECKED", "CHECKED UPSTREAM"},
	} {
		for place, auth := range map[string]string{
			"header":    "auth bearer s3cret",
			"query":     "auth api_key key s3cret {\nin query\n}",
			"edits":     "auth none\nheader X-Key s3cret",
			"signature": "auth none\nsignature 0123456789abcdef0123456789s3cret",
		} {
			t.Run(name+"/"+place, func(t *testing.T) {
				checked := rig.NewAPI(t, nil)
				_, port, _ := net.SplitHostPort(checked.Addr)
				_, upstream, _ := net.SplitHostPort(rig.Free(t))
				options := strings.NewReplacer("CHECKED", port, "UPSTREAM", upstream)
				gateway := rig.Start(t, options.Replace("http://GATEWAY {\nauthenticated_api https://127.0.0.1:"+test.to+" {\n"+auth+
					"\nhealth_uri /health\nhealth_interval 50ms\n"+test.options+"\ntransport http {\ntls_except_ports "+test.except+"\n}\n}\n}"))
				waitFor(t, "an unhealthy upstream", func() bool {
					for _, request := range checked.Requests() {
						t.Fatalf("this went out in clear:\n%s", request)
					}
					return rig.Get(t, gateway, "/x", "").StatusCode == http.StatusServiceUnavailable
				})
			})
		}
	}
}

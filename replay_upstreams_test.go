// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

func TestReplayRetries(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 32<<10/16)
	for name, auth := range map[string]string{
		"file": "auth bearer {file." + rig.Save(t, "old\n") + "}", "header": "auth bearer old", "query": "auth api_key key old {\nin query\n}",
	} {
		t.Run(name, func(t *testing.T) {
			api := rig.NewAPI(t, nil)
			dead := rig.Free(t)
			gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+dead+"/v2 {\n"+
				auth+"\nto http://"+api.Addr+"\nlb_policy first\nlb_retries 2\nfail_duration 10s\n}\n}")
			wantOK(t, rig.Do(t, gateway, "POST", "/x?a=1", "", body))
			request := one(t, api)
			want := []string{"POST /v2/x?a=1 HTTP/1.1", "Host: " + dead, "Content-Length: 32768", "Authorization: Bearer old"}
			if name == "query" {
				want = []string{"POST /v2/x?key=old&a=1 HTTP/1.1", "Host: " + dead, "Content-Length: 32768"}
			}
			wantHead(t, request, want...)
			if _, sent, _ := strings.Cut(request, "\r\n\r\n"); sent != body {
				t.Errorf("the API got a body of %d bytes", len(sent))
			}
		})
	}
}

func TestReplayBetweenUpstreams(t *testing.T) {
	// A refused request is sent again to the upstream that refused it, once; then it passes, and
	// is not tried elsewhere.
	first := rig.NewAPI(t, accepting("Authorization: Bearer newest"))
	second := rig.NewAPI(t, nil)
	gateway, secret := replayGateway(t, first.Addr, "to http://"+second.Addr+"\nlb_policy first\nlb_retries 2")
	rotate(t, secret, "new")
	wantRefusal(t, rig.Do(t, gateway, "POST", "/x", "", "body"))
	wantTwice(t, first.Requests(), "Bearer old", "Bearer new")
	if n := len(second.Requests()); n != 0 {
		t.Errorf("the second upstream got %d requests", n)
	}
}

func TestReplayHealthCheck(t *testing.T) {
	for _, test := range []struct {
		name, options string
		want          []string
	}{
		{"header", "auth bearer old\nheader X-Env prod", []string{"GET /health?deep=1 HTTP/1.1", "Authorization: Bearer old", "X-Env: prod"}},
		{"query", "auth api_key key old {\nin query\n}\nquery page 1", []string{"GET /health?key=old&deep=1 HTTP/1.1"}},
		{"signature", "auth none\nsignature 0123456789abcdef0123456789abcdef", []string{"GET /health?deep=1 HTTP/1.1", "X-Appsmith-Signature: ey"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			checks := make(chan string, 64)
			api := rig.NewAPI(t, func(request string) string {
				select {
				case checks <- request:
				default:
				}
				return rig.OK("ok")
			})
			gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+"/v2?tenant=7 {\n"+test.options+
				"\nhealth_uri /health?deep=1\nhealth_interval 100ms\n}\n}")
			request := rig.Receive(t, checks, "a health check")
			head, _, _ := strings.Cut(request, "\r\n\r\n")
			for _, want := range append(test.want, "Host: "+api.Addr) {
				if !strings.Contains("\r\n"+head, "\r\n"+want) {
					t.Errorf("the health check is\n%s\nwithout %q", head, want)
				}
			}
			rig.Receive(t, checks, "another health check")
			wantOK(t, rig.Get(t, gateway, "/x", ""))
		})
	}
}

// Caddy dials the same upstream for a redirected health check, but the request is for whoever the
// API named.
func TestReplayHealthCheckRedirect(t *testing.T) {
	for name, auth := range map[string]string{
		"header":    "auth bearer s3cret\nheader X-Tenant s3cret",
		"query":     "auth api_key key s3cret {\nin query\n}",
		"signature": "auth none\nsignature 0123456789abcdef0123456789s3cret",
	} {
		t.Run(name, func(t *testing.T) {
			redirected := make(chan string, 64)
			api := rig.NewAPI(t, func(request string) string {
				if strings.HasPrefix(request, "GET /health") {
					return rig.Response("302 Found", "Location: http://elsewhere.example/there\r\n", "")
				}
				select {
				case redirected <- request:
				default:
				}
				return rig.OK("ok")
			})
			rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\n"+auth+
				"\nhealth_uri /health\nhealth_interval 100ms\nhealth_follow_redirects\n}\n}")
			request := rig.Receive(t, redirected, "a redirected health check")
			if !strings.HasPrefix(request, "GET /there HTTP/1.1\r\nHost: elsewhere.example\r\n") {
				t.Errorf("the redirected health check is\n%s", request)
			}
			for _, secret := range []string{"s3cret", "Authorization", "Signature", "X-Tenant"} {
				if strings.Contains(request, secret) {
					t.Errorf("the redirected health check is\n%s", request)
				}
			}
		})
	}
}

// A health check never has a credential read again, but has the one that a refused request has had
// read.
func TestReplayHealthCheckRefused(t *testing.T) {
	checks := make(chan string, 256)
	api := rig.NewAPI(t, func(request string) string {
		if strings.HasPrefix(request, "GET /health") {
			select {
			case checks <- request:
			default:
			}
			return rig.OK("ok")
		}
		return accepting("Authorization: Bearer new")(request)
	})
	gateway, secret := replayGateway(t, api.Addr, "health_uri /health\nhealth_interval 50ms")
	rotate(t, secret, "new")
	if request := rig.Receive(t, checks, "a health check"); !strings.Contains(request, "Bearer old") {
		t.Errorf("the health check is\n%s", request)
	}
	wantOK(t, rig.Do(t, gateway, "POST", "/x", "", "body"))
	waitFor(t, "health check with the new credential", func() bool {
		return strings.Contains(rig.Receive(t, checks, "a health check"), "Bearer new")
	})
}

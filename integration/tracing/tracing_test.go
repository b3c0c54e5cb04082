// SPDX-License-Identifier: Apache-2.0

// Package tracing looks at the traces that a Caddy with the handler tracing exports, as a
// collector gets them: OTLP over HTTP.
package tracing

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// gateway runs a Caddy whose datasource crm gets tokens of a provider.
func gateway(t *testing.T, c *collector, p *provider, api string) string {
	t.Helper()
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.url)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	t.Setenv("TEST_CLIENT_SECRET", "canary-secret")
	oauth := "authenticated_api " + api + "/v1 {\nname crm\nauth oauth2 client_credentials {\ntoken_url " + p.url +
		"/token/canary-path\nclient_id gateway\nclient_secret {env.TEST_CLIENT_SECRET}\n}\n}"
	return rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nstorage file_system "+rig.StorageDir(t)+"\n}\nhttp://GATEWAY {\n"+
		"handle /traced* {\ntracing {\nspan {http.request.uri.path}\n}\n"+oauth+"\n}\nhandle {\n"+oauth+"\n}\n}")
}

// accepts answers with 200 where the token is the current one.
func accepts(current *atomic.Pointer[string]) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+*current.Load() {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
}

// attributes returns the attributes of a span or an event as text, in order of their keys.
func attributes(of *v1.Span) map[string]string {
	all := make(map[string]string)
	for _, kv := range of.GetAttributes() {
		all[kv.GetKey()] = strings.Trim(strings.SplitN(kv.GetValue().String(), ":", 2)[1], `" `)
	}
	return all
}

func events(of *v1.Span) (all []string) {
	for _, e := range of.GetEvents() {
		if !strings.HasPrefix(e.GetName(), "authenticated_api.") {
			continue // otelhttp's own
		}
		var values []string
		for _, kv := range e.GetAttributes() {
			values = append(values, strings.Trim(strings.SplitN(kv.GetValue().String(), ":", 2)[1], `" `))
		}
		all = append(all, strings.TrimSpace(e.GetName()+" "+strings.Join(values, " ")))
	}
	return all
}

// wantChild checks the span of a token request that was made for a traced request.
func wantChild(t *testing.T, child, parent *v1.Span, want map[string]string) {
	t.Helper()
	if hex.EncodeToString(child.GetParentSpanId()) != hex.EncodeToString(parent.GetSpanId()) || string(child.GetTraceId()) != string(parent.GetTraceId()) {
		t.Errorf("the token request is no child of %s", parent.GetName())
	}
	if child.GetKind() != v1.Span_SPAN_KIND_CLIENT || child.GetEndTimeUnixNano() <= child.GetStartTimeUnixNano() {
		t.Errorf("its kind is %s, from %d to %d", child.GetKind(), child.GetStartTimeUnixNano(), child.GetEndTimeUnixNano())
	}
	want["authenticated_api.datasource"], want["authenticated_api.grant"] = "crm", "client_credentials"
	want["http.request.method"], want["server.address"] = "POST", "127.0.0.1"
	if got := attributes(child); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("its attributes are %v, want %v", got, want)
	}
}

const tokenRequest = "authenticated_api token request"

// TestTokenRequests: the first request has a child span for its token request, a request that is
// sent again has two events and a child, a request that nobody traces has none of these, and no
// secret goes to the collector.
func TestTokenRequests(t *testing.T) {
	c, p := newCollector(t), newProvider(t)
	var current atomic.Pointer[string]
	first := "canary-token-1"
	current.Store(&first)
	api := newServer(t, accepts(&current))
	gw := gateway(t, c, p, api)

	wantStatus(t, gw, "/untraced", 200) // gets the token, untraced
	second := "canary-token-2"
	current.Store(&second)
	wantStatus(t, gw, "/traced/replayed", 200)
	request := c.wait(t, "/traced/replayed")
	child := c.wait(t, tokenRequest)
	wantChild(t, child, request, map[string]string{"authenticated_api.outcome": "success", "http.response.status_code": "201"})
	want := []string{"authenticated_api.credential_refused crm 401", "authenticated_api.replay crm served"}
	if got := events(request); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the events are %q, want %q", got, want)
	}
	wantStatus(t, gw, "/traced/quiet", 200)
	if quiet := c.wait(t, "/traced/quiet"); len(events(quiet)) != 0 || len(quiet.GetLinks()) != 0 {
		t.Errorf("a request with nothing to tell has %q", events(quiet))
	}

	third := "canary-token-3"
	current.Store(&third)
	wantStatus(t, gw, "/traced/refused", 401) // so soon after a renewal there is no other
	request = c.wait(t, "/traced/refused")
	want = []string{"authenticated_api.credential_refused crm 401", "authenticated_api.replay crm not_renewed"}
	if got := events(request); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the events are %q, want %q", got, want)
	}
	if p.traced.Load() {
		t.Error("the provider was sent a trace context")
	}
	c.wantNoSecret(t)
}

// TestRefusedTokenRequest: the span of a token request that fails says why, in a code.
func TestRefusedTokenRequest(t *testing.T) {
	c, p := newCollector(t), newProvider(t)
	p.says.Store(http.StatusUnauthorized)
	gw := gateway(t, c, p, newServer(t, http.NotFoundHandler()))
	wantStatus(t, gw, "/traced/refused", 502)
	request, child := c.wait(t, "/traced/refused"), c.wait(t, tokenRequest)
	wantChild(t, child, request, map[string]string{
		"authenticated_api.outcome": "refused", "http.response.status_code": "401", "error.type": "invalid_client",
	})
	if child.GetStatus().GetCode() != v1.Status_STATUS_CODE_ERROR || child.GetStatus().GetMessage() != "invalid_client" {
		t.Errorf("its status is %v", child.GetStatus())
	}
	c.wantNoSecret(t)
}

// TestSharedTokenRequest: of requests that wait for one token request, one has it as a child, and
// each other has a link to that one.
func TestSharedTokenRequest(t *testing.T) {
	c, p := newCollector(t), newProvider(t)
	var current atomic.Pointer[string]
	first := "canary-token-1"
	current.Store(&first)
	gw := gateway(t, c, p, newServer(t, accepts(&current)))
	p.hold = make(chan struct{})
	p.asked = make(chan struct{}, 1)
	done := make(chan int, 2)
	call := func(path string) { done <- rig.Get(t, gw, path, "").StatusCode }
	go call("/traced/starts")
	rig.Receive(t, p.asked, "the token request")
	go call("/traced/joins")
	rig.Wait(t, "both wait", 15*time.Second, func() bool {
		stacks := make([]byte, 1<<20)
		return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "connection.(*Source).wait(") == 2
	})
	close(p.hold)
	for range 2 {
		if status := rig.Receive(t, done, "an answer"); status != 200 {
			t.Errorf("status %d", status)
		}
	}
	starts, joins := c.wait(t, "/traced/starts"), c.wait(t, "/traced/joins")
	wantChild(t, c.wait(t, tokenRequest), starts, map[string]string{"authenticated_api.outcome": "success", "http.response.status_code": "201"})
	links := joins.GetLinks()
	if len(links) != 1 || string(links[0].GetSpanId()) != string(starts.GetSpanId()) || string(links[0].GetTraceId()) != string(starts.GetTraceId()) {
		t.Errorf("the other request has the links %v", links)
	}
	if got := events(joins); fmt.Sprint(got) != "[authenticated_api.waits_for_token_request_of_another]" {
		t.Errorf("the other request has the events %q", got)
	}
	c.wantNoSecret(t)
}

func wantStatus(t *testing.T, gw, path string, want int) {
	t.Helper()
	if res := rig.Get(t, gw, path, ""); res.StatusCode != want {
		t.Fatalf("%s: %d %s", path, res.StatusCode, res.Text)
	}
}

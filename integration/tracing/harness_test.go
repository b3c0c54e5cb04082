// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	v1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m, nil)) }

func newServer(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// collector receives spans.
type collector struct {
	url string

	mu    sync.Mutex
	raw   strings.Builder
	spans []*v1.Span
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := new(collector)
	c.url = newServer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			if zip, err := gzip.NewReader(r.Body); err == nil {
				body = zip
			}
		}
		content, err := io.ReadAll(body)
		var export collectorv1.ExportTraceServiceRequest
		if err != nil || proto.Unmarshal(content, &export) != nil {
			t.Errorf("the export cannot be read: %v", err)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw.Write(content)
		for _, rs := range export.GetResourceSpans() {
			for _, ss := range rs.GetScopeSpans() {
				c.spans = append(c.spans, ss.GetSpans()...)
			}
		}
	}))
	return c
}

// wait waits for a span with a name, and takes it.
func (c *collector) wait(t *testing.T, name string) (span *v1.Span) {
	t.Helper()
	rig.Wait(t, "the span "+name, 15*time.Second, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for i, s := range c.spans {
			if s.GetName() == name {
				span = s
				c.spans = append(c.spans[:i:i], c.spans[i+1:]...)
				return true
			}
		}
		return false
	})
	return span
}

// wantNoSecret checks all that was exported.
func (c *collector) wantNoSecret(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if raw := c.raw.String(); raw == "" || strings.Contains(raw, "canary") {
		t.Errorf("%d bytes were exported, with a secret", len(raw))
	}
}

// provider issues canary-token-1, canary-token-2 and so on.
type provider struct {
	url string

	says   atomic.Int32 // the status; 0 for 200
	issued atomic.Int32
	traced atomic.Bool // a request had a trace context

	asked chan struct{} // is told of each request; may be nil
	hold  chan struct{} // is waited for before an answer; may be nil
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := new(provider)
	p.url = newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Traceparent") != "" {
			p.traced.Store(true)
		}
		if p.asked != nil {
			p.asked <- struct{}{}
			<-p.hold
		}
		w.Header().Set("Content-Type", "application/json")
		if status := p.says.Load(); status != 0 {
			w.WriteHeader(int(status))
			_, _ = io.WriteString(w, `{"error":"invalid_client","error_description":"canary-description"}`)
			return
		}
		w.WriteHeader(http.StatusCreated) // some do
		fmt.Fprintf(w, `{"access_token":"canary-token-%d","expires_in":3600}`, p.issued.Add(1))
	}))
	return p
}

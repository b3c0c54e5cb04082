// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// BenchmarkCatalogue is what a request to one of 10,000 APIs costs: to find its entry, and all
// that Caddy does of it, to an API on the loopback interface. A name that no entry has is refused.
func BenchmarkCatalogue(b *testing.B) {
	server, catalogue := servedCatalogue(b, 10_000)
	for _, entry := range []struct {
		name, path string
		status     int
	}{
		{"first", "/api00000/items", http.StatusOK}, {"last", "/api09999/items", http.StatusOK}, {"unknown", "/api10000/items", http.StatusNotFound},
	} {
		r := httptest.NewRequest(http.MethodGet, "http://gateway.example"+entry.path, nil)
		r.Header.Set("User-Agent", "bench")
		b.Run("step=find/entry="+entry.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.URL.Path = entry.path
				if api := catalogue.choose(r); (api != nil) != (entry.status == http.StatusOK) {
					b.Fatal("another entry was found")
				}
			}
		})
		b.Run("step=serve/entry="+entry.name, func(b *testing.B) {
			w := &emptied{header: make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				r.URL.Path = entry.path
				if server.ServeHTTP(w, r); w.status != entry.status {
					b.Fatalf("the answer is %d", w.status)
				}
			}
		})
	}
}

// emptied is a client that keeps of an answer its status alone.
type emptied struct {
	header http.Header
	status int
}

func (w *emptied) Header() http.Header         { return w.header }
func (w *emptied) Write(p []byte) (int, error) { return len(p), nil }
func (w *emptied) WriteHeader(status int)      { w.status = status }
func (w *emptied) Flush()                      {}

// servedCatalogue runs a Caddy with a catalogue of n entries until the benchmark ends.
func servedCatalogue(b *testing.B, n int) (*caddyhttp.Server, *Catalogue) {
	b.Helper()
	api := rig.QuietAPI(b)
	b.Setenv("ENTRY_SECRET", "token")
	var entries strings.Builder
	for i := range n {
		fmt.Fprintf(&entries, "api%05d http://%s {\nauth bearer {env.ENTRY_SECRET}\n}\n", i, api)
	}
	rig.Start(b, "{\nadmin off\npersist_config off\nauto_https off\nlog {\nlevel ERROR\n}\n}\n:PORT {\nbind 127.0.0.1\nauthenticated_apis {\n"+entries.String()+"}\n}")
	app, err := caddy.ActiveContext().AppIfConfigured("http")
	if err != nil {
		b.Fatal(err)
	}
	for _, server := range app.(*caddyhttp.App).Servers {
		if catalogue := catalogueIn(server.Routes); catalogue != nil {
			return server, catalogue
		}
	}
	b.Fatal("no server has a catalogue")
	return nil, nil
}

func catalogueIn(routes caddyhttp.RouteList) *Catalogue {
	for _, route := range routes {
		for _, handler := range route.Handlers {
			switch handler := handler.(type) {
			case *Catalogue:
				return handler
			case *caddyhttp.Subroute:
				if catalogue := catalogueIn(handler.Routes); catalogue != nil {
					return catalogue
				}
			}
		}
	}
	return nil
}

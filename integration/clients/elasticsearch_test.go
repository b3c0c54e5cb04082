// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// TestElasticsearch uses Elastic's SDK, which refuses servers that do not say what product they
// are.
func TestElasticsearch(t *testing.T) {
	s := service{
		start: func(t *testing.T) string { return serve(t, guarded("Authorization", "ApiKey "+key, elasticsearch(t))) },
		lines: "auth api_key Authorization " + key + " {\nprefix ApiKey\n}",
	}
	compare(t, "elasticsearch", s, func(t *testing.T, w way) transcript { return script(t, "elasticsearch.mjs", w) })
}

const elasticJSON = "application/vnd.elasticsearch+json;compatible-with=9"

// elasticsearch answers as the server does.
func elasticsearch(t *testing.T) http.Handler {
	var busy atomic.Int32
	mux := http.NewServeMux()
	reply := func(w http.ResponseWriter, status int, val any) {
		w.Header().Set("Content-Type", elasticJSON)
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(val)
	}
	page := func(n int) any {
		hits := make([]any, n)
		for i := range hits {
			hits[i] = map[string]any{"_index": "a", "_source": map[string]any{"i": i}}
		}
		return map[string]any{"_scroll_id": "s1", "took": 1, "hits": map[string]any{"total": map[string]any{"value": n}, "hits": hits}}
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"name": "n", "version": map[string]any{"number": "9.4.0"}, "tagline": "You Know, for Search"})
	})
	mux.HandleFunc("PUT /a/_doc/{id}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/a/_doc/"+r.PathValue("id"))
		reply(w, http.StatusCreated, map[string]any{"_id": r.PathValue("id"), "target": r.RequestURI, "bytes": len(unzipped(t, r))})
	})
	mux.HandleFunc("GET /a/_doc/{id}", func(w http.ResponseWriter, r *http.Request) { // and HEAD
		if r.PathValue("id") == "absent" {
			reply(w, http.StatusNotFound, map[string]any{"_index": "a", "_id": "absent", "found": false})
		}
	})
	mux.HandleFunc("POST /a/_search", func(w http.ResponseWriter, r *http.Request) {
		unzipped(t, r)
		reply(w, http.StatusOK, page(3))
	})
	mux.HandleFunc("POST /_search/scroll", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, page(0)) })
	mux.HandleFunc("DELETE /_search/scroll", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"succeeded": true})
	})
	mux.HandleFunc("POST /_bulk", func(w http.ResponseWriter, r *http.Request) {
		lines := strings.Count(unzipped(t, r), "\n") / 2
		items := make([]any, lines)
		for i := range items {
			items[i] = map[string]any{"index": map[string]any{"_index": "a", "status": 201}}
		}
		reply(w, http.StatusOK, map[string]any{"errors": false, "items": items})
	})
	mux.HandleFunc("GET /_cat/count/busy", func(w http.ResponseWriter, _ *http.Request) {
		if n := busy.Add(1); n <= 2 {
			reply(w, []int{http.StatusServiceUnavailable, http.StatusBadGateway}[n-1], map[string]any{"error": "busy"})
			return
		}
		reply(w, http.StatusOK, []any{map[string]any{"count": "3"}})
	})
	mux.HandleFunc("GET /_cat/indices", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
		_, _ = io.WriteString(w, "health index\ngreen  a\n")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
		mux.ServeHTTP(w, r)
	})
}

// unzipped returns the body of a request.
func unzipped(t *testing.T, r *http.Request) string {
	body, err := io.ReadAll(r.Body)
	if err == nil && r.Header.Get("Content-Encoding") == "gzip" {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(z)
		}
	}
	if err != nil {
		t.Errorf("%s %s: %v", r.Method, r.RequestURI, err)
	}
	return string(body)
}

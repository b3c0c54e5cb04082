// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestGoogleStorage uses Google's SDK for Cloud Storage. Sessions of uploads are Locations.
func TestGoogleStorage(t *testing.T) {
	path := program(t, "fake-gcs-server", "make clients installs it")
	s := service{
		start: func(t *testing.T) string {
			w := newWorld(t)
			backend, front := rig.Free(t), rig.Free(t)
			host, port, _ := net.SplitHostPort(backend)
			w.begin(t, backend, path, "-scheme", "http", "-host", host, "-port", port, "-backend", "memory",
				"-external-url", "http://"+front, "-log-level", "error")
			return serveAt(t, front, guarded("Authorization", "Bearer "+key, behind(backend)))
		},
		lines: "auth bearer " + key,
	}
	compare(t, "storage", s, func(t *testing.T, w way) transcript { return script(t, "storage.mjs", w) })
}

// TestGenAI uses Google's SDK for Gemini.
func TestGenAI(t *testing.T) {
	s := service{
		start: func(t *testing.T) string { return serve(t, guarded("X-Goog-Api-Key", key, gemini())) },
		lines: "auth api_key X-Goog-Api-Key " + key,
	}
	compare(t, "genai", s, func(t *testing.T, w way) transcript { return script(t, "genai.mjs", w) })
}

// gemini answers as the API does.
func gemini() http.Handler {
	mux := http.NewServeMux()
	candidate := func(text string) any {
		return map[string]any{"candidates": []any{map[string]any{"index": 0, "content": map[string]any{"role": "model", "parts": []any{map[string]any{"text": text}}}}}}
	}
	mux.HandleFunc("POST /v1beta/models/{call}", func(w http.ResponseWriter, r *http.Request) {
		model, method, _ := strings.Cut(r.PathValue("call"), ":")
		var ask struct{ Contents []any }
		_ = json.NewDecoder(r.Body).Decode(&ask)
		switch {
		case model == "absent":
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"error":{"code":404,"message":"models/absent is not found","status":"NOT_FOUND"}}`)
		case method == "streamGenerateContent":
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 4 {
				text, _ := json.Marshal(candidate(fmt.Sprint("part ", i)))
				fmt.Fprintf(w, "data: %s\r\n\r\n", text)
				_ = http.NewResponseController(w).Flush()
			}
		case method == "countTokens":
			answerJSON(w, map[string]any{"totalTokens": 7})
		default:
			answerJSON(w, candidate(fmt.Sprint(len(ask.Contents), " contents")))
		}
	})
	mux.HandleFunc("GET /v1beta/models", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("pageToken") == "" {
			answerJSON(w, map[string]any{"models": []any{map[string]any{"name": "a"}, map[string]any{"name": "b"}}, "nextPageToken": "t/+="})
			return
		}
		answerJSON(w, map[string]any{"models": []any{map[string]any{"name": "c " + r.URL.Query().Get("pageToken")}}})
	})
	var size atomic.Int64
	mux.HandleFunc("POST /upload/v1beta/files", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("upload_id") == "" {
			size.Store(0)
			w.Header().Set("X-Goog-Upload-Status", "active")
			w.Header().Set("X-Goog-Upload-URL", "http://"+r.Host+"/upload/v1beta/files?upload_id=u1&upload_protocol=resumable")
			return
		}
		if offset, _ := strconv.ParseInt(r.Header.Get("X-Goog-Upload-Offset"), 10, 64); offset != size.Load() {
			refuse(w, http.StatusBadRequest, "bad offset")
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		size.Add(n)
		if !strings.Contains(r.Header.Get("X-Goog-Upload-Command"), "finalize") {
			w.Header().Set("X-Goog-Upload-Status", "active")
			return
		}
		w.Header().Set("X-Goog-Upload-Status", "final")
		answerJSON(w, map[string]any{"file": map[string]any{"name": "files/1", "sizeBytes": fmt.Sprint(size.Load()), "mimeType": "application/octet-stream"}})
	})
	return mux
}

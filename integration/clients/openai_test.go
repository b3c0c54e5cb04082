// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// TestOpenAI uses OpenAI's SDK.
func TestOpenAI(t *testing.T) {
	s := service{
		start: func(t *testing.T) string {
			return serve(t, guarded("Authorization", "Bearer "+key, openAI())) + "/v1"
		},
		lines: "auth bearer " + key,
	}
	compare(t, "openai", s, func(t *testing.T, w way) transcript { return script(t, "openai.mjs", w) })
}

// openAI answers as the API does.
func openAI() http.Handler {
	mux := http.NewServeMux()
	var busy atomic.Int32
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		var ask struct {
			Model    string
			Stream   bool
			Messages []struct{ Content string }
		}
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
			refuse(w, http.StatusBadRequest, "bad_json")
			return
		}
		w.Header().Set("X-Request-Id", "req_1")
		switch {
		case ask.Model == "absent":
			refuse(w, http.StatusNotFound, "model_not_found")
		case ask.Model == "slow":
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-r.Context().Done():
			case <-time.After(patience):
			}
		case ask.Model == "busy" && busy.Add(1) <= 2:
			w.Header().Set("Retry-After-Ms", "10")
			w.Header().Set("Retry-After", "30")
			refuse(w, http.StatusTooManyRequests, "rate_limit_exceeded")
		case ask.Stream:
			chatStream(w, r, ask.Model == "endless")
		default:
			answerJSON(w, map[string]any{"id": "c1", "object": "chat.completion", "model": ask.Model, "choices": []any{map[string]any{
				"index": 0, "finish_reason": "stop", "message": map[string]any{"role": "assistant", "content": ask.Messages[0].Content + "!"},
			}}})
		}
	})
	mux.HandleFunc("GET /v1/files", func(w http.ResponseWriter, r *http.Request) {
		page := map[string]any{"object": "list", "data": ids("file-1", "file-2"), "has_more": true}
		if r.URL.Query().Get("after") == "file-2" {
			page = map[string]any{"object": "list", "data": ids("file-3"), "has_more": false}
		}
		answerJSON(w, page)
	})
	mux.HandleFunc("POST /v1/files", func(w http.ResponseWriter, r *http.Request) {
		file, header, err := r.FormFile("file")
		if err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		n, _ := io.Copy(io.Discard, file)
		answerJSON(w, map[string]any{"id": "file-1", "bytes": n, "filename": header.Filename, "purpose": r.FormValue("purpose")})
	})
	mux.HandleFunc("DELETE /v1/files/{id}", func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, map[string]any{"id": r.PathValue("id"), "deleted": true})
	})
	mux.HandleFunc("POST /v1/audio/speech", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "audio/mpeg")
		for i := range 256 {
			_, _ = w.Write([]byte{byte(i)})
			_ = http.NewResponseController(w).Flush()
		}
	})
	mux.HandleFunc("POST /v1/embeddings", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, map[string]any{"object": "list", "data": []any{map[string]any{"index": 0, "embedding": "AACAPwAAAEA="}}})
	})
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", "req_models")
		w.Header().Set("X-Ratelimit-Remaining-Requests", "99")
		answerJSON(w, map[string]any{"object": "list", "data": ids("small")})
	})
	return mux
}

// chatStream sends server-sent events, each when there is something to say.
func chatStream(w http.ResponseWriter, r *http.Request, endless bool) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	for i := 0; i < 5 || endless; i++ {
		event := map[string]any{"id": "c1", "choices": []any{map[string]any{"index": 0, "delta": map[string]any{"content": fmt.Sprint("part ", i)}}}}
		text, _ := json.Marshal(event)
		if _, err := fmt.Fprintf(w, ": keep-alive\n\ndata: %s\n\n", text); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}

func ids(names ...string) []any {
	var all []any
	for _, name := range names {
		all = append(all, map[string]any{"id": name, "object": "x"})
	}
	return all
}

func answerJSON(w http.ResponseWriter, val any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(val)
}

// refuse answers with an error as these APIs write it.
func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "error", "error": map[string]any{"type": code, "code": code, "message": "refused: " + code},
	})
}

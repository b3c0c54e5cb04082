// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
)

// TestAnthropic uses Anthropic's SDK.
func TestAnthropic(t *testing.T) {
	s := service{
		start: func(t *testing.T) string { return serve(t, guarded("Authorization", "Bearer "+key, anthropic(t))) },
		lines: "auth bearer " + key,
	}
	compare(t, "anthropic", s, func(t *testing.T, w way) transcript { return script(t, "anthropic.mjs", w) })
}

// anthropic answers as the API does.
func anthropic(t *testing.T) http.Handler {
	mux := http.NewServeMux()
	var busy atomic.Int32
	mux.HandleFunc("POST /v1/messages", func(w http.ResponseWriter, r *http.Request) {
		var ask struct {
			Model  string
			Stream bool
		}
		_ = json.NewDecoder(r.Body).Decode(&ask)
		if r.Header.Get("Anthropic-Version") == "" {
			t.Error("the API got no Anthropic-Version")
		}
		w.Header().Set("Request-Id", "req_1")
		switch {
		case ask.Model == "absent":
			refuse(w, http.StatusNotFound, "not_found_error")
		case ask.Model == "busy" && busy.Add(1) <= 2:
			w.Header().Set("Retry-After-Ms", "10")
			w.Header().Set("X-Should-Retry", "true")
			refuse(w, 529, "overloaded_error")
		case ask.Stream:
			messageStream(w, ask.Model == "broken")
		default:
			answerJSON(w, map[string]any{
				"id": "m1", "type": "message", "role": "assistant", "stop_reason": "end_turn",
				"content": []any{map[string]any{"type": "text", "text": "hello"}}, "usage": map[string]any{"input_tokens": 1, "output_tokens": 1},
			})
		}
	})
	mux.HandleFunc("POST /v1/messages/count_tokens", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, map[string]any{"input_tokens": 3})
	})
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, r *http.Request) {
		page := map[string]any{"data": ids("a", "b"), "has_more": true, "first_id": "a", "last_id": "b"}
		if r.URL.Query().Get("after_id") == "b" {
			page = map[string]any{"data": ids("c"), "has_more": false, "first_id": "c", "last_id": "c"}
		}
		answerJSON(w, page)
	})
	mux.HandleFunc("GET /v1/messages/batches/batch_1", func(w http.ResponseWriter, r *http.Request) {
		// The SDK follows this URL with its key: the URL in this body is the API's own.
		answerJSON(w, map[string]any{
			"id": "batch_1", "processing_status": "ended",
			"results_url": "http://" + r.Host + "/v1/messages/batches/batch_1/results",
		})
	})
	mux.HandleFunc("GET /v1/messages/batches/batch_1/results", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-jsonl")
		for i := range 3 {
			fmt.Fprintf(w, `{"custom_id":"r%d","result":{"type":"succeeded"}}`+"\n", i)
		}
	})
	return mux
}

func messageStream(w http.ResponseWriter, broken bool) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	events := [][2]string{
		{"message_start", `{"type":"message_start","message":{"id":"m1","type":"message","role":"assistant","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}`},
		{"content_block_start", `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`},
		{"ping", `{"type":"ping"}`},
		{"content_block_delta", `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hel"}}`},
		{"content_block_delta", `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}`},
	}
	if broken {
		events = append(events, [2]string{"error", `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`})
	}
	events = append(events,
		[2]string{"content_block_stop", `{"type":"content_block_stop","index":0}`},
		[2]string{"message_delta", `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}`},
		[2]string{"message_stop", `{"type":"message_stop"}`})
	for _, event := range events {
		_, _ = io.WriteString(w, "event: "+event[0]+"\ndata: "+event[1]+"\n\n")
		_ = http.NewResponseController(w).Flush()
	}
}

// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"compress/gzip"
	"io"
	"log"
	"net/http"
	"time"
)

// quietLog is for servers whose handlers end badly on purpose.
var quietLog = log.New(io.Discard, "", 0)

// drip answers a byte at a time, for ever.
func drip(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write([]byte(" ")); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		time.Sleep(5 * time.Millisecond)
	}
}

// zipBomb answers with what becomes a hundred megabytes.
func zipBomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	_ = http.NewResponseController(w).Flush() // the race detector slows the compression down to a second
	zip := gzip.NewWriter(w)
	defer zip.Close()
	blank := make([]byte, 1<<20)
	for range 100 {
		if _, err := zip.Write(blank); err != nil {
			return
		}
	}
}

// hang never answers. A server notices that a client has left when the body was read.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

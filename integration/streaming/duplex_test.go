// SPDX-License-Identifier: Apache-2.0

package streaming

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

func TestEvents(t *testing.T) {
	for _, contentType := range []string{"text/event-stream", "application/x-ndjson"} {
		for name, auth := range both(t) {
			t.Run(contentType+", "+name, func(t *testing.T) {
				next := make(chan struct{})
				api := newHTTPAPI(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", contentType)
					for i := range 3 {
						_, _ = fmt.Fprintf(w, "data: %d\n", i)
						_ = http.NewResponseController(w).Flush()
						select {
						case <-next:
						case <-r.Context().Done():
							return
						}
					}
				})
				url, config := startTLS(t, "http://"+api, auth)
				for _, major := range []int{1, 2, 3} {
					res := do(t, clientFor(t, major, config), newRequest(t, "GET", url+"/x", nil))
					r := bufio.NewReader(res.Body)
					for i := range 3 {
						if got, want := readLine(t, r), fmt.Sprintf("data: %d", i); got != want {
							t.Errorf("%s: the event is %q, want %q", protoOf(major), got, want)
						}
						next <- struct{}{}
					}
				}
			})
		}
	}
}

func TestUpload(t *testing.T) {
	for name, auth := range both(t) {
		t.Run(name, func(t *testing.T) {
			pieces := make(chan string)
			api := newHTTPAPI(t, func(w http.ResponseWriter, r *http.Request) {
				body := bufio.NewReader(r.Body)
				for {
					line, err := body.ReadString('\n')
					if err != nil {
						break
					}
					pieces <- line
				}
				_, _ = io.WriteString(w, "ok")
			})
			url, config := startTLS(t, "http://"+api, auth)
			for _, major := range []int{1, 2, 3} {
				body, feed := io.Pipe()
				answer := make(chan *http.Response, 1)
				req := newRequest(t, "POST", url+"/x", body)
				client := clientFor(t, major, config)
				go func() {
					defer close(answer)
					res, err := client.Do(req)
					if err != nil {
						t.Errorf("%s: %v", protoOf(major), err)
						return
					}
					answer <- res
				}()
				for i := range 3 {
					if _, err := fmt.Fprintf(feed, "piece %d\n", i); err != nil {
						t.Fatal(err)
					}
					if got, want := rig.Receive(t, pieces, "a piece at the API"), fmt.Sprintf("piece %d\n", i); got != want {
						t.Errorf("%s: the API got %q, want %q", protoOf(major), got, want)
					}
				}
				_ = feed.Close()
				res := rig.Receive(t, answer, "the response")
				if res == nil {
					return
				}
				if text := readAll(t, res.Body); text != "ok" {
					t.Errorf("%s: the client got %d %q", protoOf(major), res.StatusCode, text)
				}
				_ = res.Body.Close()
			}
		})
	}
}

// A conversation: each line of the client is answered before it sends the next one.
func TestBothWays(t *testing.T) {
	echo := guarded(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if r.ProtoMajor == 1 {
			if err := control.EnableFullDuplex(); err != nil {
				t.Error(err)
			}
		}
		w.WriteHeader(http.StatusOK)
		_ = control.Flush()
		body := bufio.NewReader(r.Body)
		for {
			line, err := body.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = io.WriteString(w, "echo "+line)
			_ = control.Flush()
		}
	})
	for name, auth := range both(t) {
		for _, version := range []string{rig.OverTLS, "2"} {
			t.Run(name+", "+version, func(t *testing.T) {
				base, options := newAPIOf(t, version, echo)
				url, config := startTLS(t, base, auth+"\n"+options)
				for _, major := range []int{2, 3} {
					body, feed := io.Pipe()
					// Both sides' heads must pass before there is any body.
					res := do(t, clientFor(t, major, config), newRequest(t, "POST", url+"/x", body))
					r := bufio.NewReader(res.Body)
					for i := range 4 {
						if _, err := fmt.Fprintf(feed, "line %d\n", i); err != nil {
							t.Fatal(err)
						}
						if got, want := readLine(t, r), fmt.Sprintf("echo line %d", i); got != want {
							t.Errorf("%s: got %q, want %q", protoOf(major), got, want)
						}
					}
					_ = feed.Close()
					if rest := readAll(t, r); rest != "" {
						t.Errorf("%s: the rest is %q", protoOf(major), rest)
					}
				}
			})
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package streaming

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

func TestDisconnect(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			begun, ended := make(chan struct{}, 8), make(chan struct{}, 8)
			base, options := newAPIOf(t, version, guarded(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if r.URL.Path == "/midway" {
					_, _ = io.WriteString(w, "line\n")
					_ = http.NewResponseController(w).Flush()
				}
				begun <- struct{}{}
				<-r.Context().Done()
				ended <- struct{}{}
			}))
			url, config := startTLS(t, base, "auth bearer {file."+rig.Save(t, "k1\n")+"}\n"+options)
			for _, major := range []int{1, 2, 3} {
				for _, path := range []string{"/midway", "/before"} {
					client := clientFor(t, major, config)
					ctx, cancel := context.WithCancel(t.Context())
					req := newRequest(t, "GET", url+path, nil).WithContext(ctx)
					done := make(chan struct{})
					go func() {
						defer close(done)
						res, err := client.Do(req)
						if err == nil {
							_, _ = io.Copy(io.Discard, res.Body)
							_ = res.Body.Close()
						}
					}()
					rig.Receive(t, begun, "the request at the API")
					cancel()
					rig.Receive(t, ended, protoOf(major)+" "+path+": the end of the request at the API")
					<-done
				}
			}
		})
	}
}

// The transport uses its clones of requests again. Whatever an API and a client do, no request
// may get anything of another's.
func TestMixedUp(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			base, options := newAPIOf(t, version, guarded(func(w http.ResponseWriter, r *http.Request) {
				id := strings.TrimPrefix(r.URL.Path, "/v2/")
				if r.Header.Get("X-Id") != id || r.Header.Get("X-Client") != id || r.URL.RawQuery != "id="+id {
					t.Errorf("request %s came with %v and %q", id, r.Header, r.URL.RawQuery)
				}
				switch kind, _, _ := strings.Cut(id, "-"); kind {
				case "hints":
					w.Header().Set("X-Hint", id)
					w.WriteHeader(http.StatusEarlyHints)
				case "unread": // the answer comes while the body still goes
					w.Header().Set("X-Id", id)
					w.WriteHeader(http.StatusRequestEntityTooLarge)
					return
				case "hang":
					_, _ = io.Copy(io.Discard, r.Body)
					<-r.Context().Done()
					return
				}
				body, err := io.ReadAll(r.Body)
				if err == nil && strings.ReplaceAll(string(body), id, "") != "" {
					t.Errorf("request %s came with another body", id)
				}
				w.Header().Set("X-Id", id)
				_, _ = io.WriteString(w, id)
			}))
			gateway := startFor(t, base+"/v2", "auth bearer {file."+rig.Save(t, "k1\n")+"}\nheader X-Id {http.request.header.X-Client}\n"+options)
			client := clientFor(t, 1, nil)
			// There is one connection to the API. If the caller whose request dials it goes away,
			// all callers that wait for it fail.
			if res := rig.Do(t, gateway, "POST", "/warm?id=warm", "X-Client: warm\r\n", ""); res.StatusCode != 200 {
				t.Fatalf("the first request is answered with %d", res.StatusCode)
			}
			kinds := []string{"plain", "hints", "hang", "body", "large"}
			if version == "1.1" || version == "3" {
				kinds = append(kinds, "unread") // see TestResponseTrailers
			}
			var callers sync.WaitGroup
			for caller := range 12 {
				callers.Go(func() {
					for i := range 25 {
						kind := kinds[(caller+i)%len(kinds)]
						id := fmt.Sprintf("%s-%d-%d", kind, caller, i)
						ctx, cancel := context.WithTimeout(t.Context(), patience)
						var body io.Reader
						switch kind {
						case "hang":
							ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
						case "body":
							body = strings.NewReader(strings.Repeat(id, 50))
						case "large", "unread":
							body = strings.NewReader(strings.Repeat(id, 20000))
						}
						req, err := http.NewRequestWithContext(ctx, "POST", "http://"+gateway+"/"+id+"?id="+id, body)
						if err != nil {
							t.Error(err)
						}
						req.Header.Set("X-Client", id)
						res, err := client.Do(req)
						if err == nil {
							var text []byte
							text, err = io.ReadAll(res.Body)
							_ = res.Body.Close()
							if err == nil && (res.Header.Get("X-Id") != id || len(text) > 0 && string(text) != id) && kind != "unread" {
								t.Errorf("%s got %d %q with %v", id, res.StatusCode, text, res.Header)
							}
						}
						if err != nil && kind != "hang" && kind != "unread" {
							t.Errorf("%s: %v", id, err)
						}
						cancel()
					}
				})
			}
			callers.Wait()
		})
	}
}

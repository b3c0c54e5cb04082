// SPDX-License-Identifier: Apache-2.0

package streaming

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

func TestClients(t *testing.T) {
	api := rig.NewAPI(t, nil)
	url, config := startTLS(t, "http://"+api.Addr+"/v2", "auth bearer {file."+rig.Save(t, "k1\n")+"}")
	for _, major := range []int{1, 2, 3} {
		t.Run(protoOf(major), func(t *testing.T) {
			client := clientFor(t, major, config)
			for _, body := range []string{"", "body"} {
				method := "GET"
				want := []string{"/v2/a%2Fb?c=d HTTP/1.1", "Host: " + api.Addr, "Authorization: Bearer k1", "User-Agent: test"}
				req := newRequest(t, method, url+"/a%2Fb?c=d", nil)
				if body != "" {
					method = "POST"
					req = newRequest(t, method, url+"/a%2Fb?c=d", strings.NewReader(body))
					want = append(want, "Content-Length: 4")
				}
				req.Header.Set("User-Agent", "test")
				req.Header.Set("Authorization", "Bearer mine")
				req.Header["authorization"] = []string{"Bearer mine too"}
				res := do(t, client, req)
				if text := readAll(t, res.Body); res.ProtoMajor != major || res.StatusCode != 200 || text != "ok" {
					t.Errorf("the client got %s %d %q", res.Proto, res.StatusCode, text)
				}
				want[0] = method + " " + want[0]
				request := api.Request(t)
				rig.WantHead(t, request, want...)
				if _, sent, _ := strings.Cut(request, "\r\n\r\n"); sent != body {
					t.Errorf("the API got the body %q", sent)
				}
			}
		})
	}
}

func TestAPIs(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			var accepted atomic.Value
			accepted.Store("Bearer old")
			requests := make(chan string, 16)
			base, options := newAPIOf(t, version, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				requests <- fmt.Sprintf("%s %s %s %s %q %s", r.Proto, r.Method, r.Host, r.RequestURI, r.Header["Authorization"], body)
				if r.Header.Get("Authorization") != accepted.Load() {
					w.WriteHeader(http.StatusUnauthorized)
				}
				_, _ = io.WriteString(w, "ok")
			}))
			proto := map[string]string{"1.1": "HTTP/1.1", "2": "HTTP/2.0", "h2c": "HTTP/2.0", "3": "HTTP/3.0"}[version]
			host := base[strings.LastIndex(base, "/")+1:]
			secret := rig.Save(t, "old\n")
			gateway := startFor(t, base+"/v2", "auth bearer {file."+secret+"}\n"+options)
			for _, body := range []string{"", "body"} {
				method := "GET"
				if body != "" {
					method = "POST"
				}
				wantOK(t, rig.Do(t, gateway, method, "/a%2Fb?c=d", "Authorization: mine\r\n", body))
				want := fmt.Sprintf(`%s %s %s /v2/a%%2Fb?c=d ["Bearer old"] %s`, proto, method, host, body)
				if got := rig.Receive(t, requests, "the request"); got != want {
					t.Errorf("the API got %s, want %s", got, want)
				}
			}
			rig.Replace(t, secret, "new\n")
			accepted.Store("Bearer new")
			wantOK(t, rig.Do(t, gateway, "POST", "/x", "", "body"))
			for _, token := range []string{"old", "new"} {
				want := fmt.Sprintf(`%s POST %s /v2/x ["Bearer %s"] body`, proto, host, token)
				if got := rig.Receive(t, requests, "the request"); got != want {
					t.Errorf("the API got %s, want %s", got, want)
				}
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

const switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"

// TestCatalogueUpgrades: requests of many entries that ask for another protocol come at once, and
// go by one proxy. Each gets to its own API with its own credential, and the placeholders of the
// proxy, and Caddy's list of upstreams, have the API of the entry.
func TestCatalogueUpgrades(t *testing.T) {
	const entries = 16
	var apis [2]*rig.API
	hold := make(chan struct{})
	asked := make(chan struct{}, entries)
	for i := range apis {
		apis[i] = rig.NewAPI(t, func(string) string {
			asked <- struct{}{}
			<-hold
			return switched + rig.HangUp
		})
	}
	var catalogue strings.Builder
	for i := range entries {
		fmt.Fprintf(&catalogue, "api%d http://%s {\nauth bearer token-of-%d\n}\n", i, apis[i%2].Addr, i)
	}
	admin, log := rig.Free(t), filepath.Join(t.TempDir(), "log")
	gateway := rig.Start(t, "{\nadmin "+admin+"\npersist_config off\nauto_https off\n}\nhttp://GATEWAY {\nlog {\noutput file "+log+"\n}\n"+
		"log_append asked {http.reverse_proxy.upstream.hostport}\nlog_append before {http.reverse_proxy.upstream.requests}\nauthenticated_apis {\n"+catalogue.String()+"}\n}")
	var all sync.WaitGroup
	for i := range entries {
		all.Go(func() {
			replies, err := rig.TryExchange(gateway, fmt.Sprintf("GET /api%d/of-%d HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\n"+
				"Upgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n\r\n", i, i, gateway), 1)
			if err != nil || len(replies) != 1 || replies[0].StatusCode != http.StatusSwitchingProtocols {
				t.Errorf("%d: %v %v", i, replies, err)
			}
		})
	}
	for range entries {
		rig.Receive(t, asked, "the requests")
	}
	upstreams := rig.Get(t, admin, "/reverse_proxy/upstreams", "").Text
	close(hold)
	all.Wait()
	for i, api := range apis {
		if want := fmt.Sprintf(`{"address":"%s","num_requests":%d,"fails":0}`, api.Addr, entries/2); !strings.Contains(upstreams, want) {
			t.Errorf("%s is not among the upstreams %s", want, upstreams)
		}
		for _, request := range api.Requests() {
			var n int
			if _, err := fmt.Sscanf(request, "GET /of-%d ", &n); err != nil || n%2 != i || !strings.Contains(request, fmt.Sprintf("Bearer token-of-%d\r\n", n)) {
				t.Errorf("API %d got %q", i, request)
			}
		}
	}
	rig.Wait(t, "the access log", 5*time.Second, func() bool { return len(rig.Logged(t, log, "handled request")) == entries })
	for _, e := range rig.Logged(t, log, "handled request") {
		var n int
		if _, err := fmt.Sscanf(e["request"].(map[string]any)["uri"].(string), "/api%d/", &n); err != nil || e["asked"] != apis[n%2].Addr || e["before"] != 0. {
			t.Errorf("the log has of api%d: %v, %v", n, e["asked"], e["before"])
		}
	}
}

// TestWaysProxyProtocol: an API that is told of the client in front of each connection is told of
// each client on a connection of its own, whoever sends the requests.
func TestWaysProxyProtocol(t *testing.T) {
	api := rig.NewAPI(t, func(request string) string {
		line, _, _ := strings.Cut(request, "\r\n")
		return rig.OK(line)
	})
	entry := "http://" + api.Addr + " {\nauth bearer t\ntransport http {\nproxy_protocol v1\n}\n}\n"
	other := "another http://" + api.Addr + " {\nauth bearer t\n}\n"
	gateway := rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nservers {\ntrusted_proxies static 127.0.0.1\n}\n}\nhttp://GATEWAY {\n"+
		"handle_path /itself/* {\nauthenticated_api "+entry+"}\nhandle_path /catalogue/* {\nauthenticated_apis {\napi "+entry+other+"}\n}\n"+
		"handle_path /proxy/* {\n"+rig.ThroughCaddysProxy("authenticated_api "+strings.Replace(entry, "{\n", "{\nname proxy\n", 1))+"}\n}")
	for _, path := range []string{"/itself/x", "/catalogue/api/x", "/proxy/x"} {
		for _, client := range []string{"192.0.2.1", "192.0.2.2"} {
			res := rig.Get(t, gateway, path, "X-Forwarded-For: "+client+"\r\n")
			if want := "PROXY TCP4 " + client + " "; res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Text, want) {
				t.Errorf("%s: the connection of %s begins with %q (%d)", path, client, res.Text, res.StatusCode)
			}
		}
	}
}

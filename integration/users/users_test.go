// SPDX-License-Identifier: Apache-2.0

// Package users_test has many users with an account each use one route of a real Caddy, with a
// shared cache in front of it, while everything around them changes. None may ever see what is
// another's.
package users_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
)

// TestNeverMeet has tokens that live for seconds, constant reloads, many users on each path, and a
// shared cache in front. Nobody gets another user's data. The cache does work: without the gateway
// it keeps what the API allows.
func TestNeverMeet(t *testing.T) {
	p := provider.New(t, 3*time.Second)
	p.SetRotation(provider.RotateStrict, 0)
	addr, storage, key := rig.Free(t), rig.StorageDir(t), newKey()
	p.Register(provider.ClientID, provider.ClientSecret, "http://"+addr+"/connect/callback")
	api := sharedAPI(t, p)
	load := func(flavour int) {
		if err := rig.Load(config(addr, storage, key, p, api.URL, flavour)); err != nil {
			t.Fatalf("loading: %v", err)
		}
	}
	load(0)
	t.Cleanup(func() { _ = caddy.Stop() })
	for user := range hashes {
		connect(t, p, addr, user)
	}
	for name, base := range map[string]string{"gateway": "http://" + addr, "cache": cacheIn(t, addr)} {
		t.Run(name, func(t *testing.T) {
			if base == "" {
				rig.Lacking(t, "there is no nginx on this machine; Debian's package nginx-light has it")
			}
			n := storm(t, base, requests(t)/2, load)
			t.Logf("%d requests, %d crossed, %d failed, %d from the cache, %d sent again; %d token requests", n.sent.Load(), n.crossed.Load(), n.failed.Load(),
				n.kept.Load(), n.again.Load(), p.Requests.Load())
			if n.crossed.Load() != 0 || n.failed.Load() != 0 || n.kept.Load() != 0 || p.Revoked() != 0 {
				t.Errorf("first failure: %s; %d grants withdrawn", n.first, p.Revoked())
			}
			for token, times := range p.Redemptions() {
				if times > 1 {
					t.Errorf("refresh token %s was redeemed %d times", token, times)
				}
			}
		})
	}
	if base := cacheIn(t, strings.TrimPrefix(api.URL, "http://")); base != "" {
		provesItself(t, base)
	}
}

// provesItself checks that the cache in front of the API itself keeps the answer. So it could have
// kept an answer of the gateway.
func provesItself(t *testing.T, base string) {
	t.Helper()
	for _, want := range []string{"MISS", "HIT"} {
		res, err := http.Get(base + "/plain")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get("X-Cache"); got != want {
			t.Errorf("the cache says %s, want %s: it could not have crossed anything", got, want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestCatalogueKept: a catalogue of hundreds of accounts that people connect is looked after by a
// few goroutines, before and after a reload, and nothing is written for accounts that are not
// there.
func TestCatalogueKept(t *testing.T) {
	const many = 600
	storage, log := rig.StorageDir(t), filepath.Join(t.TempDir(), "log")
	var entries strings.Builder
	for i := range many {
		fmt.Fprintf(&entries, "api%05d http://127.0.0.1:1 {\nauth oauth2 authorization_code {\nauthorization_url http://127.0.0.1:1/authorize\n"+
			"token_url http://127.0.0.1:1/token\nclient_id me\nclient_secret secret\nredirect_url http://127.0.0.1:1/connect/callback\n}\n}\n", i)
	}
	// What no key opens is told of by the round that finds it, and is no account.
	seen := func(i int) string {
		return fmt.Sprintf("authenticated_api/api%05d/%064d", i, 0)
	}
	for _, i := range []int{0, many - 1} {
		file := filepath.Join(storage, filepath.FromSlash(seen(i)))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, file, "no record")
	}
	config := "{\nadmin off\npersist_config off\nauto_https off\ngrace_period 1s\ndefault_bind 127.0.0.1\nstorage file_system " +
		filepath.ToSlash(storage) + "\nlog {\noutput file " + filepath.ToSlash(log) + "\n}\n}\nhttp://GATEWAY {\nauthenticated_apis {\n" +
		entries.String() + "}\nMORE\n}\n"
	before := runtime.NumGoroutine()
	gateway := rig.Start(t, strings.Replace(config, "MORE", "", 1))
	looked := func(times int) {
		most := 0
		rig.Wait(t, "a round of the last API", 20*time.Second, func() bool {
			most = max(most, runtime.NumGoroutine()-before)
			n := map[string]int{}
			for _, entry := range rig.Logged(t, log, "a stored record cannot be opened") {
				n[fmt.Sprint(entry["storage_key"])]++
			}
			return n[seen(0)] >= times && n[seen(many-1)] >= times
		})
		if most > 100 {
			t.Errorf("%d goroutines for %d APIs", most, many)
		}
	}
	looked(1)
	config = strings.NewReplacer("GATEWAY", gateway, "MORE", "header X-Second yes").Replace(config)
	if err := rig.Load(config); err != nil {
		t.Fatal(err)
	}
	looked(2)
	if written, err := filepath.Glob(filepath.Join(storage, "authenticated_api", "*.nodes", "*")); err != nil || len(written) != 0 {
		t.Errorf("%d entries of nodes where no account is connected; %v", len(written), err)
	}
}

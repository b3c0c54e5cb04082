// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package cluster_test runs several real Caddys on one storage, each in a process of its own that can be killed, stopped or cut off,
// between clients and an API that accepts only what a certified authorization server has issued. docs/reliability.md says what
// is run, and what has come of it.
package cluster_test

import (
	"flag"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"time"

	_ "github.com/pberkel/caddy-storage-redis"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

// asCaddy makes this binary a Caddy: the nodes are processes, and this one is built already.
const asCaddy = "CLUSTER_TEST_AS_CADDY"

func TestMain(m *testing.M) {
	if os.Getenv(asCaddy) != "" {
		caddycmd.Main()
		return
	}
	// The tests wait for leases most of the time.
	flag.Parse()
	_ = flag.Set("test.parallel", "8")
	slog.SetDefault(slog.New(slog.DiscardHandler)) // zitadel's server reports the errors that it is made to have
	os.Exit(m.Run())
}

// number returns the number in an environment variable by which a longer form is asked for, or the one of make test.
func number(t testing.TB, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// seconds is number for a duration.
func seconds(t testing.TB, name string, otherwise int) time.Duration {
	t.Helper()
	return time.Duration(number(t, name, otherwise)) * time.Second
}

func waitFor(t testing.TB, what string, patience time.Duration, reached func() bool) {
	t.Helper()
	for begin := time.Now(); !reached(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

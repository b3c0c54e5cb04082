// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package cluster_test runs several real Caddys on one storage, each in a process of its own that
// can be killed, stopped or cut off, between clients and an API that accepts only what a
// certified authorization server has issued. docs/reliability.md says what is run, and what has
// come of it.
package cluster_test

import (
	"flag"
	"os"
	"strconv"
	"testing"
	"time"

	_ "github.com/pberkel/caddy-storage-redis"

	_ "github.com/authenticated-api/caddy-authenticated-api"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func TestMain(m *testing.M) {
	os.Exit(rig.Main(m, func(string) error {
		// The tests wait for leases most of the time.
		flag.Parse()
		return flag.Set("test.parallel", "8")
	}))
}

// number returns the number in an environment variable that asks for a longer run, or the number
// of make test.
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

// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
)

// Ports from which Free takes: below those that systems give to connections on their own account,
// one of which would have the port of a gateway that is about to start.
const (
	firstPort = 10_240
	ports     = 20_000
)

// given counts the ports that Free has looked at. Each process begins somewhere else, since
// packages are tested side by side.
var given atomic.Int64

func init() { given.Store(int64(os.Getpid()) * 7919) }

// Free returns a TCP address that nobody listens on, and that it returns to nobody else in this
// process.
func Free(t testing.TB) string {
	t.Helper()
	for range ports {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+given.Add(1)%ports))
		if err != nil {
			continue // somebody has it
		}
		defer ln.Close()
		return ln.Addr().String()
	}
	t.Fatal("no port is free")
	return ""
}

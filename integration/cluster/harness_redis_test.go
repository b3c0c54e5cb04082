// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// redis runs a Redis of the test's own until the test ends, and returns the storage that uses it.
func redis(t *testing.T) func(*cluster) func(*node) string {
	t.Helper()
	addr := runRedis(t)
	return func(*cluster) func(*node) string {
		return func(*node) string { return "storage redis {\naddress " + addr + "\n}" }
	}
}

// runRedis runs a Redis of the test's own until the test ends, and returns its address.
func runRedis(t *testing.T, more ...string) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		rig.Lacking(t, err.Error()+"; Debian's package redis-server has it")
	}
	addr := rig.Free(t)
	_, port, _ := net.SplitHostPort(addr)
	args := []string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir()}
	cmd := exec.Command(path, append(args, more...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	rig.Wait(t, "Redis", 20*time.Second, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return addr
}

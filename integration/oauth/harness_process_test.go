// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// process is a Caddy in a process of its own, which can be killed.
type process struct {
	rig.Process

	config  string // the Caddyfile
	storage string // its storage folder
	log     string // its log file
}

// newProcess returns a Caddy that does not run yet, for one API behind the tokens of a provider.
func newProcess(t *testing.T, a *api, p *provider.Provider) *process {
	t.Helper()
	dir := tempDir(t)
	g := &gateway{addr: rig.Free(t), storage: rig.StorageDir(t), log: filepath.Join(dir, "caddy.log")}
	proc := &process{config: g.config(directive(a.URL, p, "")), storage: g.storage, log: g.log}
	proc.Addr, proc.Dir = g.addr, dir
	t.Cleanup(func() { proc.End(syscall.SIGKILL) })
	return proc
}

// start starts Caddy and waits until it listens.
func (p *process) start(t *testing.T) {
	t.Helper()
	p.Start(t, p.config)
}

// waitFor waits for what takes some seconds at most.
func waitFor(t *testing.T, what string, reached func() bool) {
	t.Helper()
	rig.Wait(t, what, 20*time.Second, reached)
}

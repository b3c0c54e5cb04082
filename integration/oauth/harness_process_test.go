// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/integration/provider"
	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// process is a Caddy in a process of its own, which can be killed.
type process struct {
	addr    string
	storage string
	log     string
	dir     string
	cmd     *exec.Cmd
	ended   chan error
}

// newProcess returns a Caddy that does not run yet, for one API behind the tokens of a provider.
func newProcess(t *testing.T, a *api, p *provider.Provider) *process {
	t.Helper()
	dir := tempDir(t)
	g := &gateway{addr: rig.Free(t), storage: filepath.Join(dir, "storage"), log: filepath.Join(dir, "caddy.log")}
	if err := os.WriteFile(filepath.Join(dir, "Caddyfile"), []byte(g.config(directive(a.URL, p, ""))), 0o600); err != nil {
		t.Fatal(err)
	}
	proc := &process{addr: g.addr, storage: g.storage, log: g.log, dir: dir}
	t.Cleanup(func() { proc.end(syscall.SIGKILL) })
	return proc
}

// start starts Caddy and waits until it listens.
func (p *process) start(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(self, "run", "--config", filepath.Join(p.dir, "Caddyfile"), "--adapter", "caddyfile")
	p.cmd.Env = append(os.Environ(), asCaddy+"=1", "CLIENT_SECRET="+secret, "HOME="+p.dir,
		"XDG_CONFIG_HOME="+filepath.Join(p.dir, "config"), "XDG_DATA_HOME="+filepath.Join(p.dir, "data"))
	output, err := os.OpenFile(filepath.Join(p.dir, "output"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = output, output
	err = p.cmd.Start()
	output.Close()
	if err != nil {
		t.Fatal(err)
	}
	p.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan error) { ended <- cmd.Wait() }(p.cmd, p.ended)
	for range 400 {
		if conn, err := net.Dial("tcp", p.addr); err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-p.ended:
			p.ended <- err
			text, _ := os.ReadFile(filepath.Join(p.dir, "output"))
			t.Fatalf("Caddy has ended: %v\n%s", err, text)
		case <-time.After(25 * time.Millisecond):
		}
	}
	t.Fatal("Caddy does not listen")
}

// end sends a signal and waits until Caddy has ended.
func (p *process) end(signal syscall.Signal) {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	p.cmd = nil
}

func waitFor(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for begin := time.Now(); !reached(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Process is a Caddy in a process of its own, which can be killed. The test binary must run its
// tests by Main.
type Process struct {
	// Dir is a folder for the configuration, the output and the files of Caddy.
	Dir string

	// Addr is an address at which the configuration has Caddy listen.
	Addr string

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{}
}

// Start runs Caddy with a Caddyfile, and with more variables of the environment, and waits until
// it listens.
func (p *Process) Start(t testing.TB, caddyfile string, env ...string) {
	t.Helper()
	if err := p.Launch(caddyfile, env...); err != nil {
		t.Fatal(err)
	}
	p.Ready(t)
}

// Launch runs Caddy and waits for nothing.
func (p *Process) Launch(caddyfile string, env ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	file := filepath.Join(p.Dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(caddyfile), 0o600); err != nil {
		return err
	}
	output, err := os.OpenFile(p.outputFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer output.Close()
	cmd := exec.Command(self, "run", "--config", file, "--adapter", "caddyfile") //nolint:gosec,noctx // G204: this binary, which End ends
	cmd.Env = append(os.Environ(), AsCaddy+"=1", "HOME="+p.Dir,
		"XDG_CONFIG_HOME="+p.ConfigHome(), "XDG_DATA_HOME="+filepath.Join(p.Dir, "data"))
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdout, cmd.Stderr = output, output
	endWithTest(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.ended = cmd, ended
	p.mu.Unlock()
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	return nil
}

// Ready waits until Caddy listens.
func (p *Process) Ready(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	for begin := time.Now(); time.Since(begin) < 30*time.Second; {
		if conn, err := net.Dial("tcp", p.Addr); err == nil { //nolint:noctx // a test
			_ = conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("the Caddy at %s has ended:\n%s", p.Addr, p.Output())
		case <-time.After(25 * time.Millisecond):
		}
	}
	t.Fatalf("no Caddy listens at %s:\n%s", p.Addr, p.Output())
}

// Signal sends a signal, if Caddy runs.
func (p *Process) Signal(signal os.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(signal)
	}
}

// PID returns the number of the process, which must run.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid
}

// End sends a signal and waits until Caddy has ended. It does nothing if Caddy does not run.
func (p *Process) End(signal os.Signal) {
	p.mu.Lock()
	cmd, ended := p.cmd, p.ended
	p.cmd = nil
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(signal)
	select {
	case <-ended:
	case <-time.After(50 * time.Second):
		_ = cmd.Process.Kill()
		<-ended
	}
}

// ConfigHome is XDG_CONFIG_HOME of the process.
func (p *Process) ConfigHome() string { return filepath.Join(p.Dir, "config") }

// Output returns what Caddy has written to its standard output and its standard error, in all of
// its lives.
func (p *Process) Output() string {
	text, err := os.ReadFile(p.outputFile())
	if err != nil {
		return fmt.Sprint("no output: ", err)
	}
	return string(text)
}

func (p *Process) outputFile() string { return filepath.Join(p.Dir, "output") }

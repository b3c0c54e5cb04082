// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program that is measured, or that others need.
type process struct {
	name string
	cmd  *exec.Cmd
	out  bytes.Buffer
	done chan struct{}
}

// start runs a program and waits until an address of it can be reached.
func start(ctx context.Context, name, addr, dir string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.CommandContext(ctx, args[0], args[1:]...), done: make(chan struct{})} //nolint:gosec // G204: programs of this benchmark
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir, "HOME="+dir)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return p, conn.Close()
		}
		select {
		case <-p.done:
			return nil, fmt.Errorf("%s has ended: %s", name, p.out.String())
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	p.stop()
	return nil, fmt.Errorf("%s does not answer at %s: %s", name, addr, p.out.String())
}

// stop ends the program.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// usage is the processor time that a process has used so far.
type usage struct{ user, system time.Duration }

func (u usage) sub(v usage) usage { return usage{u.user - v.user, u.system - v.system} }

func (u usage) total() time.Duration { return u.user + u.system }

// tick is the unit in which Linux tells the times of processes: USER_HZ is 100 on all platforms
// that Go runs on (proc_pid_stat(5)).
const tick = 10 * time.Millisecond

// usage reads the kernel's accounting of the process.
func (p *process) usage() (usage, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return usage{}, err
	}
	_, after, found := strings.Cut(string(raw), ") ") // the name of the program may have spaces
	fields := strings.Fields(after)
	if !found || len(fields) < 13 {
		return usage{}, fmt.Errorf("/proc/%d/stat is not as expected", p.cmd.Process.Pid)
	}
	user, userErr := strconv.Atoi(fields[11])
	system, systemErr := strconv.Atoi(fields[12])
	return usage{time.Duration(user) * tick, time.Duration(system) * tick}, errors.Join(userErr, systemErr)
}

// memory returns the resident memory of the process, in bytes.
func (p *process) memory() (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if text, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(text)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc has no VmRSS")
}

// free returns an address of the loopback that nothing listens on.
func free(ctx context.Context) (string, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// write writes a file below a folder and returns its path.
func write(dir, name, text string) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

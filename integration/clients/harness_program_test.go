// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// patience is how long a client or the start of a server may take.
const patience = time.Minute

// program returns the path of a program. In a short run the test is skipped; without the program
// it is skipped, or fails if CI is "true".
func program(t *testing.T, name, remedy string) string {
	t.Helper()
	rig.Long(t, "programs take their time")
	// `make clients` installs each version into a folder of its own.
	places, _ := filepath.Glob(installed(t, "bin/*/"+name))
	for _, place := range append(places, name, "/usr/sbin/"+name) {
		if path, err := exec.LookPath(place); err == nil {
			return path
		}
	}
	rig.Lacking(t, fmt.Sprintf("there is no %s; %s", name, remedy))
	return ""
}

// installed returns a path below the folder into which `make clients` installs.
func installed(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../.cache/clients", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// world is a folder in which a client runs, and its environment: it has a home of its own and no
// proxy.
type world struct {
	dir string
	env []string
}

func newWorld(t *testing.T, env ...string) world {
	t.Helper()
	dir := t.TempDir()
	return world{dir, append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "LC_ALL=C.UTF-8", "XDG_RUNTIME_DIR=" + dir,
	}, env...)}
}

// write writes a file and returns its path.
func (w world) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a program to its end and returns what it has written to its standard output. The error
// has the standard error.
func (w world) run(t *testing.T, input, path string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = w.dir, w.env, strings.NewReader(input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// begin starts a server that listens on an address, waits until it does, and ends it with the
// test.
func (w world) begin(t *testing.T, addr, path string, args ...string) {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = w.dir, w.env
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(path), log.String())
		}
	})
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s has ended", path)
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not listen", path)
}

// node returns the path of Node.js, and a folder with the scripts and what they import.
func node(t *testing.T) (path, dir string) {
	t.Helper()
	path = program(t, "node", "Debian's package nodejs has it")
	modules := installed(t, "node_modules")
	if _, err := os.Stat(modules); err != nil {
		rig.Lacking(t, "there is no "+modules+"; make clients installs it")
	}
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/node")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return path, dir
}

// script runs a script of testdata/node with the base URL and the credential, and returns its
// steps.
func script(t *testing.T, name string, w way, args ...string) transcript {
	t.Helper()
	path, dir := node(t)
	out, err := newWorld(t).run(t, "", path, append([]string{filepath.Join(dir, name), w.url, w.key}, args...)...)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return parseTranscript(t, []byte(out))
}

// nodeServer starts a script of testdata/node that listens on the address that is its first
// argument, and returns its URL.
func nodeServer(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, dir := node(t)
	addr := rig.Free(t)
	newWorld(t).begin(t, addr, path, append([]string{filepath.Join(dir, name), addr}, args...)...)
	return "http://" + addr
}

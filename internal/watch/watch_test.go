// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// world is a watcher with one subject: the content of a file, of which "bad" and an unreadable
// file cannot be used.
type world struct {
	file string
	logs *observer.ObservedLogs

	mu    sync.Mutex
	used  string
	reads int
}

// live runs a test in virtual time, while a watcher looks at the file.
func live(t *testing.T, file string, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		w := &world{file: file, logs: logs}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		w.used = string(content)
		watcher := New(zap.New(core))
		watcher.Add(Subject{Datasources: []string{"crm"}, Option: "auth", Files: []string{file}, Reread: w.reread})
		watcher.Add(Subject{Datasources: []string{"none"}, Option: "auth"}) // has no files
		ctx, cancel := context.WithCancel(t.Context())
		go watcher.Run(ctx)
		test(w)
		cancel()
		synctest.Wait() // or the bubble has a goroutine left
	})
}

// take returns how often the file was read since it was asked last.
func (w *world) take() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.reads
	w.reads = 0
	return n
}

func (w *world) reread() (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	content, err := os.ReadFile(w.file)
	switch {
	case err != nil:
		return false, errors.New("it cannot be read")
	case string(content) == "bad":
		return false, errors.New("it is bad")
	}
	changed := w.used != string(content)
	w.used = string(content)
	return changed, nil
}

// looks lets time pass for n looks.
func looks(n int) {
	time.Sleep(time.Duration(n)*interval + interval/2)
	synctest.Wait()
	time.Sleep(interval / 2)
	synctest.Wait()
}

// save writes a file as it was written an hour ago. The clock of the test is far from that of the
// file system, so that a file that has just been written counts as one that is being written.
func save(t *testing.T, file, content string) {
	t.Helper()
	write(t, file, content)
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file, old, old); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *world) want(t *testing.T, used string, lines ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.used != used {
		t.Errorf("%q is in use, want %q", w.used, used)
	}
	var got []string
	for _, entry := range w.logs.TakeAll() {
		got = append(got, strings.ToUpper(entry.Level.String())+" "+entry.Message)
		fields := fmt.Sprint(entry.ContextMap())
		if !strings.Contains(fields, "crm") || !strings.Contains(fields, w.file) || strings.Contains(fields, "canary") {
			t.Errorf("%s has the fields %s", entry.Message, fields)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(lines) {
		t.Errorf("logged %q, want %q", got, lines)
	}
}

const (
	taken  = "INFO took over the new content of a file"
	cannot = "WARN a file has changed and cannot be used; what was read before stays in use"
	back   = "INFO a file can be used again; its content is what is in use"
)

// TestRotated: what is written over the file is used, and told of once.
func TestRotated(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	save(t, file, "canary-1")
	live(t, file, func(w *world) {
		looks(5)
		w.want(t, "canary-1")
		if n := w.take(); n > 1 {
			t.Errorf("the file was read %d times though it is the same", n)
		}
		save(t, file, "canary-2")
		looks(1)
		w.want(t, "canary-2", taken)
		save(t, file, "canary-2") // touched
		looks(2)
		w.want(t, "canary-2")
		save(t, file, "canary-3")
		looks(1)
		w.want(t, "canary-3", taken)
	})
}

// TestReplaced: another file in the place of the old one, of the same size and age.
func TestReplaced(t *testing.T) {
	dir := t.TempDir()
	file, next := filepath.Join(dir, "secret"), filepath.Join(dir, ".next")
	at := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, content := range map[string]string{file: "canary-1", next: "canary-2"} {
		write(t, name, content)
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	live(t, file, func(w *world) {
		looks(1)
		if err := os.Rename(next, file); err != nil {
			t.Fatal(err)
		}
		looks(1)
		w.want(t, "canary-2", taken)
	})
}

// TestKubernetes: a volume of Kubernetes has file -> ..data/file and ..data -> ..2026_11_26, and
// changes by one rename of ..data.
func TestKubernetes(t *testing.T) {
	dir := t.TempDir()
	volume := func(name, content string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		save(t, filepath.Join(dir, name, "secret"), content)
		link := filepath.Join(dir, "..tmp")
		if err := errors.Join(os.Symlink(name, link), os.Rename(link, filepath.Join(dir, "..data"))); err != nil {
			t.Skip("this file system has no symbolic links: ", err)
		}
	}
	volume("..1", "canary-1")
	file := filepath.Join(dir, "secret")
	if err := os.Symlink(filepath.Join("..data", "secret"), file); err != nil {
		t.Fatal(err)
	}
	live(t, file, func(w *world) {
		looks(1)
		volume("..2", "canary-2")
		if err := os.RemoveAll(filepath.Join(dir, "..1")); err != nil {
			t.Fatal(err)
		}
		looks(1)
		w.want(t, "canary-2", taken)
	})
}

// TestGone: a file that vanishes for a moment is nothing to tell of; one that stays away is told
// of once, and its old content stays in use.
func TestGone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	save(t, file, "canary-1")
	remove := func() {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	live(t, file, func(w *world) {
		looks(1)
		remove()
		time.Sleep(interval) // one look sees that it is not there
		synctest.Wait()
		save(t, file, "canary-2")
		looks(1)
		w.want(t, "canary-2", taken)
		remove()
		looks(10)
		w.want(t, "canary-2", cannot)
		save(t, file, "canary-2")
		looks(1)
		w.want(t, "canary-2", back)
		remove()
		looks(2)
		w.want(t, "canary-2", cannot)
		save(t, file, "canary-3")
		looks(1)
		w.want(t, "canary-3", taken)
	})
}

// TestBad: what cannot be used is told of once, however often it changes, until it is mended.
func TestBad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	save(t, file, "canary-1")
	live(t, file, func(w *world) {
		save(t, file, "bad")
		looks(5)
		w.want(t, "canary-1", cannot)
		save(t, file, "bad")
		looks(5)
		w.want(t, "canary-1")
		save(t, file, "canary-2")
		looks(1)
		w.want(t, "canary-2", taken)
		save(t, file, "bad")
		looks(1)
		w.want(t, "canary-2", cannot)
	})
}

// TestBeingWritten: a file that changes from look to look is not read before it has stayed the
// same for one.
func TestBeingWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	save(t, file, "canary-1")
	live(t, file, func(w *world) {
		looks(1)
		w.take()
		for i := range 5 {
			write(t, file, strings.Repeat("bad", i+2)) // younger than the test's clock
			time.Sleep(interval)
			synctest.Wait()
		}
		if n := w.take(); n > 0 {
			t.Errorf("read %d times while it was written", n)
		}
		write(t, file, "canary-long")
		looks(2)
		w.want(t, "canary-long", taken)
	})
}

// TestOneLook: a file that two routes have is looked at once, and told of once.
func TestOneLook(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	save(t, file, "canary-1")
	core, logs := observer.New(zap.DebugLevel)
	w := New(zap.New(core))
	reads := 0
	for range 2 {
		w.Add(Subject{Datasources: []string{"crm"}, Option: "auth", Files: []string{file}, Reread: func() (bool, error) {
			reads++
			return true, nil
		}})
	}
	w.look(t.Context(), time.Now())
	if lines := logs.TakeAll(); reads != 2 || len(lines) != 1 {
		t.Errorf("%d readings, %d lines", reads, len(lines))
	}
}

// TestOwners: a file that is read once for several datasources is told of to each, and to none of
// them twice.
func TestOwners(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	save(t, file, "canary-1")
	core, logs := observer.New(zap.DebugLevel)
	w := New(zap.New(core))
	var changed bool
	var failed error
	shared := w.Add(Subject{Datasources: []string{"crm"}, Option: "auth", Files: []string{file}, Reread: func() (bool, error) { return changed, failed }})
	shared.Datasources = append(shared.Datasources, "hr", "crm", "maps")
	for n, step := range []struct {
		changed bool
		failed  error
		want    string
	}{{true, nil, taken}, {false, errors.New("bad"), cannot}, {false, nil, back}, {true, nil, taken}} {
		changed, failed = step.changed, step.failed
		save(t, file, strings.Repeat("x", n))
		w.look(t.Context(), time.Now())
		var got []string
		for _, entry := range logs.TakeAll() {
			fields := entry.ContextMap()
			got = append(got, fmt.Sprint(strings.ToUpper(entry.Level.String()), " ", entry.Message, " ", fields["datasource"], " ", fields["option"], " ", fields["files"]))
		}
		var want []string
		for _, name := range []string{"crm", "hr", "maps"} {
			want = append(want, fmt.Sprint(step.want, " ", name, " auth ", []string{file}))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("logged %q, want %q", got, want)
		}
	}
}

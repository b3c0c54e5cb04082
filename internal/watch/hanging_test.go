// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"fmt"
	"io/fs"
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

const silent = "WARN a file cannot be looked at, since its file system does not answer; what was read before stays in use"

// disk has files in folders that may hang, as a network mount does whose server is gone.
type disk struct {
	t    *testing.T
	root string

	mu    sync.Mutex
	gone  map[string]chan struct{} // by folder, and by "read " and a file; closed when it answers
	asked map[string]int           // for the state of a file
}

// hang has a folder, or the reading of a file, hang until mend is called.
func (d *disk) hang(what string) (mend func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	until := make(chan struct{})
	d.gone[what] = until
	return func() {
		d.mu.Lock()
		delete(d.gone, what)
		d.mu.Unlock()
		close(until)
	}
}

// wait waits while something hangs.
func (d *disk) wait(what string) {
	d.mu.Lock()
	until := d.gone[what]
	d.mu.Unlock()
	if until != nil {
		<-until
	}
}

// change lets a file grow.
func (d *disk) change(name string) {
	d.t.Helper()
	content, err := os.ReadFile(d.root + name)
	if err != nil {
		d.t.Fatal(err)
	}
	save(d.t, d.root+name, string(content)+"x")
}

func (d *disk) stat(path string) (fs.FileInfo, error) {
	name := strings.TrimPrefix(path, d.root)
	d.mu.Lock()
	d.asked[name]++
	d.mu.Unlock()
	d.wait(filepath.Dir(name))
	return os.Stat(path)
}

func (d *disk) asks(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[name]
}

// onDisk runs a test in virtual time, while a watcher looks at files of a disk, each of which is a
// subject of its own. reads counts the readings that have begun, and stop reports whether the
// watcher ends.
func onDisk(t *testing.T, names []string, test func(d *disk, reads func(name string) int, logs func() string, stop func() bool)) {
	t.Helper()
	d := &disk{t: t, root: t.TempDir(), gone: make(map[string]chan struct{}), asked: make(map[string]int)}
	for _, name := range names {
		if err := os.MkdirAll(filepath.Dir(d.root+name), 0o700); err != nil {
			t.Fatal(err)
		}
		save(t, d.root+name, "x")
	}
	synctest.Test(t, func(t *testing.T) {
		core, observed := observer.New(zap.DebugLevel)
		w := New(zap.New(core))
		w.files.stat = d.stat
		var mu sync.Mutex
		count := make(map[string]int)
		for _, name := range names {
			w.Add(Subject{Datasources: []string{name}, Option: "auth", Files: []string{d.root + name}, Reread: func() (bool, error) {
				mu.Lock()
				count[name]++
				n := count[name]
				mu.Unlock()
				d.wait("read " + name)
				return n > 1, nil // the first reading is the one after the configuration was loaded
			}})
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { w.Run(ctx); close(ended) }()
		test(d, func(name string) int {
			mu.Lock()
			defer mu.Unlock()
			return count[name]
		}, func() string {
			var lines []string
			for _, entry := range observed.TakeAll() {
				lines = append(lines, fmt.Sprint(strings.ToUpper(entry.Level.String()), " ", entry.Message, " ", entry.ContextMap()["datasource"]))
			}
			return strings.Join(lines, "; ")
		}, func() bool {
			cancel()
			synctest.Wait()
			select {
			case <-ended:
				return true
			default:
				return false
			}
		})
	})
}

// TestHangingFile: a file system that does not answer holds up its own files alone. Its question
// is asked once, and what has changed there is taken over when it answers.
func TestHangingFile(t *testing.T) {
	onDisk(t, []string{"/nfs/a", "/nfs/b", "/local/c"}, func(d *disk, reads func(string) int, logs func() string, stop func() bool) {
		looks(2)
		mend, before := d.hang("/nfs"), d.asks("/nfs/a")
		d.change("/nfs/a")
		for n := range 50 {
			d.change("/local/c")
			if looks(1); reads("/local/c") != n+2 {
				t.Fatalf("%d of %d changes were seen", reads("/local/c")-1, n+1)
			}
		}
		if got := logs(); strings.Count(got, silent) != 2 || strings.Count(got, taken+" /local/c") != 50 || strings.Contains(got, taken+" /nfs") {
			t.Errorf("logged %s", got)
		}
		if asked := d.asks("/nfs/a") - before; asked != 1 {
			t.Errorf("a file that hangs was asked for %d times", asked)
		}
		mend()
		looks(2)
		if got := logs(); reads("/nfs/a") != 2 || reads("/nfs/b") != 1 || got != taken+" /nfs/a" {
			t.Errorf("read %d and %d times, logged %s", reads("/nfs/a"), reads("/nfs/b"), got)
		}
		if !stop() {
			t.Error("the watcher has not ended")
		}
	})
}

// TestHangingEnd: the end of a configuration waits neither for a file nor for a reading.
func TestHangingEnd(t *testing.T) {
	for _, what := range []string{"/nfs", "read /nfs/a"} {
		onDisk(t, []string{"/nfs/a"}, func(d *disk, _ func(string) int, _ func() string, stop func() bool) {
			mend := d.hang(what)
			time.Sleep(interval + time.Millisecond) // it waits for the answer
			if !stop() {
				t.Errorf("%s: the watcher has not ended", what)
			}
			mend()
		})
	}
}

// TestHangingRead: a file whose content does not come (a pipe, a mount that goes away just then)
// is read once, and others are read meanwhile.
func TestHangingRead(t *testing.T) {
	onDisk(t, []string{"/pipe/a", "/local/c"}, func(d *disk, reads func(string) int, logs func() string, stop func() bool) {
		looks(2)
		mend := d.hang("read /pipe/a")
		for range 10 {
			d.change("/pipe/a")
			d.change("/local/c")
			looks(1)
		}
		if reads("/pipe/a") != 2 || reads("/local/c") != 11 {
			t.Errorf("read %d and %d times", reads("/pipe/a"), reads("/local/c"))
		}
		if got := logs(); strings.Count(got, silent+" /pipe/a") != 1 || strings.Contains(got, taken+" /pipe/a") {
			t.Errorf("logged %s", got)
		}
		mend()
		looks(2)
		if got := logs(); reads("/pipe/a") != 3 || got != taken+" /pipe/a" {
			t.Errorf("read %d times, logged %s", reads("/pipe/a"), got)
		}
		if !stop() {
			t.Error("the watcher has not ended")
		}
	})
}

// TestManyHanging: however many files are on a file system that hangs, few questions wait for it.
func TestManyHanging(t *testing.T) {
	names := []string{"/local/c"}
	for n := range 3 * maxHanging {
		names = append(names, fmt.Sprint("/nfs/", n))
	}
	onDisk(t, names, func(d *disk, reads func(string) int, _ func() string, stop func() bool) {
		looks(2)
		d.mu.Lock()
		clear(d.asked)
		d.mu.Unlock()
		mend := d.hang("/nfs")
		looks(20)
		d.change("/local/c")
		looks(1)
		d.mu.Lock()
		if n := len(d.asked) - 1; n != maxHanging || reads("/local/c") != 2 {
			t.Errorf("%d questions wait; the file elsewhere was read %d times", n, reads("/local/c"))
		}
		d.mu.Unlock()
		mend()
		last := names[len(names)-1]
		d.change(last)
		if looks(3); reads(last) != 2 {
			t.Errorf("a change is not seen though the file system answers again")
		}
		if !stop() {
			t.Error("the watcher has not ended")
		}
	})
}

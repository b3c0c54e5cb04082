// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// records watches the records of a folder: their generations stand in front of what is sealed.
type records struct {
	stop chan struct{}
	done sync.WaitGroup

	newest map[string]uint64
	back   []string
}

// watchRecords watches the records of a cluster's storage until the returned function is called, which says of each generation that
// was followed by an older one.
func (c *cluster) watchRecords(t testing.TB) (wentBack func() []string) {
	t.Helper()
	r := &records{stop: make(chan struct{}), newest: make(map[string]uint64)}
	r.done.Go(func() {
		for {
			select {
			case <-r.stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			r.look(filepath.Join(c.folder(), "authenticated_api"))
		}
	})
	finish := sync.OnceFunc(func() {
		close(r.stop)
		r.done.Wait()
	})
	t.Cleanup(finish)
	return func() []string {
		finish()
		return r.back
	}
}

func (r *records) look(folder string) {
	files, _ := filepath.Glob(filepath.Join(folder, "*", "*"))
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if len(filepath.Base(file)) != 64 || err != nil || len(raw) < 9 {
			continue
		}
		generation := binary.BigEndian.Uint64(raw[1:9])
		if before := r.newest[file]; generation < before {
			r.back = append(r.back, fmt.Sprintf("%s: generation %d came after %d in a record of %s", time.Now().Format("05.000"), generation, before,
				filepath.Base(filepath.Dir(file))))
		}
		r.newest[file] = generation
	}
}

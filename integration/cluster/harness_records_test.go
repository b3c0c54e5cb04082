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

// records watches the records of a folder. A record's generation is in front of its sealed part.
type records struct {
	finish func()

	last, newest map[string]uint64
	back         []string
}

// watchRecords watches the records of a cluster's storage until wentBack or behind is called.
func (c *cluster) watchRecords(t testing.TB) *records {
	t.Helper()
	r := &records{last: make(map[string]uint64), newest: make(map[string]uint64)}
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			r.look(filepath.Join(c.folder, "authenticated_api"))
		}
	})
	r.finish = sync.OnceFunc(func() {
		close(stop)
		done.Wait()
	})
	t.Cleanup(r.finish)
	return r
}

// wentBack says of each generation that was followed by an older one.
func (r *records) wentBack() []string {
	r.finish()
	return r.back
}

// behind lists each record that has an older generation now than before. For a while this may
// happen: a node that an overloaded machine has delayed may write its claim over a newer
// generation. It notices that, and other nodes repair the record.
func (r *records) behind() (list []string) {
	r.finish()
	for file, newest := range r.newest {
		if last := r.last[file]; last < newest {
			list = append(list, fmt.Sprintf("a record of %s has generation %d, after %d", filepath.Base(filepath.Dir(file)), last, newest))
		}
	}
	return list
}

func (r *records) look(folder string) {
	files, _ := filepath.Glob(filepath.Join(folder, "*", "*"))
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if len(filepath.Base(file)) != 64 || err != nil || len(raw) < 9 {
			continue
		}
		generation := binary.BigEndian.Uint64(raw[1:9])
		if before := r.last[file]; generation < before {
			r.back = append(r.back, fmt.Sprintf("%s: generation %d came after %d in a record of %s", time.Now().Format("05.000"), generation, before,
				filepath.Base(filepath.Dir(file))))
		}
		r.last[file], r.newest[file] = generation, max(generation, r.newest[file])
	}
}

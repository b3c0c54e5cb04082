// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	// patience is how long a look waits for the state of one file. A later answer counts at a later
	// look.
	patience = 100 * time.Millisecond

	// maxHanging bounds the questions without an answer, each of which holds a thread of the system:
	// when so many hang, a folder where one does is asked nothing more.
	maxHanging = 64
)

// stamp is the state of a file. The zero value stands for a file that is not there.
type stamp struct {
	info fs.FileInfo
}

// same reports whether it is the same file as before with the same content.
func (st stamp) same(other stamp) bool {
	if st.info == nil || other.info == nil {
		return st.info == nil && other.info == nil
	}
	return os.SameFile(st.info, other.info) && st.info.Size() == other.info.Size() && st.info.ModTime().Equal(other.info.ModTime())
}

// questions ask for the state of files. A question to a file system that hangs (NFS, a FUSE whose
// program has stopped) may stay without an answer for hours. It is asked once, in a goroutine of
// its own, and not waited for again.
type questions struct {
	stat  func(name string) (fs.FileInfo, error) // of the file behind all symbolic links
	asked map[string]chan stamp                  // the questions that are under way, by file
	known map[string]answer                      // at this look
}

// answer is the state of a file, if ok says that there was one in time.
type answer struct {
	stamp

	ok bool
}

// begin begins a look.
func (q *questions) begin() { q.known = make(map[string]answer, len(q.known)) }

// stamps returns the states of files, and false if one of them has not come.
func (q *questions) stamps(ctx context.Context, names []string) ([]stamp, bool) {
	all := make([]stamp, len(names))
	whole := true
	for i, name := range names {
		known, looked := q.known[name]
		if !looked {
			known.stamp, known.ok = q.ask(ctx, name)
			q.known[name] = known
		}
		all[i], whole = known.stamp, whole && known.ok
	}
	return all, whole
}

// ask asks for the state of a file, unless that was done and has had no answer yet.
func (q *questions) ask(ctx context.Context, name string) (stamp, bool) {
	while := time.Duration(0)
	to, waiting := q.asked[name]
	if !waiting {
		if len(q.asked) >= maxHanging && q.hangs(filepath.Dir(name)) {
			return stamp{}, false
		}
		to, while = make(chan stamp, 1), patience
		q.asked[name] = to
		go func() {
			info, err := q.stat(name)
			if err != nil {
				info = nil
			}
			to <- stamp{info}
		}()
	}
	st, ok := within(ctx, to, while)
	if ok {
		delete(q.asked, name)
	}
	return st, ok
}

// hangs reports whether a question about a file of a folder is under way.
func (q *questions) hangs(folder string) bool {
	for name := range q.asked {
		if filepath.Dir(name) == folder {
			return true
		}
	}
	return false
}

// within returns what comes within a while, and false if nothing does.
func within[T any](ctx context.Context, from <-chan T, while time.Duration) (got T, ok bool) {
	select {
	case got = <-from:
		return got, true
	default:
		if while == 0 {
			return got, false
		}
	}
	timer := time.NewTimer(while)
	defer timer.Stop()
	select {
	case got = <-from:
		return got, true
	case <-timer.C:
	case <-ctx.Done():
	}
	return got, false
}

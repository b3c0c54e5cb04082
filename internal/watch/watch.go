// SPDX-License-Identifier: Apache-2.0

// Package watch looks at the files that a configuration's values come from, so that a rotated
// secret is used before the old one is refused.
//
// It asks for the state of a file once a second (stat) rather than having the system tell it: the
// volumes of Kubernetes change by a symbolic link two folders above the file, agents put another
// file in the place of the old one, and network file systems tell nothing.
package watch

import (
	"context"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	// interval is the time between two looks.
	interval = time.Second

	// settled is the age at which a file counts as written to its end. A younger one is read if
	// it is the same at the next look.
	settled = 100 * time.Millisecond
)

// Subject is something that is made of files.
type Subject struct {
	// Datasource is what the log calls the owner, "" for none. Option is the option that the files
	// belong to.
	Datasource, Option string

	// Files are the names of the files.
	Files []string

	// Reread reads the files again, and takes over what is in them. It reports whether anything is
	// another than before. After an error what was read before stays in use.
	Reread func() (changed bool, err error)
}

// Watcher looks at the files of all subjects.
type Watcher struct {
	logger   *zap.Logger
	subjects []*subject
	told     []string // what was told of during this look
}

// subject is a Subject with what is known of its files.
type subject struct {
	Subject

	last    []stamp // at the last look
	read    []stamp // just before the files were read; nil: when the configuration loaded
	failing bool    // the last reading has failed
}

// New returns a watcher that writes to a log.
func New(logger *zap.Logger) *Watcher { return &Watcher{logger: logger} }

// Add has a subject watched. It is not called any more once Run was called.
func (w *Watcher) Add(s Subject) {
	if len(s.Files) > 0 {
		w.subjects = append(w.subjects, &subject{Subject: s})
	}
}

// Run looks at the files until ctx ends. All reading is done here, and no request waits for it.
func (w *Watcher) Run(ctx context.Context) {
	if len(w.subjects) == 0 {
		return
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			w.look(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

// look looks at each file once, however many subjects have it.
func (w *Watcher) look(now time.Time) {
	stamps := make(map[string]stamp)
	w.told = w.told[:0]
	for _, s := range w.subjects {
		current := make([]stamp, len(s.Files))
		for i, name := range s.Files {
			known, ok := stamps[name]
			if !ok {
				known = newStamp(name)
				stamps[name] = known
			}
			current[i] = known
		}
		w.consider(s, current, now)
	}
}

// consider has the files of a subject read again, if they have changed and are not being written.
func (w *Watcher) consider(s *subject, current []stamp, now time.Time) {
	again := slices.EqualFunc(current, s.last, stamp.same)
	s.last = current
	if slices.EqualFunc(current, s.read, stamp.same) && !s.failing {
		return
	}
	unsettled := func(st stamp) bool { return st.info == nil || now.Sub(st.info.ModTime()) < settled }
	if !again && slices.ContainsFunc(current, unsettled) {
		return
	}
	s.read = current // from before the reading: a change during it is seen at the next look
	changed, err := s.Reread()
	if changed && w.first("taken", s) {
		w.logger.Info("took over the new content of a file", s.fields()...)
	}
	switch {
	case err != nil && !s.failing && w.first("unusable", s):
		w.logger.Warn("a file has changed and cannot be used; what was read before stays in use", append(s.fields(), zap.Error(err),
			zap.String("remedy", "write a good value into the file; it is then taken over by itself"))...)
	case err == nil && s.failing && !changed && w.first("usable", s):
		w.logger.Info("a file can be used again; its content is what is in use", s.fields()...)
	}
	s.failing = err != nil
}

// first reports whether this look has not told the same of another route of the datasource.
func (w *Watcher) first(what string, s *subject) bool {
	key := strings.Join(append([]string{what, s.Datasource, s.Option}, s.Files...), "\x00")
	if slices.Contains(w.told, key) {
		return false
	}
	w.told = append(w.told, key)
	return true
}

// fields says what a line of the log is about.
func (s *subject) fields() []zap.Field {
	var fields []zap.Field
	if s.Datasource != "" {
		fields = append(fields, zap.String("datasource", s.Datasource))
	}
	return append(fields, zap.String("option", s.Option), zap.Strings("files", s.Files))
}

// stamp is the state of a file. The zero value stands for a file that is not there.
type stamp struct {
	info fs.FileInfo
}

// newStamp returns the state of the file behind all symbolic links.
func newStamp(name string) stamp {
	info, err := os.Stat(name)
	if err != nil {
		return stamp{}
	}
	return stamp{info}
}

// same reports whether it is the same file as before with the same content.
func (st stamp) same(other stamp) bool {
	if st.info == nil || other.info == nil {
		return st.info == nil && other.info == nil
	}
	return os.SameFile(st.info, other.info) && st.info.Size() == other.info.Size() && st.info.ModTime().Equal(other.info.ModTime())
}

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
	// Datasources are what the log calls the owners, each of which it tells; none if there is none.
	// Option is the option that the files belong to.
	Datasources []string
	Option      string

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
	told     map[string]bool // what was told of during this look
	files    questions
}

// subject is a Subject with what is known of its files.
type subject struct {
	Subject

	last    []stamp      // at the last look
	read    []stamp      // just before the files were read; nil: when the configuration loaded
	failing bool         // the last reading has failed
	reading chan outcome // of the reading that is under way; nil: none is
	silent  int          // looks in a row at which a file system has not answered
}

// outcome is what came of a reading.
type outcome struct {
	changed bool
	err     error
}

// New returns a watcher that writes to a log.
func New(logger *zap.Logger) *Watcher {
	return &Watcher{logger: logger, told: make(map[string]bool), files: questions{stat: os.Stat, asked: make(map[string]chan stamp)}}
}

// Add has a subject watched, and returns it, since it may get further owners. Neither is done any
// more once Run was called.
func (w *Watcher) Add(s Subject) *Subject {
	added := &subject{Subject: s}
	if len(s.Files) > 0 {
		w.subjects = append(w.subjects, added)
	}
	return &added.Subject
}

// Run looks at the files until ctx ends. All reading is done here, and no request waits for it. A
// file system that does not answer holds up the subjects that are on it, and nothing else.
func (w *Watcher) Run(ctx context.Context) {
	if len(w.subjects) == 0 {
		return
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			w.look(ctx, time.Now())
		case <-ctx.Done():
			return
		}
	}
}

// look looks at each file once, however many subjects have it.
func (w *Watcher) look(ctx context.Context, now time.Time) {
	clear(w.told)
	w.files.begin()
	for _, s := range w.subjects {
		if ctx.Err() != nil {
			return
		}
		answered := s.reading == nil || w.finish(ctx, s, 0)
		if answered {
			var current []stamp
			if current, answered = w.files.stamps(ctx, s.Files); answered {
				answered = w.consider(ctx, s, current, now)
			}
		}
		w.noteSilence(s, answered)
	}
}

// consider has the files of a subject read again, if they have changed and are not being written.
// It reports whether the reading has come to an end.
func (w *Watcher) consider(ctx context.Context, s *subject, current []stamp, now time.Time) bool {
	again := slices.EqualFunc(current, s.last, stamp.same)
	s.last = current
	if slices.EqualFunc(current, s.read, stamp.same) && !s.failing {
		return true
	}
	unsettled := func(st stamp) bool { return st.info == nil || now.Sub(st.info.ModTime()) < settled }
	if !again && slices.ContainsFunc(current, unsettled) {
		return true
	}
	s.read = current // from before the reading: a change during it is seen at the next look
	s.reading = make(chan outcome, 1)
	go func(to chan<- outcome) {
		changed, err := s.Reread()
		to <- outcome{changed, err}
	}(s.reading)
	return w.finish(ctx, s, interval)
}

// finish waits a while for the reading that is under way, tells what came of it, and reports
// whether it has ended.
func (w *Watcher) finish(ctx context.Context, s *subject, while time.Duration) bool {
	got, ok := within(ctx, s.reading, while)
	if !ok {
		return false
	}
	s.reading = nil
	if got.changed {
		for _, fields := range w.lines("taken", s) {
			w.logger.Info("took over the new content of a file", fields...)
		}
	}
	switch {
	case got.err != nil && !s.failing:
		for _, fields := range w.lines("unusable", s, zap.Error(got.err), zap.String("remedy", "write a good value into the file; it is then taken over by itself")) {
			w.logger.Warn("a file has changed and cannot be used; what was read before stays in use", fields...)
		}
	case got.err == nil && s.failing && !got.changed:
		for _, fields := range w.lines("usable", s) {
			w.logger.Info("a file can be used again; its content is what is in use", fields...)
		}
	}
	s.failing = got.err != nil
	return true
}

// silentLooks is how many looks a file system may leave without an answer before the log says so.
const silentLooks = 5

// noteSilence notes whether the file system of a subject has answered at this look, and tells once
// when it does not.
func (w *Watcher) noteSilence(s *subject, answered bool) {
	if answered {
		s.silent = 0
		return
	}
	if s.silent++; s.silent == silentLooks {
		remedy := zap.String("remedy", "look after the file system (a network mount?); a change of the file is taken over when it answers")
		for _, fields := range w.lines("silent", s, remedy) {
			w.logger.Warn("a file cannot be looked at, since its file system does not answer; what was read before stays in use", fields...)
		}
	}
}

// lines returns the fields of the lines that tell something of a subject: one for each owner, but
// for those of whom this look has told the same already, of another of their routes.
func (w *Watcher) lines(what string, s *subject, more ...zap.Field) (lines [][]zap.Field) {
	files := zap.Strings("files", s.Files)
	if len(s.Datasources) == 0 {
		return [][]zap.Field{append([]zap.Field{zap.String("option", s.Option), files}, more...)}
	}
	for _, name := range s.Datasources {
		key := strings.Join(append([]string{what, name, s.Option}, s.Files...), "\x00")
		if !w.told[key] {
			w.told[key] = true
			lines = append(lines, append([]zap.Field{zap.String("datasource", name), zap.String("option", s.Option), files}, more...))
		}
	}
	return lines
}

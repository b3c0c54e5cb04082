// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() { caddy.RegisterModule(new(tricky)) }

// The ways in which a tricky storage locks.
const (
	lockGood  = "good"  // as the file storage does
	lockNone  = "none"  // not at all, as the S3 plugin
	lockError = "error" // an error at once, as the Postgres plugin when somebody has the lock
	lockKept  = "kept"  // a lock is never given back
)

// tricky is a file storage with another locker. Files in a folder of the node make it stop, fail,
// or use another folder:
//
//	hold   "before 2": the second write of each record from now on never begins;
//	       "after 2": it never returns
//	slow   how long each write takes
//	down   nothing works
//	apart  the folder that is used in place of the shared one
type tricky struct {
	Path    string `json:"path"`
	Control string `json:"control"`
	Locker  string `json:"locker"`

	mu     sync.Mutex
	writes map[string]int // of each record, since hold is there
}

var errDown = errors.New("the storage is down")

// CaddyModule implements caddy.Module.
func (*tricky) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.storage.tricky", New: func() caddy.Module { return new(tricky) }}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (s *tricky) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if !d.Next() || !d.Args(&s.Path, &s.Control, &s.Locker) {
		return d.ArgErr()
	}
	return nil
}

// CertMagicStorage implements caddy.StorageConverter.
func (s *tricky) CertMagicStorage() (certmagic.Storage, error) { return s, nil }

// said returns what a file of the node's folder says.
func (s *tricky) said(name string) (text string, there bool) {
	raw, err := os.ReadFile(filepath.Join(s.Control, name))
	return strings.TrimSpace(string(raw)), err == nil
}

// files returns the storage that is used now.
func (s *tricky) files() (*certmagic.FileStorage, error) {
	if _, down := s.said("down"); down {
		return nil, errDown
	}
	if elsewhere, apart := s.said("apart"); apart {
		return &certmagic.FileStorage{Path: elsewhere}, nil
	}
	return &certmagic.FileStorage{Path: s.Path}, nil
}

// hold never returns if this write is the one to stop at.
func (s *tricky) hold(when, key string, n int) {
	if want, armed := s.said("hold"); armed && want == fmt.Sprintf("%s %d", when, n) {
		_ = os.WriteFile(filepath.Join(s.Control, "held-"+path.Base(path.Dir(key))), nil, 0o600)
		select {}
	}
}

// count returns which write of a record this is since hold is there.
func (s *tricky) count(key string) int {
	if _, armed := s.said("hold"); !armed {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writes == nil {
		s.writes = make(map[string]int)
	}
	s.writes[key]++
	return s.writes[key]
}

// Store implements certmagic.Storage.
func (s *tricky) Store(ctx context.Context, key string, val []byte) error {
	n := 0
	if strings.HasPrefix(key, "authenticated_api/") && !strings.HasSuffix(path.Dir(key), ".nodes") {
		n = s.count(key)
		s.hold("before", key, n)
	}
	if text, slow := s.said("slow"); slow {
		takes, _ := time.ParseDuration(text) // half of it before the write lands, and half after
		time.Sleep(takes / 2)
		defer time.Sleep(takes / 2)
	}
	files, err := s.files()
	if err == nil {
		err = files.Store(ctx, key, val)
	}
	if n > 0 {
		s.hold("after", key, n)
	}
	return err
}

// Load implements certmagic.Storage.
func (s *tricky) Load(ctx context.Context, key string) ([]byte, error) {
	files, err := s.files()
	if err != nil {
		return nil, err
	}
	return files.Load(ctx, key)
}

// Delete implements certmagic.Storage.
func (s *tricky) Delete(ctx context.Context, key string) error {
	files, err := s.files()
	if err != nil {
		return err
	}
	return files.Delete(ctx, key)
}

// Exists implements certmagic.Storage.
func (s *tricky) Exists(ctx context.Context, key string) bool {
	files, err := s.files()
	return err == nil && files.Exists(ctx, key)
}

// List implements certmagic.Storage.
func (s *tricky) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	files, err := s.files()
	if err != nil {
		return nil, err
	}
	return files.List(ctx, prefix, recursive)
}

// Stat implements certmagic.Storage.
func (s *tricky) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	files, err := s.files()
	if err != nil {
		return certmagic.KeyInfo{}, err
	}
	return files.Stat(ctx, key)
}

// Lock implements certmagic.Storage.
func (s *tricky) Lock(ctx context.Context, name string) error {
	files, err := s.files()
	if err != nil {
		return err
	}
	switch s.Locker {
	case lockNone:
		return nil
	case lockError:
		return errors.New("key is locked")
	case lockKept:
		file := filepath.Join(files.Path, "kept-"+strings.ReplaceAll(name, "/", "-"))
		f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			<-ctx.Done()
			return ctx.Err()
		}
		if err == nil {
			err = f.Close()
		}
		return err
	default:
		return files.Lock(ctx, name)
	}
}

// Unlock implements certmagic.Storage.
func (s *tricky) Unlock(ctx context.Context, name string) error {
	files, err := s.files()
	if err != nil || s.Locker != lockGood {
		return err
	}
	return files.Unlock(ctx, name)
}

var (
	_ caddy.StorageConverter = (*tricky)(nil)
	_ caddyfile.Unmarshaler  = (*tricky)(nil)
	_ certmagic.Storage      = (*tricky)(nil)
)

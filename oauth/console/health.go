// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

// health answers whether datasources are healthy. Nobody has to sign in for that, so requests that
// come at the same time share one look at the storage.
type health struct {
	mu    sync.Mutex
	known map[string]*verdict // by the names of the datasources; there is one for each site
}

// verdict is what is known of the datasources of one site.
type verdict struct {
	mu    sync.Mutex
	began time.Time // when the look began
	good  bool
}

// health answers 200 if nothing fails and nobody has to do anything, and 503 otherwise. It says
// nothing else.
func (v *visit) health() error {
	status := http.StatusServiceUnavailable
	if v.h.health.of(v.datasources).ask(v.r.Context(), v.datasources) {
		status = http.StatusOK
	}
	v.harden()
	v.w.Header().Set("Content-Length", "0")
	v.w.WriteHeader(status)
	return nil
}

// of returns the verdict on datasources.
func (h *health) of(list []datasource) *verdict {
	names := make([]string, len(list))
	for i, ds := range list {
		names[i] = ds.Datasource()
	}
	key := strings.Join(names, "\x00")
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil {
		h.known = make(map[string]*verdict)
	}
	if h.known[key] == nil {
		h.known[key] = new(verdict)
	}
	return h.known[key]
}

// ask reports whether all datasources are healthy. One request at a time looks; those that have
// come before it began to look take its answer.
func (s *verdict) ask(ctx context.Context, list []datasource) bool {
	came := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.began.After(came) {
		return s.good
	}
	s.began, s.good = time.Now(), true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), statusTimeout)
	defer cancel()
	for _, ds := range list {
		s.good = s.good && ds.Healthy(ctx)
	}
	return s.good
}

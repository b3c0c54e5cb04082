// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/authenticated-api/caddy-authenticated-api/internal/problem"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/caddyserver/caddy/v2"
)

// Caddy makes a registry for each configuration. What is counted here is registered with each of
// them, so counters go on after a reload. A datasource that no configuration has any more takes
// its series with it.

const (
	metricsNamespace = "caddy"
	metricsSubsystem = "authenticated_api"
)

var (
	tokenRequestsTotal = newCounters("token_requests_total", "Requests to token endpoints.", "grant", "outcome")
	replaysTotal       = newCounters("replays_total",
		"Requests whose credential the API has refused, and that were to be sent again.", "outcome")
	rejectionsTotal = newCounters("requests_rejected_total", "Requests that the gateway has answered itself, with a problem.", "code")
	refusalsTotal   = newCounters("refusals_total",
		"Answers passed to callers by which the API refuses the credential.", "status")
	storageErrorsTotal = newCounters("storage_errors_total", "Calls of the storage that have failed, or have not ended in time.")
	tokenDurations     = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "token_request_duration_seconds",
		Help: "How long requests to token endpoints have taken.", Buckets: prometheus.DefBuckets,
	}, []string{"datasource", "grant"})
)

func newCounters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: name, Help: help,
	}, append([]string{"datasource"}, labels...))
}

// register has a configuration's registry show the metrics.
func register(registry *prometheus.Registry, a *App) error {
	for _, c := range []prometheus.Collector{tokenRequestsTotal, tokenDurations, replaysTotal, rejectionsTotal, refusalsTotal, storageErrorsTotal, &gauges{a}} {
		if err := registry.Register(c); err != nil {
			return fmt.Errorf("registering the metrics: %w", err)
		}
	}
	return nil
}

// meter counts what happens to the requests of one datasource. Its series are there when the
// configuration loads, so that a rate has a beginning. Of the many datasources of a catalogue they
// come with what they count: a scrape would be megabytes of zeros otherwise.
type meter struct {
	name string

	rejected, refused *prometheus.CounterVec // what remains is the code, or the status

	lastSuccess atomic.Int64 // when the API has last taken a request, in Unix seconds

	// lastRefusal is the last answer by which the API has refused the credential, or nil.
	lastRefusal atomic.Pointer[connection.Refusal]
}

// meters has the meter of each datasource of a configuration.
var meters = caddy.NewUsagePool()

func newMeter(name string, many bool) *meter {
	of := prometheus.Labels{"datasource": name}
	m := &meter{name: name, rejected: rejectionsTotal.MustCurryWith(of), refused: refusalsTotal.MustCurryWith(of)}
	if many {
		return m
	}
	for _, outcome := range []string{servedAgain, refusedAgain, unanswered, notRenewed, notReplayable} {
		replaysTotal.WithLabelValues(name, outcome)
	}
	return m
}

// replayed counts a request that was to be sent again.
func (m *meter) replayed(outcome string) { replaysTotal.WithLabelValues(m.name, outcome).Inc() }

// The outcomes of requests that were to be sent again.
const (
	servedAgain   = "served"
	refusedAgain  = "refused"
	unanswered    = "unanswered"
	notRenewed    = "not_renewed"
	notReplayable = "not_replayable"
)

// Destruct implements caddy.Destructor: metering.release has what was counted forgotten.
func (*meter) Destruct() error { return nil }

// metering has the meters that a configuration uses, by the names of their datasources.
type metering struct {
	mu sync.Mutex
	by map[string]*meter
}

// of returns the meter of a datasource, which may be one of many.
func (m *metering) of(name string, many bool) *meter {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.by[name]; known != nil {
		return known
	}
	if m.by == nil {
		m.by = make(map[string]*meter)
	}
	used, _, _ := meters.LoadOrNew(name, func() (caddy.Destructor, error) { return newMeter(name, many), nil })
	m.by[name] = used.(*meter)
	return m.by[name]
}

// release says that the configuration has ended.
func (m *metering) release() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var failed error
	gone := make(map[string]bool) // the datasources that no configuration has any more
	for name := range m.by {
		deleted, err := meters.Delete(name)
		failed = errors.Join(failed, err)
		if deleted {
			gone[name] = true
		}
	}
	m.by = nil
	forget(gone)
	return failed
}

// reject counts a request that is answered with a problem.
func (m *meter) reject(p *problem.Problem) { m.rejected.WithLabelValues(p.Code()).Inc() }

// refuse counts an answer by which the API refuses the credential. named says that refresh_on has
// its status. A status of the API's own choice is no label.
func (m *meter) refuse(status int, named bool) {
	label := "other"
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		named = true
	}
	if named {
		label = strconv.Itoa(status)
	}
	m.refused.WithLabelValues(label).Inc()
}

// answered notes an answer that refuses nothing.
func (m *meter) answered(status int) {
	if status >= http.StatusBadRequest {
		return
	}
	if now := time.Now().Unix(); m.lastSuccess.Load() != now {
		m.lastSuccess.Store(now)
	}
}

// tokenMeter counts the token requests of a datasource, and what its storage fails to do.
type tokenMeter struct{ datasource, grant string }

func newTokenMeter(datasource, grant string, many bool) tokenMeter {
	if !many {
		for _, outcome := range []string{provider.Success, provider.Refused, provider.Failed} {
			tokenRequestsTotal.WithLabelValues(datasource, grant, outcome)
		}
		tokenDurations.WithLabelValues(datasource, grant)
		storageErrorsTotal.WithLabelValues(datasource)
	}
	return tokenMeter{datasource, grant}
}

// StorageFailed counts a call of the storage that has failed.
func (m tokenMeter) StorageFailed() { storageErrorsTotal.WithLabelValues(m.datasource).Inc() }

// Requested counts a token request.
func (m tokenMeter) Requested(took time.Duration, err error) {
	tokenDurations.WithLabelValues(m.datasource, m.grant).Observe(took.Seconds())
	tokenRequestsTotal.WithLabelValues(m.datasource, m.grant, provider.OutcomeOf(err)).Inc()
}

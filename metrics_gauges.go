// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"github.com/prometheus/client_golang/prometheus"
)

// gauges are the metrics that are read when somebody asks for them. They are those of one
// configuration, and asking for them asks neither a storage nor a provider.
type gauges struct{ app *App }

var (
	tokenExpiry = gaugeOf("token_expiry_timestamp_seconds", "When the token of the shared connection expires.")
	cached      = gaugeOf("cached_connections", "Connections that this process has in memory.")
	states      = gaugeOf("connections", "Connections by their state.", "state")
	lastSuccess = gaugeOf("last_success_timestamp_seconds", "When the API has last answered with a status below 400, and took the credential.")
)

func gaugeOf(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(metricsNamespace, metricsSubsystem, name), help,
		append([]string{"datasource"}, labels...), nil)
}

// Describe implements prometheus.Collector.
func (*gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{tokenExpiry, cached, states, lastSuccess} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	if !g.app.started.Load() {
		return // the admin endpoint is there before the datasources are
	}
	show := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	for _, name := range g.app.registry.names() {
		ds := g.app.registry.lookup(name)
		if at := ds.meter.lastSuccess.Load(); at > 0 {
			show(lastSuccess, float64(at), name)
		}
	}
	for _, set := range g.app.Connections() {
		name, tally := set.Datasource, set.Tally()
		ds := g.app.registry.lookup(name)
		many := ds != nil && ds.site.many // see meter
		if tally.Cached > 0 || !many {
			show(cached, float64(tally.Cached), name)
		}
		for state, n := range tally.States {
			if n > 0 || !many {
				show(states, float64(n), name, state)
			}
		}
		if !tally.Expiry.IsZero() {
			show(tokenExpiry, float64(tally.Expiry.Unix()), name)
		}
	}
}

// Interface guards
var _ prometheus.Collector = (*gauges)(nil)

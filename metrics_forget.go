// SPDX-License-Identifier: Apache-2.0

package authenticatedapi

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// forget removes the series of datasources. A vector finds those of one only by a look at all of
// its series, so those of thousands are looked for at once.
func forget(datasources map[string]bool) {
	if len(datasources) == 0 {
		return
	}
	for _, vec := range []*prometheus.MetricVec{
		tokenRequestsTotal.MetricVec, replaysTotal.MetricVec, rejectionsTotal.MetricVec, refusalsTotal.MetricVec,
		storageErrorsTotal.MetricVec, tokenDurations.MetricVec,
	} {
		for _, labels := range seriesOf(vec, datasources) {
			vec.Delete(labels)
		}
	}
}

// seriesOf returns the labels of the series that datasources have in a vector.
func seriesOf(vec *prometheus.MetricVec, datasources map[string]bool) (series []prometheus.Labels) {
	all := make(chan prometheus.Metric)
	go func() {
		vec.Collect(all)
		close(all)
	}()
	for metric := range all {
		var said dto.Metric
		if metric.Write(&said) != nil {
			continue // no vector has such a one
		}
		labels := make(prometheus.Labels)
		for _, label := range said.GetLabel() {
			labels[label.GetName()] = label.GetValue()
		}
		if datasources[labels["datasource"]] {
			series = append(series, labels)
		}
	}
	return series
}

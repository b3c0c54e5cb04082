// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net/http"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/connection"
)

// healthResponse is the answer to a question for the health of the datasources with connections.
type healthResponse struct {
	Healthy bool `json:"healthy"`

	// Unhealthy names the datasources where something fails, or somebody must do something. What
	// that is stands in the list of connections.
	Unhealthy []string `json:"unhealthy,omitempty"`
}

// serveHealth says whether nothing fails and nobody has to do anything: by the status, for tools
// that watch whether a service is up, and in the body.
func serveHealth(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodHead {
		if err := checkMethod(http.MethodGet, w, r); err != nil {
			return err
		}
	}
	var sets []*connection.Set
	if app, err := activeApp(); err == nil {
		sets = app.Connections()
	}
	var answer healthResponse
	for _, set := range sets {
		if !set.Healthy(r.Context()) {
			answer.Unhealthy = append(answer.Unhealthy, set.Datasource)
		}
	}
	answer.Healthy = len(answer.Unhealthy) == 0
	if !answer.Healthy {
		return answerJSONWith(w, http.StatusServiceUnavailable, answer)
	}
	return answerJSON(w, answer)
}

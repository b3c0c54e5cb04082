// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net/http"

	"github.com/authenticated-api/caddy-authenticated-api/oauth"
)

// healthResponse is the answer to a question for the health of the OAuth datasources.
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
	var methods []*oauth.Method
	if app, err := activeApp(); err == nil {
		methods = app.OAuth()
	}
	var answer healthResponse
	for _, method := range methods {
		if !method.Healthy(r.Context()) {
			answer.Unhealthy = append(answer.Unhealthy, method.Datasource())
		}
	}
	answer.Healthy = len(answer.Unhealthy) == 0
	if !answer.Healthy {
		return answerJSONWith(w, http.StatusServiceUnavailable, answer)
	}
	return answerJSON(w, answer)
}

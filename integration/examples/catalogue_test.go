// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestCatalogueExample: each API gets the path behind its name, with its own credential.
func TestCatalogueExample(t *testing.T) {
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/oauth/token") {
			id, secret, _ := r.BasicAuth()
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token":"of-`+id+"-"+secret+`","token_type":"Bearer","expires_in":3600}`)
			return
		}
		got = r.RequestURI + " " + r.Header.Get("Authorization") + " " + r.Header.Get("X-User")
	}))
	t.Cleanup(server.Close)
	text, err := os.ReadFile(folder + "catalogue.caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range variable.FindAllStringSubmatch(string(text), -1) {
		t.Setenv(v[1], "value-of-"+strings.ToLower(v[1]))
	}
	config := strings.NewReplacer("http://localhost:8080 {", "http://GATEWAY {", " https://", " "+server.URL+"/").Replace(string(text))
	p := newPerson(t, rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nstorage file_system "+rig.StorageDir(t)+"\n}\n"+config))
	for path, want := range map[string]string{
		"/apis/crm/customers":    "/crm.example.com/api/v2/customers Basic Z2F0ZXdheTp2YWx1ZS1vZi1jcm1fcGFzc3dvcmQ= ann",
		"/apis/maps/tiles/1?z=2": "/maps.example.com/v1/tiles/1?key=value-of-maps_key&z=2  ",
		"/apis/calendar/events":  "/calendar.example.com/events Bearer of-value-of-calendar_id-value-of-calendar_secret ",
		"/apis/calendar/":        "/calendar.example.com/ Bearer of-value-of-calendar_id-value-of-calendar_secret ",
		"/apis/calendars/events": "",
	} {
		got = ""
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.gateway+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("ann", "ann")
		res, err := p.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got != want || (res.StatusCode == http.StatusNotFound) != (want == "") {
			t.Errorf("%s: %d, and the API got %q, want %q", path, res.StatusCode, got, want)
		}
	}
}

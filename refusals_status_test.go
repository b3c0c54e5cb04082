// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// TestRefusalInStatus: the admin endpoint says how the API has last refused the token, with what
// can be done.
func TestRefusalInStatus(t *testing.T) {
	const canary = "canary-of-the-token"
	answer := rig.Response("200 OK", "", "")
	api := rig.NewAPI(t, func(string) string { return answer })
	provider := rig.NewAPI(t, func(string) string {
		return rig.Response("200 OK", "Content-Type: application/json\r\n", `{"access_token":"`+canary+`","token_type":"Bearer","expires_in":3600}`)
	})
	admin := rig.Free(t)
	gateway := rig.Start(t, "{\nadmin "+admin+"\npersist_config off\nauto_https off\nstorage file_system "+rig.StorageDir(t)+"\nauthenticated_api {\nkey "+seal.NewKey()+"\n}\n}\n"+
		"http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\nname refused-crm\nauth oauth2 client_credentials {\ntoken_url http://"+provider.Addr+
		"/token\nclient_id me\nclient_secret a-secret-of-mine\n}\n}\n}")
	type answered struct {
		State       string
		LastRefusal *struct {
			At     time.Time
			Status int
			Remedy string
		} `json:"last_refusal"`
	}
	status := func() (list []answered, text string) {
		t.Helper()
		res, err := http.Get("http://" + admin + "/authenticated_api/connections") //nolint:noctx // it is in this process
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		if err != nil || json.Unmarshal(raw, &list) != nil || len(list) != 1 {
			t.Fatalf("%s, %v", raw, err)
		}
		return list, string(raw)
	}
	rig.Get(t, gateway, "/x", "")
	if list, text := status(); list[0].State != "connected" || list[0].LastRefusal != nil {
		t.Errorf("while it serves: %s", text)
	}
	answer = rig.Response("403 Forbidden", "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n", "")
	rig.Get(t, gateway, "/x", "")
	list, text := status()
	if r := list[0].LastRefusal; r == nil || r.Status != 403 || !strings.Contains(r.Remedy, "refresh_on") || time.Since(r.At) > time.Minute || strings.Contains(text, canary) {
		t.Errorf("when it has refused: %s", text)
	}
}

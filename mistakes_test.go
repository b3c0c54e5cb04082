// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// logged loads a site, and returns the lines of its log at WARN and above.
func logged(t *testing.T, global, site string) []map[string]any {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nlog {\noutput file "+log+"\nlevel WARN\n}\n"+global+"\n}\nhttp://GATEWAY {\n"+site+"\n}")
	return logLines(t, log)
}

func logLines(t *testing.T, log string) (lines []map[string]any) {
	t.Helper()
	for line := range strings.Lines(read(t, log)) {
		var parsed map[string]any
		if err := json.Unmarshal([]byte(line), &parsed); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		lines = append(lines, parsed)
	}
	return lines
}

// TestLiteralSecrets: a secret that stands in the configuration itself is told of once, by the
// name of its option.
func TestLiteralSecrets(t *testing.T) {
	t.Setenv("TEST_TOKEN", "canary-from-outside")
	const oauth2 = "auth oauth2 client_credentials {\ntoken_url https://login.example.com/token\nclient_id gateway\nclient_secret "
	for name, tt := range map[string]struct {
		global, site string
		want         string // the options, in order
	}{
		"bearer":           {site: "authenticated_api https://a.example {\nauth bearer canary\n}", want: "auth bearer: token"},
		"basic":            {site: "authenticated_api https://a.example {\nauth basic ann canary\n}", want: "auth basic: password"},
		"api_key":          {site: "authenticated_api https://a.example {\nauth api_key X-Key canary\n}", want: "auth api_key: value"},
		"client_secret":    {site: "authenticated_api https://a.example {\n" + oauth2 + "canary\n}\n}", want: "auth oauth2: client_secret"},
		"token_param":      {site: "authenticated_api https://a.example {\n" + oauth2 + "{env.TEST_TOKEN}\ntoken_param password canary\n}\n}", want: "auth oauth2: token_param password"},
		"signature":        {site: "authenticated_api https://a.example {\nsignature canary-canary-canary-canary-canary\n}", want: "signature: secret"},
		"header":           {site: "authenticated_api https://a.example {\nheader Authorization \"Token canary\"\n}", want: "header Authorization"},
		"headers":          {site: "authenticated_api https://a.example {\nheader X-Api-Key canary\nheader X-Tenant acme\nheader ?X-Auth-Token canary\n}", want: "header X-Api-Key, header X-Auth-Token"},
		"query":            {site: "authenticated_api https://a.example {\nquery api_key canary\nquery page 2\n}", want: "query api_key"},
		"key":              {global: "authenticated_api {\nkey AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n}", site: "authenticated_api https://a.example {\nauth none\n}", want: "key"},
		"two routes":       {site: "handle /a {\nauthenticated_api https://a.example {\nauth bearer canary\n}\n}\nhandle /b {\nauthenticated_api https://a.example {\nauth bearer canary\n}\n}", want: "auth bearer: token"},
		"variable":         {site: "authenticated_api https://a.example {\nauth bearer {env.TEST_TOKEN}\nheader X-Api-Key {env.TEST_TOKEN}\n}"},
		"request":          {site: "authenticated_api https://a.example {\nheader X-User-Token {http.auth.user.id}\nheader X-Tenant acme\n}"},
		"nothing is there": {site: "authenticated_api https://a.example"},
	} {
		t.Run(name, func(t *testing.T) {
			var options []string
			for _, line := range logged(t, tt.global, tt.site) {
				text, _ := json.Marshal(line)
				if strings.Contains(string(text), "canary") {
					t.Errorf("the log shows the secret: %s", text)
				}
				if strings.HasPrefix(line["msg"].(string), "a secret stands in the configuration") {
					options = append(options, line["option"].(string))
				}
			}
			if got := strings.Join(options, ", "); got != tt.want {
				t.Errorf("told of %q, want %q", got, tt.want)
			}
		})
	}
}

// TestLiteralSecretsOfMany: a catalogue has one warning for each option, which names ten of its
// datasources and counts all.
func TestLiteralSecretsOfMany(t *testing.T) {
	var site strings.Builder
	site.WriteString("authenticated_apis {\n")
	for i := range 12 {
		fmt.Fprintf(&site, "api%02d https://a.example {\nauth bearer canary\n}\n", i)
	}
	site.WriteString("keys https://a.example {\nauth none\nheader X-Api-Key canary\nheader ?X-Api-Key canary\n}\n" +
		"good https://a.example {\nauth bearer {env.TEST_TOKEN}\n}\n}\nauthenticated_api https://a.example {\nname beside\nauth bearer canary\n}")
	t.Setenv("TEST_TOKEN", "canary")
	var got []string
	for _, line := range logged(t, "", site.String()) {
		text, _ := json.Marshal(line)
		if strings.Contains(string(text), "canary") {
			t.Errorf("the log shows the secret: %s", text)
		}
		if strings.HasPrefix(line["msg"].(string), "a secret stands in the configuration") {
			got = append(got, fmt.Sprintf("%v, %v, %v, %v", line["option"], line["datasource"], line["datasources"], line["count"]))
		}
	}
	want := []string{
		"auth bearer: token, beside, <nil>, <nil>",
		"auth bearer: token, <nil>, [api00 api01 api02 api03 api04 api05 api06 api07 api08 api09], 12",
		"header X-Api-Key, <nil>, [keys], 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("told of %q, want %q", got, want)
	}
}

// TestStandIns: what a variable, a file or JSON brings is no secret either if it is what a person
// should have replaced.
func TestStandIns(t *testing.T) {
	for _, tt := range []struct{ env, option, want string }{
		{"Bearer canary", "auth bearer {env.TEST_SECRET}", "begins with a scheme"},
		{"token canary", "auth bearer {env.TEST_SECRET}", "begins with a scheme"},
		{"Authorization: Bearer canary", "auth bearer {env.TEST_SECRET}", "begins with a scheme"},
		{"<token>", "auth bearer {env.TEST_SECRET}", "example"},
		{"${CANARY}", "auth bearer {env.TEST_SECRET}", "another program"},
		{"your-password", "auth basic ann {env.TEST_SECRET}", "example"},
		{"X-Key: canary", "auth api_key X-Key {env.TEST_SECRET}", "name of the key"},
		{"Token canary", "auth api_key Authorization {env.TEST_SECRET} {\nprefix Token\n}", "prefix"},
		{"YOUR_CLIENT_SECRET", "auth oauth2 client_credentials {\ntoken_url https://login.example.com/token\nclient_id gateway\nclient_secret {env.TEST_SECRET}\n}", "example"},
	} {
		t.Setenv("TEST_SECRET", tt.env)
		err := rig.Load("http://" + rig.Free(t) + " {\nauthenticated_api https://api.example.com {\n" + tt.option + "\n}\n}")
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s with %s: %v", tt.option, tt.env, err)
		}
		if err == nil {
			_ = caddy.Stop()
		}
	}
}

// TestEmptyVariables: {$NAME} is gone before any directive is read, and the error about what is
// missing names it all the same.
func TestEmptyVariables(t *testing.T) {
	t.Setenv("TEST_EMPTY", "")
	t.Setenv("TEST_SET", "set")
	for _, tt := range []struct{ text, want string }{
		{"auth bearer {$TEST_UNSET}", "{$TEST_UNSET} is empty"},
		{"auth bearer \"{$TEST_UNSET}\"", "{$TEST_UNSET} is empty"},
		{"auth bearer {$TEST_EMPTY}", "{$TEST_EMPTY} is empty"},
		{"auth basic {$TEST_UNSET} {$TEST_SET}", "{$TEST_UNSET} is empty"},
		{"auth basic {$TEST_UNSET} {$TEST_EMPTY}", "{$TEST_UNSET}, {$TEST_EMPTY} are empty"},
		{"auth api_key X-Key {$TEST_UNSET}", "{$TEST_UNSET} is empty"},
		{"auth oauth2 client_credentials {\ntoken_url https://login.example.com\nclient_id {$TEST_UNSET}\nclient_secret {env.X}\n}", "{$TEST_UNSET} is empty"},
		{"auth oauth2 client_credentials {\ntoken_url https://{$TEST_UNSET}/token\nclient_id a\nclient_secret b\n}", ""},
		{"header X-Tenant {$TEST_UNSET}", "{$TEST_UNSET} is empty"},
		{"query tenant {$TEST_UNSET}", "{$TEST_UNSET} is empty"},
		{"name {$TEST_UNSET}", "{$TEST_UNSET} is empty"},
		{"signature {$TEST_UNSET}", "{$TEST_UNSET} is empty"},
		{"self_signed_cert {$TEST_UNSET}", "{$TEST_UNSET} is empty"},
		{"allow_origin {$TEST_UNSET}", "{$TEST_UNSET} is empty"},
		{"auth bearer", "-"},
		{"auth bearer {$TEST_UNSET:default}", ""},
		{"auth bearer {$TEST_SET}", ""},
		{"auth bearer {$TEST_SET} {$TEST_SET}", "-"},
	} {
		wantEmpty(t, ":80 {\nauthenticated_api https://api.example.com {\n"+tt.text+"\n}\n}", tt.want)
	}
	wantEmpty(t, ":80 {\nauthenticated_api {$TEST_UNSET} {\nauth bearer {env.X}\n}\n}", "{$TEST_UNSET} is empty")
	wantEmpty(t, ":80 {\nauthenticated_api https://{$TEST_UNSET}/v2 {\nauth bearer {env.X}\n}\n}", "{$TEST_UNSET} is empty")
	wantEmpty(t, ":80 {\nauthenticated_api {$TEST_UNSET} https://api.example.com {\nauth bearer {env.X}\n}\n}", "")
	wantEmpty(t, ":80 {\nauthenticated_api {\nauth bearer {env.X}\n}\n}", "")
	wantEmpty(t, "{\nauthenticated_api {\nkey {$TEST_UNSET}\n}\n}\n:80 {\n}", "{$TEST_UNSET} is empty")
	wantEmpty(t, ":80 {\nauthenticated_api_console {\noperators {$TEST_UNSET}\n}\n}", "{$TEST_UNSET} is empty")
}

// wantEmpty adapts a Caddyfile that is a file. want is what its error says of variables; "-":
// nothing; "": there is no error.
func wantEmpty(t *testing.T, text, want string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "Caddyfile")
	write(t, file, text)
	_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": file})
	switch {
	case want == "" && err != nil, want != "" && err == nil:
		t.Errorf("%s: %v", text, err)
	case want == "-" && strings.Contains(err.Error(), "for the process"), want != "" && want != "-" && !strings.Contains(err.Error(), want):
		t.Errorf("%s: %v, want %s", text, err, want)
	}
	if err != nil && want != "-" { // another file of that name says nothing
		write(t, file, "# another\n\n\n\n\n\n\n\n"+text)
		if _, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": file}); err == nil && !strings.Contains(text, "authenticated_api {$") ||
			err != nil && strings.Contains(err.Error(), "for the process") {
			t.Errorf("%s, with another file: %v", text, err)
		}
	}
}

// TestFileGone: a file that cannot be read again, when the API refuses what was in it, is told of
// with the system's own error.
func TestFileGone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, "canary")
	api := rig.NewAPI(t, func(string) string { return rig.Response("401 Unauthorized", "", "no") })
	log := filepath.Join(t.TempDir(), "log")
	gateway := rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nlog {\noutput file "+log+"\nlevel WARN\n}\n}\nhttp://GATEWAY {\n"+
		"authenticated_api http://"+api.Addr+" {\nauth bearer {file."+file+"}\n}\n}")
	for _, tt := range []struct {
		change func() error
		want   string
	}{
		{func() error { return os.Remove(file) }, "no such file or directory"},
		{func() error { return os.Mkdir(file, 0o700) }, "is a directory"},
		{func() error { return errors.Join(os.Remove(file), os.WriteFile(file, nil, 0o600)) }, "the file is empty"},
	} {
		if err := errors.Join(tt.change(), os.Truncate(log, 0)); err != nil {
			t.Fatal(err)
		}
		if res := rig.Get(t, gateway, "/", ""); res.StatusCode != 401 {
			t.Errorf("the client got %d", res.StatusCode)
		}
		if said := read(t, log); !strings.Contains(said, tt.want) || strings.Contains(said, "canary") {
			t.Errorf("the log has %s, want %s", said, tt.want)
		}
	}
}

// TestSentURL: the debug log has the URL of each attempt as it is sent, without its query, where
// the credential may be.
func TestSentURL(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	write(t, file, "canary-old")
	api := rig.NewAPI(t, func(request string) string {
		if strings.Contains(request, "canary-old") {
			write(t, file, "canary-new")
			return rig.Response("401 Unauthorized", "", "")
		}
		return rig.OK("ok")
	})
	log := filepath.Join(t.TempDir(), "log")
	gateway := rig.Start(t, "{\nadmin off\npersist_config off\nauto_https off\nlog {\noutput file "+log+"\nlevel DEBUG\n}\n}\nhttp://GATEWAY {\n"+
		"handle_path /crm/* {\nauthenticated_api http://"+api.Addr+"/v2 {\nname crm\nauth api_key key {file."+file+"} {\nin query\n}\nquery sig canary\n}\n}\n}")
	if res := rig.Get(t, gateway, "/crm/a%2Fb?page=2", ""); res.StatusCode != 200 {
		t.Fatalf("the client got %d", res.StatusCode)
	}
	found := 0
	for _, line := range logLines(t, log) {
		if line["msg"] == "sending a request" && line["url"] == "http://"+api.Addr+"/v2/a%2Fb" && line["datasource"] == "crm" && line["method"] == "GET" {
			found++
		}
	}
	if said := read(t, log); found != 2 || strings.Contains(said, "canary") {
		t.Errorf("%d attempts: %s", found, said)
	}
}

// TestClientsOwnKeys: a client's key under another name than the credential's passes, and can be
// removed.
func TestClientsOwnKeys(t *testing.T) {
	api := rig.NewAPI(t, nil)
	gateway := rig.Start(t, "http://GATEWAY {\nhandle_path /a/* {\nauthenticated_api http://"+api.Addr+" {\nauth bearer ours\n}\n}\n"+
		"handle_path /b/* {\nauthenticated_api http://"+api.Addr+" {\nauth bearer ours\nheader -X-Api-Key\nquery -api_key\n}\n}\n}")
	for path, passes := range map[string]bool{"/a/": true, "/b/": false} {
		rig.Get(t, gateway, path+"?api_key=theirs", "X-Api-Key: theirs\r\n")
		if got := one(t, api); strings.Count(got, "theirs") != map[bool]int{true: 2, false: 0}[passes] || !strings.Contains(got, "Authorization: Bearer ours\r\n") {
			t.Errorf("%s: the API got %q", path, got)
		}
	}
}

// TestOriginOfPrograms: a handshake with an Origin of another host is refused, whoever has sent
// it; so are those of pages behind a proxy that does not pass their Host on.
func TestOriginOfPrograms(t *testing.T) {
	api := rig.NewAPI(t, nil)
	gateway := rig.Start(t, "http://GATEWAY, http://gw.example:PORT {\nbind 127.0.0.1\nauthenticated_api http://"+api.Addr+" {\nallow_origin https://app.example\n}\n}")
	const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, tt := range []struct {
		method, host, header string
		status               int
	}{
		{"GET", gateway, upgrade, 200},
		{"GET", gateway, upgrade + "Origin: http://" + gateway + "\r\n", 200},
		{"GET", gateway, upgrade + "Origin: https://app.example\r\n", 200},
		{"GET", gateway, upgrade + "Origin: http://localhost\r\n", 403},
		{"POST", "gw.example", "Origin: https://gw.example\r\n", 200}, // proxy_set_header Host $host
		{"POST", gateway, "Origin: https://gw.example\r\n", 403},      // nginx's default
	} {
		replies := rig.Exchange(t, gateway, tt.method+" / HTTP/1.1\r\nHost: "+tt.host+"\r\n"+tt.header+"Content-Length: 0\r\n\r\n", 1)
		if len(replies) != 1 || replies[0].StatusCode != tt.status {
			t.Errorf("%+v: %+v", tt, replies)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// loginFault is a gateway in front of an API whose login goes wrong.
type loginFault struct {
	gateway, admin, log string
	config              string
	asked               atomic.Int32
}

// startLoginFault runs the gateway. password is what the login sends.
func startLoginFault(t *testing.T, password string, login http.HandlerFunc) *loginFault {
	t.Helper()
	f := &loginFault{admin: rig.Free(t), log: filepath.Join(t.TempDir(), "log")}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login" {
			f.asked.Add(1)
			login(w, r)
			return
		}
		if r.Header.Get("Authorization") != "Bearer good-session" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(api.Close)
	f.config = "{\nadmin " + f.admin + "\npersist_config off\nauto_https off\nstorage file_system " + t.TempDir() + "\nlog {\noutput file " + f.log + "\n}\n" +
		"authenticated_api {\nkey {env.TEST_KEY}\n}\n}\nhttp://GATEWAY {\nhandle_path /connect/* {\nvars user ann\nauthenticated_api_console {\nuser {http.vars.user}\noperators ann\n}\n}\n" +
		"handle {\nauthenticated_api " + api.URL + " {\nname nas\nauth login " + api.URL + "/login {\njson {\npassword " + password + "\n}\ntoken json:sid\ntimeout 500ms\n}\n}\n}\n}"
	f.gateway = rig.Start(t, f.config)
	return f
}

// TestLoginFaults: whatever goes wrong with a login, the caller, the status, the log and the
// console say what it is and what to do, and none of them shows the password.
func TestLoginFaults(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	t.Setenv("CANARY_PASSWORD", "canary-password")
	for name, test := range map[string]struct {
		login   http.HandlerFunc
		status  int
		code    string
		last    string
		action  string
		remedy  string
		console string
	}{
		"wrong password": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"message":"no: canary-password"}`)
		}, 502, "token-rejected", "status_401", "true", "check user name and password", "The API says: <q>no: "},
		"wrong password with 200": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"success":false,"message":"wrong password"}`)
		}, 502, "token-rejected", "status_200", "true", "many APIs answer a wrong password with 200", "The API says: <q>wrong "},
		"rubbish": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<html>canary-password</html>")
		}, 502, "token-rejected", "status_200", "true", "check token and also", "without anything that requests could carry"},
		"another page": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
		}, 502, "token-rejected", "status_404", "true", "check the URL of auth login, and its method", "no login at the URL"},
		"down": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
		}, 503, "token-unavailable", "status_502", "false", "the login fails; it is tried again", "cannot say now"},
		"too often": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "40")
			w.WriteHeader(http.StatusTooManyRequests)
		}, 503, "token-unavailable", "status_429", "false", "the API limits logins", "cannot say now"},
		"unreachable": {func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}, 503, "token-unavailable", "no_answer", "false", "check the URL of auth login, the network", "did not answer"},
		"silent": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, 503, "token-unavailable", "no_answer", "false", "check the URL of auth login, the network", "did not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			f := startLoginFault(t, "{env.CANARY_PASSWORD}", test.login)
			res := rig.Get(t, f.gateway, "/x", "")
			if res.StatusCode != test.status || !strings.Contains(res.Text, test.code) || (res.Header.Get("Retry-After") != "") != (test.status == 503) {
				t.Errorf("the caller got %d %v %s", res.StatusCode, res.Header, res.Text)
			}
			status := rig.Get(t, f.admin, "/authenticated_api/connections", "").Text
			for _, want := range []string{`"state":"failing"`, `"last_error":"` + test.last + `"`, `"needs_action":` + test.action, test.remedy} {
				if !strings.Contains(status, want) {
					t.Errorf("%s is not in the status %s", want, status)
				}
			}
			page := rig.Get(t, f.gateway, "/connect/", "").Text
			for _, want := range []string{test.remedy, test.console} {
				nothing := strings.Contains(status, "nothing is to be done but wait") && want == test.remedy
				if !nothing && !strings.Contains(page, want) {
					t.Errorf("%q is not on the page %s", want, page[strings.Index(page, "<main>"):])
				}
			}
			for _, never := range []string{"provider", "Provider"} {
				if i := strings.Index(page, never); i >= 0 {
					t.Errorf("the page speaks of a provider, which there is none: %s", page[max(0, i-100):i+40])
				}
			}
			line := rig.WantLogged(t, f.log, "there is no valid token, and none could be obtained")
			if remedy, _ := line["remedy"].(string); !strings.Contains(remedy, test.remedy) {
				t.Errorf("the log says %v", line)
			}
			if text := read(t, f.log) + status + page + res.Text; strings.Contains(text, "canary") {
				t.Errorf("the password is shown: %s", text)
			}
		})
	}
}

// TestLoginNotRepeated: neither callers, nor a reload, nor another process send a password again
// that the API has refused; another one in the file is sent at once, and so is the same one if an
// operator asks.
func TestLoginNotRepeated(t *testing.T) {
	t.Setenv("TEST_KEY", seal.NewKey())
	file := rig.Save(t, "canary-wrong")
	var unlocked atomic.Bool
	f := startLoginFault(t, "{file."+file+"}", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if string(body) != `{"password":"canary-right"}` || !unlocked.Load() {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, `{"sid":"good-session"}`)
	})
	want := func(what string, status int, logins int32) {
		t.Helper()
		if res := rig.Get(t, f.gateway, "/x", ""); res.StatusCode != status || f.asked.Load() != logins {
			t.Errorf("%s: the caller got %d after %d logins, want %d", what, res.StatusCode, f.asked.Load(), logins)
		}
	}
	want("at first", 502, 1)
	want("again", 502, 1)
	f.gateway = rig.Start(t, f.config) // what is in memory is lost
	want("after a restart", 502, 1)
	f.gateway = rig.Start(t, strings.Replace(f.config, "timeout 500ms", "timeout 600ms", 1))
	want("with another configuration and the same login", 502, 1)
	rotate(t, file, "canary-right")
	rig.Wait(t, "the file to be read", 20*time.Second, func() bool { return rig.Get(t, f.gateway, "/x", "").StatusCode == 502 && f.asked.Load() == 2 })
	want("with another password", 502, 2) // the account is locked
	unlocked.Store(true)
	want("after the account was unlocked", 502, 2)
	if res := rig.Do(t, f.admin, "POST", "/authenticated_api/refresh", "Content-Type: application/json\r\n", `{"datasource":"nas"}`); res.StatusCode != 200 {
		t.Errorf("refresh: %d %s", res.StatusCode, res.Text)
	}
	want("after refresh", 200, 3)
	if text := read(t, f.log); strings.Contains(text, "canary") {
		t.Errorf("the password is in the log: %s", text)
	}
}

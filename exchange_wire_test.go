// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/oauthtest"
)

// exchanged is a provider that exchanges a token for one that names it.
func exchanged(request string) string {
	_, body, _ := strings.Cut(request, "\r\n\r\n")
	form, _ := url.ParseQuery(body)
	subject := form.Get("subject_token")
	if strings.HasPrefix(subject, "bad") {
		return rig.Response("400 Bad Request", "Content-Type: application/json\r\n", `{"error":"invalid_request","error_description":"`+subject+`"}`)
	}
	return rig.Response("200 OK", "Content-Type: application/json\r\n",
		fmt.Sprintf(`{"access_token":"for-%x","token_type":"Bearer","expires_in":3600,"issued_token_type":"urn:x"}`, subject[:6]))
}

// TestExchangeWire: the API gets the exchanged token, and in no place the caller's own, wherever
// that was.
func TestExchangeWire(t *testing.T) {
	sts := rig.NewAPI(t, exchanged)
	api := rig.NewAPI(t, func(string) string { return rig.Response("200 OK", "Cache-Control: public, max-age=60\r\n", "ok") })
	route := func(path, subject, more string) string {
		return "handle_path /" + path + "/* {\nauthenticated_api http://" + api.Addr + " {\nname " + path + "\n" + more +
			"\nauth oauth2 token_exchange {\ntoken_url http://" + sts.Addr + "/token\nclient_id i\nclient_secret s\nsubject_token " + subject + "\n}\n}\n}\n"
	}
	gateway := rig.Start(t, "{\nadmin off\nauto_https off\nstorage file_system "+t.TempDir()+"\n}\nhttp://GATEWAY {\n"+
		route("bearer", "{http.request.header.Authorization}", "")+
		route("passed", "{http.request.header.Authorization}", "pass_request_header Cookie")+
		route("field", "{http.request.header.X-Id-Token}", "")+
		route("query", "{http.request.uri.query.token}", "")+
		route("cookie", "{http.request.cookie.session}", "")+
		"}")
	subject := func(name string) string {
		return name + "-" + oauthtest.JWT(fmt.Sprintf(`{"exp":%d}`, time.Now().Add(time.Hour).Unix())) + "-canary"
	}
	for _, tt := range []struct{ path, target, header string }{
		{"bearer", "/x", "Authorization: Bearer SUBJECT\r\n"},
		{"passed", "/x", "Authorization: bearer SUBJECT\r\nCookie: a=b\r\n"},
		{"field", "/x", "X-Id-Token: SUBJECT\r\nX_Id_Token: SUBJECT\r\n"},
		{"query", "/x?token=SUBJECT&a=b&TOKEN[]=SUBJECT", ""},
		{"cookie", "/x", "Cookie: other=1; session=SUBJECT\r\n"},
	} {
		own := subject("caller")
		for i := range 2 {
			res := rig.Get(t, gateway, "/"+tt.path+strings.ReplaceAll(tt.target, "SUBJECT", own), strings.ReplaceAll(tt.header, "SUBJECT", own))
			if res.StatusCode != 200 {
				t.Fatalf("%s: %d %s", tt.path, res.StatusCode, res.Text)
			}
			if cache := res.Header.Get("Cache-Control"); !strings.Contains(cache, "private") {
				t.Errorf("%s: an answer for one caller is %q", tt.path, cache)
			}
			request := one(t, api)
			if strings.Contains(request, "canary") || !strings.Contains(request, "\r\nAuthorization: Bearer for-63616c6c6572\r\n") {
				t.Errorf("%s: the API gets %s", tt.path, request)
			}
			if asked := len(sts.Requests()); (i == 0) != (asked == 1) {
				t.Errorf("%s: %d exchanges for request %d", tt.path, asked, i)
			}
		}
	}
	for _, tt := range []struct{ header, code string }{
		{"", "identity-required"},
		{"Authorization: Basic YTpi\r\n", "identity-required"},
		{"Authorization: Bearer " + subject("badbad") + "\r\n", "subject-token-rejected"},
		{"Authorization: Bearer " + oauthtest.JWT(`{"exp":1000}`) + "\r\n", "subject-token-rejected"},
	} {
		res := rig.Get(t, gateway, "/bearer/x", tt.header)
		var problem struct{ Type string }
		if err := json.Unmarshal([]byte(res.Text), &problem); err != nil || res.StatusCode != 401 || !strings.HasSuffix(problem.Type, ":"+tt.code) || strings.Contains(res.Text, "canary") {
			t.Errorf("%.40q: %d %s, want %s", tt.header, res.StatusCode, res.Text, tt.code)
		}
	}
	if n := len(api.Requests()); n != 0 {
		t.Errorf("%d refused requests were sent", n)
	}
}

// TestExchangePassed: what is taken cannot be passed on too.
func TestExchangePassed(t *testing.T) {
	err := rig.Load("{\nadmin off\n}\nhttp://" + rig.Free(t) + " {\nauthenticated_api https://api.example.com {\npass_request_header authorization\n" +
		"auth oauth2 token_exchange {\ntoken_url https://p.example/\nclient_id i\nclient_secret s\nsubject_token {http.request.header.Authorization}\n}\n}\n}")
	if err == nil || !strings.Contains(err.Error(), "it is never forwarded") {
		t.Error(err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package problem

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// written answers a request with a problem.
func written(t *testing.T, p *Problem, r *http.Request) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	if err := p.Write(w, r, "crm"); err != nil {
		t.Fatal(err)
	}
	return w.Result()
}

// checkJSON checks that a response is a problem of RFC 9457, and returns its members.
func checkJSON(t *testing.T, res *http.Response) map[string]any {
	t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/problem+json", "Content-Length": strconv.Itoa(len(body)),
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return got
}

// TestJSON: each problem as a handler and as a transport answers with it.
func TestJSON(t *testing.T) {
	for name, want := range all {
		r := httptest.NewRequest(http.MethodPost, "/x", strings.NewReader("body"))
		for _, res := range []*http.Response{written(t, want.problem, r), want.problem.Response(r, "crm")} {
			members := checkJSON(t, res)
			if !reflect.DeepEqual(members, map[string]any{
				"type": "urn:authenticated-api:" + want.code, "title": want.problem.title,
				"status": float64(want.status), "detail": want.problem.detail, "datasource": "crm",
			}) || res.StatusCode != want.status {
				t.Errorf("%s: %d %v", name, res.StatusCode, members)
			}
			challenge, allow := res.Header.Get("Www-Authenticate"), res.Header.Get("Allow")
			if (challenge == `Bearer realm="crm"`) != (want.status == 401) || (allow != "") != (want.status == 405) {
				t.Errorf("%s: %d with WWW-Authenticate %q and Allow %q", name, want.status, challenge, allow)
			}
			if vary, retry := res.Header.Get("Vary"), res.Header.Get("Retry-After"); vary != "Accept, Sec-Fetch-Mode" || retry != "" {
				t.Errorf("%s: Vary %q, Retry-After %q", name, vary, retry)
			}
		}
	}
}

// TestWith: what is added to a problem for one request is in its answer, and not in the problem.
func TestWith(t *testing.T) {
	before := *Authorization
	p := Authorization.WithStatus(418).WithCause(errors.New("a & b")).WithOAuthError("invalid_grant").
		WithConnectURL("https://gateway.example/connect/").WithRetryAfter(7)
	res := written(t, p, httptest.NewRequest(http.MethodPost, "/x", nil))
	if got := checkJSON(t, res); !reflect.DeepEqual(got, map[string]any{
		"type": "urn:authenticated-api:authorization-required", "title": before.title, "status": 418.0,
		"detail": "a & b. " + before.detail, "datasource": "crm", "oauth_error": "invalid_grant",
		"connect_url": "https://gateway.example/connect/",
	}) {
		t.Errorf("got %v", got)
	}
	if retry, vary := res.Header.Get("Retry-After"), res.Header.Get("Vary"); res.StatusCode != 418 || retry != "7" ||
		vary != "Accept, Sec-Fetch-Mode" {
		t.Errorf("%d, Retry-After %q, Vary %q", res.StatusCode, retry, vary)
	}
	if *Authorization != before {
		t.Errorf("the problem itself has become %+v", Authorization)
	}
}

// closed notes that a body has been closed.
type closed struct {
	io.Reader
	is bool
}

func (c *closed) Close() error {
	c.is = true
	return nil
}

// TestResponse: a transport has to close the request's body, and names the request.
func TestResponse(t *testing.T) {
	body := &closed{Reader: strings.NewReader("body")}
	r := httptest.NewRequest(http.MethodPost, "/x", nil)
	r.Body = body
	res := Unreachable.Response(r, "crm")
	defer res.Body.Close()
	if !body.is || res.Request != r || res.Status != "502 Bad Gateway" || res.Proto != "HTTP/1.1" || res.ContentLength <= 0 {
		t.Errorf("closed: %v, %+v", body.is, res)
	}
	r.Body = nil
	Unreachable.Response(r, "crm").Body.Close()
}

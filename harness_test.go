// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// patience is how long a test waits for what must happen at once.
const patience = 15 * time.Second

// rotate replaces the secret in a file as an agent does that mounts secrets: at once.
func rotate(t testing.TB, path, secret string) {
	t.Helper()
	rig.Replace(t, path, secret+"\n")
}

const refusal = "the credential is out of date"

// accepting answers requests that hold line with 200, all others with 401.
func accepting(line string) func(string) string {
	return func(request string) string {
		head, _, _ := strings.Cut(request, "\r\n\r\n")
		if strings.Contains(head+"\r\n", line+"\r\n") {
			return rig.OK("ok")
		}
		return rig.Response("401 Unauthorized", "X-Reason: old\r\nWww-Authenticate: Bearer error=\"invalid_token\"\r\n", refusal)
	}
}

func wantRefusal(t *testing.T, res *rig.Reply) {
	t.Helper()
	if res.StatusCode != 401 || res.Text != refusal || res.Header.Get("X-Reason") != "old" ||
		res.Header.Get("Www-Authenticate") != `Bearer error="invalid_token"` {
		t.Errorf("the client got %d %q with %v, want the API's own 401", res.StatusCode, res.Text, res.Header)
	}
}

func wantOK(t *testing.T, res *rig.Reply) {
	t.Helper()
	if res.StatusCode != 200 || res.Text != "ok" {
		t.Errorf("the client got %d %q, want 200", res.StatusCode, res.Text)
	}
}

// waitFor waits until something is so.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	rig.Wait(t, what, patience, so)
}

// chunk is a text in the chunked coding, without the last chunk.
func chunk(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf("%x\r\n%s\r\n", len(text), text)
}

// dechunk returns a body without its coding. A body that is not chunked is returned as it is.
func dechunk(sent string) string {
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+sent)), nil)
	if err != nil {
		return sent
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return sent
	}
	return string(body)
}

// newClient returns a client without any habits of its own.
func newClient(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// one returns the only request that an API has got.
func one(t *testing.T, api *rig.API) string {
	t.Helper()
	return api.Request(t)
}

// wantHead compares the head of a request with the lines that it must consist of.
func wantHead(t *testing.T, request string, want ...string) {
	t.Helper()
	rig.WantHead(t, request, want...)
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(content), "\r\n", "\n")
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

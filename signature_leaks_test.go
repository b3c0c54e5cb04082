// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestSignatureLeaks: neither an answer nor the log shows what requests are signed with, or what
// was put on them, even if the API sends it back.
func TestSignatureLeaks(t *testing.T) {
	_, key := newMessageKey(t)
	body := strings.Split(key, "\n")[1]
	for name, tt := range map[string]struct{ signature, secret string }{
		"aws_sigv4": {
			"signature aws_sigv4 {\nservice s3\nregion r\naccess_key_id AKID\nsecret_access_key {file." + rig.Save(t, "canary-aws-secret-5f1\n") +
				"}\nsession_token {file." + rig.Save(t, "canary-aws-session-9c2\n") + "}\n}", "canary-aws",
		},
		"http_message":      {"signature http_message {\nkey " + rig.Save(t, key) + "\n}", body},
		"http_message HMAC": {"signature http_message {\nsecret {file." + rig.Save(t, "canary-hmac-0123456789abcdef0123456789\n") + "}\n}", "canary-hmac"},
	} {
		t.Run(name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "log")
			api := rig.NewAPI(t, func(request string) string {
				head, _, _ := strings.Cut(request, "\r\n\r\n")
				var back strings.Builder
				for i, line := range strings.Split(head, "\r\n")[1:] {
					_, val, _ := strings.Cut(line, ": ")
					back.WriteString("X-Back-" + string(rune('A'+i)) + ": " + val + "\r\n")
				}
				return rig.Response("200 OK", back.String(), "ok")
			})
			gateway := rig.Start(t, "{\nlog {\noutput file "+log+"\nlevel DEBUG\n}\n}\nhttp://GATEWAY {\nlog\nauthenticated_api http://"+api.Addr+
				" {\n"+tt.signature+"\n}\n}")
			res := rig.Do(t, gateway, "PUT", "/x", "", "body")
			sent := one(t, api)
			var shown strings.Builder
			_ = res.Header.Write(&shown)
			if !strings.Contains(shown.String(), "X-Back-") {
				t.Fatalf("nothing came back: %s", shown.String())
			}
			for _, field := range []string{"Authorization: ", "X-Amz-Security-Token: ", "Signature: "} {
				_, val, found := strings.Cut(sent, "\r\n"+field)
				val, _, _ = strings.Cut(val, "\r\n")
				if found && strings.Contains(shown.String(), val) {
					t.Errorf("the answer shows %s%s", field, val)
				}
				if found && strings.Contains(read(t, log), val) {
					t.Errorf("the log shows %s%s", field, val)
				}
			}
			if strings.Contains(read(t, log), tt.secret) || strings.Contains(shown.String(), tt.secret) {
				t.Error("the secret is shown")
			}
		})
	}
}

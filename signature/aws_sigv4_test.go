// SPDX-License-Identifier: Apache-2.0

package signature_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/signature"
	"github.com/caddyserver/caddy/v2"
)

// Canaries: none of them may be in an error or a log.
const (
	awsSecret = "canary-aws-secret/+2c41"
	awsToken  = "canary-aws-session-9f03=="
)

// clearAWS takes what the machine has out of the environment.
func clearAWS(t *testing.T) {
	t.Helper()
	for _, name := range []string{"ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "REGION", "DEFAULT_REGION", "PROFILE", "SHARED_CREDENTIALS_FILE"} {
		t.Setenv("AWS_"+name, "")
	}
	t.Setenv("HOME", t.TempDir())
}

// outgoing is a request for a signer, with a body.
func outgoing(t *testing.T, method, url, body string) *signature.Outgoing {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return &signature.Outgoing{
		Request: req, Caller: make(http.Header), Encrypted: req.URL.Scheme == "https", Replacer: caddy.NewReplacer(),
		Content: func() ([]byte, error) { return []byte(body), nil },
	}
}

// signedBy returns the id of the access key, the session token and the secrets of a request that a
// signer signs.
func signedBy(t *testing.T, a *signature.AWSSigV4) (id, token string, secrets []string) {
	t.Helper()
	out := outgoing(t, "GET", "https://s3.example.com/b", "")
	secrets, err := a.SignRequest(out)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(out.Header.Get("Authorization"), "Credential=")
	id, _, _ = strings.Cut(rest, "/")
	return id, out.Header.Get("X-Amz-Security-Token"), secrets
}

const awsFile = "\ufeff# comment\n[default]\naws_access_key_id=FILEDEFAULT\naws_secret_access_key = " + awsSecret + "\n; more\n" +
	"[profile two] # a comment\r\nregion = x\r\nAWS_ACCESS_KEY_ID = FILETWO\r\naws_secret_access_key=a=b#c\r\naws_session_token = " + awsToken + "\r\n" +
	"[empty]\n[half]\naws_access_key_id = X\n[twice]\naws_access_key_id = X\naws_access_key_id = X\n[nested]\ns3 =\n  aws = x\naws_access_key_id = N\naws_secret_access_key = n\n"

func TestAWSCredentials(t *testing.T) {
	for _, tt := range []struct {
		name      string
		env       map[string]string
		aws       *signature.AWSSigV4
		home      string
		id, token string
		hint      string // of the error
	}{
		{"options", nil, &signature.AWSSigV4{AccessKeyID: "A", SecretAccessKey: awsSecret, SessionToken: awsToken}, "", "A", awsToken, ""},
		{
			"options before environment",
			map[string]string{"ACCESS_KEY_ID": "E", "SECRET_ACCESS_KEY": "e", "SESSION_TOKEN": "t"},
			&signature.AWSSigV4{AccessKeyID: "A", SecretAccessKey: awsSecret}, "", "A", "", "",
		},
		{"environment", map[string]string{"ACCESS_KEY_ID": "E", "SECRET_ACCESS_KEY": awsSecret, "SESSION_TOKEN": "t"}, &signature.AWSSigV4{}, awsFile, "E", "t", ""},
		{"half of the environment", map[string]string{"ACCESS_KEY_ID": "E"}, &signature.AWSSigV4{}, "", "", "", "AWS_SECRET_ACCESS_KEY is not"},
		{"home", nil, &signature.AWSSigV4{}, awsFile, "FILEDEFAULT", "", ""},
		{"profile of the environment", map[string]string{"PROFILE": "two"}, &signature.AWSSigV4{}, awsFile, "FILETWO", awsToken, ""},
		{"profile before environment", map[string]string{"ACCESS_KEY_ID": "E", "SECRET_ACCESS_KEY": "e"}, &signature.AWSSigV4{Profile: "two"}, awsFile, "FILETWO", awsToken, ""},
		{"shared file", map[string]string{"SHARED_CREDENTIALS_FILE": "FILE"}, &signature.AWSSigV4{}, "", "FILEDEFAULT", "", ""},
		{"file", map[string]string{"ACCESS_KEY_ID": "E", "SECRET_ACCESS_KEY": "e"}, &signature.AWSSigV4{CredentialsFile: "FILE"}, "", "FILEDEFAULT", "", ""},
		{"nested values", nil, &signature.AWSSigV4{CredentialsFile: "FILE", Profile: "nested"}, "", "N", "", ""},
		{"no profile", nil, &signature.AWSSigV4{CredentialsFile: "FILE", Profile: "three"}, "", "", "", "no such profile"},
		{"empty profile", nil, &signature.AWSSigV4{CredentialsFile: "FILE", Profile: "empty"}, "", "", "", "aws_access_key_id"},
		{"half a profile", nil, &signature.AWSSigV4{CredentialsFile: "FILE", Profile: "half"}, "", "", "", "aws_secret_access_key"},
		{"twice in a profile", nil, &signature.AWSSigV4{CredentialsFile: "FILE", Profile: "twice"}, "", "", "", "twice"},
		{"no file", nil, &signature.AWSSigV4{CredentialsFile: "/no/such/" + awsSecret}, "", "", "", "cannot be read"},
		{"nothing", nil, &signature.AWSSigV4{}, "", "", "", "there are no credentials"},
		{"no secret", nil, &signature.AWSSigV4{AccessKeyID: "A"}, "", "", "", "go together"},
		{"no id", nil, &signature.AWSSigV4{SecretAccessKey: awsSecret}, "", "", "", "go together"},
		{"id and file", nil, &signature.AWSSigV4{AccessKeyID: "A", SecretAccessKey: awsSecret, CredentialsFile: "FILE"}, "", "", "", "remove one"},
		{"id and profile", nil, &signature.AWSSigV4{AccessKeyID: "A", SecretAccessKey: awsSecret, Profile: "p"}, "", "", "", "remove one"},
		{"secret for id", nil, &signature.AWSSigV4{AccessKeyID: awsSecret, SecretAccessKey: awsSecret}, "", "", "", "no id of an access key"},
		{"line break", map[string]string{"ACCESS_KEY_ID": "E", "SECRET_ACCESS_KEY": awsSecret + "\n"}, &signature.AWSSigV4{}, "", "", "", "control character"},
		{"placeholder of a request", nil, &signature.AWSSigV4{AccessKeyID: "A", SecretAccessKey: "{http.x}"}, "", "", "", "belongs to a request"},
		{"unset", nil, &signature.AWSSigV4{AccessKeyID: "A", SecretAccessKey: "{env.AWS_UNSET}"}, "", "", "", "{env.AWS_UNSET}"},
		{"shell", nil, &signature.AWSSigV4{AccessKeyID: "A", SecretAccessKey: "$SECRET"}, "", "", "", "secret_access_key"},
		{"service", nil, &signature.AWSSigV4{AccessKeyID: "A", SecretAccessKey: awsSecret, Service: "S3"}, "", "", "", "lower case"},
		{"region", nil, &signature.AWSSigV4{AccessKeyID: "A", SecretAccessKey: awsSecret, Region: "a/b"}, "", "", "", "signature: region"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clearAWS(t)
			file := writeFile(t, awsFile)
			for name, val := range tt.env {
				t.Setenv("AWS_"+name, strings.ReplaceAll(val, "FILE", file))
			}
			if tt.home != "" {
				path := filepath.Join(os.Getenv("HOME"), ".aws", "credentials")
				must(0, os.MkdirAll(filepath.Dir(path), 0o700))
				must(0, os.WriteFile(path, []byte(tt.home), 0o600))
			}
			a := tt.aws
			if a.CredentialsFile == "FILE" {
				a.CredentialsFile = file
			}
			if a.Service == "" {
				a.Service = "s3"
			}
			if a.Region == "" {
				a.Region = "us-east-1"
			}
			err := a.Provision(caddy.Context{})
			if tt.hint != "" {
				if err == nil || !strings.Contains(err.Error(), tt.hint) || strings.Contains(err.Error(), "canary") {
					t.Errorf("%v does not say %q, or shows a secret", err, tt.hint)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			id, token, secrets := signedBy(t, a)
			if id != tt.id || token != tt.token {
				t.Errorf("signed by %q with %q", id, token)
			}
			if want := map[bool]int{false: 1, true: 2}[tt.token != ""]; len(secrets) != want {
				t.Errorf("%d secrets", len(secrets))
			}
		})
	}
}

func TestAWSRegion(t *testing.T) {
	clearAWS(t)
	a := &signature.AWSSigV4{Service: "s3", AccessKeyID: "A", SecretAccessKey: awsSecret}
	if err := a.Provision(caddy.Context{}); err == nil || !strings.Contains(err.Error(), "region is missing") {
		t.Error(err)
	}
	for _, name := range []string{"AWS_DEFAULT_REGION", "AWS_REGION"} {
		t.Setenv(name, strings.ReplaceAll(strings.ToLower(name), "_", "-"))
		if err := a.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		out := outgoing(t, "GET", "https://s3.example.com/b", "")
		must(a.SignRequest(out))
		if field := out.Header.Get("Authorization"); !strings.Contains(field, "/"+os.Getenv(name)+"/s3/aws4_request") {
			t.Error(field)
		}
	}
}

// TestAWSRotation: a file that has changed counts once it is read again, and one that cannot be
// read changes nothing. A secret may change under its id.
func TestAWSRotation(t *testing.T) {
	clearAWS(t)
	file := writeFile(t, "[default]\naws_access_key_id = A\naws_secret_access_key = one\n")
	id, secret := writeFile(t, "A\n"), writeFile(t, "one\n")
	for name, a := range map[string]*signature.AWSSigV4{
		"file":    {CredentialsFile: file},
		"options": {AccessKeyID: "{file." + id + "}", SecretAccessKey: "{file." + secret + "}"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a.Service, a.Region = "s3", "r"
				put := func(text string) {
					must(0, os.WriteFile(file, []byte("[default]\naws_access_key_id = A\naws_secret_access_key = "+text+"\n"), 0o600))
					must(0, os.WriteFile(secret, []byte(text+"\n"), 0o600))
				}
				put("one")
				must(0, a.Provision(caddy.Context{}))
				if files := a.Files(); !a.Renewable() || len(files) != map[string]int{"file": 1, "options": 2}[name] {
					t.Fatalf("it reads %v", files)
				}
				sign := func() string {
					out := outgoing(t, "GET", "https://s3.example.com/b", "")
					must(a.SignRequest(out))
					return out.Header.Get("Authorization")
				}
				before := sign()
				for _, tt := range []struct {
					text           string
					changed, fails bool
				}{{"one", false, false}, {"two", true, false}, {"", false, true}, {"one", true, false}} {
					put(tt.text)
					if sign() != before {
						t.Error("the file is read for a request")
					}
					if changed, err := a.Renew(); changed != tt.changed || (err != nil) != tt.fails {
						t.Errorf("%q: %t, %v", tt.text, changed, err)
					}
					if after := sign(); (after != before) != tt.changed {
						t.Errorf("%q: signed as before: %t", tt.text, after == before)
					} else {
						before = after
					}
				}
			})
		})
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "E")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "e")
	a := &signature.AWSSigV4{Service: "s3", Region: "r"}
	must(0, a.Provision(caddy.Context{}))
	if a.Renewable() {
		t.Error("the environment is renewable")
	}
}

// TestAWSRefusals: what cannot be signed says so, and the client's errors are its own.
func TestAWSRefusals(t *testing.T) {
	clearAWS(t)
	gone := errors.New("the client has gone")
	for _, tt := range []struct {
		service, url, sent string
		content, want      error
	}{
		{"s3", "https://h/x", "", gone, gone},
		{"s3", "http://h/x", "", signature.ErrTooLarge, signature.ErrTooLarge},
		{"s3", "https://h/x", "", signature.ErrTooLarge, nil},
		{"lambda", "https://h/x", "", signature.ErrTooLarge, signature.ErrTooLarge},
		{"s3", "https://h/x", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", nil, signature.ErrSignedChunks},
		{"s3", "https://h/x", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", gone, nil},
		{"s3", "http://h/x", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", nil, signature.ErrSignedChunks},
		{"lambda", "https://h/x", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", nil, signature.ErrSignedChunks},
		{"s3", "https://h/x", "UNSIGNED-PAYLOAD", nil, nil},
	} {
		a := &signature.AWSSigV4{Service: tt.service, Region: "r", AccessKeyID: "A", SecretAccessKey: awsSecret}
		must(0, a.Provision(caddy.Context{}))
		out := outgoing(t, "PUT", tt.url, "")
		out.Caller.Set("X-Amz-Content-Sha256", tt.sent)
		out.Content = func() ([]byte, error) { return nil, tt.content }
		if _, err := a.SignRequest(out); !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

// TestAWSFields: what is there twice is sent as one line, as it is signed, and Host has no port
// that belongs to the scheme, which AWS's signer does not sign.
func TestAWSFields(t *testing.T) {
	clearAWS(t)
	a := &signature.AWSSigV4{Service: "s3", Region: "r", AccessKeyID: "A", SecretAccessKey: awsSecret}
	must(0, a.Provision(caddy.Context{}))
	for url, host := range map[string]string{"https://h:443/": "h", "http://h:80/": "h", "http://h:443/": "h:443", "https://h:8443/": "h:8443"} {
		out := outgoing(t, "GET", url, "")
		out.Header["X-Amz-Meta-A"] = []string{"1", "2"}
		out.Header["X-Other"] = []string{"1", "2"}
		must(a.SignRequest(out))
		if got := out.Header["X-Amz-Meta-A"]; len(got) != 1 || got[0] != "1,2" || len(out.Header["X-Other"]) != 2 {
			t.Errorf("sent %v", out.Header)
		}
		if out.Host != host || strings.Contains(out.Header.Get("Authorization"), "x-other") {
			t.Errorf("%s: Host %q, %s", url, out.Host, out.Header.Get("Authorization"))
		}
	}
}

func TestAWSLeaks(t *testing.T) {
	a := &signature.AWSSigV4{Service: "s3", Region: "r", AccessKeyID: "A", SecretAccessKey: awsSecret, SessionToken: awsToken}
	must(0, a.Provision(caddy.Context{}))
	buf, err := zapcore.NewJSONEncoder(zapcore.EncoderConfig{}).EncodeEntry(zapcore.Entry{}, []zapcore.Field{zap.Object("a", a), zap.Any("b", a)})
	if err != nil {
		t.Fatal(err)
	}
	if text := buf.String(); strings.Contains(text, "canary") || !strings.Contains(text, "aws_sigv4") {
		t.Errorf("logged as %s", text)
	}
	if got := strings.Join(a.Literals(), ","); got != "signature: secret_access_key,signature: session_token" {
		t.Errorf("literals %s", got)
	}
	if got := (&signature.AWSSigV4{SecretAccessKey: "{env.A}"}).Literals(); got != nil {
		t.Errorf("literals %s", got)
	}
}

// FuzzProfile: no file of credentials makes a signer panic, sign with half a key, or tell its
// secret.
func FuzzProfile(f *testing.F) {
	f.Add(awsFile)
	f.Add("[default]\naws_access_key_id")
	f.Add("[default")
	f.Add("[]\n=\n[default]\naws_secret_access_key==\naws_access_key_id= \n")
	f.Fuzz(func(t *testing.T, text string) {
		clearAWS(t)
		a := &signature.AWSSigV4{Service: "s3", Region: "r", CredentialsFile: writeFile(t, text)}
		if err := a.Provision(caddy.Context{}); err != nil {
			if !strings.HasPrefix(err.Error(), "signature: credentials_file: ") || strings.Contains(err.Error(), "canary") {
				t.Error(err)
			}
			return
		}
		if id, token, _ := signedBy(t, a); id == "" || strings.ContainsAny(id+token, "\r\n\x00") {
			t.Errorf("%q, %q", id, token)
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

func sigV4Block(service, id, secret string) string {
	return "signature aws_sigv4 {\nservice " + service + "\nregion eu-west-3\naccess_key_id " + id + "\nsecret_access_key " + secret + "\n}\n"
}

// sigV4Judge is for the keys of sigV4Block.
func sigV4Judge(service string) sigV4 {
	return sigV4{service: service, region: "eu-west-3", secrets: map[string]string{"AKIDOLD": "0ld/s3cret+", "AKIDNEW": "n3w/s3cret+"}}
}

// TestSigV4Wire: what is signed is what is sent, with base path, parameters and fields, whatever
// the client has sent.
func TestSigV4Wire(t *testing.T) {
	for _, service := range []string{"execute-api", "s3"} {
		api := rig.NewAPI(t, nil)
		gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+"/base%20path/ {\n"+
			sigV4Block(service, "AKIDOLD", "0ld/s3cret+")+"header X-Amz-Target Service.Do\nheader Content-Language de\nquery tenant \"a b\"\n}\n}")
		for _, target := range []string{
			"/", "/x", "/a+b", "/a%20b", "/a%2Fb", "/%C3%BC", "//x//y/", "/./x/.", "/~!$'()*,:@=&;-_.", "/%7e%21%41", "/%25", "/x?b=2&a=1&a=0&A",
			"/x?a=%20+b&c=%zz&;&d=%C3%BC", "/x?acl", "/x?=", "/x?a=b=c", "/x?X-Amz-Signature=1&X-Amz-Date=2",
		} {
			for _, request := range []string{
				"GET TARGET HTTP/1.1\r\nHost: " + gateway + "\r\n\r\n",
				"HEAD TARGET HTTP/1.1\r\nHost: " + gateway + "\r\n\r\n",
				"POST TARGET HTTP/1.1\r\nHost: " + gateway + "\r\nContent-Type: a;  b\r\nContent-Length: 5\r\n\r\nhello",
				"POST TARGET HTTP/1.1\r\nHost: " + gateway + "\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
				"PUT TARGET HTTP/1.1\r\nHost: " + gateway + "\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
				"PUT TARGET HTTP/1.1\r\nHost: " + gateway + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
				"PUT TARGET HTTP/1.1\r\nHost: " + gateway + "\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
				"GET TARGET HTTP/1.1\r\nHost: " + gateway + "\r\nAuthorization: Bearer x\r\nx-amz-date: 1\r\nX-Amz-Security-Token: t\r\n" +
					"X-Amz-Meta: 1\r\nX-Amz-Meta:  2   3\r\nTE: trailers\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n",
			} {
				replies := 1 + strings.Count(request, "Expect:")
				res := rig.Exchange(t, gateway, strings.Replace(request, "TARGET", target, 1), replies)[replies-1]
				if res.StatusCode != 200 {
					t.Errorf("%s: %d %s", target, res.StatusCode, res.Text)
					continue
				}
				sent := one(t, api)
				if id := sigV4Judge(service).verifyText(t, sent); id != "AKIDOLD" {
					t.Errorf("signed with %q", id)
				}
				head, _, _ := strings.Cut(sent, "\r\n\r\n")
				for _, want := range []string{" /base%20path/", "tenant=a%20b", "X-Amz-Target: Service.Do"} {
					if !strings.Contains(head, want) {
						t.Errorf("no %s in\n%s", want, head)
					}
				}
				if strings.Contains(head, "Bearer") || strings.Contains(head, "Security-Token") || strings.Contains(head, "X-Amz-Signature") {
					t.Errorf("the client's own is in\n%s", head)
				}
				if !strings.Contains(request, "Trailer") && strings.Contains(head, "chunked") {
					t.Errorf("a body whose length is known has none in\n%s", head)
				}
			}
		}
	}
}

// TestSigV4Replay: each attempt has a signature of its own, by the credentials of that moment.
func TestSigV4Replay(t *testing.T) {
	file := rig.Save(t, "[default]\naws_access_key_id = AKIDOLD\naws_secret_access_key = 0ld/s3cret+\n")
	api := rig.NewAPI(t, func(request string) string {
		if strings.Contains(request, "Credential=AKIDNEW/") {
			return rig.OK("ok")
		}
		return rig.Response("403 Forbidden", "", "old")
	})
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\nsignature aws_sigv4 {\nservice s3\nregion eu-west-3\n"+
		"credentials_file "+file+"\n}\nrefresh_on 403\n}\n}")
	if res := rig.Do(t, gateway, "PUT", "/x", "", "body"); res.StatusCode != 403 {
		t.Errorf("%d", res.StatusCode)
	}
	one(t, api)
	rig.Replace(t, file, "[default]\naws_access_key_id = AKIDNEW\naws_secret_access_key = n3w/s3cret+\naws_session_token = t0ken\n")
	wantOK(t, rig.Do(t, gateway, "PUT", "/x", "", "body"))
	requests := api.Requests()
	if len(requests) == 0 || len(requests) > 2 {
		t.Fatalf("%d requests", len(requests))
	}
	for _, request := range requests {
		sigV4Judge("s3").verifyText(t, request)
	}
	if last := requests[len(requests)-1]; !strings.Contains(last, "X-Amz-Security-Token: t0ken\r\n") {
		t.Errorf("no session token in\n%s", last)
	}
}

// TestSigV4Retry: a body that was read to be signed goes to another upstream if the first cannot
// be reached.
func TestSigV4Retry(t *testing.T) {
	api := rig.NewAPI(t, nil)
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+rig.Free(t)+"/v2 {\n"+sigV4Block("s3", "AKIDOLD", "0ld/s3cret+")+
		"to http://"+api.Addr+"\nlb_policy first\nlb_retries 2\nfail_duration 10s\n}\n}")
	body := strings.Repeat("0123456789abcdef", 32<<10/16)
	wantOK(t, rig.Do(t, gateway, "POST", "/x?a=1", "", body))
	request := one(t, api)
	sigV4Judge("s3").verifyText(t, request)
	if !strings.HasSuffix(request, "\r\n\r\n"+body) {
		t.Errorf("the API got %d bytes", len(request))
	}
}

// TestSigV4Large: a body that is larger than the window is refused, before anything is sent. Over
// TLS, S3 gets it unsigned.
func TestSigV4Large(t *testing.T) {
	api := rig.NewAPI(t, nil)
	for _, tt := range []struct {
		service, options string
		size             int
		chunked          bool
		status           int
	}{
		{"s3", "", 64 << 10, false, 200},
		{"s3", "", 64<<10 + 1, false, 413},
		{"s3", "", 64 << 10, true, 200},
		{"s3", "", 64<<10 + 1, true, 413},
		{"lambda", "replay 100\n", 100, true, 200},
		{"lambda", "replay 100\n", 101, true, 413},
		{"lambda", "replay off\n", 1, false, 413},
		{"lambda", "replay off\n", 0, false, 200},
		{"vpc-lattice-svcs", "replay off\n", 1 << 20, true, 200},
	} {
		gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\n"+sigV4Block(tt.service, "AKIDOLD", "0ld/s3cret+")+tt.options+"}\n}")
		body := strings.Repeat("x", tt.size)
		request := fmt.Sprintf("POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", gateway, tt.size, body)
		if tt.chunked {
			request = "POST / HTTP/1.1\r\nHost: " + gateway + "\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(body) + "0\r\n\r\n"
		}
		res := rig.Exchange(t, gateway, request, 1)[0]
		sent := api.Requests()
		if res.StatusCode != tt.status || len(sent) != map[int]int{200: 1, 413: 0}[tt.status] {
			t.Errorf("%+v: %d, %d requests\n%s", tt, res.StatusCode, len(sent), res.Text)
		}
		if tt.status == 413 && !strings.Contains(res.Text, "too-large") {
			t.Errorf("%s", res.Text)
		}
		judge := sigV4Judge(tt.service)
		judge.unsigned = tt.service == "vpc-lattice-svcs"
		for _, request := range sent {
			judge.verifyText(t, strings.Replace(request, chunk(body)+"0\r\n\r\n", chunk(body)+"0\r\n\r\n", 1))
		}
	}
}

// TestSigV4TLS: over TLS, by HTTP/1.1, HTTP/2 and HTTP/3, large bodies for S3 stream without a
// signature of their own, and chunks that the client has not signed pass.
func TestSigV4TLS(t *testing.T) {
	for _, version := range []string{rig.OverTLS, "2", "3"} {
		t.Run(version, func(t *testing.T) { testSigV4TLS(t, version) })
	}
}

func testSigV4TLS(t *testing.T, version string) {
	judge := sigV4Judge("s3")
	judge.unsigned = true
	failed := make(chan error, 16)
	url, certificate := rig.Serve(t, version, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, err := judge.verify(r, body)
		if r.Header.Get("X-Amz-Content-Sha256") == "STREAMING-UNSIGNED-PAYLOAD-TRAILER" {
			err = nil
		}
		if proto := protoOfVersion(version); err == nil && r.Proto != proto {
			err = fmt.Errorf("the API is asked by %s, not %s", r.Proto, proto)
		}
		failed <- err
		fmt.Fprintf(w, "%d %s", len(body), r.Header.Get("X-Amz-Content-Sha256"))
	}))
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api "+url+"/b {\n"+overVersion(version, certificate)+
		sigV4Block("s3", "AKIDOLD", "0ld/s3cret+")+"}\n}")
	for _, tt := range []struct {
		size         int
		header, want string
	}{
		{0, "", "0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{5, "", "5 "},
		{1 << 20, "", "1048576 UNSIGNED-PAYLOAD"},
		{5, "X-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\nContent-Encoding: aws-chunked\r\n", "5 STREAMING-UNSIGNED-PAYLOAD-TRAILER"},
	} {
		res := rig.Do(t, gateway, "PUT", "/a+b?x=%20", tt.header, strings.Repeat("x", tt.size))
		if err := rig.Receive(t, failed, "a request"); err != nil {
			t.Error(err)
		}
		if !strings.HasPrefix(res.Text, tt.want) {
			t.Errorf("%d bytes: %s", tt.size, res.Text)
		}
	}
	res := rig.Do(t, gateway, "PUT", "/x", "X-Amz-Content-Sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\r\n", "x")
	if res.StatusCode != 400 || !strings.Contains(res.Text, "signed-chunks") {
		t.Errorf("chunks that are signed: %d %s", res.StatusCode, res.Text)
	}
}

// TestSigV4OwnProxy: in front of a proxy of the user's own, the transport signs; another one
// cannot be given a signature of the whole request.
func TestSigV4OwnProxy(t *testing.T) {
	api := rig.NewAPI(t, nil)
	block := "authenticated_api {\nname a\n" + sigV4Block("s3", "AKIDOLD", "0ld/s3cret+") + "}\n"
	gateway := rig.Start(t, "http://GATEWAY {\nrewrite /x /y\n"+block+"reverse_proxy "+api.Addr+" {\ntransport authenticated_api {\ndatasource a\n}\n}\n}")
	wantOK(t, rig.Do(t, gateway, "PUT", "/x", "", "body"))
	sigV4Judge("s3").verifyText(t, one(t, api))
	gateway = rig.Start(t, "http://GATEWAY {\n"+block+"reverse_proxy "+api.Addr+"\n}")
	if res := rig.Do(t, gateway, "PUT", "/x", "", "body"); res.StatusCode != 502 || len(api.Requests()) != 0 {
		t.Errorf("%d", res.StatusCode)
	}
}

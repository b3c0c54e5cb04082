// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"crypto/ecdsa"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// watchedLog is the global part of a Caddyfile whose log goes to a file.
func watchedLog(t *testing.T) (global, file string) {
	file = filepath.Join(t.TempDir(), "log")
	return "{\nadmin off\npersist_config off\nauto_https off\nlog {\noutput file " + file + "\nlevel INFO\n}\n", file
}

// told returns the lines of a log with a message, as datasource and option.
func told(t *testing.T, log, message string) (lines []string) {
	t.Helper()
	for _, line := range logLines(t, log) {
		if strings.Contains(line["msg"].(string), message) {
			lines = append(lines, fmt.Sprint(line["datasource"], " ", line["option"]))
		}
	}
	slices.Sort(lines)
	return lines
}

// TestWatchedSecrets: what was rotated in a file is on the wire though the API has refused
// nothing. What cannot be used afterwards is told of once, and is not on the wire.
func TestWatchedSecrets(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	signing := [2]*ecdsa.PrivateKey{}
	pems := [2]string{}
	for i := range signing {
		signing[i], pems[i] = rig.ECKey(t)
	}
	const long = "-canary-canary-canary-canary-canary"
	fill := func(round string, pem string) {
		for _, name := range []string{"bearer", "key", "user", "password", "header", "query"} {
			rotate(t, file(name), round+"-canary-"+name)
		}
		rotate(t, file("secret"), round+long)
		rotate(t, file("pem"), pem)
	}
	fill("one", pems[0])
	api := rig.NewAPI(t, nil)
	global, log := watchedLog(t)
	var site strings.Builder
	for path, block := range map[string]string{
		"bearer":  "auth bearer {file." + file("bearer") + "}",
		"api-key": "auth api_key X-Key {file." + file("key") + "}",
		"in-url":  "auth api_key key {file." + file("key") + "} {\nin query\n}",
		"basic":   "auth basic {file." + file("user") + "} {file." + file("password") + "}",
		"both":    "auth bearer {file." + file("bearer") + "}\nauth api_key sid {file." + file("key") + "} {\nin cookie\n}",
		"jwt":     "auth jwt {file." + file("secret") + "}",
		"edits":   "header X-Tenant \"a {file." + file("header") + "}\"\nquery pin {file." + file("query") + "}",
		"hmac":    "signature {file." + file("secret") + "}",
		"signed":  "signature {\nkey_file " + file("pem") + "\n}",
	} {
		fmt.Fprintf(&site, "handle /%s {\nauthenticated_api http://%s {\nname %s\n%s\n}\n}\n", path, api.Addr, path, block)
	}
	gateway := rig.Start(t, global+"}\nhttp://GATEWAY {\n"+site.String()+"}")

	requests := func() map[string]string {
		sent := make(map[string]string)
		for _, path := range []string{"bearer", "api-key", "in-url", "basic", "both", "jwt", "edits", "hmac", "signed"} {
			if res := rig.Get(t, gateway, "/"+path, ""); res.StatusCode != 200 {
				t.Fatalf("%s: %d %s", path, res.StatusCode, res.Text)
			}
			sent[path] = api.Request(t)
		}
		return sent
	}
	carries := func(sent map[string]string, round string, key *ecdsa.PrivateKey) bool {
		return strings.Contains(sent["bearer"], "Authorization: Bearer "+round+"-canary-bearer\r\n") &&
			strings.Contains(sent["api-key"], "X-Key: "+round+"-canary-key\r\n") &&
			strings.Contains(sent["in-url"], "?key="+round+"-canary-key ") &&
			strings.Contains(sent["basic"], "Authorization: Basic "+basicOf(round+"-canary-user", round+"-canary-password")+"\r\n") &&
			strings.Contains(sent["both"], "Authorization: Bearer "+round+"-canary-bearer\r\n") && strings.Contains(sent["both"], "Cookie: sid="+round+"-canary-key\r\n") &&
			strings.Contains(sent["edits"], "X-Tenant: a "+round+"-canary-header\r\n") && strings.Contains(sent["edits"], "?pin="+round+"-canary-query ") &&
			signedBy(sent["hmac"], []byte(round+long)) && signedBy(sent["jwt"], []byte(round+long)) && signedBy(sent["signed"], &key.PublicKey)
	}
	if sent := requests(); !carries(sent, "one", signing[0]) {
		t.Fatalf("before: %q", sent)
	}
	fill("two", pems[1])
	waitFor(t, "the new secrets on the wire", func() bool { return carries(requests(), "two", signing[1]) })
	all := []string{"api-key auth", "basic auth", "bearer auth", "both auth", "both auth", "edits header and query", "hmac signature", "in-url auth", "jwt auth", "signed signature"}
	waitFor(t, "a line for each", func() bool { return slices.Equal(told(t, log, "took over"), all) })

	for _, name := range []string{"bearer", "key", "password", "header"} {
		if err := os.Remove(file(name)); err != nil {
			t.Fatal(err)
		}
	}
	rotate(t, file("secret"), "short-canary")
	rotate(t, file("pem"), pems[0][:len(pems[0])/2])
	waitFor(t, "a warning for each", func() bool { return slices.Equal(told(t, log, "cannot be used"), all) })
	if sent := requests(); !carries(sent, "two", signing[1]) {
		t.Errorf("with files that cannot be used: %q", sent)
	}
	fill("three", pems[0])
	waitFor(t, "the mended secrets on the wire", func() bool { return carries(requests(), "three", signing[0]) })
	if lines := told(t, log, "cannot be used"); !slices.Equal(lines, all) {
		t.Errorf("warned of %q, want each once", lines)
	}
	if text := read(t, log); strings.Contains(strings.ReplaceAll(text, dir, ""), "canary") || strings.Contains(text, pems[0][40:80]) {
		t.Error("the log shows a secret")
	}
}

// signedBy reports whether the signature of a request is of a key.
func signedBy(request string, key any) bool {
	_, rest, found := strings.Cut(request, "X-Appsmith-Signature: ")
	if !found {
		_, rest, _ = strings.Cut(request, "Authorization: Bearer ")
	}
	token, _, _ := strings.Cut(rest, "\r\n")
	_, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return key, nil })
	return err == nil
}

func basicOf(user, password string) string {
	req, _ := http.NewRequest(http.MethodGet, "http://a.example", nil)
	req.SetBasicAuth(user, password)
	return strings.TrimPrefix(req.Header.Get("Authorization"), "Basic ")
}

// TestWatchedCertificates: an API that gets another certificate, of another authority, is trusted
// when the file says so, and the gateway presents the client certificate that is in the file now.
func TestWatchedCertificates(t *testing.T) {
	eachVersion(t, func(t *testing.T, major int) {
		var servers, clients [2]*rig.Identity
		for i := range servers {
			servers[i] = rig.NewIdentity(t, nil, rig.AsCA)
			clients[i] = rig.NewIdentity(t, servers[i], rig.AsClient)
		}
		var now atomic.Int32
		held := make(chan struct{}, 1)
		leaves := [2]tls.Certificate{rig.NewIdentity(t, servers[0], nil).TLS(), rig.NewIdentity(t, servers[1], nil).TLS()}
		api := newTLSAPI(t, "127.0.0.1:0", major, &tls.Config{
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &leaves[now.Load()], nil },
			ClientAuth:     tls.RequireAnyClientCert,
		}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/held" {
				held <- struct{}{}
				<-r.Context().Done()
			}
			_, _ = io.WriteString(w, "ok")
		}))
		content := func(i int) string { return servers[i].PEM + clients[i].PEM + clients[i].KeyPEM(t) }
		file := rig.Save(t, content(0))
		global, log := watchedLog(t)
		gateway := rig.Start(t, global+"}\nhttp://GATEWAY {\nauthenticated_api https://"+api.addr+" {\nname crm\nauth bearer k1\nself_signed_cert "+file+"\n}\n}")
		if got := wantServed(t, gateway, api, major, api.addr); !got.peers[0].Equal(clients[0].Cert) {
			t.Error("another client certificate was presented")
		}
		// The connection that this request is on stays open. Nothing else may go by it afterwards.
		conn := hold(t, gateway)
		rig.Receive(t, held, "the held request")
		api.take()
		now.Store(1)
		rotate(t, file, content(1))
		waitFor(t, "the certificates are taken over", func() bool { return slices.Equal(told(t, log, "took over"), []string{"crm self_signed_cert"}) })
		if got := wantServed(t, gateway, api, major, api.addr); !got.peers[0].Equal(clients[1].Cert) {
			t.Error("the old client certificate was presented, or an old connection was used")
		}
		_ = conn.Close()
		rotate(t, file, servers[0].PEM+"-----BEGIN CERTIFICATE-----\nAAAA")
		waitFor(t, "a warning", func() bool { return len(told(t, log, "cannot be used")) == 1 })
		wantServed(t, gateway, api, major, api.addr)
		rotate(t, file, servers[0].PEM+clients[0].PEM+clients[0].KeyPEM(t))
		waitFor(t, "the certificates before are taken over", func() bool { return len(told(t, log, "took over")) == 2 })
		wantRefused(t, gateway, api) // it is the other authority's again
	})
}

// hold sends a request for /held, and returns its connection.
func hold(t *testing.T, gateway string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", gateway)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, "GET /held HTTP/1.1\r\nHost: "+gateway+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestWatchedEnds: the watcher of a configuration ends with it.
func TestWatchedEnds(t *testing.T) {
	file := rig.Save(t, "one-canary")
	api := rig.NewAPI(t, nil)
	global, log := watchedLog(t)
	site := func(name string) string {
		return global + "}\nhttp://GATEWAY {\nauthenticated_api http://" + api.Addr + " {\nname " + name + "\nauth bearer {file." + file + "}\n}\n}"
	}
	rig.Start(t, site("before"))
	rig.Start(t, site("after"))
	rotate(t, file, "two-canary")
	waitFor(t, "the token is taken over", func() bool { return len(told(t, log, "took over")) > 0 })
	if lines := told(t, log, "took over"); !slices.Equal(lines, []string{"after auth"}) {
		t.Errorf("taken over by %q", lines)
	}
}

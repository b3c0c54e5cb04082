// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"crypto/tls"
	"slices"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestCatalogueTrust: entries for one host trust what each of them says, and none another's
// certificate, whichever asks first. A client certificate is the entry's own, too.
func TestCatalogueTrust(t *testing.T) {
	ca, stranger := rig.NewIdentity(t, nil, rig.AsCA), rig.NewIdentity(t, nil, rig.AsCA)
	leaf, client := rig.NewIdentity(t, ca, nil), rig.NewIdentity(t, ca, nil)
	api := newTLSAPI(t, "127.0.0.1:0", 1, &tls.Config{Certificates: []tls.Certificate{leaf.TLS()}, ClientAuth: tls.RequestClientCert}, nil)
	entry := func(name, block string) string {
		return name + " https://" + api.addr + " {\nauth bearer token-of-" + name + "\n" + block + "}\n"
	}
	trusts := "self_signed_cert " + rig.Save(t, ca.PEM) + "\n"
	gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_apis {\n"+entry("right", trusts)+
		entry("wrong", "self_signed_cert "+rig.Save(t, stranger.PEM)+"\n")+entry("none", "")+
		entry("mutual", trusts+"transport http {\ntls_client_auth "+rig.Save(t, client.PEM)+" "+rig.Save(t, client.KeyPEM(t))+"\n}\n")+"}\n}")
	for _, want := range []struct {
		name   string
		status int
		peers  int
	}{{"wrong", 502, 0}, {"right", 200, 0}, {"none", 502, 0}, {"wrong", 502, 0}, {"mutual", 200, 1}, {"right", 200, 0}} {
		res := rig.Get(t, gateway, "/"+want.name+"/x", "")
		got := api.take()
		if res.StatusCode != want.status || (len(got) == 1) != (want.status == 200) {
			t.Fatalf("%s is answered with %d, and the API got %v", want.name, res.StatusCode, got)
		}
		if len(got) == 1 && (len(got[0].peers) != want.peers || got[0].authorization != "Bearer token-of-"+want.name) {
			t.Errorf("%s: the API got %d certificates, and %q", want.name, len(got[0].peers), got[0].authorization)
		}
	}
}

// TestCatalogueTrustWatched: entries that share a transport are each told of the file of its
// certificates, and all of them trust what is in it then.
func TestCatalogueTrustWatched(t *testing.T) {
	ca, stranger := rig.NewIdentity(t, nil, rig.AsCA), rig.NewIdentity(t, nil, rig.AsCA)
	leaf := rig.NewIdentity(t, ca, nil)
	api := newTLSAPI(t, "127.0.0.1:0", 1, &tls.Config{Certificates: []tls.Certificate{leaf.TLS()}}, nil)
	entry := func(name, file string) string {
		return name + " https://" + api.addr + " {\nauth bearer token-of-" + name + "\nself_signed_cert " + file + "\n}\n"
	}
	shared, other := rig.Save(t, stranger.PEM), rig.Save(t, stranger.PEM)
	global, log := watchedLog(t)
	gateway := rig.Start(t, global+"}\nhttp://GATEWAY {\nauthenticated_apis {\n"+entry("a", shared)+entry("b", other)+entry("c", shared)+entry("d", shared)+"}\n}")
	rotate(t, shared, ca.PEM)
	all := []string{"a self_signed_cert", "c self_signed_cert", "d self_signed_cert"}
	waitFor(t, "a line for each", func() bool { return slices.Equal(told(t, log, "took over"), all) })
	for name, status := range map[string]int{"a": 200, "b": 502, "c": 200, "d": 200} {
		if res := rig.Get(t, gateway, "/"+name+"/x", ""); res.StatusCode != status {
			t.Errorf("%s is answered with %d, want %d", name, res.StatusCode, status)
		}
	}
	rotate(t, shared, "no certificate")
	waitFor(t, "a warning for each", func() bool { return slices.Equal(told(t, log, "cannot be used"), all) })
}

// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// TestSharedTLS: clients may be made of one configuration. net/http writes into that of a
// transport when it is first used, which is a race if another transport has the same one.
func TestSharedTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"access_token":"t"}`)
	}))
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	trusted := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	var wg sync.WaitGroup
	for _, client := range []*Client{New(trusted, nil), New(trusted, nil), New(nil, nil)} {
		client.Trust(trusted)
		wg.Go(func() {
			defer client.CloseIdleConnections()
			if _, err := client.Credentials(t.Context(), &Config{TokenURL: server.URL + "/token", ClientID: "i", ClientSecret: "s", Timeout: time.Minute}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if trusted.NextProtos != nil {
		t.Errorf("the configuration was changed: %q", trusted.NextProtos)
	}
}

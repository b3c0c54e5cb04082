// SPDX-License-Identifier: Apache-2.0

package streaming

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// noise is an endless stream that nothing compresses, the same each time.
func noise() io.Reader { return rand.NewChaCha8([32]byte{1}) }

func hashed(r io.Reader, at func(n int64)) (string, int64, error) {
	return hashInto(sha256.New(), r, at)
}

func hashInto(h hash.Hash, r io.Reader, at func(n int64)) (string, int64, error) {
	var total, next int64
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		h.Write(buf[:n])
		if total += int64(n); total >= next {
			at(total)
			next += 4 << 20
		}
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(h.Sum(nil)), total, nil
		}
		if err != nil {
			return "", total, err
		}
	}
}

// liveHeap is what the whole process holds: gateway, API and client.
func liveHeap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestLargeBodies(t *testing.T) {
	const size, margin = 40 << 20, 4 << 20
	want, _, err := hashed(io.LimitReader(noise(), size), func(int64) {})
	if err != nil {
		t.Fatal(err)
	}
	for name, auth := range both(t) {
		t.Run(name, func(t *testing.T) {
			var before int64
			grown := func(n int64) {
				live := liveHeap()
				if before == 0 {
					before = live // with all that a connection needs
				}
				if live > before+margin {
					t.Errorf("after %d MiB the heap has grown by %d KiB", n>>20, (live-before)>>10)
				}
			}
			api := newHTTPAPI(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					if r.URL.Query().Has("length") {
						w.Header().Set("Content-Length", strconv.Itoa(size))
					}
					_, _ = io.CopyN(w, noise(), size)
					return
				}
				sum, n, err := hashed(r.Body, grown)
				if err != nil {
					t.Error(err)
				}
				_, _ = fmt.Fprintf(w, "%s %d", sum, n)
			})
			gateway := startFor(t, "http://"+api, auth)
			client := clientFor(t, 1, nil)
			_ = readAll(t, do(t, client, newRequest(t, "POST", "http://"+gateway+"/warm", strings.NewReader("warm"))).Body)
			for _, length := range []int64{size, -1} {
				before = 0
				req := newRequest(t, "POST", "http://"+gateway+"/up", io.LimitReader(noise(), size))
				req.ContentLength = length
				if got := readAll(t, do(t, client, req).Body); got != want+" "+strconv.Itoa(size) {
					t.Errorf("upload: the API got %s, want %s", got, want)
				}
			}
			for _, query := range []string{"?length", ""} {
				before = 0
				res := do(t, client, newRequest(t, "GET", "http://"+gateway+"/down"+query, nil))
				sum, n, err := hashed(res.Body, grown)
				if err != nil || sum != want || n != size {
					t.Errorf("download: the client got %d bytes, %s, %v, want %s", n, sum, err, want)
				}
			}
		})
	}
}

func TestCompression(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, strings.Repeat("text ", 1000))
	_ = z.Close()
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			asked := make(chan []string, 4)
			base, options := newAPIOf(t, version, guarded(func(w http.ResponseWriter, r *http.Request) {
				asked <- r.Header["Accept-Encoding"]
				w.Header().Set("Content-Type", "text/plain")
				if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
					w.Header().Set("Content-Encoding", "gzip")
					_, _ = w.Write(packed.Bytes())
					return
				}
				_, _ = io.WriteString(w, "plain")
			}))
			gateway := startFor(t, base, "auth bearer k1\n"+options)
			res := rig.Get(t, gateway, "/x", "Accept-Encoding: gzip;q=0.5, br\r\n")
			if got := rig.Receive(t, asked, "the request"); !slices.Equal(got, []string{"gzip;q=0.5, br"}) {
				t.Errorf("the API was asked for %q", got)
			}
			if res.Header.Get("Content-Encoding") != "gzip" || res.Text != packed.String() {
				t.Errorf("the client got %q and %d bytes, want the API's own %d", res.Header.Get("Content-Encoding"), len(res.Text), packed.Len())
			}
			res = rig.Get(t, gateway, "/x", "")
			var want []string
			if version == "3" {
				// Otherwise Caddy's HTTP/3 client asks for gzip, and decodes it.
				want = []string{"identity"}
			}
			if got := rig.Receive(t, asked, "the request"); !slices.Equal(got, want) {
				t.Errorf("the API was asked for %q, which nobody has asked for", got)
			}
			if res.Text != "plain" || res.Header.Get("Content-Encoding") != "" {
				t.Errorf("the client got %q", res.Text)
			}
		})
	}
}

func TestRanges(t *testing.T) {
	content := filepath.Join(t.TempDir(), "content.txt")
	if err := os.WriteFile(content, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	api := newHTTPAPI(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"v1"`)
		http.ServeFile(w, r, content)
	})
	gateway := startFor(t, "http://"+api, "auth bearer k1")
	res := rig.Get(t, gateway, "/x", "Range: bytes=2-4\r\n")
	if res.StatusCode != 206 || res.Text != "234" || res.Header.Get("Content-Range") != "bytes 2-4/10" {
		t.Errorf("the client got %d %q with %v", res.StatusCode, res.Text, res.Header)
	}
	if res = rig.Get(t, gateway, "/x", "Range: bytes=20-\r\n"); res.StatusCode != 416 || res.Header.Get("Content-Range") != "bytes */10" {
		t.Errorf("the client got %d with %v", res.StatusCode, res.Header)
	}
	if res = rig.Get(t, gateway, "/x", "Range: bytes=2-4\r\nIf-Range: \"v0\"\r\n"); res.StatusCode != 200 || res.Text != "0123456789" {
		t.Errorf("the client got %d %q", res.StatusCode, res.Text)
	}
	if res = rig.Get(t, gateway, "/x", "If-None-Match: \"v1\"\r\n"); res.StatusCode != 304 || res.Text != "" || res.Header.Get("Etag") != `"v1"` {
		t.Errorf("the client got %d %q with %v", res.StatusCode, res.Text, res.Header)
	}
	if res = rig.Do(t, gateway, "HEAD", "/x", "", ""); res.StatusCode != 200 || res.Text != "" || res.Header.Get("Content-Length") != "10" {
		t.Errorf("HEAD: the client got %d %q with %v", res.StatusCode, res.Text, res.Header)
	}
	if res = rig.Do(t, gateway, "HEAD", "/x", "Range: bytes=2-4\r\n", ""); res.StatusCode != 206 || res.Header.Get("Content-Length") != "3" {
		t.Errorf("HEAD with a range: the client got %d with %v", res.StatusCode, res.Header)
	}
}

func TestNoBody(t *testing.T) {
	api := rig.NewAPI(t, func(request string) string {
		if strings.HasPrefix(request, "GET /304") {
			return "HTTP/1.1 304 Not Modified\r\nEtag: \"v1\"\r\nContent-Length: 5\r\n\r\n"
		}
		return "HTTP/1.1 204 No Content\r\nX-Done: yes\r\n\r\n"
	})
	gateway := startFor(t, "http://"+api.Addr, "auth bearer k1")
	// On one connection: a body that is invented would be taken for the next response.
	request := func(method, path string) string {
		return method + " " + path + " HTTP/1.1\r\nHost: " + gateway + "\r\n\r\n"
	}
	replies := rig.Exchange(t, gateway, request("GET", "/204")+request("GET", "/304")+request("DELETE", "/204"), 3)
	for i, want := range []int{204, 304, 204} {
		if i >= len(replies) || replies[i].StatusCode != want || replies[i].Text != "" {
			t.Fatalf("reply %d of %d is not %d without a body", i, len(replies), want)
		}
	}
	if replies[0].Header.Get("X-Done") != "yes" || replies[1].Header.Get("Etag") != `"v1"` {
		t.Errorf("the header fields are %v and %v", replies[0].Header, replies[1].Header)
	}
}

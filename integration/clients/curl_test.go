// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"
)

// TestCurl has what scripts do with curl.
func TestCurl(t *testing.T) {
	curl := program(t, "curl", "Debian's package curl has it")
	s := service{
		start: func(t *testing.T) string {
			return serve(t, guarded("Authorization", "Bearer "+key, http.StripPrefix("/v1", http.HandlerFunc(anything)))) + "/v1"
		},
		lines: "auth bearer " + key,
	}
	compare(t, "curl", s, func(t *testing.T, w way) transcript { return useCurl(t, curl, w) })
}

func useCurl(t *testing.T, curl string, w way) transcript {
	c := newWorld(t)
	c.write(t, "file", noise(2<<20))
	common := []string{"-sS", "--path-as-is", "--max-time", "20", "-w", "\nredirect: %{redirect_url}"}
	if w.direct() {
		common = append(common, "-H", "Authorization: Bearer "+key)
	}
	var tr transcript
	for _, args := range [][]string{
		{"-i", "/echo"},
		{"-i", "/echo?a=1&a=2&b=%20+&c"},
		{"-i", "/echo/a%2Fb/%C3%A9/;x=1/end/"},
		{"-I", "/big"},
		{"-i", "-d", "a=1", "/echo"},
		{"-i", "-d", "", "/echo"},
		{"-i", "-X", "DELETE", "/echo"},
		{"-i", "-X", "PURGE", "/echo"},
		{"-i", "-X", "OPTIONS", "/echo"},
		{"-i", "-G", "-d", "q=a+b", "--data-urlencode", "r=a b&", "/echo"},
		{"-i", "--json", `{"a":1}`, "/echo"},
		{"-i", "-F", "file=@file", "-F", "a=1", "/sum"},
		{"-i", "-T", "file", "/sum"},
		{"-i", "-T", "file", "-H", "Transfer-Encoding: chunked", "/sum"},
		{"-i", "-H", "Expect: 100-continue", "-T", "file", "/sum"},
		{"-i", "--http1.0", "/echo"},
		{"-i", "--compressed", "/gzip"},
		{"-i", "/gzip?raw"},
		{"-i", "-r", "5-9", "/range"},
		{"-i", "-r", "0-1,4-5", "/range"},
		{"-i", "-r", "999-", "/range"},
		{"-i", "-H", "If-None-Match: \"v1\"", "/etag"},
		{"-i", "-L", "/redirect/absolute"},
		{"-i", "-L", "/redirect/path"},
		{"-i", "-L", "/redirect/relative"},
		{"-i", "/redirect/absolute"},
		{"-i", "-L", "-X", "POST", "-d", "a=1", "/redirect/307"},
		{"-i", "-N", "/events"},
		{"-i", "/status/204"},
		{"-i", "/status/418"},
		{"-i", "/status/503"},
		{"-i", "/early"},
		{"-i", "/trailer"},
		{"-i", "-u", "somebody:else", "/status/200"},
		{"-i", "-A", "", "-H", "Accept:", "/echo"},
		{"-i", "-H", "X-Empty;", "-H", "X-Twice: 1", "-H", "X-Twice: 2", "/echo"},
		{"-i", "/echo", "/echo?second"},
	} {
		all := append([]string(nil), common...)
		for _, arg := range args {
			if strings.HasPrefix(arg, "/") {
				arg = w.url + arg
			}
			all = append(all, arg)
		}
		if args[1] == "-u" && w.direct() { // it has one already
			all = append(slices.Clip(common), "-i", w.url+"/status/200")
		}
		out, err := c.run(t, "", curl, all...)
		tr.note("curl "+strings.Join(args, " "), answersOf(out), err)
	}
	return tr
}

// answersOf returns what curl -i prints, with the fields of each head sorted, without the fields
// that any proxy rewrites, and without Location: the URL that curl makes of it is at the end.
func answersOf(out string) string {
	var b strings.Builder
	for strings.HasPrefix(out, "HTTP/") {
		head, rest, _ := strings.Cut(out, "\r\n\r\n")
		if strings.HasPrefix(head, "HTTP/1.1 100") { // Caddy sends one, and passes the API's on
			out = rest
			continue
		}
		lines := strings.Split(head, "\r\n")
		sort.Strings(lines[1:])
		for _, line := range lines {
			if name, _, _ := strings.Cut(line, ":"); !slices.Contains([]string{"Date", "Via", "Server", "Location"}, name) {
				b.WriteString(boundaries.ReplaceAllString(line, "boundary=B") + "\n")
			}
		}
		out = rest
	}
	if body, rest, ok := strings.Cut(out, "HTTP/1.1 "); ok {
		return b.String() + body + answersOf("HTTP/1.1 "+rest)
	}
	b.WriteString("\n" + partsBehind.ReplaceAllString(out, "--B"))
	return b.String()
}

var (
	boundaries  = regexp.MustCompile(`boundary=[0-9a-f]+`)
	partsBehind = regexp.MustCompile(`--[0-9a-f]{60}`)
)

// anything answers what curl asks for.
func anything(w http.ResponseWriter, r *http.Request) {
	own := "http://" + r.Host + "/v1"
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, "/echo"):
		echo(w, r)
	case path == "/big":
		http.ServeContent(w, r, "big.bin", time.Unix(1, 0), bytes.NewReader(make([]byte, 1<<20)))
	case path == "/sum":
		hash := sha256.New()
		n, err := io.Copy(hash, r.Body)
		if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
			hash = sha256.New() // the boundary is another one each time
		}
		fmt.Fprintf(w, "%d bytes %x %v %d %q\n", n, hash.Sum(nil), err, r.ContentLength, r.TransferEncoding)
	case path == "/gzip":
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, strings.Repeat("compressed ", 1000))
		_ = z.Close()
	case path == "/range":
		http.ServeContent(w, r, "range.txt", time.Unix(1, 0), strings.NewReader("0123456789"))
	case path == "/etag":
		w.Header().Set("ETag", `"v1"`)
		w.WriteHeader(http.StatusNotModified)
	case path == "/redirect/absolute":
		w.Header().Set("Location", own+"/echo?from=absolute")
		w.WriteHeader(http.StatusFound)
	case path == "/redirect/path":
		w.Header().Set("Location", "/v1/echo?from=path")
		w.WriteHeader(http.StatusFound)
	case path == "/redirect/relative":
		w.Header().Set("Location", "../echo?from=relative")
		w.WriteHeader(http.StatusFound)
	case path == "/redirect/307":
		w.Header().Set("Location", own+"/echo?from=307")
		w.WriteHeader(http.StatusTemporaryRedirect)
	case path == "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 5 {
			fmt.Fprintf(w, "id: %d\ndata: %d\n\n", i, i)
			_ = http.NewResponseController(w).Flush()
		}
	case path == "/early":
		w.Header().Set("Link", "<"+own+"/style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "late")
	case path == "/trailer":
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "body")
		_ = http.NewResponseController(w).Flush()
		w.Header().Set("X-Sum", "4")
	default:
		var status int
		if _, err := fmt.Sscanf(path, "/status/%d", &status); err != nil {
			status = http.StatusNotFound
		}
		w.WriteHeader(status)
	}
}

// echo answers with the request, except for its Host.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	target := strings.TrimPrefix(r.RequestURI, "/v1")
	var fields []string
	for name, values := range r.Header {
		fields = append(fields, fmt.Sprintf("%s: %q", name, values))
	}
	sort.Strings(fields)
	fmt.Fprintf(w, "%s %s\n%s\n%d %s", r.Method, target, strings.Join(fields, "\n"), r.ContentLength, body)
}

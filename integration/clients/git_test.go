// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/cgi"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestGit clones, fetches and pushes over smart HTTP (git-http-backend), in each version of the
// protocol.
func TestGit(t *testing.T) {
	git := program(t, "git", "Debian's package git has it")
	for _, version := range []string{"0", "1", "2"} {
		t.Run("version"+version, func(t *testing.T) {
			s := service{
				start: func(t *testing.T) string { return gitServer(t, git) },
				lines: "auth basic git " + key,
			}
			compare(t, "git", s, func(t *testing.T, w way) transcript { return useGit(t, git, version, w) })
		})
	}
}

// gitServer has one repository, r.git, with one commit, and sends those who ask for old.git there.
func gitServer(t *testing.T, git string) string {
	root := newWorld(t, "GIT_CONFIG_NOSYSTEM=1")
	for _, args := range [][]string{
		{"init", "-q", "--bare", "-b", "main", "r.git"},
		{"-C", "r.git", "config", "http.receivepack", "true"},
		{"-C", "r.git", "config", "uploadpack.allowFilter", "true"},
		{"-C", "r.git", "config", "uploadpack.allowAnySHA1InWant", "true"},
		{"clone", "-q", "r.git", "seed"},
		{"-C", "seed", "checkout", "-q", "-b", "main"},
	} {
		must(t, root, git, args...)
	}
	commit(t, root, git, "seed", "hello", strings.Repeat("hello\n", 5000))
	must(t, root, git, "-C", "seed", "push", "-q", "origin", "main")
	core, err := root.run(t, "", git, "--exec-path")
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(core), "git-http-backend"),
		Env: []string{
			"GIT_PROJECT_ROOT=" + root.dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=git", "HOME=" + root.dir,
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		},
	}
	smart := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, ok := strings.CutPrefix(r.URL.Path, "/old.git/"); ok {
			http.Redirect(w, r, "http://"+r.Host+"/r.git/"+rest+"?"+r.URL.RawQuery, http.StatusMovedPermanently)
			return
		}
		if r.ContentLength < 0 { // CGI has no body of unknown length
			body, err := io.ReadAll(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
		}
		if protocol := r.Header.Get("Git-Protocol"); protocol != "" {
			b := *backend
			b.Env = append(slices.Clip(b.Env), "GIT_PROTOCOL="+protocol)
			b.ServeHTTP(w, r)
			return
		}
		backend.ServeHTTP(w, r)
	})
	return serve(t, guarded("Authorization", basic("git", key), smart))
}

func useGit(t *testing.T, git, version string, w way) transcript {
	c := newWorld(t, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0")
	config := "[protocol]\nversion = " + version + "\n[user]\nname = Ann\nemail = ann@example.com\n[init]\ndefaultBranch = main\n"
	if w.direct() {
		config += "[http]\nextraHeader = Authorization: " + basic("git", key) + "\n"
	}
	c.write(t, ".gitconfig", config)

	var tr transcript
	do := func(name string, args ...string) {
		out, err := c.run(t, "", git, args...)
		tr.note(name, strings.TrimSpace(out), err)
	}
	do("list the refs", "ls-remote", w.url+"/r.git")
	do("clone", "clone", "-q", w.url+"/r.git", "a")
	do("clone what has moved", "clone", "-q", w.url+"/old.git", "moved")
	do("clone the newest commit", "clone", "-q", "--depth", "1", w.url+"/r.git", "shallow")
	do("clone without blobs", "clone", "-q", "--filter=blob:none", w.url+"/r.git", "blobless")
	do("what was cloned", "-C", "a", "log", "--format=%s")
	commit(t, c, git, "a", "small", "small\n")
	do("push", "-C", "a", "push", "-q", "origin", "main")
	commit(t, c, git, "a", "large", noise(3<<20)) // above http.postBuffer: chunked
	do("push much", "-C", "a", "push", "-q", "origin", "main")
	do("push a tag", "-C", "a", "push", "-q", "origin", "HEAD:refs/tags/v1")
	do("fetch", "-C", "shallow", "fetch", "-q", "--unshallow")
	do("what was fetched", "-C", "shallow", "log", "--format=%s", "FETCH_HEAD")
	do("fetch by name", "-C", "blobless", "fetch", "-q", "origin", "refs/tags/v1:refs/tags/v1")
	do("what is there", "-C", "blobless", "show", "--stat", "--format=%s", "v1")
	do("delete the tag", "-C", "a", "push", "-q", "origin", ":refs/tags/v1")
	do("the tags", "ls-remote", "--tags", w.url+"/r.git")
	out, err := c.run(t, "", git, "ls-remote", w.url+"/absent.git")
	_, reason, _ := strings.Cut(errorText(err), "fatal: ")
	tr.refusal("a repository that is not there", textError(out+reason))
	return tr
}

// commit adds a file to a clone. The time is always the same, so that its hash is.
func commit(t *testing.T, w world, git, dir, name, text string) {
	t.Helper()
	w.write(t, filepath.Join(dir, name), text)
	must(t, w, git, "-C", dir, "add", name)
	w.env = append(w.env, "GIT_AUTHOR_DATE=2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE=2026-01-01T00:00:00Z",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.com")
	must(t, w, git, "-C", dir, "commit", "-q", "-m", name)
}

func must(t *testing.T, w world, path string, args ...string) {
	t.Helper()
	if _, err := w.run(t, "", path, args...); err != nil {
		t.Fatalf("%s %s: %v", filepath.Base(path), strings.Join(args, " "), err)
	}
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// noise is text that does not compress, the same each time.
func noise(n int) string {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = 'a' + byte(x>>24)%26
		if x>>28 == 0 {
			b[i] = '\n'
		}
	}
	return string(b)
}

type textError string

func (e textError) Error() string { return string(e) }

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// TestNPM publishes to a Verdaccio and installs from it.
func TestNPM(t *testing.T) {
	npm := program(t, "npm", "Debian's package npm has it")
	s := service{start: verdaccio, lines: "auth basic ann " + key}
	compare(t, "npm", s, func(t *testing.T, w way) transcript { return useNPM(t, npm, w) })
}

// verdaccio runs a registry that lets in nobody but ann.
func verdaccio(t *testing.T) string {
	path, _ := node(t)
	w := newWorld(t)
	hash, err := bcrypt.GenerateFromPassword([]byte(key), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, "htpasswd", "ann:"+string(hash)+"\n")
	config := w.write(t, "config.yaml", "storage: ./storage\nauth:\n  htpasswd:\n    file: ./htpasswd\n"+
		"packages:\n  '**':\n    access: $authenticated\n    publish: $authenticated\n    unpublish: $authenticated\n"+
		"web:\n  enable: false\nlog: {type: stdout, format: pretty, level: warn}\n")
	addr := rig.Free(t)
	w.begin(t, addr, path, installed(t, "node_modules/verdaccio/bin/verdaccio"), "--config", config, "--listen", addr)
	return "http://" + addr
}

func useNPM(t *testing.T, npm string, w way) transcript {
	c := newWorld(t)
	place := strings.TrimPrefix(w.url, "http:")
	// npm publishes nothing without a token.
	credential := fmt.Sprintf("%s/:_authToken=%s\n", place, unused)
	if w.direct() {
		credential = fmt.Sprintf("%s/:_auth=%s\n", place, strings.TrimPrefix(basic("ann", key), "Basic "))
	}
	c.write(t, ".npmrc", "registry="+w.url+"/\nupdate-notifier=false\nfund=false\naudit=false\nfetch-retries=0\n"+credential)
	c.write(t, "one/package.json", `{"name":"one","version":"1.0.0","description":"the first"}`)
	c.write(t, "one/index.js", "module.exports = 1\n")
	c.write(t, "two/package.json", `{"name":"@scope/two","version":"1.0.0","dependencies":{"one":"^1.0.0"}}`)
	c.write(t, "two/index.js", "// "+noise(2<<20))
	c.write(t, "app/package.json", `{"name":"app","version":"1.0.0"}`)

	var tr transcript
	do := func(name, dir string, args ...string) {
		at := c
		at.dir = filepath.Join(c.dir, dir)
		out, err := at.run(t, "", npm, args...)
		tr.note(name, strings.TrimSpace(out), npmError(err))
	}
	do("who am I", "one", "whoami")
	do("publish", "one", "publish", "--silent")
	do("publish in a scope", "two", "publish", "--silent", "--access", "public")
	do("look at it", "app", "view", "one", "name", "version", "description")
	do("where it is", "app", "view", "one", "dist.tarball")
	do("look at a scoped one", "app", "view", "@scope/two", "dependencies")
	do("tag", "app", "dist-tag", "add", "one@1.0.0", "beta")
	do("list the tags", "app", "dist-tag", "ls", "one")
	do("search", "app", "search", "--parseable", "--no-description", "first")
	do("deprecate", "app", "deprecate", "one@1.0.0", "take another one")
	do("install", "app", "install", "--silent", "one@1.0.0")
	do("install with replace-registry-host=always", "app", "install", "--silent", "--replace-registry-host=always", "@scope/two")
	text, err := os.ReadFile(filepath.Join(c.dir, "app/node_modules/@scope/two/index.js"))
	tr.note("what was installed", sha256Hex(string(text)), err)
	do("unpublish", "app", "unpublish", "--silent", "--force", "one")
	_, err = c.run(t, "", npm, "view", "one")
	tr.refusal("what is not there", npmError(err))
	return tr
}

// npmError is the code of npm's error, since the rest has times and paths in it.
func npmError(err error) error {
	if err == nil {
		return nil
	}
	for line := range strings.Lines(err.Error()) {
		if _, code, ok := strings.Cut(line, "npm error code "); ok {
			return textError(strings.TrimSpace(code))
		}
	}
	return err
}

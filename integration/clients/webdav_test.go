// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// apache is Debian's Apache with mod_dav, for the user ann. Multistatus bodies name resources by
// their paths, which the gateway does not map. So the route has the path that the resources have
// at the API.
func apache(t *testing.T) service {
	path := program(t, "apache2", "Debian's package apache2-bin has it")
	return service{
		start: func(t *testing.T) string { return startApache(t, path) },
		lines: "auth basic ann " + key,
		forms: []form{{"same path", "handle_path /dav/* {\nDIRECTIVE\n}", "/dav"}},
	}
}

// startApache returns the URL of /dav, a folder with DAV.
func startApache(t *testing.T, path string) string {
	w := newWorld(t)
	hash, err := bcrypt.GenerateFromPassword([]byte(key), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, "htpasswd", "ann:"+strings.Replace(string(hash), "$2a$", "$2y$", 1)+"\n")
	w.write(t, "mime.types", "text/plain txt\n")
	w.write(t, "www/dav/readme.txt", "hello\n")
	addr := rig.Free(t)
	config := w.write(t, "httpd.conf", strings.NewReplacer("DIR", w.dir, "ADDR", addr).Replace(apacheConfig))
	ownedByServer(t, w.dir)
	w.begin(t, addr, path, "-DFOREGROUND", "-f", config)
	return "http://" + addr + "/dav"
}

const apacheConfig = `ServerName localhost
ServerRoot DIR
PidFile DIR/pid
DefaultRuntimeDir DIR
ErrorLog DIR/error.log
Listen ADDR
User www-data
Group www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authn_core_module /usr/lib/apache2/modules/mod_authn_core.so
LoadModule authn_file_module /usr/lib/apache2/modules/mod_authn_file.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule authz_user_module /usr/lib/apache2/modules/mod_authz_user.so
LoadModule auth_basic_module /usr/lib/apache2/modules/mod_auth_basic.so
LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule dav_module /usr/lib/apache2/modules/mod_dav.so
LoadModule dav_fs_module /usr/lib/apache2/modules/mod_dav_fs.so
TypesConfig DIR/mime.types
StartServers 1
DocumentRoot DIR/www
DavLockDB DIR/www/locks
AllowEncodedSlashes NoDecode
<Directory DIR/www>
	Dav On
	AuthType Basic
	AuthName dav
	AuthUserFile DIR/htpasswd
	Require valid-user
</Directory>
`

// ownedByServer gives a folder to the user that Apache becomes, where it is started by root, and
// lets it go there.
func ownedByServer(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	u, err := user.Lookup("www-data")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	err = filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, -1)
	})
	if err != nil {
		t.Fatal(err)
	}
	for parent := dir; parent != filepath.Dir(parent) && parent != os.TempDir(); parent = filepath.Dir(parent) {
		if err := os.Chmod(parent, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// oddNames are names of files as people have them.
var oddNames = []string{
	"plain.txt", "two words.txt", "a+b&c=d.txt", "100%.txt", "50%25.txt", "what?.txt", "#1.txt", "semi;colon.txt", "comma,.txt",
	".hidden", ".#lock", ".?", ".;x", "..two", "...", "tilde~", "quote'd.txt", "[brackets].txt", "{braces}.txt", "grün.txt", "日本.txt",
	"at@sign:colon.txt", "back\\slash.txt", "star*.txt", "pipe|.txt", "<angle>.txt", "caret^.txt", "dollar$.txt", "bang!.txt",
}

// TestRclone uses WebDAV as rclone does. Its COPY and MOVE name the Destination by the whole URL.
func TestRclone(t *testing.T) {
	rclone := program(t, "rclone", "Debian's package rclone has it")
	compare(t, "rclone", apache(t), func(t *testing.T, w way) transcript { return useRclone(t, rclone, w) })
}

func useRclone(t *testing.T, rclone string, w way) transcript {
	c := newWorld(t)
	config := "[dav]\ntype = webdav\nvendor = other\nurl = " + w.url + "\n"
	if w.direct() {
		obscured, err := c.run(t, "", rclone, "obscure", key)
		if err != nil {
			t.Fatal(err)
		}
		config += "user = ann\npass = " + obscured
	}
	c.write(t, "rclone.conf", config)
	for _, name := range oddNames {
		c.write(t, "local/"+name, "this is "+name+"\n")
	}
	c.write(t, "local/large", noise(3<<20))

	var tr transcript
	do := func(name string, args ...string) {
		args = append(args, "--config", filepath.Join(c.dir, "rclone.conf"), "--retries", "1", "--low-level-retries", "1", "-q")
		out, err := c.run(t, "", rclone, args...)
		tr.note(name, strings.TrimSpace(out), withoutTime(err))
	}
	do("list", "lsf", "dav:")
	do("make a folder", "mkdir", "dav:new")
	do("copy a tree there", "copy", "local", "dav:tree")
	do("list the tree", "lsf", "--format", "ps", "-R", "dav:tree")
	do("compare", "check", "--size-only", "local", "dav:tree")
	do("copy a tree back", "copy", "dav:tree", "back")
	out, err := c.run(t, "", "/usr/bin/diff", "-r", "local", "back")
	tr.note("what came back", out, err)
	do("read", "cat", "dav:tree/100%.txt")
	do("read a part", "cat", "--offset", "1000000", "--count", "20", "dav:tree/large")
	do("copy there", "copyto", "dav:tree/plain.txt", "dav:new/copy.txt")
	do("move there", "moveto", "dav:tree/two words.txt", "dav:new/moved words.txt")
	do("move a name with a percent", "moveto", "dav:tree/50%25.txt", "dav:new/60%25.txt")
	do("move a folder", "moveto", "dav:new", "dav:newer")
	do("list what was moved", "lsf", "-R", "dav:newer")
	do("delete a file", "deletefile", "dav:newer/copy.txt")
	do("delete a tree", "purge", "dav:tree")
	do("what is left", "lsf", "-R", "dav:")
	return tr
}

// TestCadaver uses WebDAV as cadaver does, with locks and properties.
func TestCadaver(t *testing.T) {
	cadaver := program(t, "cadaver", "Debian's package cadaver has it")
	compare(t, "cadaver", apache(t), func(t *testing.T, w way) transcript { return useCadaver(t, cadaver, w) })
}

func useCadaver(t *testing.T, cadaver string, w way) transcript {
	c := newWorld(t)
	if w.direct() {
		c.write(t, ".netrc", "machine 127.0.0.1 login ann password "+key+"\n")
	}
	c.write(t, "up.txt", "up\n")
	var tr transcript
	commands := []string{
		"ls", "mkcol made", "put up.txt", "copy up.txt made/copied.txt", "move up.txt made/moved.txt", "ls made", "move made/ remade/",
		"ls remade", "lock remade/moved.txt", "discover remade/moved.txt", "put up.txt remade/moved.txt", "unlock remade/moved.txt",
		"propset remade/moved.txt colour blue", "propget remade/moved.txt colour", "cat remade/copied.txt", "put up.txt remade/100%.txt",
		"get remade/moved.txt down.txt", "rmcol remade", "ls",
	}
	out, err := c.run(t, strings.Join(commands, "\n")+"\nquit\n", cadaver, w.url+"/")
	tr.note("the session", "", err)
	for answer := range strings.SplitSeq(withoutDates(out), "> ") {
		command, result, _ := strings.Cut(answer, "\n")
		if command == "quit" {
			continue
		}
		bad := strings.Contains(result, "failed") || strings.Contains(result, "Could not")
		tr = append(tr, step{command, result, bad})
	}
	down, err := os.ReadFile(filepath.Join(c.dir, "down.txt"))
	tr.note("what came back", string(down), err)
	return tr
}

var (
	dates  = regexp.MustCompile(`[A-Z][a-z]{2} +\d+ +(\d\d:\d\d|\d{4})`)
	tokens = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)
	bars   = regexp.MustCompile(`\r?Progress: \[[^\]]*\][^\n\[]*`)
	times  = regexp.MustCompile(`\d{4}/\d\d/\d\d \d\d:\d\d:\d\d `)
)

func withoutDates(text string) string {
	text = bars.ReplaceAllString(tokens.ReplaceAllString(dates.ReplaceAllString(text, "DATE"), "TOKEN"), "")
	return strings.TrimSpace(text)
}

func withoutTime(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s", times.ReplaceAllString(err.Error(), ""))
}

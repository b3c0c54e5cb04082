// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/authenticated-api/caddy-authenticated-api/internal/seal"
)

// killEnv holds the folder in which a child process stores; it makes a child of the test binary.
const killEnv = "OAUTH_TEST_KILL"

// access is the token of a generation, too long for one write to be one block of a disk.
func access(generation uint64) string {
	return strings.Repeat(fmt.Sprintf("%08d", generation), 4096)
}

// TestKilledChild is the child: it stores generation after generation, and says so after each,
// until it is killed.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv(killEnv)
	if dir == "" {
		t.Skip("it runs as a child of TestKill")
	}
	key, err := seal.ReadKeyFile(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	s, _ := newStore(t, &certmagic.FileStorage{Path: dir}, key)
	generation := uint64(0)
	for {
		token, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if token != nil {
			generation = token.Generation
		}
		generation++
		fresh := issuedAt(Issued{Access: access(generation), Lifetime: time.Hour}, time.Now(), Term{}, nil)
		fresh.Generation = generation
		if err := s.Save(t.Context(), fresh); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("stored %d\n", generation)
	}
}

// TestKill kills processes that store (SIGKILL: nothing of theirs runs any more): while a
// temporary file is there, which is between any two steps of a store, and at any other time.
// Afterwards the old or the new record loads, never none or a torn one.
func TestKill(t *testing.T) {
	kills := 60
	if testing.Short() {
		kills = 10
	}
	dir := t.TempDir()
	folder := filepath.Join(dir, "authenticated_api", "crm")
	key, _, err := seal.CreateKeyFile(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	s, observed := newStore(t, &certmagic.FileStorage{Path: dir}, key)
	var last uint64
	within := 0 // kills that have left a temporary file: in the midst of a store
	for i := range kills {
		before := orphans(t, folder)
		said := kill(t, dir, func() {
			if i%3 == 2 {
				return // at once: wherever it is
			}
			for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
				if orphans(t, folder) > before {
					return
				}
			}
			t.Error("no temporary file seen")
		})
		if n := orphans(t, folder); n > within {
			within = n
		}
		token, err := s.Load(t.Context())
		if err != nil || token == nil {
			t.Fatalf("kill %d: %v, %v", i, token, err)
		}
		if token.Access != access(token.Generation) {
			t.Fatalf("kill %d: the record of generation %d is torn", i, token.Generation)
		}
		if said == 0 {
			said = last // it was killed before its first word
		}
		if token.Generation != said && token.Generation != said+1 {
			t.Fatalf("kill %d: generation %d after %d was stored", i, token.Generation, said)
		}
		last = token.Generation
	}
	if observed.Len() != 0 {
		t.Errorf("logged: %s", observed)
	}
	t.Logf("%d kills, %d of them between two steps of a store, %d generations", kills, within, last)
	if within < kills/3 {
		t.Errorf("only %d of %d kills fell into a store", within, kills)
	}
	// What they have left goes with the first store an hour later.
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-2 * orphanAge)
	for _, file := range files {
		if err := os.Chtimes(filepath.Join(folder, file.Name()), past, past); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Save(t.Context(), stored("1", last+1)); err != nil {
		t.Fatal(err)
	}
	if n := orphans(t, folder); n != 0 {
		t.Errorf("%d orphans are left", n)
	}
}

// kill starts a child, waits for its first word, then for when, and kills it. It returns the last
// generation that it has said to be stored.
func kill(t *testing.T, dir string, when func()) (generation uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledChild$")
	cmd.Env = append(os.Environ(), killEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("the child says %q, %v", line, err)
	}
	when()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // "signal: killed"
	for line := range strings.Lines(line + string(rest)) {
		var n uint64
		if _, err := fmt.Sscanf(line, "stored %d\n", &n); err == nil && strings.HasSuffix(line, "\n") {
			generation = n
		} else if strings.HasSuffix(line, "\n") {
			t.Fatalf("the child says %q", line)
		}
	}
	return generation
}

// orphans counts what is no record in a folder.
func orphans(t *testing.T, folder string) (n int) {
	t.Helper()
	files, err := os.ReadDir(folder)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, file := range files {
		if !recordName.MatchString(file.Name()) {
			n++
		}
	}
	return n
}

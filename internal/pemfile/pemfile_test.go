// SPDX-License-Identifier: Apache-2.0

package pemfile_test

import (
	"bytes"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/pemfile"
)

// FuzzBlocks: of what encoding/pem reads as a whole the same is read, and no -----BEGIN line is
// passed over without an error.
func FuzzBlocks(f *testing.F) {
	block := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("0123456789")}))
	legacy := "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
	for _, text := range []string{
		"", "x", block, block + block, strings.TrimSpace(block) + block, "\ufeff" + block, strings.ReplaceAll(block, "\n", `\n`),
		"\xff\xfe-\x00", legacy, strings.ReplaceAll(legacy, "\n", " "), block[:20], "-----BEGIN", "-----BEGIN -----", "-----BEGIN A-----:-----END A-----",
		"LS0tLS1CRUdJTg==", "MDAwMA==", "0\x03\x02\x01\x00",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		blocks, err := pemfile.Blocks(text)
		if err != nil {
			return
		}
		if n := strings.Count(text, "-----BEGIN"); n != len(blocks) && n > 0 && !strings.HasPrefix(text, "\xff\xfe") && !strings.HasPrefix(text, "\xfe\xff") {
			t.Fatalf("%d -----BEGIN lines, %d blocks", n, len(blocks))
		}
		var want []*pem.Block
		for rest := []byte(text); ; {
			var next *pem.Block
			if next, rest = pem.Decode(rest); next == nil {
				break
			}
			want = append(want, next)
		}
		if len(want) != len(blocks) {
			return
		}
		for i, got := range blocks {
			if got.Type != want[i].Type || !bytes.Equal(got.Bytes, want[i].Bytes) {
				t.Errorf("block %d is %s %x, to encoding/pem %s %x", i, got.Type, got.Bytes, want[i].Type, want[i].Bytes)
			}
		}
	})
}

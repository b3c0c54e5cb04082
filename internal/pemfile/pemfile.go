// SPDX-License-Identifier: Apache-2.0

// Package pemfile reads PEM files in the state in which people have them.
//
// The rule: each -----BEGIN line is a block that is read, or an error. RFC 7468 §3 asks parsers
// to tolerate what happens to such files on their way. encoding/pem tolerates less: it skips a
// block that does not begin its line, so that a certificate of joined files is missing without an
// error.
//
// The package does not know what the blocks are for.
package pemfile

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

const (
	begin = "-----BEGIN "
	dash  = "-----"

	// mark is the byte order mark. Editors put it in front of a file, and so joined files have it
	// between two blocks.
	mark = "\ufeff"
)

// lineEnds replaces what a variable of a shell, a .env file or JSON makes of a line end.
var lineEnds = strings.NewReplacer(`\r`, "\n", `\n`, "\n", mark, "")

// Blocks returns the blocks of a PEM text. There may be none. It ignores text around the blocks,
// and all blanks, line ends and byte order marks, which may also be missing. For a binary file of
// certificates it returns a block for each of them.
func Blocks(text string) ([]*pem.Block, error) {
	text = fromUTF16(text)
	if !strings.Contains(text, strings.TrimSpace(begin)) {
		return otherForm(text)
	}
	text = lineEnds.Replace(text)
	var blocks []*pem.Block
	for rest := text; ; {
		_, after, found := strings.Cut(rest, begin)
		if !found {
			break
		}
		block, behind, err := nextBlock(after)
		if err != nil {
			return nil, fmt.Errorf("block %d of the PEM: %w", len(blocks)+1, err)
		}
		blocks, rest = append(blocks, block), behind
	}
	if n := strings.Count(text, strings.TrimSpace(begin)); n != len(blocks) {
		return nil, fmt.Errorf("the PEM has %d -----BEGIN lines, and only %d blocks can be read; make the file again", n, len(blocks))
	}
	return blocks, nil
}

// nextBlock reads the rest of a block whose -----BEGIN has been read.
func nextBlock(text string) (block *pem.Block, rest string, err error) {
	label, after, ok := strings.Cut(text, dash)
	if !ok || !isLabel(label) {
		return nil, "", errors.New("its -----BEGIN line is damaged; it must end with five dashes")
	}
	body, rest, ok := strings.Cut(after, "-----END "+label+dash)
	if !ok || strings.Contains(body, strings.TrimSpace(begin)) {
		return nil, "", fmt.Errorf("there is no -----END %s----- line; the file is cut, or was not copied as a whole", label)
	}
	headers, encoded := cutHeaders(body)
	block = &pem.Block{Type: label, Headers: headers}
	if block.Bytes, err = base64.StdEncoding.DecodeString(strings.Map(withoutBlanks, encoded)); err != nil {
		return nil, "", fmt.Errorf("%s: its base64 is damaged; copy the file again", label)
	}
	return block, rest, nil
}

// isLabel reports whether a text is a label of RFC 7468 §3, in capitals like all labels that
// exist. Errors show labels, so nothing else may count as one.
func isLabel(label string) bool {
	for _, c := range label {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune(" #/.-", c) {
			return false
		}
	}
	return label != ""
}

// cutHeaders splits the headers of RFC 1421 §4.6 off the body of a block. Encrypted keys in
// OpenSSL's own form have such headers.
func cutHeaders(body string) (headers map[string]string, encoded string) {
	headers = make(map[string]string)
	for {
		line, rest, _ := strings.Cut(strings.TrimLeftFunc(body, unicode.IsSpace), "\n")
		name, val, ok := strings.Cut(line, ":")
		if !ok {
			return headers, body
		}
		headers[strings.TrimSpace(name)], body = strings.TrimSpace(val), rest
	}
}

// withoutBlanks drops what stands between the characters of base64. A backslash is what is left
// of an escaped line end.
func withoutBlanks(c rune) rune {
	if unicode.IsSpace(c) || c == '\\' || c == '\u200b' {
		return -1
	}
	return c
}

// ParseKey reads a private key in PKCS#8, PKCS#1 or SEC 1, whichever it is.
func ParseKey(der []byte) (any, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	return x509.ParseECPrivateKey(der)
}

// CheckKey reports why the private key in a block cannot be used.
func CheckKey(block *pem.Block) error {
	switch {
	case strings.HasPrefix(block.Type, "ENCRYPTED"), block.Headers["DEK-Info"] != "", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return errors.New("the private key is encrypted; store it without a password (`openssl pkey -in key.pem -out plain.pem`)")
	case block.Type == "OPENSSH PRIVATE KEY":
		return errors.New("the private key is in OpenSSH's own form; `ssh-keygen -p -m PKCS8 -f key` turns it into a PEM that others read")
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package attack

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// TestScanner proves that the scanner finds what there is to find.
func TestScanner(t *testing.T) {
	const secret = "Q7xKpanaryW2mZ9vT4nB8cR"
	s := newScanner(map[string]string{"planted": secret})
	for _, planted := range []string{
		secret, "Bearer " + secret, "a=" + secret + "&b", strings.ToUpper(secret), reversed(secret), reversed("x" + secret + "y"),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte("ann:" + secret)),
		base64.StdEncoding.EncodeToString([]byte("a:" + secret + "!")), base64.URLEncoding.EncodeToString([]byte("ab:" + secret + "??>>")),
		base64.RawURLEncoding.EncodeToString([]byte("\xff\xfe" + secret)), base64.StdEncoding.EncodeToString([]byte(reversed(secret))),
		hex.EncodeToString([]byte("x" + secret)), fmt.Sprintf("%X", secret), fmt.Sprintf("%x", reversed(secret)), allEscaped(secret),
		strings.ToUpper(allEscaped(secret)), fmt.Sprint(octets(secret)), fmt.Sprintf("%#v", []byte(secret)), fmt.Sprintf("%q", "x\n"+secret),
	} {
		if len(s.find("some text before "+planted+" and behind")) == 0 {
			t.Errorf("%q was not found", planted)
		}
	}
	for _, harmless := range []string{"", secret[1:], secret[:len(secret)-1], base64.StdEncoding.EncodeToString([]byte(secret[2:]))} {
		if found := s.find(harmless); len(found) > 0 {
			t.Errorf("%q was found as %q", harmless, found)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package authenticatedapi_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// utf16Of returns a text as Windows writes it.
func utf16Of(text string, mark bool) string {
	var out []byte
	if mark {
		out = []byte{0xff, 0xfe}
	}
	for _, unit := range utf16.Encode([]rune(text)) {
		out = append(out, byte(unit), byte(unit>>8))
	}
	return string(out)
}

// trusted returns a certificate with OpenSSL's trust settings behind it.
func trusted(t *testing.T, id *identity, settings any) string {
	t.Helper()
	der := slices.Clone(id.cert.Raw)
	if settings != nil {
		aux, err := asn1.Marshal(settings)
		if err != nil {
			t.Fatal(err)
		}
		der = append(der, aux...)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: der}))
}

// pkcs7 returns a SignedData of certificates alone, RFC 5652 §5.1.
func pkcs7(t *testing.T, ids ...*identity) []byte {
	t.Helper()
	var certs []byte
	for _, id := range ids {
		certs = append(certs, id.cert.Raw...)
	}
	set := asn1.RawValue{Tag: asn1.TagSet, IsCompound: true}
	signed, err := asn1.Marshal(struct {
		Version int
		Digests asn1.RawValue
		Content struct{ Type asn1.ObjectIdentifier }
		Certs   asn1.RawValue
		Signers asn1.RawValue
	}{
		1, set, struct{ Type asn1.ObjectIdentifier }{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}},
		asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: certs}, set,
	})
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: signed}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestCertAsPeopleHaveThem: the API is trusted by its certificate, in whatever a file of certificates looks like on its way.
func TestCertAsPeopleHaveThem(t *testing.T) {
	ours, other := newCert(t, nil, nil), newCert(t, nil, asCA)
	api := newTLSAPI(t, "127.0.0.1:0", 2, &tls.Config{Certificates: []tls.Certificate{ours.tls()}}, nil)
	const mark = "\ufeff"
	labelled := func(label string) string { return strings.ReplaceAll(ours.pem, "CERTIFICATE", label) }
	for name, text := range map[string]string{
		"CRLF":                              strings.ReplaceAll(ours.pem, "\n", "\r\n"),
		"CR":                                strings.ReplaceAll(ours.pem, "\n", "\r"),
		"a byte order mark":                 mark + ours.pem,
		"joined, each with a mark":          mark + other.pem + mark + ours.pem,
		"joined without a line end":         strings.TrimSpace(other.pem) + ours.pem,
		"three, two without a line end":     other.pem + strings.TrimSpace(other.pem) + ours.pem + other.pem,
		"no line end at the end":            strings.TrimSpace(ours.pem),
		"text before":                       "Bag Attributes\n    localKeyID: 01 00\nsubject=CN = localhost\nissuer=CN = localhost\n" + ours.pem,
		"text before on the same line":      "0 s:CN = localhost " + ours.pem,
		"indented":                          "    " + strings.ReplaceAll(ours.pem, "\n", "\n    "),
		"empty lines between":               strings.ReplaceAll(ours.pem, "\n", "\n\n"),
		"one line, blanks":                  strings.ReplaceAll(ours.pem, "\n", " "),
		"one line, nothing":                 strings.ReplaceAll(ours.pem, "\n", ""),
		"one line, backslash n":             strings.ReplaceAll(ours.pem, "\n", `\n`),
		"one line, backslash r n":           strings.ReplaceAll(ours.pem, "\n", `\r\n`),
		"one line, two backslashes":         strings.ReplaceAll(ours.pem, "\n", `\\n`),
		"backslashes at line ends":          strings.ReplaceAll(strings.TrimSpace(ours.pem), "\n", "\\\n"),
		"in quotes":                         `"` + strings.ReplaceAll(strings.TrimSpace(ours.pem), "\n", `\n`) + `"`,
		"X509 CERTIFICATE":                  labelled("X509 CERTIFICATE"),
		"TRUSTED CERTIFICATE":               trusted(t, ours, nil),
		"TRUSTED CERTIFICATE, empty":        trusted(t, ours, struct{}{}),
		"TRUSTED CERTIFICATE for servers":   trusted(t, ours, struct{ Trust []asn1.ObjectIdentifier }{[]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 1}}}),
		"UTF-16":                            utf16Of(ours.pem, true),
		"UTF-16, CRLF":                      utf16Of(strings.ReplaceAll(ours.pem, "\n", "\r\n"), true),
		"DER":                               string(ours.cert.Raw),
		"DER of two":                        string(other.cert.Raw) + string(ours.cert.Raw),
		"PKCS7":                             string(pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: pkcs7(t, other, ours)})),
		"PKCS7, DER":                        string(pkcs7(t, other, ours)),
		"a parameters block beside":         "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + ours.pem,
		"a client's key, joined without LF": strings.TrimSpace(ours.keyPEM(t)) + ours.pem,
	} {
		t.Run(name, func(t *testing.T) {
			wantServed(t, certGateway(t, "https://"+api.addr, "self_signed_cert "+save(t, text)), api, 2, api.addr)
		})
	}
	t.Setenv("TEST_CERT_LINE", strings.ReplaceAll(ours.pem, "\n", `\n`))
	wantServed(t, certGateway(t, "https://"+api.addr, "self_signed_cert {env.TEST_CERT_LINE}"), api, 2, api.addr)
}

// TestCertOfAnotherForm: each -----BEGIN line is a block that is read, or an error that says what it is and what mends it.
func TestCertOfAnotherForm(t *testing.T) {
	ours := newCert(t, nil, nil)
	keyDER, err := x509.MarshalPKCS8PrivateKey(ours.key)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(ours.pem), "\n")
	encoded := strings.Join(lines[1:len(lines)-1], "\n")
	pfx, err := asn1.Marshal(struct {
		Version int
		Safe    []byte
	}{3, make([]byte, 64)})
	if err != nil {
		t.Fatal(err)
	}
	encrypted := "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00112233\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
	notForServers := struct {
		Reject []asn1.ObjectIdentifier `asn1:"tag:0"`
	}{[]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 1}}}
	forMail := struct{ Trust []asn1.ObjectIdentifier }{[]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 4}}}
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"cut":                            {ours.pem + ours.pem[:len(ours.pem)/2], []string{"block 2", "no -----END CERTIFICATE-----", "cut"}},
		"cut, and another behind":        {ours.pem[:len(ours.pem)/2] + "\n" + ours.pem, []string{"block 1", "no -----END CERTIFICATE-----"}},
		"four dashes":                    {strings.Replace(ours.pem, "CERTIFICATE-----", "CERTIFICATE----", 1), []string{"block 1", "-----BEGIN line is damaged"}},
		"no blank behind BEGIN":          {ours.pem + strings.Replace(ours.pem, "BEGIN ", "BEGIN", 1), []string{"2 -----BEGIN lines", "only 1"}},
		"a character lost":               {strings.Replace(ours.pem, lines[2], lines[2][1:], 1), []string{"block 1", "base64"}},
		"a foreign character":            {strings.Replace(ours.pem, lines[2], lines[2]+"=", 1), []string{"block 1", "base64"}},
		"the second is damaged":          {ours.pem + strings.Replace(ours.pem, "MII", "NII", 1), []string{"certificate 2"}},
		"another end":                    {strings.Replace(ours.pem, "END CERTIFICATE", "END X509 CERTIFICATE", 1), []string{"no -----END CERTIFICATE-----"}},
		"a request":                      {strings.ReplaceAll(ours.pem, "CERTIFICATE", "CERTIFICATE REQUEST"), []string{"no certificate", "CERTIFICATE REQUEST"}},
		"a public key":                   {strings.ReplaceAll(ours.pem, "CERTIFICATE", "PUBLIC KEY"), []string{"no certificate", "PUBLIC KEY"}},
		"trusted, not for servers":       {trusted(t, ours, notForServers), []string{"TRUSTED CERTIFICATE", "openssl x509 -in"}},
		"trusted for mail":               {trusted(t, ours, forMail), []string{"TRUSTED CERTIFICATE", "openssl x509 -in"}},
		"PKCS7 that is none":             {string(pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: []byte("none")})), []string{"PKCS#7", "openssl pkcs7 -print_certs"}},
		"PKCS12":                         {string(pfx), []string{"PKCS#12", "openssl pkcs12"}},
		"a key in DER":                   {string(keyDER), []string{"DER", "openssl pkey -inform DER"}},
		"UTF-16 without a mark":          {utf16Of(ours.pem, false), []string{"UTF-16", "iconv"}},
		"base64 twice":                   {base64.StdEncoding.EncodeToString([]byte(ours.pem)), []string{"base64 once more", "base64 -d"}},
		"no lines":                       {encoded, []string{"-----BEGIN and -----END lines are missing", "openssl x509 -inform DER"}},
		"an encrypted key":               {ours.pem + encrypted, []string{"encrypted", "openssl pkey"}},
		"an encrypted key, one line":     {strings.ReplaceAll(ours.pem+encrypted, "\n", `\n`), []string{"encrypted", "openssl pkey"}},
		"an encrypted key, blanks":       {strings.ReplaceAll(ours.pem+encrypted, "\n", " "), []string{"encrypted", "openssl pkey"}},
		"an encrypted key, joined, PKCS": {strings.TrimSpace(ours.pem) + "-----BEGIN ENCRYPTED PRIVATE KEY-----AAAA-----END ENCRYPTED PRIVATE KEY-----", []string{"encrypted", "openssl pkey"}},
		"a key of OpenSSH":               {ours.pem + "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----", []string{"OpenSSH", "ssh-keygen"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := loadError(t, "http://GATEWAY {\nauthenticated_api https://api.example {\nself_signed_cert "+save(t, test.text)+"\n}\n}")
			wantMessage(t, got, append(test.want, "self_signed_cert")...)
			wantNoKey(t, got, ours, test.text)
		})
	}
}

// TestTokenFileAsPeopleHaveThem: what an editor puts around a token is no part of it.
func TestTokenFileAsPeopleHaveThem(t *testing.T) {
	const mark = "\ufeff"
	api := rig.NewAPI(t, nil)
	for name, text := range map[string]string{
		"a mark": mark + "tok", "a mark and CRLF": mark + "tok\r\n", "CRLF": "tok\r\n", "LF": "tok\n", "nothing": "tok",
	} {
		file := save(t, text)
		t.Setenv("TEST_TOKEN", strings.TrimRight(text, "\r\n"))
		for _, option := range []string{
			"auth bearer {file." + file + "}", "auth api_key Authorization {file." + file + "} {\nprefix Bearer\n}",
			"header Authorization \"Bearer {file." + file + "}\"", "auth bearer {env.TEST_TOKEN}",
		} {
			gateway := rig.Start(t, "http://GATEWAY {\nauthenticated_api http://"+api.Addr+" {\n"+option+"\n}\n}")
			rig.Get(t, gateway, "/", "")
			if got := one(t, api); !strings.Contains(got, "Authorization: Bearer tok\r\n") {
				t.Errorf("%s, %s: the API got %q", name, option, got)
			}
		}
	}
	for name, text := range map[string]string{
		"UTF-16": utf16Of("tok\r\n", true), "UTF-16 without a mark": utf16Of("tok", false), "UTF-16BE": "\xfe\xff\x00t\x00o\x00k\x00\r\x00\n",
	} {
		got := loadError(t, "http://GATEWAY {\nauthenticated_api http://api.example {\nauth bearer {file."+save(t, text)+"}\n}\n}")
		if !strings.Contains(got, "auth bearer: token") || !strings.Contains(got, "is UTF-16; save it as UTF-8") {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := loadError(t, "http://GATEWAY {\nauthenticated_api http://api.example {\nauth bearer {file."+save(t, mark+"\r\n")+"}\n}\n}"); !strings.Contains(got, "empty") {
		t.Errorf("a mark alone: %s", got)
	}
}

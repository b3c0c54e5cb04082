// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"github.com/authenticated-api/caddy-authenticated-api/internal/rig"
)

// trusted returns a certificate with OpenSSL's trust settings behind it.
func trusted(t *testing.T, id *rig.Identity, settings any) string {
	t.Helper()
	der := slices.Clone(id.Cert.Raw)
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
func pkcs7(t *testing.T, ids ...*rig.Identity) []byte {
	t.Helper()
	var certs []byte
	for _, id := range ids {
		certs = append(certs, id.Cert.Raw...)
	}
	set := asn1.RawValue{Tag: asn1.TagSet, IsCompound: true}
	signed, err := asn1.Marshal(struct {
		Version int
		Digests asn1.RawValue
		Content struct{ Type asn1.ObjectIdentifier }
		Certs   asn1.RawValue
		Signers asn1.RawValue
	}{
		1, set,
		struct{ Type asn1.ObjectIdentifier }{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}},
		asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: certs},
		set,
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

// TestLoadForms: a certificate is found whatever has happened to its file on the way.
func TestLoadForms(t *testing.T) {
	ours, other := rig.NewIdentity(t, nil, nil), rig.NewIdentity(t, nil, rig.AsCA)
	const mark = "\ufeff"
	labelled := func(label string) string { return strings.ReplaceAll(ours.PEM, "CERTIFICATE", label) }
	for name, text := range map[string]string{
		"CRLF":                              strings.ReplaceAll(ours.PEM, "\n", "\r\n"),
		"CR":                                strings.ReplaceAll(ours.PEM, "\n", "\r"),
		"a byte order mark":                 mark + ours.PEM,
		"joined, each with a mark":          mark + other.PEM + mark + ours.PEM,
		"joined without a line end":         strings.TrimSpace(other.PEM) + ours.PEM,
		"three, two without a line end":     other.PEM + strings.TrimSpace(other.PEM) + ours.PEM + other.PEM,
		"no line end at the end":            strings.TrimSpace(ours.PEM),
		"text before":                       "Bag Attributes\n    localKeyID: 01 00\nsubject=CN = localhost\nissuer=CN = localhost\n" + ours.PEM,
		"text before on the same line":      "0 s:CN = localhost " + ours.PEM,
		"indented":                          "    " + strings.ReplaceAll(ours.PEM, "\n", "\n    "),
		"empty lines between":               strings.ReplaceAll(ours.PEM, "\n", "\n\n"),
		"one line, blanks":                  strings.ReplaceAll(ours.PEM, "\n", " "),
		"one line, nothing":                 strings.ReplaceAll(ours.PEM, "\n", ""),
		"one line, backslash n":             strings.ReplaceAll(ours.PEM, "\n", `\n`),
		"one line, backslash r n":           strings.ReplaceAll(ours.PEM, "\n", `\r\n`),
		"one line, two backslashes":         strings.ReplaceAll(ours.PEM, "\n", `\\n`),
		"backslashes at line ends":          strings.ReplaceAll(strings.TrimSpace(ours.PEM), "\n", "\\\n"),
		"in quotes":                         `"` + strings.ReplaceAll(strings.TrimSpace(ours.PEM), "\n", `\n`) + `"`,
		"X509 CERTIFICATE":                  labelled("X509 CERTIFICATE"),
		"TRUSTED CERTIFICATE":               trusted(t, ours, nil),
		"TRUSTED CERTIFICATE, empty":        trusted(t, ours, struct{}{}),
		"TRUSTED CERTIFICATE for servers":   trusted(t, ours, struct{ Trust []asn1.ObjectIdentifier }{[]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 1}}}),
		"UTF-16":                            rig.UTF16(ours.PEM, true),
		"UTF-16, CRLF":                      rig.UTF16(strings.ReplaceAll(ours.PEM, "\n", "\r\n"), true),
		"DER":                               string(ours.Cert.Raw),
		"DER of two":                        string(other.Cert.Raw) + string(ours.Cert.Raw),
		"PKCS7":                             string(pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: pkcs7(t, other, ours)})),
		"PKCS7, DER":                        string(pkcs7(t, other, ours)),
		"a parameters block beside":         "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + ours.PEM,
		"a client's key, joined without LF": strings.TrimSpace(ours.KeyPEM(t)) + ours.PEM,
	} {
		t.Run(name, func(t *testing.T) {
			wantTrusted(t, load(t, rig.Save(t, text)), ours)
		})
	}
	t.Setenv("TEST_CERT_LINE", strings.ReplaceAll(ours.PEM, "\n", `\n`))
	wantTrusted(t, load(t, "{env.TEST_CERT_LINE}"), ours)
}

// TestLoadOtherForms: each -----BEGIN line is a block that is read, or an error that says what
// the block is and what to do.
func TestLoadOtherForms(t *testing.T) {
	ours := rig.NewIdentity(t, nil, nil)
	keyDER, err := x509.MarshalPKCS8PrivateKey(ours.Key)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(ours.PEM), "\n")
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
		"cut":                            {ours.PEM + ours.PEM[:len(ours.PEM)/2], []string{"block 2", "no -----END CERTIFICATE-----", "cut"}},
		"cut, and another behind":        {ours.PEM[:len(ours.PEM)/2] + "\n" + ours.PEM, []string{"block 1", "no -----END CERTIFICATE-----"}},
		"four dashes":                    {strings.Replace(ours.PEM, "CERTIFICATE-----", "CERTIFICATE----", 1), []string{"block 1", "-----BEGIN line is damaged"}},
		"no blank behind BEGIN":          {ours.PEM + strings.Replace(ours.PEM, "BEGIN ", "BEGIN", 1), []string{"2 -----BEGIN lines", "only 1"}},
		"a character lost":               {strings.Replace(ours.PEM, lines[2], lines[2][1:], 1), []string{"block 1", "base64"}},
		"a foreign character":            {strings.Replace(ours.PEM, lines[2], lines[2]+"=", 1), []string{"block 1", "base64"}},
		"the second is damaged":          {ours.PEM + strings.Replace(ours.PEM, "MII", "NII", 1), []string{"certificate 2"}},
		"another end":                    {strings.Replace(ours.PEM, "END CERTIFICATE", "END X509 CERTIFICATE", 1), []string{"no -----END CERTIFICATE-----"}},
		"a request":                      {strings.ReplaceAll(ours.PEM, "CERTIFICATE", "CERTIFICATE REQUEST"), []string{"no certificate", "CERTIFICATE REQUEST"}},
		"a public key":                   {strings.ReplaceAll(ours.PEM, "CERTIFICATE", "PUBLIC KEY"), []string{"no certificate", "PUBLIC KEY"}},
		"trusted, not for servers":       {trusted(t, ours, notForServers), []string{"TRUSTED CERTIFICATE", "openssl x509 -in"}},
		"trusted for mail":               {trusted(t, ours, forMail), []string{"TRUSTED CERTIFICATE", "openssl x509 -in"}},
		"PKCS7 that is none":             {string(pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: []byte("none")})), []string{"PKCS#7", "openssl pkcs7 -print_certs"}},
		"PKCS12":                         {string(pfx), []string{"PKCS#12", "openssl pkcs12"}},
		"a key in DER":                   {string(keyDER), []string{"DER", "openssl pkey -inform DER"}},
		"UTF-16 without a mark":          {rig.UTF16(ours.PEM, false), []string{"UTF-16", "iconv"}},
		"base64 twice":                   {base64.StdEncoding.EncodeToString([]byte(ours.PEM)), []string{"base64 once more", "base64 -d"}},
		"no lines":                       {encoded, []string{"-----BEGIN and -----END lines are missing", "openssl x509 -inform DER"}},
		"an encrypted key":               {ours.PEM + encrypted, []string{"encrypted", "openssl pkey"}},
		"an encrypted key, one line":     {strings.ReplaceAll(ours.PEM+encrypted, "\n", `\n`), []string{"encrypted", "openssl pkey"}},
		"an encrypted key, blanks":       {strings.ReplaceAll(ours.PEM+encrypted, "\n", " "), []string{"encrypted", "openssl pkey"}},
		"an encrypted key, joined, PKCS": {strings.TrimSpace(ours.PEM) + "-----BEGIN ENCRYPTED PRIVATE KEY-----AAAA-----END ENCRYPTED PRIVATE KEY-----", []string{"encrypted", "openssl pkey"}},
		"a key of OpenSSH":               {ours.PEM + "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----", []string{"OpenSSH", "ssh-keygen"}},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, test.text, ours, test.want...)
		})
	}
}

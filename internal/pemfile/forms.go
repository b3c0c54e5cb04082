// SPDX-License-Identifier: Apache-2.0

package pemfile

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"strings"
	"unicode/utf16"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// fromUTF16 turns a text in UTF-16 with its mark, as Windows writes it, into UTF-8. It returns
// any other text as it is.
func fromUTF16(text string) string {
	var order binary.ByteOrder
	switch {
	case strings.HasPrefix(text, "\xff\xfe"):
		order = binary.LittleEndian
	case strings.HasPrefix(text, "\xfe\xff"):
		order = binary.BigEndian
	default:
		return text
	}
	units := make([]uint16, 0, len(text)/2)
	for content := []byte(text); len(content) >= 2; content = content[2:] {
		units = append(units, order.Uint16(content))
	}
	return string(utf16.Decode(units))
}

// signedData is the content type of RFC 5652 §5.1. A PKCS#7 file begins with it.
var signedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}

// otherForm reads a file without a -----BEGIN line. It returns the certificates of a binary file.
// If the file has another known form, the error says what to do.
func otherForm(text string) ([]*pem.Block, error) {
	der := []byte(text)
	if certs, err := x509.ParseCertificates(der); err == nil && len(certs) > 0 {
		blocks := make([]*pem.Block, 0, len(certs))
		for _, cert := range certs {
			blocks = append(blocks, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
		}
		return blocks, nil
	}
	var content struct{ Type asn1.ObjectIdentifier }
	if _, err := asn1.Unmarshal(der, &content); err == nil && content.Type.Equal(signedData) {
		return []*pem.Block{{Type: "PKCS7", Bytes: der}}, nil
	}
	bare, err := base64.StdEncoding.DecodeString(strings.Map(withoutBlanks, strings.TrimPrefix(text, mark)))
	switch {
	case isDERKey(der):
		return nil, errors.New("it is a private key in binary form (DER); `openssl pkey -inform DER -in key.der -out key.pem` makes a PEM of it")
	case isDER(der):
		return nil, errors.New("it is a binary file, and no certificate; if it is PKCS#12 (.p12, .pfx), " +
			"`openssl pkcs12 -in file.p12 -noenc -out file.pem` makes a PEM of it")
	case value.IsUTF16(text):
		return nil, errors.New("it is UTF-16; save it as UTF-8 (`iconv -f UTF-16LE -t UTF-8 file.pem > utf8.pem`)")
	case err == nil && strings.Contains(string(bare), "-----BEGIN"):
		return nil, errors.New("it is a PEM that is encoded in base64 once more; `base64 -d file > file.pem` decodes it")
	case err == nil && isDER(bare):
		return nil, errors.New("its -----BEGIN and -----END lines are missing; for a certificate, " +
			"`base64 -d file | openssl x509 -inform DER -out cert.pem` makes them")
	}
	return nil, nil
}

// isDER reports whether a file begins with an ASN.1 SEQUENCE, as keys, certificates and PKCS#12
// do.
func isDER(content []byte) bool {
	var sequence asn1.RawValue
	_, err := asn1.Unmarshal(content, &sequence)
	return err == nil && sequence.Tag == asn1.TagSequence && sequence.IsCompound && len(sequence.Bytes) > 32
}

// isDERKey reports whether a file is a private key.
// isDERKey reports whether a file is a private key.
func isDERKey(content []byte) bool {
	_, err := ParseKey(content)
	return err == nil
}

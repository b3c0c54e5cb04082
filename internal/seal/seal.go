// SPDX-License-Identifier: Apache-2.0

// Package seal encrypts what is kept outside of the process: values in a configuration.
//
// It is AES-256-GCM from the standard library with a random nonce, and a key of its own for each sealed text, made by
// HKDF-SHA-256 from a key of the ring and a random salt: so there is no number of texts after which a nonce could
// repeat. Which key of the ring it was stands in front, in clear. What a text belongs to is authenticated with it, so
// that a text cannot be moved to where another one belongs.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	keySize  = 32
	idSize   = 8
	saltSize = 32
	overhead = idSize + saltSize + 12 + 16 // and GCM's nonce and tag

	// prefix is how a sealed value in a configuration begins.
	prefix = "sealed:v1:"

	// valueContext is what a sealed value is authenticated with: it may stand anywhere in any configuration.
	valueContext = "value"
)

// Key is a key of 32 random bytes.
type Key struct {
	id     [idSize]byte
	secret [keySize]byte
}

// NewKey returns a new random key in the form that ParseKey reads.
func NewKey() string {
	var secret [keySize]byte
	_, _ = rand.Read(secret[:]) // it never fails (crypto/rand)
	return base64.StdEncoding.EncodeToString(secret[:])
}

// ParseKey reads a key: 32 bytes in base64, standard or URL-safe, with or without padding. Errors do not show the text.
func ParseKey(text string) (*Key, error) {
	text = strings.TrimRight(strings.TrimSpace(strings.TrimPrefix(text, "\ufeff")), "=") // editors on Windows begin files with a mark
	secret, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		secret, err = base64.RawURLEncoding.DecodeString(text)
	}
	if err != nil {
		return nil, errors.New("a key is 32 random bytes in base64, and this is no base64; `caddy authenticated-api keygen` makes one")
	}
	if len(secret) != keySize {
		return nil, fmt.Errorf("a key is %d random bytes in base64, and this is %d; `caddy authenticated-api keygen` makes one",
			keySize, len(secret))
	}
	k := &Key{secret: [keySize]byte(secret)}
	id, err := hkdf.Key(sha256.New, k.secret[:], nil, "caddy-authenticated-api key id", idSize)
	if err != nil {
		return nil, fmt.Errorf("deriving the key's id: %w", err)
	}
	k.id = [idSize]byte(id)
	return k, nil
}

// ID names the key; it says nothing about it.
func (k *Key) ID() string { return hex.EncodeToString(k.id[:]) }

// String keeps the key out of whatever formats it.
func (k *Key) String() string { return "key " + k.ID() }

// GoString is String for %#v.
func (k *Key) GoString() string { return k.String() }

// cipher returns the cipher for one text.
func (k *Key) cipher(salt []byte) (cipher.AEAD, error) {
	secret, err := hkdf.Key(sha256.New, k.secret[:], salt, "caddy-authenticated-api text", keySize)
	if err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fmt.Errorf("making a cipher: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Ring holds the keys: the first one seals, all of them open.
type Ring struct {
	keys []*Key
}

// NewRing returns a ring of one key or more.
func NewRing(first *Key, others ...*Key) *Ring {
	return &Ring{append([]*Key{first}, others...)}
}

// With returns a ring that also opens with another key.
func (r *Ring) With(key *Key) *Ring {
	for _, k := range r.keys {
		if *k == *key {
			return r
		}
	}
	return &Ring{append(slices.Clone(r.keys), key)}
}

// UnknownKeyError says that a text was sealed with a key that is not in the ring.
type UnknownKeyError struct {
	ID string // of the key that is missing
}

// Error implements error.
func (e *UnknownKeyError) Error() string {
	return fmt.Sprintf("it was sealed with key %s, which is not among the configured ones", e.ID)
}

// ErrDamaged says that a sealed text was changed, cut, or belongs elsewhere.
var ErrDamaged = errors.New("it is damaged, or was sealed for another place")

// Seal encrypts a text. context says what the text belongs to; opening it takes the same.
func (r *Ring) Seal(plain []byte, context string) ([]byte, error) {
	key := r.keys[0]
	sealed := make([]byte, idSize+saltSize, len(plain)+overhead)
	copy(sealed, key.id[:])
	_, _ = rand.Read(sealed[idSize:]) // it never fails (crypto/rand)
	aead, err := key.cipher(sealed[idSize:])
	if err != nil {
		return nil, err
	}
	return aead.Seal(sealed, nil, plain, []byte(context)), nil //nolint:gosec // G407: nil, since the cipher makes a random nonce itself
}

// Open decrypts a text. It fails with an UnknownKeyError, or with ErrDamaged.
func (r *Ring) Open(sealed []byte, context string) ([]byte, error) {
	if len(sealed) < overhead {
		return nil, ErrDamaged
	}
	id, salt, text := sealed[:idSize], sealed[idSize:idSize+saltSize], sealed[idSize+saltSize:]
	for _, key := range r.keys {
		if !bytes.Equal(key.id[:], id) {
			continue
		}
		aead, err := key.cipher(salt)
		if err != nil {
			return nil, err
		}
		plain, err := aead.Open(nil, nil, text, []byte(context))
		if err != nil {
			return nil, ErrDamaged
		}
		return plain, nil
	}
	return nil, &UnknownKeyError{hex.EncodeToString(id)}
}

// SealValue returns a value for a configuration that OpenValue turns back into plain.
func (r *Ring) SealValue(plain []byte) (string, error) {
	sealed, err := r.Seal(plain, valueContext)
	if err != nil {
		return "", err
	}
	return prefix + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// OpenValue opens a value that SealValue has made.
func (r *Ring) OpenValue(text string) (string, error) {
	encoded, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return "", ErrDamaged
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return "", ErrDamaged
	}
	plain, err := r.Open(sealed, valueContext)
	return string(plain), err
}

// Names returns a name for something under each key, the first key's first: an HMAC, by which nobody without the key can
// tell what it is the name of.
func (r *Ring) Names(of string) []string {
	names := make([]string, len(r.keys))
	for i, key := range r.keys {
		secret, err := hkdf.Key(sha256.New, key.secret[:], nil, "caddy-authenticated-api name", keySize)
		if err != nil {
			panic(err) // only for a length that is impossible (RFC 5869 §2.3)
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(of))
		names[i] = hex.EncodeToString(mac.Sum(nil))
	}
	return names
}

// Knows returns the id of the key that a text was sealed with, and whether that key is in the ring.
func (r *Ring) Knows(sealed []byte) (id string, known bool) {
	if len(sealed) < idSize {
		return "", false
	}
	for _, key := range r.keys {
		if bytes.Equal(key.id[:], sealed[:idSize]) {
			return key.ID(), true
		}
	}
	return hex.EncodeToString(sealed[:idSize]), false
}

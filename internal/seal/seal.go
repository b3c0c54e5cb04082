// SPDX-License-Identifier: Apache-2.0

// Package seal encrypts what leaves the process: the records of connections in a storage, the
// cookies and tickets of the console, and secret values in a configuration.
//
// It uses AES-256-GCM from the standard library with a random nonce. Each sealed text has a key
// of its own, which HKDF-SHA-256 makes from a key of the ring and a random salt: so there is no
// number of texts after which a nonce could repeat. The id of the ring's key stands in front, in
// clear. What a text belongs to (its context) is authenticated with it, so a text cannot be moved
// to another place.
//
// The package knows neither Caddy nor what it seals.
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

// Prefix is how a sealed value in a configuration begins.
const Prefix = "sealed:v1:"

const (
	keySize  = 32
	idSize   = 8
	saltSize = 32
	overhead = idSize + saltSize + 12 + 16 // and GCM's nonce and tag

	// valueContext is the context of each sealed value: a value may stand anywhere in any
	// configuration.
	valueContext = "value"
)

// Key is a key of 32 random bytes.
type Key struct {
	id     [idSize]byte
	secret [keySize]byte
	naming [keySize]byte // of Ring.Names, derived once: a record is named each time that it is read
}

// NewKey returns a new random key in the form that ParseKey reads.
func NewKey() string {
	var secret [keySize]byte
	_, _ = rand.Read(secret[:]) // it never fails (crypto/rand)
	return base64.StdEncoding.EncodeToString(secret[:])
}

// ParseKey reads a key: 32 bytes in base64, standard or URL-safe, with or without padding. Errors
// do not show the text.
func ParseKey(text string) (*Key, error) {
	// Editors on Windows begin files with a byte order mark.
	text = strings.TrimRight(strings.TrimSpace(strings.TrimPrefix(text, "\ufeff")), "=")
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
	naming, err := hkdf.Key(sha256.New, k.secret[:], nil, "caddy-authenticated-api name", keySize)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of names: %w", err)
	}
	k.naming = [keySize]byte(naming)
	return k, nil
}

// ID is a name of the key that tells nothing about it.
func (k *Key) ID() string { return hex.EncodeToString(k.id[:]) }

// String keeps the key out of logs and errors.
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

// With returns a ring that also opens what another key has sealed.
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

// Seal encrypts a text. context says what the text belongs to; Open needs the same context.
func (r *Ring) Seal(plain []byte, context string) ([]byte, error) {
	key := r.keys[0]
	sealed := make([]byte, idSize+saltSize, len(plain)+overhead)
	copy(sealed, key.id[:])
	_, _ = rand.Read(sealed[idSize:]) // it never fails (crypto/rand)
	aead, err := key.cipher(sealed[idSize:])
	if err != nil {
		return nil, err
	}
	//nolint:gosec // G407: the nonce is nil, since the cipher makes a random one
	return aead.Seal(sealed, nil, plain, []byte(context)), nil
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
	return Prefix + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// OpenValue opens a value that SealValue has made.
func (r *Ring) OpenValue(text string) (string, error) {
	encoded, ok := strings.CutPrefix(text, Prefix)
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

// Names returns a name for something under each key, in the order of the keys. A name is an HMAC:
// without the key nobody can tell what it stands for.
func (r *Ring) Names(of string) []string {
	names := make([]string, len(r.keys))
	for i, key := range r.keys {
		mac := hmac.New(sha256.New, key.naming[:])
		mac.Write([]byte(of))
		names[i] = hex.EncodeToString(mac.Sum(nil))
	}
	return names
}

// Knows returns the id of the key that a text was sealed with, and whether that key is in the
// ring.
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

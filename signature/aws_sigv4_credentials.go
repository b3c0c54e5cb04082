// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
)

// awsKey is what requests are signed with.
type awsKey struct {
	credentials awsCredentials

	// signer has the signing keys that are derived from the secret. It finds them by the id of the
	// access key, so a secret that changes under an id needs another signer.
	signer *v4.Signer
}

type awsCredentials struct {
	accessKeyID, secretAccessKey, sessionToken string
}

func (c awsCredentials) sdk() aws.Credentials {
	return aws.Credentials{AccessKeyID: c.accessKeyID, SecretAccessKey: c.secretAccessKey, SessionToken: c.sessionToken}
}

// awsTexts are the values of the options, after sealed ones were opened.
type awsTexts struct {
	accessKeyID, secretAccessKey, sessionToken, credentialsFile, profile string
}

// files returns the names of the files that the credentials come from: what is in them may change
// without a reload.
func (t *awsTexts) files() ([]string, error) {
	if t.accessKeyID != "" {
		return value.Files(t.accessKeyID, t.secretAccessKey, t.sessionToken), nil
	}
	if t.fromEnvironment() {
		return nil, nil
	}
	path, err := t.path()
	return append(value.Files(t.credentialsFile, t.profile), path), err
}

// fromEnvironment reports whether the credentials are those of the environment.
func (t *awsTexts) fromEnvironment() bool {
	return t.accessKeyID == "" && t.credentialsFile == "" && t.profile == "" && os.Getenv("AWS_ACCESS_KEY_ID") != ""
}

// load reads the credentials, as of now.
func (t *awsTexts) load() (*awsKey, error) {
	read := t.fromFile
	switch {
	case t.accessKeyID != "":
		read = t.fromOptions
	case t.fromEnvironment():
		read = fromEnvironment
	}
	c, err := read()
	if err != nil {
		return nil, err
	}
	return &awsKey{c, v4.NewSigner()}, nil
}

func (t *awsTexts) fromOptions() (c awsCredentials, err error) {
	for _, option := range []struct {
		name, text string
		to         *string
	}{
		{"access_key_id", t.accessKeyID, &c.accessKeyID},
		{"secret_access_key", t.secretAccessKey, &c.secretAccessKey},
		{"session_token", t.sessionToken, &c.sessionToken},
	} {
		if option.text == "" {
			continue
		}
		name := "signature: " + option.name
		if *option.to, err = value.ResolveLine(name, option.text); err != nil {
			return c, err
		}
		if err = value.CheckSecret(name, *option.to); err != nil {
			return c, err
		}
	}
	return c, c.check("signature: access_key_id")
}

func fromEnvironment() (awsCredentials, error) {
	c := awsCredentials{os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")}
	if c.secretAccessKey == "" {
		return c, errors.New("signature: AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not; set it for the Caddy process, " +
			"or write access_key_id and secret_access_key")
	}
	return c, c.check("signature: AWS_ACCESS_KEY_ID")
}

// check reports what is wrong with the parts. An id stands in the header field that is signed.
func (c awsCredentials) check(option string) error {
	if strings.ContainsAny(c.accessKeyID, "/, =") {
		return fmt.Errorf("%s: %s is no id of an access key; it has letters and digits, and begins with AKIA or ASIA at AWS",
			option, value.Shape(c.accessKeyID))
	}
	for _, text := range []string{c.accessKeyID, c.secretAccessKey, c.sessionToken} {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("%s: it, or what goes with it, has a control character (a line break, perhaps)", option)
		}
	}
	return nil
}

// fromFile reads the file of AWS's own programs, or the one that is given in its place.
func (t *awsTexts) fromFile() (awsCredentials, error) {
	const option = "signature: credentials_file"
	path, err := t.path()
	if err != nil {
		return awsCredentials{}, err
	}
	profile := cmp.Or(os.Getenv("AWS_PROFILE"), "default")
	if t.profile != "" {
		if profile, err = value.ResolveLine("signature: profile", t.profile); err != nil {
			return awsCredentials{}, err
		}
	}
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && t.credentialsFile == "":
		return awsCredentials{}, errors.New("signature: there are no credentials; write access_key_id and secret_access_key, " +
			"set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for the Caddy process, or name a credentials_file")
	case err != nil:
		if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathErr.Err
		}
		return awsCredentials{}, fmt.Errorf("%s: the file cannot be read: %w", option, err)
	case value.IsUTF16(string(content)):
		return awsCredentials{}, fmt.Errorf("%s: the file is UTF-16; save it as UTF-8", option)
	}
	c, err := parseProfile(string(content), profile)
	if err != nil {
		return c, fmt.Errorf("%s: profile %s: %w", option, value.Mention(profile, "default"), err)
	}
	return c, c.check(option)
}

// path returns the path of the file with the credentials.
func (t *awsTexts) path() (string, error) {
	if t.credentialsFile != "" {
		return value.ResolveLine("signature: credentials_file", t.credentialsFile)
	}
	if path := os.Getenv("AWS_SHARED_CREDENTIALS_FILE"); path != "" {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("signature: there are no credentials, and Caddy's user has no home folder with .aws/credentials; " +
			"write access_key_id and secret_access_key")
	}
	return filepath.Join(home, ".aws", "credentials"), nil
}

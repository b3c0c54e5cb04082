// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"errors"
	"fmt"
	"strings"

	"github.com/authenticated-api/caddy-authenticated-api/internal/option"
	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile sets up the signer from Caddyfile tokens. Syntax:
//
//	signature aws_sigv4 {
//	    region            <region>
//	    service           <service>
//	    access_key_id     <id>
//	    secret_access_key <secret>
//	    session_token     <token>
//	    credentials_file  <path>
//	    profile           <name>
//	}
func (a *AWSSigV4) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the signer's name
	if d.NextArg() {
		return d.Errf("signature: aws_sigv4 takes its options in a block")
	}
	fields := map[string]*string{
		"region": &a.Region, "service": &a.Service, "access_key_id": &a.AccessKeyID, "secret_access_key": &a.SecretAccessKey,
		"session_token": &a.SessionToken, "credentials_file": &a.CredentialsFile, "profile": &a.Profile,
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		field, name := fields[d.Val()], d.Val()
		if field == nil {
			return d.Errf("signature: %s", option.Unrecognized(name, "region", "service", "access_key_id", "secret_access_key",
				"session_token", "credentials_file", "profile"))
		}
		if *field != "" {
			return d.Errf("signature: %s: given twice", name)
		}
		if !d.AllArgs(field) || *field == "" {
			return d.Errf("signature: %s: takes one value", name)
		}
	}
	if err := a.Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

var errNoRegion = errors.New("signature: region is missing, and neither AWS_REGION nor AWS_DEFAULT_REGION is set; " +
	"write region us-east-1 (S3-compatible storage says which one it takes)")

// Validate implements caddy.Validator: it checks what can be checked without resolving
// placeholders.
func (a *AWSSigV4) Validate() error {
	written := a.AccessKeyID != "" || a.SecretAccessKey != "" || a.SessionToken != ""
	switch {
	case a.Service == "":
		return errors.New("signature: service is missing; write the name that the service has in signatures, such as " +
			"service s3, execute-api, bedrock or lambda")
	case written && (a.AccessKeyID == "" || a.SecretAccessKey == ""):
		return errors.New("signature: access_key_id and secret_access_key go together; write both, or neither " +
			"(then the environment or a credentials_file has them)")
	case written && a.CredentialsFile != "":
		return errors.New("signature: both access_key_id and credentials_file are given; remove one")
	case written && a.Profile != "":
		return errors.New("signature: profile is for a credentials_file, and access_key_id is given; remove one")
	}
	for name, text := range map[string]string{"access_key_id": a.AccessKeyID, "secret_access_key": a.SecretAccessKey, "session_token": a.SessionToken} {
		if text == "" {
			continue
		}
		if err := value.CheckWritten("signature: "+name, text); err != nil {
			return err
		}
	}
	return nil
}

// resolveScope resolves a part of the credential's scope.
func resolveScope(option, text string) (string, error) {
	val, err := value.ResolveLine(option, text)
	if err != nil {
		return "", err
	}
	if strings.ContainsAny(val, "/ ,=\t") || strings.ToLower(val) != val {
		return "", fmt.Errorf("%s: %s is no such name; they are in lower case, without a slash: us-east-1, s3", option, value.Shape(val))
	}
	return val, nil
}

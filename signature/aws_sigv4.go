// SPDX-License-Identifier: Apache-2.0

package signature

import (
	"cmp"
	"os"
	"slices"
	"sync/atomic"

	"go.uber.org/zap/zapcore"

	"github.com/authenticated-api/caddy-authenticated-api/internal/value"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() { caddy.RegisterModule(new(AWSSigV4)) }

// AWSSigV4 signs requests with AWS Signature Version 4, for the services of AWS and for what
// speaks as they do, such as S3-compatible storage.
//
// The signature covers the body: as much of it as `replay` keeps is waited for before the request
// is sent. Of larger bodies `s3` over TLS gets an unsigned payload; all other services cannot get
// them.
//
// Credentials are those written here, else those of `credentials_file` or `profile`, else those of
// the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`), else those
// of the file that AWS's own programs read.
type AWSSigV4 struct {
	// The region of the service, such as `us-east-1`. Global placeholders are resolved when the
	// configuration loads. Default: `AWS_REGION` or `AWS_DEFAULT_REGION` in the environment.
	Region string `json:"region,omitempty"`

	// The service's name in signatures, such as `s3`, `execute-api` or `bedrock`. Global
	// placeholders are resolved when the configuration loads.
	Service string `json:"service,omitempty"`

	// The id of the access key. Global placeholders are resolved when the configuration loads;
	// files are read again when they change.
	AccessKeyID string `json:"access_key_id,omitempty"`

	// The secret of the access key. Global placeholders are resolved when the configuration loads;
	// files are read again when they change.
	SecretAccessKey string `json:"secret_access_key,omitempty"`

	// The session token that goes with temporary credentials. Global placeholders are resolved
	// when the configuration loads; files are read again when they change. Default: none.
	SessionToken string `json:"session_token,omitempty"`

	// A file with credentials in the format of `~/.aws/credentials`. It is read again when it
	// changes. Global placeholders are resolved when the configuration loads. Default: none; with
	// `profile`, the file that AWS's own programs read.
	CredentialsFile string `json:"credentials_file,omitempty"`

	// The profile in that file. Global placeholders are resolved when the configuration loads.
	// Default: `AWS_PROFILE` in the environment, else `default`.
	Profile string `json:"profile,omitempty"`

	region, service string
	plain           *awsTexts
	files           []string
	current         atomic.Pointer[awsKey]
}

// CaddyModule returns the Caddy module information.
func (*AWSSigV4) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.authenticated_api.signers.aws_sigv4",
		New: func() caddy.Module { return new(AWSSigV4) },
	}
}

// Literals returns the options whose secret is written in the configuration itself.
func (a *AWSSigV4) Literals() (options []string) {
	if value.IsLiteral(a.SecretAccessKey) {
		options = append(options, "signature: secret_access_key")
	}
	if value.IsLiteral(a.SessionToken) {
		options = append(options, "signature: session_token")
	}
	return options
}

// Provision implements caddy.Provisioner.
func (a *AWSSigV4) Provision(ctx caddy.Context) error {
	if err := a.Validate(); err != nil {
		return err
	}
	t := &awsTexts{a.AccessKeyID, a.SecretAccessKey, a.SessionToken, a.CredentialsFile, a.Profile}
	if err := value.UnsealAll(ctx, "signature", &t.accessKeyID, &t.secretAccessKey, &t.sessionToken); err != nil {
		return err
	}
	region := cmp.Or(a.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	if region == "" {
		return errNoRegion
	}
	var err error
	if a.region, err = resolveScope("signature: region", region); err != nil {
		return err
	}
	if a.service, err = resolveScope("signature: service", a.Service); err != nil {
		return err
	}
	key, err := t.load()
	if err != nil {
		return err
	}
	if a.files, err = t.files(); err != nil {
		return err
	}
	a.plain = t
	a.current.Store(key)
	return nil
}

// Renewable implements Renewer.
func (a *AWSSigV4) Renewable() bool { return len(a.files) > 0 }

// Files implements Renewer.
func (a *AWSSigV4) Files() []string { return a.files }

// Renew implements Renewer.
func (a *AWSSigV4) Renew() (changed bool, err error) {
	if !a.Renewable() {
		return false, nil
	}
	key, err := a.plain.load()
	if err != nil {
		return false, err
	}
	if key.credentials == a.current.Load().credentials {
		return false, nil
	}
	a.current.Store(key)
	return true, nil
}

// Fields implements RequestSigner.
func (a *AWSSigV4) Fields() []string {
	return []string{"Authorization", "X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-Security-Token"}
}

// Params implements RequestSigner. They are those of a signature in the query, which would be a
// second one to the API.
func (a *AWSSigV4) Params() []string {
	return []string{
		"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders",
		"X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Content-Sha256",
	}
}

// MarshalLogObject implements zapcore.ObjectMarshaler. It keeps the secrets out of logs.
func (a *AWSSigV4) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("signer", "aws_sigv4")
	enc.AddString("region", a.region)
	enc.AddString("service", a.service)
	return nil
}

// isS3 reports whether the service is S3, whose paths are escaped once and whose payload may be
// unsigned.
func (a *AWSSigV4) isS3() bool {
	return slices.Contains([]string{"s3", "s3-outposts", "s3-object-lambda"}, a.service)
}

// Interface guards
var (
	_ RequestSigner           = (*AWSSigV4)(nil)
	_ Renewer                 = (*AWSSigV4)(nil)
	_ caddy.Provisioner       = (*AWSSigV4)(nil)
	_ caddy.Validator         = (*AWSSigV4)(nil)
	_ caddyfile.Unmarshaler   = (*AWSSigV4)(nil)
	_ zapcore.ObjectMarshaler = (*AWSSigV4)(nil)
)

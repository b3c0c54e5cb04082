// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"go.uber.org/zap"

	"github.com/authenticated-api/caddy-authenticated-api/oauth/provider"
	"github.com/authenticated-api/caddy-authenticated-api/oauth/record"
)

// A seed is a refresh token that the operator has written: some providers hand one out in their
// web pages. It is redeemed when nothing is stored, and again when the operator writes another
// one. The record remembers which seed was the last, so what has come of it since counts more, and
// an account that was disconnected stays so.

// digestOf names a seed without showing it.
func digestOf(seed string) string {
	sum := sha256.Sum256([]byte("seed\x00" + seed))
	return hex.EncodeToString(sum[:])
}

// seed returns the operator's refresh token for a connection, and its digest, if the record has
// not had it yet. All are "" for none.
func (g *person) seed(base *record.Token) (seed, digest string, err error) {
	if g.set.Seed == nil || g.records().store.Connection != "" {
		return "", "", nil
	}
	if seed, err = g.set.Seed(); err != nil {
		return "", "", &provider.Error{Err: err}
	}
	digest = digestOf(seed)
	if seed == "" || base != nil && base.Seed == digest && !base.OtherClient {
		return "", "", nil
	}
	return seed, digest, nil
}

// sowable reports whether nothing is stored, so that the operator's refresh token is used.
func (g *person) sowable(token *record.Token) bool {
	return g.set.Seed != nil && g.records().store.Connection == "" && token != nil && (token.Generation == 0 || token.OtherClient)
}

// plant redeems the operator's refresh token in place of what the record has. It reports whether
// there is a token now that has come of it. While a connection is alive no failure harms it.
func (g *person) plant(ctx context.Context, base *record.Token) (planted bool, err error) {
	seed, digest, err := g.seed(base)
	if refused := g.set.refusedSeed.Load(); seed == "" && err == nil || base.Alive() && refused != nil && *refused == digest {
		return false, nil
	}
	if err == nil {
		planted, err = g.redeemSeed(ctx, seed, digest)
	}
	if err != nil && base.Alive() {
		g.set.Logger.Warn("the refresh_token of the configuration could not be redeemed; the connection goes on with what is stored", zap.Error(err))
		return false, nil
	}
	return planted, err
}

// redeemSeed redeems a seed once in a cluster, as far as the storage's lock holds: the first node
// stores what has come of it, and the others find that.
func (g *person) redeemSeed(ctx context.Context, seed, digest string) (planted bool, err error) {
	var origin *record.Origin
	if g.set.SeedOrigin != nil { // before the lock, since that may take a while
		if origin, err = g.set.SeedOrigin(ctx, digest); err != nil {
			return false, err
		}
	}
	unlock := g.claims().lock(ctx, 0)
	defer unlock()
	base, _, err := g.records().read(ctx)
	if err != nil {
		return false, err
	}
	if base.Seed == digest && !base.OtherClient {
		return base.Valid(time.Now()), nil // another node was faster
	}
	ctx = context.WithoutCancel(ctx) // the next refresh token is in the answer
	known := func() []string { return append(g.conn.secrets(), seed) }
	answer, err := g.set.Redeem(ctx, known, &record.Token{Refresh: seed, Origin: origin})
	if err != nil {
		if judge(err).refusal() {
			g.set.refusedSeed.Store(&digest)
		}
		return false, err
	}
	token := record.New(IssuedBy(answer), g.records().store.Term, &record.Token{Refresh: seed})
	token.Identity, token.Connected, token.Seed = g.records().store.Identity, token.Obtained, digest
	token.Origin = OriginOf(answer, origin, g.set.Logger)
	if !token.Valid(time.Now()) {
		return false, &provider.Error{Err: errEnded}
	}
	if err := g.claims().install(ctx, token); err != nil {
		return false, err
	}
	g.set.happened(EventConnected, "", "")
	g.set.Logger.Info("the refresh_token of the configuration was redeemed, and connects the account")
	return true, nil
}

// OriginOf returns the origin of a token that a refresh token from elsewhere has brought. A
// provider may issue a token that is not bound to the key of the request. Then the grant goes on
// without the key: the refresh token that was spent is the only one that there was.
func OriginOf(answer *provider.Answer, origin *record.Origin, logger *zap.Logger) *record.Origin {
	if origin == nil || origin.Key == nil || answer.Type == "dpop" {
		return origin
	}
	logger.Warn("the provider has not bound the token of a refresh token from elsewhere to a key (RFC 9449); it is sent without a proof")
	return origin.With(func(o *record.Origin) { o.Key = nil })
}

// sow redeems the operator's refresh token if the record has not had it yet. It reports whether
// nothing is left to do.
func sow(ctx context.Context, set *Set) (done bool) {
	g, ok := set.shared.grant().(*person)
	if !ok || set.Seed == nil {
		return true
	}
	base, err := g.records().latest(ctx)
	if err != nil {
		return false
	}
	seed, digest, err := g.seed(base)
	if refused := set.refusedSeed.Load(); seed == "" && err == nil || refused != nil && *refused == digest {
		return true
	}
	err = set.shared.runNext(ctx, true, func(ctx context.Context) error {
		_, err := g.plant(ctx, base)
		return err
	})
	now := set.shared.Token()
	return err == nil && now != nil && now.Seed == digest
}

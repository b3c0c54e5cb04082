// SPDX-License-Identifier: Apache-2.0

// Package connection is the life of the connections of a datasource, among many nodes that share
// one storage. Requests ask a Source for a credential; the Source renews the token that the
// credential is made of, and the keeper (Set.Keep) looks after connections that nobody uses.
//
// A refresh token may be redeemed once in a whole cluster, and this is how one refresh goes.
// Source.renew starts an operation, which excludes all other work on the connection in this
// process, and person.renew reads the record: if another node has stored a newer generation,
// that is all. Otherwise claimer.take writes a claim into the record, waits until every node can
// see the claim, reads the record again, and marks the claim as sent. person.redeem takes the
// storage's lock as a hint, looks at its claim once more (claimer.holdsStill), and redeems the
// refresh token. On success person.redeemed stores the next generation and only then uses it
// (replica.saveAndUse); a token that cannot be stored is used from memory until the storage
// works (replica.retrySave). On failure person.failed decides what the provider's answer means
// for the grant (see consequences), and claimer.release takes the claim back. All other nodes
// wait for the next generation, for as long as the lease of the claim runs, and find it in
// replica.read, where decide says whether the record or the memory counts.
//
// docs/reliability.md, "How a token is renewed", tells the same in prose, with the reasons.
//
// The package knows no option, no Caddyfile, and no form of a token request: Config brings
// functions that make requests to the provider. Package record, below, has the tokens and the
// sealed records; package provider says what became of a request.
package connection

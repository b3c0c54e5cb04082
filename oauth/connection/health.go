// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"context"
	"slices"
	"time"
)

// staleFailure is how long after its next attempt was possible a failure of a user's own
// connection still counts: if nobody has asked since, nobody is refused either.
const staleFailure = 10 * time.Minute

// Healthy reports whether nothing fails and nobody has to do anything. Of connections that users
// have made for themselves it looks at those in memory only, and a user who must connect again
// does not count: that user is told, and among many there is always one.
func (set *Set) Healthy(ctx context.Context) bool {
	if !set.PerUser {
		st, err := set.shared.Status(ctx)
		return err == nil && st.Healthy()
	}
	now := time.Now()
	for _, conn := range set.pool.all() {
		if conn.name == "" {
			continue // nobody uses it
		}
		failed := conn.failure()
		switch st := set.status(conn.name, conn.token.Load(), failed); {
		case failed.unsafe:
			return false
		case st.State == StateReauthorize || failed.err == nil || now.Sub(failed.next) > staleFailure:
		case st.State == StateFailing || judge(failed.err) == verdictClient:
			return false
		}
	}
	return true
}

// all returns the connections that are in memory.
func (p *Pool) all() []*Connection {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return slices.Collect(p.connections.all())
}

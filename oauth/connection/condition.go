// SPDX-License-Identifier: Apache-2.0

package connection

// Condition is what a status means for those who send requests. The console, the command line and
// the answers about health go by it, so that they agree.
type Condition int

// The conditions, the one that is to be seen first at the beginning.
const (
	// ConditionRefused says that requests are refused that were served before, or should be.
	ConditionRefused Condition = iota

	// ConditionWarning says that requests are served, and that somebody should look at the
	// connection before they are not: the provider refuses to renew the token, or the storage does
	// not take it.
	ConditionWarning

	// ConditionMissing says that nobody has connected the account that all requests share.
	ConditionMissing

	// ConditionUnused says that nothing is there yet, and that nobody need do anything about it:
	// a request or a user will.
	ConditionUnused

	// ConditionGood says that requests are served.
	ConditionGood
)

// Condition returns what the status means for those who send requests.
func (st *Status) Condition() Condition {
	switch {
	case st.State == StateNone && st.NeedsAction:
		return ConditionMissing
	case st.State == StateNone:
		return ConditionUnused
	case st.State != StateConnected && !st.Valid:
		return ConditionRefused
	case st.State != StateConnected || st.NeedsAction || st.Stored != nil && !*st.Stored:
		return ConditionWarning
	default:
		return ConditionGood
	}
}

// Healthy reports whether nothing fails and nobody has to do anything.
func (st *Status) Healthy() bool { return st.Condition() >= ConditionUnused }

// Needed reports whether somebody should look at the connection: a human being must do something,
// requests are refused, or a token would not outlive this process.
func (st *Status) Needed() bool { return !st.Healthy() }

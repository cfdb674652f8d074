package xa

import "context"

// Settlement is a prepared branch, what is decided about it, and whether its
// owner's sessions may be ended.
type Settlement struct {
	ID      ID
	Outcome Outcome // Committed or Aborted
	Owner   Owner
}

// BulkResource is what a Resource may implement to spare round trips where a
// proxy has left much behind.
type BulkResource interface {
	// Settle does for each what Commit or Rollback would do, and returns what they
	// would return, in the same order.
	Settle(ctx context.Context, all []Settlement) []error
}

// BulkClaims is the same for a ClaimStore.
type BulkClaims interface {
	// FenceAll is Fence by a recoverer, which ends no session. What is not in the
	// answer is not known: ask for it alone.
	FenceAll(ctx context.Context, all []GlobalID) (map[GlobalID]Outcome, error)
	// HomesGone is HomeGone. What is not in the answer is there, or not known.
	HomesGone(ctx context.Context, all []GlobalID) (map[GlobalID]bool, error)
}

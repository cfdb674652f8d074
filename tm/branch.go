package tm

// Abandoner is an optional power of a branch. Abandon closes the branch's
// session, whatever is under way on it, and sends nothing. The Manager calls it
// from the goroutine that uses the branch, perhaps more than once:
//   - before it settles the branch through its Resource, because its own session
//     no longer serves;
//   - when a branch that Txn.Pending listed has ended, because the session has
//     stopped waiting for it and its connection belongs to nobody.
//
// The session must close the connections of branches without this power after
// Txn.Done.
type Abandoner interface {
	Abandon()
}

// Locker is an optional power of a branch that only read: Locked reports
// whether some of the reads took locks (a locking SELECT, SERIALIZABLE). Such a
// branch is asked whether its transaction still exists before the others
// commit. Branches without this power are always asked.
type Locker interface {
	Locked() bool
}

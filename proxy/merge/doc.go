// Package merge makes the rows that one server would return of the rows that
// several shards return. It owns the comparison of values, the k-way merge, and
// the exact arithmetic of aggregates, on payloads as they come in either
// protocol. It does not know sockets, sessions or SQL: what is to be done is a
// plan.Merge, and rows come from Sources.
//
//	Source ... Source -> by Order -> groups -> Having -> Distinct -> Final -> Offset, Limit -> Rows.Next
//
// # Concurrency
//
// Rows belongs to one goroutine, which calls the Sources.
//
// # Promises
//
// Rows are streamed: at any time two rows of each Source and one group are held,
// and with Final as many rows as the limits allow. In the steady state nothing is
// allocated per row. No payload makes it panic: what does not fit is
// wire.ErrMalformed. Values are never compared by a rule that is not their
// type's: a column that cannot be compared exactly is an error before the first
// row.
//
// Numbers are exact but for DOUBLE, whose sums depend on the order of addition, as
// they do on one server.
package merge

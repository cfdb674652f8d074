package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/test_driver"
)

// facts are what one walk over a syntax tree finds. The walk is an allow-list:
// a node that it does not know is refused.
type facts struct {
	refs      []*ast.TableName // every reference to a table in FROM, INTO or UPDATE
	aliases   []string         // the references' names, "" for the tables' own
	ctes      map[string]bool
	selects   int  // SELECTs, VALUES and TABLEs, the statement itself included
	combined  bool // UNION, INTERSECT, EXCEPT
	joined    bool // a join of any kind
	locking   bool // FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE
	locks     []*ast.SelectLockInfo
	aggregate string // the first aggregate or window function
	unstable  string // the first function with another value elsewhere
	clock     bool   // a function that tells the statement's time
	defaults  bool   // DEFAULT or DEFAULT(column)
	server    string // the first thing that the first shard answers
	session   string // the first thing that belongs to the session's connection
	match     bool   // MATCH ... AGAINST
	uses      State
	pins      State
	variables []string
	collate   []*ast.SetCollationExpr // in the text's order
	columns   []string                // names of columns, in lower case
	wildcard  bool                    // SELECT *
	params    []*test_driver.ParamMarkerExpr
	refusal   *Refusal
}

// walk collects the facts of a tree.
func walk(n ast.Node) (*facts, *Refusal) {
	f := &facts{ctes: make(map[string]bool)}
	n.Accept(f)
	return f, f.refusal
}

// number gives the parameters their numbers, in the order of the text. It
// reports false when the walk did not see all.
func (f *facts) number(want int) bool {
	slices.SortFunc(f.params, func(a, b *test_driver.ParamMarkerExpr) int { return a.Offset - b.Offset })
	for i, p := range f.params {
		p.Order = i
	}
	return len(f.params) == want
}

// Enter implements ast.Visitor.
func (f *facts) Enter(n ast.Node) (ast.Node, bool) {
	if f.refusal != nil {
		return n, true
	}
	if !f.statementNode(n) && !f.clauseNode(n) && !f.expressionNode(n) {
		f.refuse("the construct "+nodeName(n), "")
	}
	return n, f.refusal != nil
}

// Leave implements ast.Visitor.
func (f *facts) Leave(n ast.Node) (ast.Node, bool) {
	if c, ok := n.(*ast.SetCollationExpr); ok { // behind what it is said of
		f.collate = append(f.collate, c)
	}
	return n, true
}

func (f *facts) refuse(construct, advice string) {
	if f.refusal == nil {
		f.refusal = unsupported(construct, advice)
	}
}

// nodeName is a node's type in words.
func nodeName(n ast.Node) string {
	name := strings.TrimPrefix(fmt.Sprintf("%T", n), "*ast.")
	return strings.TrimSuffix(name, "Expr")
}

func (f *facts) statementNode(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.SelectStmt:
		f.selectNode(n)
	case *ast.SetOprStmt:
		f.combined = true
	case *ast.SetOprSelectList:
	case *ast.InsertStmt, *ast.DoStmt:
	case *ast.UpdateStmt:
		f.joined = f.joined || n.MultipleTable
	case *ast.DeleteStmt:
		f.joined = f.joined || n.IsMultiTable
	case *ast.SetStmt:
	default:
		return false
	}
	return true
}

func (f *facts) selectNode(n *ast.SelectStmt) {
	f.selects++
	if n.SelectIntoOpt != nil {
		f.refuse("SELECT ... INTO OUTFILE", "")
	}
	if n.SelectStmtOpts != nil && n.CalcFoundRows {
		f.pins |= StateFoundRows
		f.sessionBound("SQL_CALC_FOUND_ROWS")
	}
	if n.LockInfo != nil && n.LockInfo.LockType != ast.SelectLockNone {
		f.locking = true
		f.locks = append(f.locks, n.LockInfo)
	}
}

func (f *facts) clauseNode(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.SelectField:
		f.wildcard = f.wildcard || n.WildCard != nil
	case *ast.TableRefsClause, *ast.OnCondition, *ast.FieldList, *ast.WildCardField, *ast.ByItem,
		*ast.GroupByClause, *ast.HavingClause, *ast.OrderByClause, *ast.Limit, *ast.Assignment, *ast.WithClause,
		*ast.WindowSpec, *ast.PartitionByClause, *ast.FrameClause, *ast.FrameBound, *ast.DeleteTableList, *ast.VariableAssignment:
	case *ast.TableName:
		f.tableNode(n)
	case *ast.Join:
		f.joined = f.joined || n.Right != nil
	case *ast.TableSource:
		if t, ok := n.Source.(*ast.TableName); ok {
			f.refs = append(f.refs, t)
			f.aliases = append(f.aliases, n.AsName.O)
		}
	case *ast.CommonTableExpression:
		f.ctes[n.Name.L] = true
	default:
		return false
	}
	return true
}

// tableNode sees every name of a table. Those that are not the source of a
// reference (FOR UPDATE OF t, DELETE t FROM) name a reference.
func (f *facts) tableNode(n *ast.TableName) {
	if n.AsOf != nil || n.TableSample != nil {
		f.refuse("AS OF or TABLESAMPLE", "")
	}
}

func (f *facts) expressionNode(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BetweenExpr, *ast.BinaryOperationExpr, *ast.CaseExpr, *ast.WhenClause, *ast.SubqueryExpr, *ast.CompareSubqueryExpr,
		*ast.ExistsSubqueryExpr, *ast.ColumnNameExpr, *ast.PatternInExpr, *ast.IsNullExpr,
		*ast.IsTruthExpr, *ast.PatternLikeOrIlikeExpr, *ast.ParenthesesExpr, *ast.PositionExpr, *ast.PatternRegexpExpr, *ast.RowExpr,
		*ast.UnaryOperationExpr, *ast.ValuesExpr, *ast.SetCollationExpr, *ast.FuncCastExpr, *ast.TrimDirectionExpr,
		*ast.TimeUnitExpr, *ast.GetFormatSelectorExpr, *test_driver.ValueExpr:
	case *test_driver.ParamMarkerExpr:
		f.params = append(f.params, n)
	case *ast.DefaultExpr:
		f.defaults = true
	case *ast.ColumnName:
		f.columns = append(f.columns, n.Name.L)
	case *ast.VariableExpr:
		f.variableNode(n)
	case *ast.MatchAgainst:
		f.match = true
	case *ast.AggregateFuncExpr:
		f.aggregated(n.F)
	case *ast.WindowFuncExpr:
		f.aggregated(n.Name)
	case *ast.FuncCallExpr:
		f.callNode(n)
	default:
		return false
	}
	return true
}

func (f *facts) aggregated(name string) {
	if f.aggregate == "" {
		f.aggregate = strings.ToUpper(name) + "()"
	}
}

func (f *facts) sessionBound(what string) {
	if f.session == "" {
		f.session = what
	}
}

func (f *facts) serverBound(what string) {
	if f.server == "" {
		f.server = what
	}
}

func (f *facts) variableNode(n *ast.VariableExpr) {
	if !n.IsSystem {
		f.uses |= StateUserVars
		if n.Value != nil {
			f.pins |= StateUserVars
		}
		f.sessionBound("a user variable")
		return
	}
	name := strings.ToLower(n.Name)
	if strings.Contains(name, ".") && !n.IsGlobal {
		f.refuse("the variable @@"+name, "")
		return
	}
	switch {
	case !n.IsGlobal && ofProxy(name):
		f.ofConnection("@@"+name, name)
	case !n.IsGlobal && replayed(name):
	default:
		f.serverBound("@@" + name)
	}
}

// ofConnection notes a value that only the proxy's own session has.
func (f *facts) ofConnection(what, name string) {
	if !slices.Contains(f.variables, name) {
		f.variables = append(f.variables, name)
	}
	f.sessionBound(what)
}

func (f *facts) callNode(n *ast.FuncCallExpr) {
	name := n.FnName.L
	shown := strings.ToUpper(name) + "()"
	if n.Schema.L != "" {
		f.refuse("the stored function "+n.Schema.O+"."+n.FnName.O, "")
		return
	}
	switch functions[name] {
	case unknownFunction:
		f.refuse("the function "+shown+", which is stored or not known", "")
	case refused:
		f.refuse("the function "+shown, "")
	case pure:
	case volatile:
		f.unstable = cmp.Or(f.unstable, shown)
	case clock:
		f.clock = f.clock || tellsTime(n)
	case ofServer:
		f.serverBound(shown)
	case ofConnection:
		f.ofConnection(shown, canonicalFunction(name)+"()")
	case aggregateLike:
		f.aggregated(name)
	case setsLocks, readsLocks:
		f.lockCall(shown, functions[name] == setsLocks)
	case readsInsertID:
		f.insertIDCall(n, shown)
	case readsFoundRows:
		f.ofLast(shown, StateFoundRows)
	case readsRowCount:
		f.ofLast(shown, StateRowCount)
	}
}

// tellsTime: UNIX_TIMESTAMP(x) is a calculation.
func tellsTime(n *ast.FuncCallExpr) bool { return n.FnName.L != "unix_timestamp" || len(n.Args) == 0 }

// ofLast notes what the last statement has left.
func (f *facts) ofLast(shown string, kind State) {
	f.uses |= kind
	f.sessionBound(shown)
}

// lockCall: all named locks are taken on the first shard, else two sessions
// could hold one name on two servers.
func (f *facts) lockCall(shown string, sets bool) {
	f.uses |= StateNamedLocks
	if sets {
		f.pins |= StateNamedLocks
	}
	f.serverBound(shown)
	f.sessionBound(shown)
}

func (f *facts) insertIDCall(n *ast.FuncCallExpr, shown string) {
	if len(n.Args) == 0 {
		f.uses |= StateLastInsertID // the session makes every connection know it
		return
	}
	f.pins |= StateLastInsertID
	f.sessionBound(shown)
}

func canonicalFunction(name string) string {
	switch name {
	case "session_user", "system_user":
		return "user"
	}
	return name
}

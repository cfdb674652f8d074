package plan

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/mysql"
	"github.com/pingcap/tidb/pkg/parser/test_driver"
)

// form says how the values of an expression become comparable outside of a
// server: by the values of another one, which has the expression's text between
// before and after. Where it is a weight, pads is what its collation pads with.
type form struct {
	before, after string
	text          text // of a weight
	rough         bool // see MergeKey.Rough
}

// itself reports whether the values compare as they are.
func (f form) itself() bool { return f.before == "" }

// maxWeighed is the length of the longest column, in bytes, whose weights are
// asked for: a server answers NULL for weights beyond max_allowed_packet.
const maxWeighed = 1<<16 - 1

// formOf says how the values of an expression compare in a server's order, or
// refuses. What it takes for numbers, times and binary strings the shards tell
// by the column's type: a text that was not seen here is refused then.
func (sc *scope) formOf(e ast.ExprNode) (form, *Refusal) {
	if col, ok := sc.plainColumn(e); ok {
		if m, ok := sc.expressions[col.column]; ok {
			return m.form, m.refusal
		}
		return sc.formOfColumn(col.column)
	}
	switch n := strip(e).(type) {
	case *ast.AggregateFuncExpr:
		return sc.formOfAggregate(n)
	case *ast.WindowFuncExpr:
		return formOfWindow(n)
	}
	switch t := sc.textOf(e); t.kind {
	case textNone:
		return form{rough: sc.rough(e, false)}, nil
	case textKnown:
		return t.form()
	case textUnknown:
	}
	return form{}, unsupported("the order of a text whose collation is not a column's", "order by a column")
}

func (t text) form() (form, *Refusal) {
	if _, known := sorting(t.collation); !known && t.token == 0 {
		return form{}, unknownCollation(t.collation)
	}
	return form{before: "WEIGHT_STRING(", after: ")", text: t}, nil
}

func unknownCollation(name string) *Refusal {
	return unsupported("the order of texts of the collation '"+name+"'", "")
}

func (sc *scope) formOfColumn(c *Column) (form, *Refusal) {
	switch c.Type {
	case TypeTiny, TypeSmall, TypeMedium, TypeInt, TypeBig, TypeDecimal, TypeDouble, TypeYear, TypeDate, TypeTime, TypeDatetime,
		TypeBinary, TypeVarbinary, TypeBlob:
		return form{}, nil
	case TypeFloat: // is shown with fewer digits than it has
		return form{before: "(", after: ")+0e0"}, nil
	case TypeTimestamp: // is sorted by the second, which a change of the clocks shows twice
		return form{before: "UNIX_TIMESTAMP(", after: ")"}, nil
	case TypeBit, TypeEnum, TypeSet: // are sorted by their numbers
		return form{before: "CAST(", after: " AS UNSIGNED)"}, nil
	case TypeChar, TypeVarchar, TypeText:
		if c.Length > maxWeighed {
			return form{}, unsupported("the order of the long text "+c.Name, "order by a column of a shorter type")
		}
		if c.Type == TypeChar && strings.Contains(strings.ToLower(c.Collation), "_nopad_") {
			// MariaDB sorts them with the spaces that they are stored with, and shows the weights without.
			return form{}, unsupported("the order of the CHAR column "+c.Name+" of the collation '"+c.Collation+"'", "order by a VARCHAR column")
		}
		return columnText(c).form()
	case TypeJSON, TypeGeometry, TypeUUID, TypeInet, TypeOther:
	}
	return form{}, unsupported("the order of "+c.Name+" by its type", "")
}

// formOfAggregate: MIN and MAX compare times by what they show, ENUM and SET as texts.
func (sc *scope) formOfAggregate(n *ast.AggregateFuncExpr) (form, *Refusal) {
	name := strings.ToUpper(n.F)
	switch strings.ToLower(n.F) {
	case ast.AggFuncMin, ast.AggFuncMax:
		f, r := sc.formOf(n.Args[0])
		if r != nil {
			return form{}, r
		}
		col, plain := sc.plainColumn(n.Args[0])
		switch {
		case plain && (col.column.Type == TypeEnum || col.column.Type == TypeSet):
			return form{}, unsupported("the order of "+name+"() of an ENUM or SET", "")
		case plain && col.column.Type == TypeTimestamp:
			return form{}, nil
		}
		return f, nil
	case ast.AggFuncGroupConcat, ast.AggFuncJsonArrayagg, ast.AggFuncJsonObjectAgg:
		return form{}, unsupported("the order of "+name+"()", "")
	}
	return form{}, nil
}

// formOfWindow knows the window functions that return numbers.
func formOfWindow(n *ast.WindowFuncExpr) (form, *Refusal) {
	switch name := strings.ToLower(n.Name); name {
	case "row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "count", "sum", "avg":
		return form{}, nil
	}
	return form{}, unsupported("the order of "+strings.ToUpper(n.Name)+"() OVER", "")
}

// text says whether an expression is a string with a collation.
type text struct {
	kind               textKind
	charset, collation string
	strength           strength
	token              int  // of the collation's name in the text, 0 when it is known
	mixed              bool // the shards may be of both families
}

type textKind uint8

const (
	textNone textKind = iota // not known to be one
	textKnown
	textUnknown // a text whose collation is not known
)

// strength says which collation the text has that is made of two.
type strength uint8

const (
	strengthConnection strength = iota // what functions and literals have
	strengthColumn
	strengthCollate // given by COLLATE
)

func columnText(c *Column) text {
	return text{kind: textKnown, charset: c.Charset, collation: c.Collation, strength: strengthColumn}
}

// mayPad reports whether equal texts may have weights of different length.
func (t text) mayPad() bool {
	pads, _ := sorting(t.collation)
	return pads || t.token > 0
}

// and is the text that a function makes of two. Two columns' collations must be
// the same.
func (t text) and(u text) text {
	switch {
	case t.kind == textNone:
		return u
	case u.kind == textNone || t == u:
		return t
	case t.kind == textUnknown || u.kind == textUnknown || t.strength == u.strength:
		return text{kind: textUnknown}
	case t.strength < u.strength:
		return u
	}
	return t
}

// textOf finds the text that an expression is. Literals and parameters are none:
// beside a column they have its collation.
func (sc *scope) textOf(e ast.ExprNode) text {
	switch n := strip(e).(type) {
	case *ast.ColumnNameExpr:
		return sc.textOfColumn(n)
	case *ast.AggregateFuncExpr, *ast.WindowFuncExpr, *ast.SubqueryExpr, *ast.VariableExpr, *ast.DefaultExpr:
		return text{kind: textUnknown}
	case *ast.SetCollationExpr:
		return text{kind: textKnown, strength: strengthCollate, token: sc.collate[n], mixed: sc.mixed}
	case *ast.FuncCastExpr:
		return sc.textOfCast(n)
	case *ast.CaseExpr:
		results := make([]ast.ExprNode, 0, len(n.WhenClauses)+1)
		for _, w := range n.WhenClauses {
			results = append(results, w.Result)
		}
		if n.ElseClause != nil {
			results = append(results, n.ElseClause)
		}
		return sc.chosen(results)
	case *ast.FuncCallExpr:
		return sc.textOfCall(n)
	}
	return text{}
}

func (sc *scope) textOfColumn(n *ast.ColumnNameExpr) text {
	col, f := sc.column(n.Name)
	switch {
	case f != foundOne:
		return text{kind: textUnknown}
	case sc.isExpression(col.column):
		return sc.expressions[col.column].text
	case !col.column.Type.Text():
		return text{}
	case col.column.Length > maxWeighed:
		return text{kind: textUnknown}
	}
	return columnText(col.column)
}

func (sc *scope) isExpression(c *Column) bool {
	_, ok := sc.expressions[c]
	return ok
}

// textOfCast: a cast to CHAR is of the connection's collation, unless it names
// another character set.
func (sc *scope) textOfCast(n *ast.FuncCastExpr) text {
	switch {
	case n.Tp == nil || n.Tp.GetType() != mysql.TypeVarString:
		return text{}
	case n.ExplicitCharSet || n.Tp.GetCharset() == "binary": // BINARY, but also CHAR BINARY
		return text{kind: textUnknown}
	}
	return sc.connection
}

// textOfCall knows the functions that return one of their arguments, a text made
// of them, or no text. The others may return one in the connection's collation.
func (sc *scope) textOfCall(n *ast.FuncCallExpr) text {
	switch n.FnName.L {
	case "ifnull", "coalesce", "nullif", "greatest", "least", "any_value", "nvl":
		return sc.chosen(n.Args)
	case "if":
		const condition = 1
		return sc.chosen(n.Args[condition:])
	case "lower", "lcase", "upper", "ucase", "trim", "ltrim", "rtrim", "left", "right", "substr", "substring", "mid", "substring_index", "reverse",
		"concat", "concat_ws", "replace":
		return sc.made(n.Args)
	}
	if returnsNumber(n.FnName.L) || shiftsTime(n.FnName.L) && sc.isTime(n.Args) {
		return text{}
	}
	if returnsText(n.FnName.L) {
		return sc.connection
	}
	return text{kind: textUnknown}
}

// isTime reports whether the arguments are a column of a date or time, and no texts.
func (sc *scope) isTime(args []ast.ExprNode) bool {
	is := false
	for _, e := range args {
		if v, ok := strip(e).(*test_driver.ValueExpr); ok && v.Kind() == test_driver.KindString || sc.textOf(e).kind != textNone {
			return false
		}
		if col, ok := sc.plainColumn(e); ok {
			//nolint:exhaustive // no other type is a date or time
			switch col.column.Type {
			case TypeDate, TypeTime, TypeDatetime, TypeTimestamp:
				is = true
			}
		}
	}
	return is
}

// chosen is the text of what returns one of some expressions.
func (sc *scope) chosen(of []ast.ExprNode) text {
	var t text
	literal := false
	for _, e := range of {
		switch n := strip(e).(type) {
		case *test_driver.ValueExpr:
			literal = literal || n.Kind() == test_driver.KindString
		case *test_driver.ParamMarkerExpr:
			t = t.and(text{kind: textUnknown})
		default:
			t = t.and(sc.textOf(e))
		}
	}
	if t.kind == textNone && literal {
		return text{kind: textUnknown} // a date, or a text
	}
	return t
}

// made is the text of what makes one of some expressions: of the connection's
// collation, when none of them is a text.
func (sc *scope) made(of []ast.ExprNode) text {
	var t text
	binary := false
	for _, e := range of {
		col, plain := sc.plainColumn(e)
		switch {
		case plain && col.column.Type.binary():
			binary = true
		case isBytes(e):
			t = t.and(text{kind: textUnknown})
		default:
			t = t.and(sc.textOf(e))
		}
	}
	switch {
	case binary && t.kind == textNone:
		return text{}
	case binary:
		return text{kind: textUnknown}
	case t.kind == textNone:
		return sc.connection
	}
	return t
}

// isBytes reports whether a literal or parameter is or may be a binary string.
func isBytes(e ast.ExprNode) bool {
	switch n := strip(e).(type) {
	case *test_driver.ValueExpr:
		return n.Kind() == test_driver.KindBinaryLiteral
	case *test_driver.ParamMarkerExpr:
		return true
	}
	return false
}

func (t ColumnType) binary() bool { return t == TypeBinary || t == TypeVarbinary || t == TypeBlob }

// returnsNumber reports whether a function returns a number, or a date or time.
func returnsNumber(function string) bool {
	switch function {
	case "abs", "ceil", "ceiling", "floor", "round", "truncate", "mod", "sign", "sqrt", "pow", "power", "exp", "ln", "log", "log2", "log10", "pi",
		"sin", "cos", "tan", "cot", "asin", "acos", "atan", "atan2", "degrees", "radians", "crc32", "bit_count",
		"length", "octet_length", "char_length", "character_length", "bit_length", "ascii", "ord", "locate", "position", "instr", "field", "find_in_set",
		"strcmp", "isnull", "interval", "year", "quarter", "month", "week", "weekofyear", "yearweek", "day", "dayofmonth", "dayofyear", "dayofweek",
		"weekday", "hour", "minute", "second", "microsecond", "extract", "datediff", "timestampdiff", "to_days", "to_seconds", "time_to_sec",
		"period_add", "period_diff", "unix_timestamp", "inet_aton", "json_length", "json_depth", "json_valid", "json_contains", "regexp_like",
		"regexp_instr", "date", "last_day", "makedate", "from_days", "sec_to_time":
		return true
	}
	return false
}

// shiftsTime reports whether a function returns its first argument, a time, later
// or earlier. Of a text it makes a text.
func shiftsTime(function string) bool {
	switch function {
	case "date_add", "date_sub", "adddate", "subdate", "timestampadd":
		return true
	}
	return false
}

// returnsText reports whether a function returns a text in the connection's
// character set, whatever its arguments are.
func returnsText(function string) bool {
	switch function {
	case "date_format", "time_format", "dayname", "monthname", "hex", "bin", "oct", "conv", "format", "md5", "sha", "sha1", "sha2":
		return true
	}
	return false
}

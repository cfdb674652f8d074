package plan

import (
	"fmt"
	"strings"
)

// Code is the MySQL error number of a refusal. The proxy maps it to SQLSTATE.
type Code uint16

// The codes of refusals.
const (
	CodeNoDatabase   Code = 1046  // no database selected
	CodeAccess       Code = 1044  // the schema is the proxy's own
	CodeSyntax       Code = 1064  // the text cannot be read
	CodeEmpty        Code = 1065  // there is no statement
	CodeParameters   Code = 1210  // the parameters do not fit
	CodeColumnCount  Code = 1136  // a row's values do not fit the columns
	CodeUnknownTable Code = 1051  // the table to be dropped does not exist
	CodeNoSuchTable  Code = 1146  // the table does not exist
	CodeNoSuchSchema Code = 1049  // the schema does not exist
	CodeNoKey        Code = 17020 // a row without a usable sharding key
	CodeUnsupported  Code = 17021 // not supported (across shards)
	CodeUnusable     Code = 17024 // the table's definitions differ, or its placement is not known
)

// Refusal says why a statement is not executed. Nothing was sent to any shard.
type Refusal struct {
	Code      Code
	Construct string // what was refused, in the user's words
	Advice    string // the way round, may be empty
}

// Error is the message for the client. It begins as a server's do.
func (r *Refusal) Error() string {
	text := r.text()
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func (r *Refusal) text() string {
	text := r.Construct
	switch r.Code {
	case CodeUnsupported:
		text = "not supported through the proxy: " + r.Construct
	case CodeNoKey:
		text = "no sharding key: " + r.Construct
	case CodeSyntax:
		text = "you have an error in your SQL syntax: " + r.Construct
	case CodeNoDatabase, CodeAccess, CodeEmpty, CodeParameters, CodeColumnCount, CodeUnknownTable, CodeNoSuchTable, CodeNoSuchSchema, CodeUnusable:
	}
	if r.Advice != "" {
		text += "; " + r.Advice
	}
	return text
}

func unsupported(construct, advice string) *Refusal {
	return &Refusal{Code: CodeUnsupported, Construct: construct, Advice: advice}
}

func unsupportedf(advice, format string, args ...any) *Refusal {
	return unsupported(fmt.Sprintf(format, args...), advice)
}

func noKey(construct, advice string) *Refusal {
	return &Refusal{Code: CodeNoKey, Construct: construct, Advice: advice}
}

func syntax(near string) *Refusal {
	return &Refusal{Code: CodeSyntax, Construct: near}
}

package proxy

import "strings"

// ownSchema is reserved for the proxy's tables on the shards.
const ownSchema = "xaproxy"

func isOwnSchema(name string) bool { return strings.EqualFold(name, ownSchema) }

// quoteName is a name as an identifier in SQL.
func quoteName(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// quoteText is a string literal that is the same under every sql_mode, for
// text without backslashes.
func quoteText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

package proxy

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"xaproxy/proxy/backend"
	"xaproxy/proxy/plan"
	"xaproxy/xa/xamysql"
)

// shardCatalog is what one shard has told about its tables.
type shardCatalog struct {
	tables     map[plan.TableName]*tableFacts
	placements map[plan.TableName]xamysql.Placement
	defaults   map[string]string // collation by character set
	schemas    map[string]string // collation by schema
	collations map[string]bool
	server     string   // the default collation of the server
	mariaDB    bool     // the server's family
	stuck      []change // definition statements that need a person
	doubt      []change // those since which the shard has told nothing of their tables
}

// tableFacts is a table as one shard has it. shape holds one line for each part
// of the definition that has to be the same on all shards.
type tableFacts struct {
	table plan.Table
	shape []string
	parts []string // of keys, for the shape
}

// differs names the first difference of two definitions.
func (t *tableFacts) differs(o *tableFacts) string {
	for i, line := range t.shape {
		if i >= len(o.shape) {
			return "only the first has " + line
		}
		if line != o.shape[i] {
			return line + " against " + o.shape[i]
		}
	}
	if len(o.shape) > len(t.shape) {
		return "only the second has " + o.shape[len(t.shape)]
	}
	return ""
}

// userSchemas leaves out what belongs to the server or to the proxy.
const userSchemas = " NOT IN ('mysql','information_schema','performance_schema','sys','xaproxy')"

// The queries of the catalog. Their columns are read by position.
const (
	sqlTables = "SELECT TABLE_SCHEMA,TABLE_NAME,TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA" + userSchemas

	sqlColumns = "SELECT TABLE_SCHEMA,TABLE_NAME,COLUMN_NAME,DATA_TYPE,COLUMN_TYPE,IS_NULLABLE,COLUMN_DEFAULT," +
		"CHARACTER_MAXIMUM_LENGTH,CHARACTER_SET_NAME,COLLATION_NAME,EXTRA,NUMERIC_PRECISION,NUMERIC_SCALE,DATETIME_PRECISION FROM information_schema.COLUMNS WHERE TABLE_SCHEMA" + userSchemas +
		" ORDER BY TABLE_SCHEMA,TABLE_NAME,ORDINAL_POSITION"

	sqlKeys = "SELECT TABLE_SCHEMA,TABLE_NAME,INDEX_NAME,COLUMN_NAME,SUB_PART,NON_UNIQUE,INDEX_TYPE FROM information_schema.STATISTICS WHERE TABLE_SCHEMA" +
		userSchemas + " ORDER BY TABLE_SCHEMA,TABLE_NAME,INDEX_NAME,SEQ_IN_INDEX"

	sqlForeign = "SELECT CONSTRAINT_SCHEMA,TABLE_NAME,UNIQUE_CONSTRAINT_SCHEMA,REFERENCED_TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS" +
		" WHERE CONSTRAINT_SCHEMA" + userSchemas

	sqlTriggers = "SELECT EVENT_OBJECT_SCHEMA,EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA" + userSchemas

	sqlSchemas = "SELECT SCHEMA_NAME,DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME" + userSchemas

	sqlCharsets = "SELECT CHARACTER_SET_NAME,DEFAULT_COLLATE_NAME FROM information_schema.CHARACTER_SETS"

	sqlServer = "SELECT @@GLOBAL.collation_server"

	sqlCollations = "SELECT COLLATION_NAME FROM information_schema.COLLATIONS"
)

// readCatalog reads all of a shard's catalog.
func readCatalog(ctx context.Context, conn *backend.Conn) (*shardCatalog, error) {
	// Texts are compared with literals, and types are written by the modes: a
	// schema of another client's does not matter to these queries, its character
	// set and its modes do.
	want := conn.State()
	want.SQLMode = backend.Want("")
	want.CharsetClient, want.CharsetResults, want.Collation = backend.Setting{}, backend.Setting{}, backend.Setting{}
	if err := conn.Sync(ctx, want); err != nil {
		return nil, err
	}
	sc := &shardCatalog{
		mariaDB: conn.Flavor() == xamysql.FlavorMariaDB,
		tables:  map[plan.TableName]*tableFacts{}, placements: map[plan.TableName]xamysql.Placement{},
		defaults: map[string]string{}, schemas: map[string]string{}, collations: map[string]bool{},
	}
	for _, q := range []struct {
		sql  string
		take func(row []string) error
	}{
		{sqlTables, sc.takeTable}, {sqlColumns, sc.takeColumn}, {sqlKeys, sc.takeKey},
		{sqlForeign, sc.takeForeign}, {sqlTriggers, sc.takeTrigger},
		{sqlSchemas, sc.takeSchema}, {sqlCharsets, sc.takeCharset}, {sqlCollations, sc.takeCollation},
		{sqlServer, func(row []string) error { sc.server = canonicalCollation(row[0]); return nil }},
	} {
		rows, err := selectRows(ctx, conn, q.sql)
		if err != nil {
			return nil, fmt.Errorf("catalog: %w", err)
		}
		for _, r := range rows {
			if err := q.take(plain(r)); err != nil {
				return nil, fmt.Errorf("catalog: %w", err)
			}
		}
	}
	for _, t := range sc.tables {
		t.finish()
	}
	return sc, nil
}

// null stands for NULL in a plain row; no name or type has a zero byte.
const null = "\x00"

func plain(row []*string) []string {
	out := make([]string, len(row))
	for i, p := range row {
		out[i] = null
		if p != nil {
			out[i] = *p
		}
	}
	return out
}

func (sc *shardCatalog) at(row []string) *tableFacts {
	return sc.tables[plan.TableName{Schema: row[0], Name: row[1]}]
}

func (sc *shardCatalog) takeTable(row []string) error {
	t := &tableFacts{}
	t.table.View = !strings.Contains(row[2], "BASE TABLE")
	sc.tables[plan.TableName{Schema: row[0], Name: row[1]}] = t
	return nil
}

func (sc *shardCatalog) takeColumn(row []string) error {
	t := sc.at(row)
	if t == nil {
		return nil // created between two queries: seen next time
	}
	extra := strings.ToLower(row[10])
	columnType := strings.ToLower(row[4])
	c := plan.Column{
		Name: row[2], Type: columnKind(row[3]), Nullable: strings.EqualFold(row[5], "YES"), Unsigned: strings.Contains(columnType, "unsigned"),
		AutoInc:         strings.Contains(extra, "auto_increment"),
		Generated:       strings.Contains(strings.ReplaceAll(extra, "default_generated", ""), "generated"),
		Invisible:       strings.Contains(extra, "invisible"),
		OnUpdateNow:     strings.Contains(extra, "on update"),
		VolatileDefault: strings.Contains(extra, "default_generated") || expression(row[6]),
		ClockDefault:    clockDefault(row[6]),
	}
	if err := takeSize(&c, row); err != nil {
		return err
	}
	if row[9] != null {
		c.Charset, c.Collation = canonicalCharset(row[8]), canonicalCollation(row[9])
	}
	t.table.Columns = append(t.table.Columns, c)
	meant := c.Collation
	if sc.mariaDB && plan.OneFamilyWeighs(meant) {
		meant += " of MariaDB" // compares and orders otherwise than MySQL's of that name
	}
	t.shape = append(t.shape, fmt.Sprintf("column %s %s null=%s default=%s %s %v%v%v%v", strings.ToLower(c.Name), canonicalType(row[3], columnType),
		row[5], canonicalDefault(row[6]), meant, c.AutoInc, c.Generated, c.OnUpdateNow, c.Invisible))
	return nil
}

// takeSize reads how large a column's values can be.
func takeSize(c *plan.Column, row []string) (err error) {
	//nolint:exhaustive // the others have no size but a length
	switch c.Type {
	case plan.TypeDecimal:
		if c.Precision, err = sizeOf(row[11]); err == nil {
			c.Decimals, err = sizeOf(row[12])
		}
		return err
	case plan.TypeBit:
		c.Length, err = sizeOf(row[11])
		return err
	case plan.TypeTime, plan.TypeDatetime, plan.TypeTimestamp:
		c.Decimals, err = sizeOf(row[13])
		return err
	case plan.TypeEnum, plan.TypeSet:
		c.Members, err = plan.MembersOf(row[4])
	}
	if err == nil {
		c.Length, err = sizeOf(row[7])
	}
	return err
}

// sizeOf reads a number; sizes beyond an int32 (LONGTEXT) are its highest.
func sizeOf(s string) (int, error) {
	if s == null {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return int(min(n, math.MaxInt32)), err
}

// columnKinds are the types as information_schema names them.
//
//nolint:gochecknoglobals // a table
var columnKinds = map[string]plan.ColumnType{
	"tinyint": plan.TypeTiny, "smallint": plan.TypeSmall, "mediumint": plan.TypeMedium, "int": plan.TypeInt, "bigint": plan.TypeBig,
	"decimal": plan.TypeDecimal, "float": plan.TypeFloat, "double": plan.TypeDouble, "bit": plan.TypeBit,
	"date": plan.TypeDate, "time": plan.TypeTime, "datetime": plan.TypeDatetime, "timestamp": plan.TypeTimestamp, "year": plan.TypeYear,
	"char": plan.TypeChar, "varchar": plan.TypeVarchar,
	"tinytext": plan.TypeText, "text": plan.TypeText, "mediumtext": plan.TypeText, "longtext": plan.TypeText,
	"binary": plan.TypeBinary, "varbinary": plan.TypeVarbinary,
	"tinyblob": plan.TypeBlob, "blob": plan.TypeBlob, "mediumblob": plan.TypeBlob, "longblob": plan.TypeBlob,
	"enum": plan.TypeEnum, "set": plan.TypeSet, "json": plan.TypeJSON, "uuid": plan.TypeUUID, "inet4": plan.TypeInet, "inet6": plan.TypeInet,
	"geometry": plan.TypeGeometry, "point": plan.TypeGeometry, "linestring": plan.TypeGeometry, "polygon": plan.TypeGeometry,
	"multipoint": plan.TypeGeometry, "multilinestring": plan.TypeGeometry, "multipolygon": plan.TypeGeometry,
	"geomcollection": plan.TypeGeometry, "geometrycollection": plan.TypeGeometry,
}

func columnKind(dataType string) plan.ColumnType { return columnKinds[strings.ToLower(dataType)] }

// expression reports whether a default, as MariaDB writes it, is not a literal.
// MySQL writes text without quotes, so words count as expressions there, too:
// the careful side.
func expression(def string) bool {
	if def == null || def == "" || strings.EqualFold(def, "NULL") {
		return false
	}
	return strings.IndexByte("'-+.0123456789", def[0]) < 0
}

// clockDefault reports whether a default is CURRENT_TIMESTAMP, with or without a
// precision. MySQL writes the text of that name in the same way, which does no
// harm: it is taken for a clock without being one.
func clockDefault(def string) bool {
	rest, named := strings.CutPrefix(strings.ToLower(def), "current_timestamp")
	return named && (rest == "" || rest == "()" || len(rest) == len("(6)") && rest[0] == '(' && rest[2] == ')')
}

// canonicalType takes away what only one family shows: the display width of
// integers.
func canonicalType(dataType, columnType string) string {
	if strings.HasSuffix(strings.ToLower(dataType), "int") {
		if open := strings.IndexByte(columnType, '('); open >= 0 {
			if end := strings.IndexByte(columnType, ')'); end > open {
				return columnType[:open] + columnType[end+1:]
			}
		}
	}
	return columnType
}

// canonicalDefault takes away what the families write differently.
func canonicalDefault(def string) string {
	if def == null || strings.EqualFold(def, "NULL") {
		return "none"
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(def, "'"), "()"))
}

func canonicalCollation(name string) string {
	if rest, old := strings.CutPrefix(name, "utf8_"); old {
		return "utf8mb3_" + rest
	}
	return name
}

func (sc *shardCatalog) takeKey(row []string) error {
	t := sc.at(row)
	if t == nil {
		return nil
	}
	if row[5] != "0" { // only a shard that lacks it answers otherwise, or not at all
		t.parts = append(t.parts, "index "+row[6]+" "+row[2]+"."+row[3]+"("+row[4]+")")
		return nil
	}
	partial := row[3] == null || row[4] != null
	if strings.EqualFold(row[2], "PRIMARY") {
		if !partial {
			t.table.Primary = append(t.table.Primary, row[3])
		}
		t.table.PartialPrimary = t.table.PartialPrimary || partial
		t.parts = append(t.parts, "PRIMARY."+row[3]+"("+row[4]+")")
		return nil
	}
	last := len(t.table.Unique) - 1
	if last < 0 || t.table.Unique[last].Name != row[2] {
		t.table.Unique = append(t.table.Unique, plan.Unique{Name: row[2]})
		last++
	}
	u := &t.table.Unique[last]
	if !partial {
		u.Columns = append(u.Columns, row[3])
	}
	t.parts = append(t.parts, row[2]+"."+row[3]+"("+row[4]+")")
	return nil
}

// takeForeign marks both ends of a foreign key.
func (sc *shardCatalog) takeForeign(row []string) error {
	for _, end := range [][]string{row[:2], row[2:4]} {
		if t := sc.at(end); t != nil {
			t.table.ForeignKeys = true
		}
	}
	return nil
}

func (sc *shardCatalog) takeTrigger(row []string) error {
	if t := sc.at(row); t != nil {
		t.table.Triggers = true
	}
	return nil
}

func (sc *shardCatalog) takeSchema(row []string) error {
	sc.schemas[row[0]] = canonicalCollation(row[1])
	return nil
}

func (sc *shardCatalog) takeCharset(row []string) error {
	sc.defaults[canonicalCharset(row[0])] = canonicalCollation(row[1])
	return nil
}

func (sc *shardCatalog) takeCollation(row []string) error {
	if strings.HasPrefix(row[0], "uca1400_") {
		// MariaDB lists them once for all Unicode character sets.
		sc.collations["utf8mb3_"+row[0]], sc.collations["utf8mb4_"+row[0]] = true, true
	}
	sc.collations[canonicalCollation(row[0])] = true
	return nil
}

// finish completes the shape by the keys and by what makes tables special.
func (t *tableFacts) finish() {
	slices.Sort(t.parts)
	t.shape = append(t.shape, "keys "+strings.ToLower(strings.ReplaceAll(strings.Join(t.parts, ","), "("+null+")", "")))
	t.shape = append(t.shape, fmt.Sprintf("foreign keys: %v", t.table.ForeignKeys), fmt.Sprintf("triggers: %v", t.table.Triggers), fmt.Sprintf("view: %v", t.table.View))
}

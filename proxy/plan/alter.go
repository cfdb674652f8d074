package plan

import (
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"xaproxy/proxy/route"
)

// alterTable plans ALTER TABLE from a list of allowed changes.
func (d *definition) alterTable(n *ast.AlterTableStmt) error {
	t, err := d.table(n.Table)
	if err != nil {
		return err
	}
	for _, spec := range n.Specs {
		if err := d.alteration(t, spec); err != nil {
			return err
		}
	}
	d.onTable(t, DDLAlterTable)
	return nil
}

func (d *definition) alteration(t *Table, spec *ast.AlterTableSpec) error {
	//nolint:exhaustive // an allow-list over the parser's enum
	switch spec.Tp {
	case ast.AlterTableOption:
		d.plan.DDL.Renumbers = d.plan.DDL.Renumbers || slices.ContainsFunc(spec.Options, func(o *ast.TableOption) bool { return o.Tp == ast.TableOptionAutoIncrement })
		return alteredOptions(t, spec.Options)
	case ast.AlterTableAddColumns:
		return d.addedColumns(t, spec)
	case ast.AlterTableAddConstraint:
		return d.addedConstraint(t, spec.Constraint)
	case ast.AlterTableDropColumn, ast.AlterTableRenameColumn:
		return keyUntouched(t, spec.OldColumnName)
	case ast.AlterTableModifyColumn:
		return changedColumn(t, spec.NewColumns[0].Name, spec.NewColumns[0])
	case ast.AlterTableChangeColumn:
		return changedColumn(t, spec.OldColumnName, spec.NewColumns[0])
	case ast.AlterTableAlterColumn:
		return nil
	case ast.AlterTableDropPrimaryKey, ast.AlterTableDropIndex, ast.AlterTableDropForeignKey, ast.AlterTableRenameIndex,
		ast.AlterTableIndexInvisible, ast.AlterTableLock, ast.AlterTableAlgorithm, ast.AlterTableForce, ast.AlterTableEnableKeys,
		ast.AlterTableDisableKeys, ast.AlterTableAlterCheck, ast.AlterTableDropCheck, ast.AlterTableAddPartitions,
		ast.AlterTableDropPartition, ast.AlterTableTruncatePartition, ast.AlterTableCoalescePartitions:
		return nil
	case ast.AlterTableRenameTable:
		return unsupported("ALTER TABLE ... RENAME", "create a table of the new name and copy the rows")
	}
	return unsupported("this kind of ALTER TABLE", "")
}

// sharded reports whether the table is spread by a key.
func (t *Table) sharded() bool { return t.Rule.Kind() == route.RuleSharded }

func alteredOptions(t *Table, options []*ast.TableOption) error {
	for _, o := range options {
		if o.Tp == ast.TableOptionCharset && o.UintValue == ast.TableOptionCharsetWithConvertTo && t.sharded() && t.Rule.KeyType() == route.KeyTypeString {
			return unsupported("CONVERT TO CHARACTER SET of "+t.Name+", whose sharding key is a string", "change the other columns one by one")
		}
	}
	return allowedOptions(options)
}

// keyUntouched refuses a change of the sharding key.
func keyUntouched(t *Table, column *ast.ColumnName) error {
	if t.sharded() && strings.EqualFold(column.Name.O, t.Rule.Column()) {
		return unsupported("a change of the sharding key "+t.Name+"."+t.Rule.Column(), "")
	}
	return nil
}

// changedColumn checks MODIFY and CHANGE.
func changedColumn(t *Table, old *ast.ColumnName, def *ast.ColumnDef) error {
	if err := keyUntouched(t, old); err != nil {
		return err
	}
	return newInSharded(t, def)
}

// newInSharded refuses definitions that the shards would fill each with values
// of their own, or that only a whole table can check.
func newInSharded(t *Table, def *ast.ColumnDef) error {
	name := t.Name + "." + def.Name.Name.O
	if t.Rule.Kind() == route.RuleCopies && hasOption(def, ast.ColumnOptionAutoIncrement) {
		return unsupported("AUTO_INCREMENT for "+name+" of a reference table that exists", "every shard would number the rows by itself")
	}
	if !t.sharded() {
		return nil
	}
	for _, o := range def.Options {
		//nolint:exhaustive // an allow-list over the parser's enum
		switch o.Tp {
		case ast.ColumnOptionAutoIncrement:
			if c := t.column(def.Name.Name.O); c != nil && c.AutoInc {
				continue
			}
			return unsupported("AUTO_INCREMENT for "+name+" of a sharded table that exists", "")
		case ast.ColumnOptionUniqKey, ast.ColumnOptionPrimaryKey:
			return unsupported("UNIQUE "+name+" without the sharding key "+t.Rule.Column(), "a shard knows its own rows only")
		case ast.ColumnOptionReference:
			return unsupported("FOREIGN KEY of the sharded table "+t.Name, "")
		}
	}
	return nil
}

func hasOption(def *ast.ColumnDef, option ast.ColumnOptionType) bool {
	return slices.ContainsFunc(def.Options, func(o *ast.ColumnOption) bool { return o.Tp == option })
}

func (d *definition) addedColumns(t *Table, spec *ast.AlterTableSpec) error {
	for _, def := range spec.NewColumns {
		if err := newInSharded(t, def); err != nil {
			return err
		}
		c, refs, err := d.newColumn(&Table{Schema: t.Schema, Name: t.Name}, def)
		if err != nil {
			return err
		}
		if t.Rule.Kind() != route.RuleOne && c.VolatileDefault {
			return unsupported("ADD COLUMN "+t.Name+"."+c.Name+" whose default differs between shards", "add it without, then ALTER COLUMN ... SET DEFAULT")
		}
		if err := d.references(t, refs); err != nil {
			return err
		}
	}
	for _, c := range spec.NewConstraints {
		if err := d.addedConstraint(t, c); err != nil {
			return err
		}
	}
	return nil
}

func (d *definition) addedConstraint(t *Table, c *ast.Constraint) error {
	added := &Table{}
	refs, err := addConstraint(added, c)
	if err != nil {
		return err
	}
	if len(refs) > 0 && t.sharded() {
		return unsupported("FOREIGN KEY of the sharded table "+t.Name, "place both tables on one shard, or check in the application")
	}
	if err := d.references(t, refs); err != nil {
		return err
	}
	if !t.sharded() {
		return nil
	}
	if c.Tp == ast.ConstraintPrimaryKey && !containsFold(added.Primary, t.Rule.Column()) {
		return unsupported("PRIMARY KEY of "+t.Name+" without the sharding key "+t.Rule.Column(), "add the key to it")
	}
	for _, u := range added.Unique {
		if !containsFold(u.Columns, t.Rule.Column()) {
			return lacksKey(t, u, t.Rule.Column())
		}
	}
	return nil
}

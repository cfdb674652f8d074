package plan

import "testing"

func TestInlineReplacesOnlyWholeItems(t *testing.T) {
	p := New(Options{})
	env := Env{Schema: "app", Charset: "utf8mb4", Catalog: newTestCatalog(t)}
	value := func(name string) (string, bool) {
		switch name {
		case "wait_timeout", "transaction_isolation", "connection_id()", "user()", "current_user()", "autocommit":
			return "<" + name + ">", true
		}
		return "", false
	}
	for _, c := range []struct{ sql, want string }{
		{"SELECT @@wait_timeout", "SELECT <wait_timeout> AS `@@wait_timeout`"},
		{"/* c */ SELECT  @@session.autocommit AS a, @@sql_mode AS m, @@`wait_timeout` LIMIT 1",
			"/* c */ SELECT  <autocommit> AS a, @@sql_mode AS m, <wait_timeout> AS `@@``wait_timeout``` LIMIT 1"},
		{"select @@version, database(), user(), Connection_ID()", "select @@version, database(), <user()> AS `user()`, <connection_id()> AS `Connection_ID()`"},
		{"SELECT CURRENT_USER, CURRENT_USER() AS u", "SELECT <current_user()> AS `CURRENT_USER`, <current_user()> AS u"},
		{"SELECT @@wait_timeout + 1", ""},
		{"SELECT 1 + @@wait_timeout", ""},
		{"SELECT (@@wait_timeout)", ""},
		{"SELECT IF(@@autocommit, 1, 2)", ""},
		{"SELECT 1 WHERE @@autocommit = 1", ""},
		{"SELECT @@gtid_executed", ""},
		{"SELECT '@@wait_timeout', @@wait_timeout", "SELECT '@@wait_timeout', <wait_timeout> AS `@@wait_timeout`"},
	} {
		plan, err := p.Plan(env, c.sql)
		if err != nil {
			t.Errorf("%s: %v", c.sql, err)
			continue
		}
		got, ok := plan.Inline(env, c.sql, value)
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s: %q %v, want %q", c.sql, got, ok, c.want)
		}
	}
}

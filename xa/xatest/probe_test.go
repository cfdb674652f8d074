package xatest_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"xaproxy/xa/xamysql"
)

func show(r xamysql.Reply) string {
	var o []string
	for _, x := range r.Results {
		if x.Err != nil {
			o = append(o, x.Err.Error())
			continue
		}
		s := fmt.Sprintf("OK aff=%d st=%#x", x.Affected, x.Status)
		for _, row := range x.Rows {
			for _, v := range row {
				if v == nil {
					s += " NULL"
				} else {
					s += fmt.Sprintf(" %q", *v)
				}
			}
			s += ";"
		}
		o = append(o, s)
	}
	return strings.Join(o, " | ")
}

func TestProbe(t *testing.T) {
	script, err := os.ReadFile(os.Getenv("PROBE"))
	if err != nil {
		t.Skip()
	}
	f, _ := os.ReadFile("/tmp/xamysql-dsn")
	for _, l := range strings.Split(strings.TrimSpace(string(f)), "\n") {
		w := strings.Fields(l)
		if !strings.Contains(w[0], os.Getenv("ONLY")) {
			continue
		}
		fmt.Println("=====", w[0], w[4])
		conns := map[string]*session{}
		sc := bufio.NewScanner(strings.NewReader(string(script)))
		for sc.Scan() {
			l := strings.TrimSpace(sc.Text())
			if l == "" || l[0] == '#' {
				continue
			}
			name, q, _ := strings.Cut(l, ":")
			q = strings.TrimSpace(q)
			c := conns[name]
			if c == nil {
				c = dial(t, w[1], 1)
				conns[name] = c
			}
			if q == "CLOSE" {
				c.close()
				delete(conns, name)
				continue
			}
			if d, ok := strings.CutPrefix(q, "SLEEP "); ok {
				x, _ := time.ParseDuration(d)
				time.Sleep(x)
				continue
			}
			if d, ok := strings.CutPrefix(q, "SEND "); ok {
				c.send(query(d))
				continue
			}
			if q == "READ" {
				r, err := c.reply()
				fmt.Println("  ", name, "<-", show(r), err)
				continue
			}
			for n, o := range conns {
				q = strings.ReplaceAll(q, "$"+n, fmt.Sprint(o.id.Conn))
			}
			var cmds []xamysql.Command
			for _, p := range strings.Split(q, "||") {
				p = strings.TrimSpace(p)
				if p == "PING" {
					cmds = append(cmds, xamysql.Command{Kind: xamysql.Ping})
				} else {
					cmds = append(cmds, query(p))
				}
			}
			rs, err := c.Exchange(context.Background(), cmds...)
			for i, r := range rs {
				fmt.Printf("   %s %-60.140s -> %s\n", name, cmds[i].SQL, show(r))
			}
			if err != nil {
				fmt.Println("  ", name, err)
			}
		}
		for _, c := range conns {
			c.close()
		}
	}
}

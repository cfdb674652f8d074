package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/launch"
)

// TestBenchGrowth: the same point queries over more and more shards cost the proxy the same.
func TestBenchGrowth(t *testing.T) {
	doc := benchDocument(t)
	var b strings.Builder
	b.WriteString("| shards | CPU of xaproxy per query | beside 2 shards | memory of xaproxy | CPU when nothing is asked |\n|---|---|---|---|---|\n")
	var first time.Duration
	for _, n := range []int{2, 4, 8, 16} {
		t.Run(fmt.Sprintf("%d shards", n), func(t *testing.T) {
			small := launch.Options{Engine: launch.MariaDB1011, Settings: map[string]string{
				"innodb_buffer_pool_size": "16M", "performance_schema": "OFF", "innodb_log_file_size": "8M",
			}}
			options := make([]launch.Options, n)
			for i := range options {
				options[i] = small
			}
			c := newClusterOf(t, options...)
			p := benchProxy(t, c, "p", c.addrs(), 1, "finished")
			makeRows(t, p, benchRows)
			ids := make([]int, benchRows)
			for i := range ids {
				ids[i] = i
			}
			idle := cpuTime(t, p.pid())
			time.Sleep(3 * time.Second)
			idle = cpuTime(t, p.pid()) - idle
			r := compare(t, []benchWay{{"xaproxy", p.pid(), pointSelect(fmt.Sprintf("app:%s@tcp(%s)/", appPassword, p.data), ids, false)}}, 8)[0]
			cpu := medianCPU(r)
			if first == 0 {
				first = cpu
			}
			fmt.Fprintf(&b, "| %d | %v | %.2f | %.0f MiB | %.1f %% of a core |\n", n, cpu.Round(100*time.Nanosecond), float64(cpu)/float64(first),
				resident(t, p.pid()), 100*idle.Seconds()/3)
		})
	}
	t.Logf("\n%s", b.String())
	if err := writeSection(doc, "growth", b.String()); err != nil {
		t.Error(err)
	}
}

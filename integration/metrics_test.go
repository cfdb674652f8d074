package integration

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/launch"
)

// scrape reads /metrics: values by name and labels, and the names.
func (p *proxyProcess) scrape(ctx context.Context) (values map[string]float64, names map[string]bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.httpAddr+"/metrics", nil)
	if err != nil {
		return nil, nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	values, names = map[string]float64{}, map[string]bool{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		i := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || i < 0 {
			continue
		}
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			return nil, nil, fmt.Errorf("%q: %w", line, err)
		}
		values[line[:i]] = v
		name, _, _ := strings.Cut(line[:i], "{")
		names[name] = true
	}
	return values, names, lines.Err()
}

// TestMetrics: what is scraped is what happened, and the documents name each metric.
func TestMetrics(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011, launch.MySQL)
	p := c.newProxy(t, "p", proxySettings{node: 1})
	p.up()
	b := newBank(t, c, p)
	before, _, err := p.scrape(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db := p.open("", "")
	defer db.Close()
	for range 3 {
		if a := b.transfer(t.Context(), db, 0, "COMMIT"); a.told != toldCommitted {
			t.Fatal(a)
		}
	}
	if a := b.transfer(t.Context(), db, 0, "ROLLBACK"); a.told == toldCommitted {
		t.Fatal(a)
	}
	after, names, err := p.scrape(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{`xa_commit_total{mode="home"}`: 3, `xa_abort_total`: 0, `xa_unknown_total`: 0} {
		if got := after[name] - before[name]; got != want {
			t.Errorf("%s grew by %v, want %v", name, got, want)
		}
	}
	for name, want := range map[string]float64{`xaproxy_shard_up{shard="s0"}`: 1, `xaproxy_shard_up{shard="s1"}`: 1, "xa_in_doubt": 0, "xaproxy_draining": 0} {
		if after[name] != want {
			t.Errorf("%s is %v, want %v", name, after[name], want)
		}
	}
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range names {
		if ours := strings.HasPrefix(name, "xa_") || strings.HasPrefix(name, "xaproxy_"); ours && !strings.Contains(string(text), name) {
			t.Errorf("docs/operations.md does not name %s", name)
		}
	}
	id := c.shards[1].ids(t)[0]
	c.shards[1].kill(t)
	if _, err := poll(t.Context(), 5*time.Second+slack(), func(ctx context.Context) error {
		_ = needs(ctx, p, id) // somebody notices
		now, _, err := p.scrape(ctx)
		if err == nil && now[`xaproxy_shard_up{shard="s1"}`] != 0 {
			err = fmt.Errorf("the shard that was killed is shown as up")
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

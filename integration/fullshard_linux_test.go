package integration

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"xaproxy/internal/launch"
)

// smallDisk mounts a file system of a few MiB. Without the right to do that the test is skipped.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("xaproxy-test", dir, "tmpfs", 0, "mode=700,size="+size); err != nil {
		t.Skipf("a disk that can be full needs root: mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// fillDisk takes all space that is left, until the returned function is called.
func fillDisk(t *testing.T, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := bytes.Repeat([]byte{1}, 1<<16); len(block) > 0; {
		_, err := f.Write(block)
		switch {
		case errors.Is(err, syscall.ENOSPC):
			block = block[:len(block)/2]
		case err != nil:
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	}
}

// TestAFullShard: a shard's disk gets full under load, in the middle of commits. Who does not need it notices nothing; who
// does is told the truth; once there is space again everything ends, and each transfer is on both sides or on none.
func TestAFullShard(t *testing.T) {
	engines := []launch.Engine{launch.MariaDB1011, launch.MySQL}
	if testing.Short() {
		engines = engines[:1] // MySQL looks for space once a minute
	}
	for _, e := range engines {
		t.Run(string(e), func(t *testing.T) {
			disk := smallDisk(t, "400m")
			c := newClusterOf(t, launch.Options{Engine: launch.MariaDB1011}, launch.Options{Engine: launch.MySQL}, launch.Options{Engine: e, Dir: disk})
			p := c.newProxy(t, "p", proxySettings{node: 1, recovery: defaultRecovery(), tables: "  big: { shard: s2 }\n", more: "limits: { pool_wait: 3s, shard_connections: 20 }\n"})
			p.up()
			bank := newBank(t, c, p)
			db := p.open("", "")
			defer db.Close()
			if _, err := db.ExecContext(t.Context(), "CREATE TABLE bank.big (id INT PRIMARY KEY, text LONGTEXT NOT NULL)"); err != nil {
				t.Fatal(err)
			}
			verify := load(t, "money", 8, p)
			time.Sleep(time.Second)
			free := fillDisk(t, disk)
			ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
			defer stop()
			var clients sync.WaitGroup
			var stalls stalls
			for i := range 3 {
				clients.Go(func() { stalls.happy(ctx, t, p, bank, i) })
			}
			refused := 0
			clients.Go(func() { refused = fillRows(ctx, t, p) })
			clients.Wait()
			stalls.report(t)
			if refused == 0 {
				t.Error("the disk was not full for any statement")
			}
			free()
			if _, err := bad(c).number(t.Context(), "SELECT 1"); err != nil {
				t.Logf("its server did not survive: %v", err)
				bad(c).kill(t)
				bad(c).restart(t)
			}
			if _, err := poll(t.Context(), 90*time.Second, func(ctx context.Context) error {
				ctx, stop := context.WithTimeout(ctx, 5*time.Second)
				defer stop()
				return needs(ctx, p, bad(c).ids(t)[0])
			}); err != nil {
				t.Errorf("with space again: %v\n%s", err, p.logTail(20))
			}
			time.Sleep(2 * time.Second)
			verify()
			took, err := poll(t.Context(), 30*time.Second, bank.settled)
			if err != nil {
				t.Errorf("%v\n%s", err, p.logTail(20))
			}
			t.Logf("settled after %v", took.Round(time.Millisecond))
		})
	}
}

func bad(c *cluster) *shard { return c.shards[2] }

// fillRows writes large rows at the full shard until ctx ends, and counts what could not be written.
func fillRows(ctx context.Context, t *testing.T, p *proxyProcess) (refused int) {
	db := p.open("", "timeout=2s&readTimeout=4s")
	defer db.Close()
	for n := 0; ctx.Err() == nil; n++ {
		_, err := db.ExecContext(ctx, "INSERT INTO bank.big VALUES (?,REPEAT('x',1000000))", n)
		if err != nil && ctx.Err() == nil {
			if refused++; refused < 4 {
				t.Logf("who needs the full shard is told: %v", err)
			}
		}
	}
	return refused
}

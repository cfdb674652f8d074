package docker

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// smallVolume puts the data of shard mysql on a disk of its own that can be full. It needs root; without, there is none.
func (s *stage) smallVolume() {
	t := s.t
	if os.Geteuid() != 0 {
		t.Log("a volume that can be full needs root")
		return
	}
	dir, err := os.MkdirTemp("", "xaproxy-volume")
	if err != nil {
		t.Fatal(err)
	}
	disk, empty := filepath.Join(dir, "disk"), filepath.Join(dir, "mounted")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, 900<<20); err != nil {
		t.Fatal(err)
	}
	device, err := exec.Command("losetup", "--find", "--show", disk).Output()
	if err != nil {
		t.Logf("a volume that can be full needs a loop device: losetup: %v", err)
		return
	}
	loop := strings.TrimSpace(string(device))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", loop).CombinedOutput(); err != nil {
			t.Errorf("losetup: %v\n%s", err, out)
		}
		_ = os.RemoveAll(dir)
	})
	// Without lost+found: a server wants its data directory empty, and Docker copies the image's owner into an empty one.
	for _, args := range [][]string{{"mkfs.ext4", "-q", loop}, {"mount", loop, empty}, {"rmdir", filepath.Join(empty, "lost+found")}, {"umount", empty}} {
		s.must(args[0], args[1:]...)
	}
	override := filepath.Join(dir, "small.yaml")
	text := fmt.Sprintf("version: \"3.8\"\nvolumes:\n  mysql:\n    driver_opts: { type: ext4, device: %q }\n", loop)
	if err := os.WriteFile(override, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.env = append(s.env, "COMPOSE_OVERRIDE="+override)
	s.small = true
}

// fillVolume takes all space of shard mysql's volume for a while. Its server waits for space, and looks once a minute.
func fillVolume(s *stage) {
	if !s.small {
		s.t.Skip("there is no volume that can be full")
	}
	id := s.container("mysql")
	s.must("docker", "exec", id, "sh", "-c", "cat /dev/zero >/var/lib/mysql/filler || true")
	left := s.must("docker", "exec", id, "sh", "-c", "df -k /var/lib/mysql | tail -n 1 | awk '{print $4}'")
	time.Sleep(either(8*time.Second, time.Minute))
	s.must("docker", "exec", id, "rm", "/var/lib/mysql/filler")
	s.t.Logf("%s KiB were left of the volume", left)
	s.within(2*time.Minute, func() error {
		_, err := s.shards["mysql"].Exec("CREATE DATABASE IF NOT EXISTS space")
		return err
	})
}

// inDoubt counts prepared branches.
func (s *stage) inDoubt() (n int, err error) {
	for name, db := range s.shards {
		rows, err := db.Query("XA RECOVER")
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		for rows.Next() {
			n++
		}
		if err := rows.Err(); err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		_ = rows.Close()
	}
	return n, nil
}

// restartInDoubt kills everything at once while transactions are in doubt.
func restartInDoubt(s *stage) {
	for range 10 {
		s.kill("proxy1", "proxy2", "mysql", "mariadb")
		s.start("mysql", "mariadb")
		var doubt int
		s.within(time.Minute, func() (err error) {
			doubt, err = s.inDoubt()
			return err
		})
		s.start("proxy1", "proxy2")
		if doubt > 0 {
			s.t.Logf("%d branches were in doubt", doubt)
			return
		}
		s.healthy(time.Minute)
		time.Sleep(2 * time.Second)
	}
	s.t.Error("nothing was in doubt at any of ten restarts")
}

// part says whether a test belongs to the short form, which CI runs.
func part(t *testing.T, inShort bool) {
	t.Helper()
	if os.Getenv("XAPROXY_DOCKER") == "short" && !inShort {
		t.Skip("not in the short form")
	}
}

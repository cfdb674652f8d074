// Package docker has the tests that look at the cluster of compose.yaml from outside. They run with XAPROXY_DOCKER=1
// (`make docker-test`); XAPROXY_DOCKER=long takes the times that a user's faults take,
// XAPROXY_DOCKER=short a part of the faults.
package docker

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
)

const (
	project = "xaproxytest"
	image   = "xaproxy:test"
)

// ports are published on 127.0.0.1; others than those of `make docker-up`.
var ports = map[string]string{
	"MYSQL_PORT": "23306", "MARIADB_PORT": "23307", "PROXY1_PORT": "24406", "PROXY1_ADMIN_PORT": "24407", "PROXY1_HTTP_PORT": "24408",
	"PROXY2_PORT": "24416", "PROXY2_ADMIN_PORT": "24417", "PROXY2_HTTP_PORT": "24418",
}

// password is that of all accounts of the throw-away cluster.
const password = "docker-test"

// stage is the cluster.
type stage struct {
	t       *testing.T
	env     []string
	network string
	small   bool // shard mysql's volume is small
	shards  map[string]*sql.DB
}

func (s *stage) run(name string, args ...string) (string, error) {
	cmd := exec.CommandContext(context.WithoutCancel(s.t.Context()), name, args...)
	cmd.Env = append(os.Environ(), s.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), err
}

func (s *stage) must(name string, args ...string) string {
	s.t.Helper()
	out, err := s.run(name, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *stage) compose(args ...string) string { s.t.Helper(); return s.must("./compose.sh", args...) }

// container is the id of a service's container.
func (s *stage) container(service string) string {
	s.t.Helper()
	ids := strings.Fields(s.compose("ps", "-q", service))
	if len(ids) == 0 {
		s.t.Fatalf("no container of %s", service)
	}
	return ids[len(ids)-1]
}

func have(image string) bool { return exec.Command("docker", "image", "inspect", image).Run() == nil }

// images names the official images, or the ones that base-images.sh makes where they cannot be had.
func images(t *testing.T) []string {
	official := map[string]string{"MYSQL_IMAGE": "mysql:9.7", "MARIADB_IMAGE": "mariadb:11.8", "GO_IMAGE": "golang:1.26"}
	reached := true
	for _, i := range official {
		if reached = have(i) || exec.Command("docker", "pull", "-q", i).Run() == nil; !reached {
			break
		}
	}
	if reached {
		return nil
	}
	local := map[string]string{"MYSQL_IMAGE": "mysql", "MARIADB_IMAGE": "mariadb", "GO_IMAGE": "go"}
	var env []string
	for variable, name := range local {
		if full := "xaproxy-base/" + name + ":local"; !have(full) {
			t.Logf("making %s", full)
			if out, err := exec.Command("./base-images.sh", name).CombinedOutput(); err != nil {
				t.Fatalf("base-images.sh %s: %v\n%s", name, err, out)
			}
		}
		env = append(env, variable+"=xaproxy-base/"+name+":local")
	}
	goproxy, err := exec.Command("go", "env", "GOPROXY").Output()
	if err != nil {
		t.Fatal(err)
	}
	return append(env, "GOPROXY="+strings.TrimSpace(string(goproxy)))
}

// open builds the image, starts the cluster and ends it with the test.
func open(t *testing.T) *stage {
	required := strings.Contains(os.Getenv("XAPROXY_REQUIRE"), "docker")
	if os.Getenv("XAPROXY_DOCKER") == "" && !required {
		t.Skip("set XAPROXY_DOCKER=1, or run make docker-test")
	}
	if out, err := exec.Command("docker", "info").CombinedOutput(); err != nil {
		if required {
			t.Fatalf("no Docker engine: %v\n%s", err, out)
		}
		t.Skipf("no Docker engine: %v\n%s", err, out)
	}
	s := &stage{t: t, shards: map[string]*sql.DB{}}
	s.env = append(images(t), "COMPOSE_PROJECT_NAME="+project, "XAPROXY_IMAGE="+image,
		"ROOT_PASSWORD="+password, "APP_PASSWORD="+password, "OPS_PASSWORD="+password)
	for variable, port := range ports {
		s.env = append(s.env, variable+"="+port)
	}
	s.smallVolume()
	t.Cleanup(func() { _, _ = s.run("./compose.sh", "down", "-v", "--remove-orphans") })
	_, _ = s.run("./compose.sh", "down", "-v", "--remove-orphans")
	s.compose("build", "proxy1")
	s.compose("up", "-d", "proxy1", "proxy2")
	s.network = s.must("docker", "inspect", "-f", "{{range $name, $v := .NetworkSettings.Networks}}{{$name}}{{end}}", s.container("proxy1"))
	for name, port := range map[string]string{"mysql": ports["MYSQL_PORT"], "mariadb": ports["MARIADB_PORT"]} {
		db, err := sql.Open("mysql", "root:"+password+"@tcp(127.0.0.1:"+port+")/?timeout=3s&readTimeout=10s")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		s.shards[name] = db
	}
	s.healthy(2 * time.Minute)
	return s
}

// healthy waits until Docker calls all four healthy.
func (s *stage) healthy(limit time.Duration) {
	s.t.Helper()
	s.within(limit, func() error {
		for _, service := range []string{"mysql", "mariadb", "proxy1", "proxy2"} {
			state, err := s.run("docker", "inspect", "-f", "{{.State.Health.Status}}", s.container(service))
			if err != nil {
				return err
			}
			if state != "healthy" {
				return fmt.Errorf("%s is %s", service, state)
			}
		}
		return nil
	})
}

// within calls f until it returns nil.
func (s *stage) within(limit time.Duration, f func() error) time.Duration {
	s.t.Helper()
	began := time.Now()
	for {
		err := f()
		if err == nil {
			return time.Since(began)
		}
		if time.Since(began) > limit {
			s.t.Fatalf("after %v: %v", limit, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// application is the bank in a container of its own: it knows the two DSNs.
func (s *stage) application(verb, schema string, more ...string) []string {
	args := []string{"run", "--network", s.network, "-v", project + "_bank:/var/lib/xaproxy", "--name", project + "-" + verb + "-" + schema}
	if verb == "run" {
		args = append(args, "-d")
	} else {
		args = append(args, "--rm")
	}
	args = append(args, image, "bank", verb, "--schema", schema, "--record", "/var/lib/xaproxy/"+schema+".jsonl")
	for _, proxy := range []string{"proxy1", "proxy2"} {
		args = append(args, "--dsn", "app:"+password+"@tcp("+proxy+":4406)/")
	}
	return append(args, more...)
}

// verdict is what `bank verify` prints.
type verdict struct {
	Committed, Aborted, Unknown, Resolved, Happened, Unrecorded int
	Total                                                       int64
	Violations                                                  []string
}

// clean fails while a shard holds anything prepared or locked.
func (s *stage) clean(schema string) error {
	var errs error
	for name, db := range s.shards {
		errs = errors.Join(errs, cleanAt(name, db, schema))
	}
	return errs
}

func cleanAt(name string, db *sql.DB, schema string) error {
	rows, err := db.Query("XA RECOVER")
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer rows.Close()
	if rows.Next() {
		return fmt.Errorf("%s: a branch is prepared", name)
	}
	var n int
	if err := db.QueryRow("SELECT COUNT(*) FROM " + schema + ".account FOR UPDATE NOWAIT").Scan(&n); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// transfers fails until the application has transferred at both shards.
func (s *stage) transfers(schema string) error {
	for name, db := range s.shards {
		var n int
		if err := db.QueryRow("SELECT COUNT(*) FROM " + schema + ".entry").Scan(&n); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if n == 0 {
			return fmt.Errorf("%s: no transfer yet", name)
		}
	}
	return nil
}

// under runs a fault while the application works, and then compares: the application's own record, the total, both sides
// of every transfer, nothing prepared and nothing locked.
func (s *stage) under(schema string, fault func()) verdict {
	t := s.t
	t.Helper()
	name := project + "-run-" + schema
	_, _ = s.run("docker", "rm", "-f", name)
	s.must("docker", s.application("run", schema, "--clients", "8")...)
	defer func() { _, _ = s.run("docker", "rm", "-f", name) }()
	s.within(time.Minute, func() error { return s.transfers(schema) })
	time.Sleep(2 * time.Second)
	fault()
	s.healthy(time.Minute)
	time.Sleep(2 * time.Second)
	s.must("docker", "stop", "-t", "90", name)
	if code := s.must("docker", "inspect", "-f", "{{.State.ExitCode}}", name); code != "0" {
		t.Errorf("the application ended with %s:\n%s", code, s.must("docker", "logs", "--tail", "5", name))
	}
	took := s.within(30*time.Second, func() error { return s.clean(schema) })
	out, err := s.run("docker", s.application("verify", schema)...)
	var v verdict
	if jsonErr := json.Unmarshal([]byte(strings.Split(out, "\n")[0]), &v); jsonErr != nil {
		t.Fatalf("verify: %v, %v\n%s", err, jsonErr, out)
	}
	for _, w := range v.Violations {
		t.Error(w)
	}
	if err != nil && len(v.Violations) == 0 {
		t.Error(err)
	}
	if v.Committed == 0 {
		t.Error("nothing was committed")
	}
	t.Logf("committed %d, aborted %d, unknown %d (XA OUTCOME told of %d, %d happened), total %d; nothing prepared or locked %v after the end",
		v.Committed, v.Aborted, v.Unknown, v.Resolved, v.Happened, v.Total, took.Round(time.Millisecond))
	return v
}

// long says whether faults last as long as a user's do.
func long() bool { return os.Getenv("XAPROXY_DOCKER") == "long" }

func either(short, whole time.Duration) time.Duration {
	if long() {
		return whole
	}
	return short
}

func (s *stage) kill(services ...string) {
	s.t.Helper()
	args := []string{"kill"}
	for _, service := range services {
		args = append(args, s.container(service))
	}
	s.must("docker", args...)
}

func (s *stage) start(services ...string) {
	s.t.Helper()
	args := []string{"start"}
	for _, service := range services {
		args = append(args, s.container(service))
	}
	s.must("docker", args...)
}

// apart cuts a container off the network for a while.
func (s *stage) apart(service string, d time.Duration) {
	s.t.Helper()
	id := s.container(service)
	s.must("docker", "network", "disconnect", s.network, id)
	time.Sleep(d)
	s.must("docker", "network", "connect", "--alias", service, s.network, id)
}

// TestCluster: everything that can happen to containers, one after the other, on one cluster.
func TestCluster(t *testing.T) {
	s := open(t)
	for _, c := range []struct {
		name  string
		short bool // a part of the short form
		fault func(s *stage)
	}{
		{"TransfersFromAnApplicationContainer", false, func(*stage) {}},
		{"KillAProxy", false, func(s *stage) { s.kill("proxy1"); time.Sleep(6 * time.Second); s.start("proxy1") }},
		{"KillMySQL", false, func(s *stage) { s.kill("mysql"); time.Sleep(3 * time.Second); s.start("mysql") }},
		{"KillMariaDB", false, func(s *stage) { s.kill("mariadb"); time.Sleep(3 * time.Second); s.start("mariadb") }},
		{"KillAProxyAndAShard", true, func(s *stage) { s.kill("proxy2", "mysql"); time.Sleep(3 * time.Second); s.start("mysql", "proxy2") }},
		{"DisconnectAShard", false, func(s *stage) { s.apart("mysql", either(8*time.Second, time.Minute)) }},
		{"DisconnectAProxy", false, func(s *stage) { s.apart("proxy1", either(18*time.Second, time.Minute)) }},
		{"PauseAProxy", true, func(s *stage) {
			s.must("docker", "pause", s.container("proxy1"))
			time.Sleep(either(18*time.Second, time.Minute))
			s.must("docker", "unpause", s.container("proxy1"))
		}},
		{"PauseAShard", false, func(s *stage) {
			s.must("docker", "pause", s.container("mariadb"))
			time.Sleep(either(6*time.Second, time.Minute))
			s.must("docker", "unpause", s.container("mariadb"))
		}},
		{"RestartEverythingAtOnce", true, restartInDoubt},
		{"FillAShardsVolume", false, fillVolume},
	} {
		t.Run(c.name, func(t *testing.T) {
			part(t, c.short)
			here := *s
			here.t = t
			here.under(strings.ToLower(c.name), func() { c.fault(&here) })
		})
	}
	t.Run("RollingRestart", func(t *testing.T) {
		part(t, false)
		here := *s
		here.t = t
		v := here.under("rollingrestart", func() {
			for range 5 {
				for _, proxy := range []string{"proxy1", "proxy2"} {
					here.must("docker", "restart", "-t", "60", here.container(proxy))
					here.healthy(time.Minute)
				}
			}
		})
		if v.Aborted != 0 || v.Unknown != 0 {
			t.Errorf("%d aborted, %d unknown, want none", v.Aborted, v.Unknown)
		}
	})
}

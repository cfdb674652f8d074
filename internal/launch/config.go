package launch

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// configuration is what a server's my.cnf says.
type configuration struct {
	engine       Engine
	installation installation
	dir          string // the instance's folder: error log, tmpdir
	data         string
	socket       string
	port         int // 0 = none: an initializing run
}

// settings are the options of every server: durable, small, quick to start. Each of them may be overridden.
func (c configuration) settings() map[string]string {
	s := map[string]string{
		"datadir":   c.data,
		"tmpdir":    filepath.Join(c.dir, "tmp"),
		"socket":    c.socket,
		"log_error": filepath.Join(c.dir, "error.log"),
		"pid_file":  filepath.Join(c.dir, "server.pid"),

		"general_log_file": filepath.Join(c.dir, "general.log"),

		"bind_address":      "127.0.0.1",
		"skip_name_resolve": "",
		"max_connections":   "300",
		// What xaproxy demands of shards; MariaDB's default is 16M.
		"max_allowed_packet": "64M",

		// What was acknowledged survives.
		"innodb_flush_log_at_trx_commit": "1",
		"sync_binlog":                    "1",

		"innodb_buffer_pool_size":             "64M",
		"innodb_buffer_pool_dump_at_shutdown": "OFF",
		"innodb_buffer_pool_load_at_startup":  "OFF",
	}
	if c.port != 0 {
		s["port"] = strconv.Itoa(c.port)
	}
	if c.installation.Basedir != "" {
		s["basedir"] = c.installation.Basedir
	}
	if c.installation.PluginDir != "" {
		s["plugin_dir"] = c.installation.PluginDir
	}
	if os.Geteuid() == 0 {
		s["user"] = "root" // servers refuse root unless told
	}
	if c.engine == MySQL {
		s["mysqlx"] = "0"
		s["secure_file_priv"] = ""
		s["innodb_redo_log_capacity"] = "16M"
	} else {
		s["innodb_log_file_size"] = "16M"
		if cert := filepath.Join(c.data, certificateName); exists(cert) {
			s["ssl_cert"], s["ssl_key"] = cert, filepath.Join(c.data, keyName)
		}
	}
	return s
}

// write writes the file; extra settings override the standard ones, however they spell the name.
func (c configuration) write(path string, extra map[string]string) error {
	all := c.settings()
	for name, value := range extra {
		all[settingName(name)] = value
	}
	var b strings.Builder
	b.WriteString("[mysqld]\n")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if strings.ContainsAny(name+all[name], "\r\n") {
			return fmt.Errorf("setting %q: a line break", name)
		}
		switch value := all[name]; {
		case value != "":
			fmt.Fprintf(&b, "%s = %s\n", name, quoted(value))
		case name == "secure_file_priv":
			b.WriteString("secure_file_priv =\n") // unlike the bare name, this means "anywhere"
		default:
			b.WriteString(name + "\n")
		}
	}
	return os.WriteFile(path, []byte(b.String()), 0o600)
}

// settingName is the one spelling of an option's name: the servers take - and _ alike.
func settingName(name string) string {
	return strings.ReplaceAll(strings.TrimLeft(strings.TrimSpace(name), "-"), "-", "_")
}

// quoted protects a # or blanks, which would end the value.
func quoted(value string) string {
	if strings.ContainsAny(value, "# ;\t") && !strings.ContainsAny(value, `"'`) {
		return `"` + value + `"`
	}
	return value
}

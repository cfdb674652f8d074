package launch

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mirror is one place that Debian's packages can be had from, as the machine's apt sources say.
type mirror struct {
	uri      string
	signedBy string // keyring file, "" = not named
}

// archiveKeyring is where Debian's package debian-archive-keyring puts the archive's keys.
const archiveKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// debianMirrors returns the mirrors of Debian's main archive in the apt sources below etc ("/etc/apt"), likeliest first.
func debianMirrors(etc string) ([]mirror, error) {
	names := []string{filepath.Join(etc, "sources.list")}
	for _, pattern := range []string{"*.list", "*.sources"} {
		more, err := filepath.Glob(filepath.Join(etc, "sources.list.d", pattern))
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	var found []mirror
	for _, name := range names {
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("apt sources: %w", err)
		}
		if strings.HasSuffix(name, ".sources") {
			found = append(found, parseDeb822(string(b))...)
		} else {
			found = append(found, parseOneLine(string(b))...)
		}
	}
	slices.SortStableFunc(found, func(a, b mirror) int { return cmp.Compare(a.rank(), b.rank()) })
	return slices.Compact(found), nil
}

// rank orders mirrors by how sure it is that they are Debian's own archive; the signature decides in the end.
func (m mirror) rank() int {
	switch {
	case strings.Contains(filepath.Base(m.signedBy), "debian-archive"):
		return 0
	case strings.Contains(m.uri+"/", "/debian/"):
		return 1
	}
	return 2
}

// keyring is the signed-by option of the source line, "" if apt's own trusted keys must do.
func (m mirror) keyring() string {
	if filepath.IsAbs(m.signedBy) {
		return m.signedBy
	}
	if _, err := os.Stat(archiveKeyring); err == nil {
		return archiveKeyring
	}
	return ""
}

// parseOneLine reads the format of sources.list(5): deb [option=value ...] uri suite component...
func parseOneLine(text string) []mirror {
	var found []mirror
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind != "deb" {
			continue
		}
		rest = strings.TrimSpace(rest)
		options := ""
		if strings.HasPrefix(rest, "[") {
			options, rest, _ = strings.Cut(rest[1:], "]")
		}
		fields := strings.Fields(rest)
		if len(fields) < 3 || !isDebianMain(fields[0], fields[1:2], fields[2:]) {
			continue
		}
		m := mirror{uri: strings.TrimSuffix(fields[0], "/")}
		for _, option := range strings.Fields(options) {
			if v, ok := strings.CutPrefix(option, "signed-by="); ok {
				m.signedBy = v
			}
		}
		found = append(found, m)
	}
	return found
}

// parseDeb822 reads the format of *.sources files: paragraphs of "Field: value", continued by lines that begin with a blank.
func parseDeb822(text string) []mirror {
	var found []mirror
	fields := make(map[string]string)
	last := ""
	flush := func() {
		if slices.Contains(strings.Fields(fields["types"]), "deb") && !strings.EqualFold(fields["enabled"], "no") {
			for _, uri := range strings.Fields(fields["uris"]) {
				if isDebianMain(uri, strings.Fields(fields["suites"]), strings.Fields(fields["components"])) {
					found = append(found, mirror{uri: strings.TrimSuffix(uri, "/"), signedBy: fields["signed-by"]})
				}
			}
		}
		clear(fields)
		last = ""
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case line == "":
			flush()
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				fields[last] += "\n" + strings.TrimSpace(line)
			}
		default:
			name, value, _ := strings.Cut(line, ":")
			last = strings.ToLower(name)
			fields[last] = strings.TrimSpace(value)
		}
	}
	flush()
	return found
}

// isDebianMain reports whether the source looks like Debian's main archive: security and add-on archives, other
// distributions and other vendors' archives do not carry the suites that the engines need.
func isDebianMain(uri string, suites, components []string) bool {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "cdrom" || strings.Contains(u.Path, "debian-security") {
		return false
	}
	known := []string{
		"buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid",
		"oldoldstable", "oldstable", "stable", "testing", "unstable",
	}
	return slices.Contains(components, "main") &&
		slices.ContainsFunc(suites, func(s string) bool { return slices.Contains(known, s) })
}

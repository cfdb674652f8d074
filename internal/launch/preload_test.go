package launch

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestFetchedCompilerBuildsALibrary: a machine without cc must be able to run the tests that delay a server's flushes.
func TestFetchedCompilerBuildsALibrary(t *testing.T) {
	if err := aptOnThisMachine(); err != nil {
		t.Skip("no apt: ", err)
	}
	source := filepath.Join(t.TempDir(), "a.c")
	library := filepath.Join(t.TempDir(), "a.so")
	const text = "#include <stdio.h>\n#include <unistd.h>\nint access_denied(void) { return access(\"/nowhere\", F_OK); }\n"
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	compiler, args, err := fetchedCompiler(t.Context(), newProgress(func(line string) { t.Log(line) }))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(compiler, append(args, "-o", library, source)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := BuildPreload(t.Context(), source, library, nil); err != nil {
		t.Error(err)
	}
}

// TestFetchedHAProxyRuns: benchmarks compare with it on machines that have none.
func TestFetchedHAProxyRuns(t *testing.T) {
	if err := aptOnThisMachine(); err != nil {
		t.Skip("no apt: ", err)
	}
	path, err := EnsureHAProxy(t.Context(), func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, "-v").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

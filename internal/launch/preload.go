package launch

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// BuildPreload compiles one C file into a shared library that a server can be started with (LD_PRELOAD in
// [Options.Env]). It uses the machine's cc; where there is none, a small compiler (tcc) is fetched into the cache folder
// like the servers are.
func BuildPreload(ctx context.Context, source, library string, progress func(string)) error {
	compiler, err := exec.LookPath("cc")
	args := []string{"-shared", "-fPIC", "-O1", "-fno-builtin"}
	if err != nil {
		compiler, args, err = fetchedCompiler(ctx, newProgress(progress))
	}
	if err != nil {
		return fmt.Errorf("no C compiler: neither cc on PATH nor Debian's tcc could be had: %w", err)
	}
	out, err := exec.CommandContext(ctx, compiler, append(args, "-o", library, source)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("compile %s: %w\n%s", source, err, out)
	}
	return nil
}

const toolSuite = "bookworm" // any suite will do for programs that stand alone

// fetchedCompiler returns tcc and the arguments that make it find its own headers.
func fetchedCompiler(ctx context.Context, say progress) (compiler string, args []string, err error) {
	root, err := fetchedTool(ctx, "tcc", []string{"tcc", "libc6-dev"}, "a C compiler (tcc)", say)
	if err != nil {
		return "", nil, err
	}
	own, err := filepath.Glob(filepath.Join(root, "usr/lib/*/tcc"))
	if err != nil || len(own) == 0 {
		return "", nil, fmt.Errorf("package tcc has no folder of its own below %s", root)
	}
	args = []string{
		"-B" + own[0], "-nostdinc", "-I" + filepath.Join(own[0], "include"), "-I" + filepath.Join(root, "usr/include"),
		"-I" + filepath.Join(root, "usr/include", filepath.Base(filepath.Dir(own[0]))), "-shared", "-nostdlib",
	}
	return filepath.Join(root, "usr/bin/tcc"), args, nil
}

// EnsureHAProxy returns the path of an HAProxy, the plain TCP proxy that benchmarks compare with: the machine's own, or
// one that is fetched into the cache folder like the servers are.
func EnsureHAProxy(ctx context.Context, progress func(string)) (string, error) {
	if path, err := exec.LookPath("haproxy"); err == nil {
		return path, nil
	}
	root, err := fetchedTool(ctx, "haproxy", []string{"haproxy"}, "HAProxy", newProgress(progress))
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, "usr/sbin/haproxy")
	_, err = os.Stat(path)
	return path, err
}

// fetchedTool returns the folder in which Debian packages that are no server are unpacked, once for all processes.
func fetchedTool(ctx context.Context, name string, packages []string, title string, say progress) (root string, err error) {
	if err := aptOnThisMachine(); err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	l, err := lock(ctx, dir+".lock", func() { say.linef("waiting for another process that fetches %s", title) })
	if err != nil {
		return "", err
	}
	defer l.Close()
	root, marker := filepath.Join(dir, "root"), filepath.Join(dir, "fetched.json")
	if _, err := os.Stat(marker); err == nil {
		return root, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("clear half a fetch: %w", err)
	}
	r := runner{lock: l}
	a := apt{dir: filepath.Join(dir, "apt"), runner: r}
	archives, err := a.download(ctx, toolSuite, append(packages, "patchelf"), say, title)
	if err != nil {
		return "", err
	}
	if err := unpack(ctx, r, archives, root); err != nil {
		return "", err
	}
	if err := os.RemoveAll(a.dir); err != nil {
		return "", err
	}
	return root, writeJSON(marker, fetchRecipe)
}

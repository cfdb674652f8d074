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

const compilerSuite = "bookworm" // any suite will do: what is compiled uses old symbols only

// fetchedCompiler returns tcc and the arguments that make it find its own headers.
func fetchedCompiler(ctx context.Context, say progress) (compiler string, args []string, err error) {
	if err := aptOnThisMachine(); err != nil {
		return "", nil, err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", nil, err
	}
	dir := filepath.Join(cache, "tcc")
	root := filepath.Join(dir, "root")
	own, err := filepath.Glob(filepath.Join(root, "usr/lib/*/tcc"))
	if err != nil {
		return "", nil, err
	}
	marker := filepath.Join(dir, "fetched.json")
	if _, err := os.Stat(marker); err != nil || len(own) == 0 {
		if err := fetchCompiler(ctx, dir, marker, say); err != nil {
			return "", nil, err
		}
		if own, err = filepath.Glob(filepath.Join(root, "usr/lib/*/tcc")); err != nil || len(own) == 0 {
			return "", nil, fmt.Errorf("package tcc has no folder of its own below %s", root)
		}
	}
	args = []string{
		"-B" + own[0], "-nostdinc", "-I" + filepath.Join(own[0], "include"), "-I" + filepath.Join(root, "usr/include"),
		"-I" + filepath.Join(root, "usr/include", filepath.Base(filepath.Dir(own[0]))), "-shared", "-nostdlib",
	}
	return filepath.Join(root, "usr/bin/tcc"), args, nil
}

func fetchCompiler(ctx context.Context, dir, marker string, say progress) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	l, err := lock(ctx, dir+".lock", func() { say.linef("waiting for another process that fetches a C compiler") })
	if err != nil {
		return err
	}
	defer l.Close()
	if _, err := os.Stat(marker); err == nil {
		return nil // another process was faster
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("clear half a fetch: %w", err)
	}
	r := runner{lock: l}
	a := apt{dir: filepath.Join(dir, "apt"), runner: r}
	archives, err := a.download(ctx, compilerSuite, []string{"tcc", "libc6-dev", "patchelf"}, say, "a C compiler (tcc)")
	if err != nil {
		return err
	}
	if err := unpack(ctx, r, archives, filepath.Join(dir, "root")); err != nil {
		return err
	}
	if err := os.RemoveAll(a.dir); err != nil {
		return err
	}
	return writeJSON(marker, fetchRecipe)
}

package launch

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// unpack extracts the archives below root and makes the programs run from there. No maintainer script runs.
func unpack(ctx context.Context, r runner, archives []string, root string) error {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	for _, archive := range archives {
		if _, err := r.run(ctx, nil, "dpkg-deb", "-x", archive, root); err != nil {
			return fmt.Errorf("unpack %s: %w", filepath.Base(archive), err)
		}
	}
	return relocate(ctx, r, root)
}

// relocate gives every program below root the folder's own loader and library folders, so that it runs directly and
// its children do, whatever the machine's libc is.
func relocate(ctx context.Context, r runner, root string) error {
	loader, libraries, err := findLoader(root)
	if err != nil {
		return err
	}
	rpath := strings.Join(libraries, ":")
	programs, err := dynamicPrograms(root)
	if err != nil {
		return err
	}
	// patchelf comes from the same suite, so it needs that suite's libc, and cannot change itself while it runs.
	patchelf := filepath.Join(root, "usr/bin/patchelf")
	for _, program := range programs {
		if program == patchelf {
			continue
		}
		if _, err := r.run(ctx, nil, loader, "--library-path", rpath, patchelf, "--force-rpath",
			"--set-rpath", rpath, "--set-interpreter", loader, program); err != nil {
			return fmt.Errorf("patch %s: %w", filepath.Base(program), err)
		}
	}
	return nil
}

// findLoader returns the dynamic loader below root and the library folders. The path of the loader is the real file:
// links such as /lib64/ld-linux-x86-64.so.2 may be absolute and lead to the machine's own.
func findLoader(root string) (loader string, libraries []string, err error) {
	for _, lib := range []string{"usr/lib", "lib"} {
		folders, err := filepath.Glob(filepath.Join(root, lib, "*-linux-gnu*"))
		if err != nil {
			return "", nil, err
		}
		for _, folder := range folders {
			libraries = append(libraries, folder)
			loaders, err := filepath.Glob(filepath.Join(folder, "ld-linux*.so.*"))
			if err != nil {
				return "", nil, err
			}
			if len(loaders) > 0 {
				loader = loaders[0]
			}
		}
	}
	if loader == "" {
		return "", nil, fmt.Errorf("no dynamic loader below %s", root)
	}
	return loader, libraries, nil
}

// dynamicPrograms lists the ELF files with an interpreter in the program folders below root, each once.
func dynamicPrograms(root string) ([]string, error) {
	var found []string
	for _, dir := range []string{"usr/bin", "usr/sbin"} {
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			path := filepath.Join(root, dir, entry.Name())
			if entry.Type().IsRegular() && hasInterpreter(path) {
				found = append(found, path)
			}
		}
	}
	return found, nil
}

func hasInterpreter(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false // a script
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return true
		}
	}
	return false
}

//go:build !linux

package integration

import "os/exec"

func startChild(cmd *exec.Cmd) error { return cmd.Start() }

func sharpenTimers() {}

//go:build !linux

package faults

import "os/exec"

func leash(*exec.Cmd) {}

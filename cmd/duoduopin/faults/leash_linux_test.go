package faults

import (
	"os/exec"
	"syscall"
)

// leash has the kernel end cmd with the test's process, also when that is killed before it can clean up.
func leash(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

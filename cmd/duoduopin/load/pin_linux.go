package load

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// processors gives the CPU for the server and the one for the generator; false on a machine with one only.
func processors() (server, generator int, ok bool) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return 0, 0, false
	}
	server, generator = -1, -1
	for i := range len(set) * strconv.IntSize {
		if !set.IsSet(i) {
			continue
		}
		if server < 0 {
			server = i
		}
		generator = i
	}
	return server, generator, server != generator
}

// pin keeps all threads of this process, and those that they and its children start, on one CPU.
func pin(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	for range 2 { // a thread may have been started during the first round
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, task := range tasks {
			id, err := strconv.Atoi(task.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(id, &set); err != nil && err != unix.ESRCH { //nolint:errorlint // a plain errno
				return fmt.Errorf("pin to CPU %d: %w", cpu, err)
			}
		}
	}
	return nil
}

// ownCPU gives the CPU seconds of this process.
func ownCPU() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	sec := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return sec(u.Utime) + sec(u.Stime)
}

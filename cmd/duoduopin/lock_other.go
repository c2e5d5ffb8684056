//go:build !unix

package main

import "os"

// lockFile: without flock the administrator sees to it that one server runs per data folder.
func lockFile(*os.File) error { return nil }

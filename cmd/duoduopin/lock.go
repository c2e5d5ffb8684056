package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// lockData makes sure that one process at a time owns the data folder's room log. The lock ends with the process, also
// after kill -9.
func lockData(dir string) (func(), error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("the data folder %s is in use by another duoduopin server", dir), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

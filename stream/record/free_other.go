//go:build !linux && !darwin

package record

import "errors"

func (osDisk) free(string) (uint64, error) {
	return 0, errors.New("this system does not tell how much room is left")
}

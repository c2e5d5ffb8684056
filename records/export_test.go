package records

import "io"

// Pack and Unpack are what files are made with.
func Pack(events []Event) ([]byte, error) { return pack(events) }
func Unpack(r io.Reader) ([]Event, error) { return unpack(r) }

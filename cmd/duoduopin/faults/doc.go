// Package faults has the tests of hostile peers: floods, garbage and half-open handshakes against the real binary, while
// somebody else watches. Bad networks are staged in static/e2e/faults*.spec.ts. `make test-faults` runs both, alone, so that
// what is measured is the server's doing.
package faults

// Package crash has the tests of crashes while selling: the real binary, a real PostgreSQL with fsync on, and real clients
// who repeat what got no answer with the same Idempotency-Key. Each stage breaks something in the middle of it and then
// counts rows: whatever was acknowledged is there, once; nothing is sold twice; every rule of conservation holds. `make
// test-crash` prints a table. It needs root: for a small file system, and because PostgreSQL is run as another user.
package crash

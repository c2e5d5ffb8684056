package draws

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
)

// RuleName stands in the terms of every draw whose winners come from this rule (docs/protocol.md; docs/samples/drawcheck is
// another implementation of it):
//
//	commitment = SHA-256(seed), published before anybody may enter
//	list       = SHA-256 of the tickets in ascending order, each followed by a line feed
//	score(i)   = HMAC-SHA256(key seed, list || i as 8 bytes, big endian), i = 0, 1, ... in that order
//	winners    = the tickets with the lowest scores, the lowest first
const RuleName = "hmac-sha256-rank-1"

// SeedSize is the length of a seed in bytes.
const SeedSize = 32

// Commit gives the commitment of a seed, in hexadecimal.
func Commit(seed []byte) string { sum := sha256.Sum256(seed); return hex.EncodeToString(sum[:]) }

// ListHash gives the hash of the entrants' tickets, whatever order they come in, in hexadecimal.
func ListHash(tickets []string) string {
	sum := listHash(slices.Sorted(slices.Values(tickets)))
	return hex.EncodeToString(sum[:])
}

func listHash(sorted []string) [sha256.Size]byte {
	h := sha256.New()
	for _, t := range sorted {
		h.Write([]byte(t))
		h.Write([]byte{'\n'})
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Pick gives the winners, first prize first: n of them, or everybody when fewer have entered. Tickets must differ from each other.
func Pick(seed []byte, tickets []string, n int) []string {
	sorted := slices.Sorted(slices.Values(tickets))
	list := listHash(sorted)
	type scored struct {
		score  []byte
		ticket string
	}
	all := make([]scored, len(sorted))
	for i, t := range sorted {
		mac := hmac.New(sha256.New, seed)
		mac.Write(list[:])
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(i)))
		all[i] = scored{mac.Sum(nil), t}
	}
	slices.SortFunc(all, func(a, b scored) int { return bytes.Compare(a.score, b.score) })
	winners := make([]string, min(n, len(all)))
	for i := range winners {
		winners[i] = all[i].ticket
	}
	return winners
}

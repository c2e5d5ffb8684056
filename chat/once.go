package chat

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
)

// fingerprint names one message of one speaker's, on every node and over reconnects: who, the client's id, and what. A page
// that counts its ids from 1 again after a reload says something else under the same id, and is heard. Zero: the message has
// no id, and what is said twice is meant twice.
type fingerprint [16]byte

func fingerprintOf(user, id, text string) fingerprint {
	if id == "" {
		return fingerprint{}
	}
	sum := sha256.Sum256([]byte(user + strconv.Quote(id) + text))
	return fingerprint(sum[:16])
}

// String gives it as the log takes it; empty for zero.
func (f fingerprint) String() string {
	if f == (fingerprint{}) {
		return ""
	}
	return hex.EncodeToString(f[:])
}

// fingerprint gives that of a chat message in the log, zero for other events.
func (r record) fingerprint(h head) fingerprint {
	var s said
	if h.Type != "chat" || json.Unmarshal(r.body, &s) != nil {
		return fingerprint{}
	}
	return fingerprintOf(s.User.ID, s.ID, s.Text)
}

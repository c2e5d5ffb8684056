package chat

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/duoduopin/duoduopin/chat/socket"
	"github.com/duoduopin/duoduopin/internal/fault"
)

// frameMost is where history is split into frames; a live frame may be larger when one window was.
const frameMost = 64 << 10

const timeForm = "2006-01-02T15:04:05.000Z07:00"

// chatUser is how the room sees who speaks.
type chatUser struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role"`

	Badge string `json:"badge,omitempty"` // beside what somebody says
}

type said struct {
	Type string   `json:"type"`
	At   string   `json:"at"`
	ID   string   `json:"id"`
	User chatUser `json:"user"`
	Text string   `json:"text"`
	Held int64    `json:"held_id,omitempty"` // a moderator let it through
}

type helloSession struct {
	ID    int64  `json:"id"`
	Title string `json:"title"`
	State string `json:"state"`
}

type hello struct {
	Type       string       `json:"type"`
	Seq        uint64       `json:"seq"`
	Resumed    bool         `json:"resumed"`
	Session    helloSession `json:"session"`
	Epoch      string       `json:"epoch"`
	You        chatUser     `json:"you"`
	ServerTime string       `json:"server_time"`
	At         string       `json:"at"`
}

type counted struct {
	Type  string `json:"type"`
	Count int64  `json:"count"`
	At    string `json:"at"`
}

func stamp(t time.Time) string { return t.UTC().Format(timeForm) }

// compose makes an event as the log keeps it and the room is told it: the fields of data, which must be a JSON object or nil, with type and at.
func compose(typ string, at time.Time, data any) ([]byte, error) {
	switch typ {
	case "", "hello", "viewers", "likes", "refused", "held", "moderated", "moderation", "beat":
		return nil, fault.Bad("type", fmt.Sprintf("%q is the room's own", typ))
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	fields := map[string]any{}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(raw, &given); err != nil {
		return nil, fmt.Errorf("data of a %s event must be a JSON object: %w", typ, err)
	}
	for k, v := range given {
		fields[k] = v
	}
	delete(fields, "seq")
	fields["type"], fields["at"] = typ, stamp(at)
	return json.Marshal(fields)
}

// numbered puts seq in front of an event's other fields, once for all members.
func numbered(seq uint64, body []byte) []byte {
	out := make([]byte, 0, len(body)+24)
	out = append(out, `{"seq":`...)
	out = strconv.AppendUint(out, seq, 10)
	out = append(out, ',')
	return append(out, body[1:]...)
}

// blank gives a chat event without its text.
func blank(raw []byte) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return raw
	}
	fields["text"], fields["removed"] = json.RawMessage(`""`), json.RawMessage(`true`)
	out, err := json.Marshal(fields)
	if err != nil {
		return raw
	}
	return out
}

// pack makes a frame of encoded events.
func pack(events ...[]byte) socket.Frame {
	n := 1 + len(events)
	for _, e := range events {
		n += len(e)
	}
	b := make([]byte, 0, n)
	b = append(b, '[')
	for i, e := range events {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, e...)
	}
	return socket.Text(append(b, ']'))
}

// encode is json.Marshal of our own plain structs, which can't fail.
func encode(v any) []byte { b, _ := json.Marshal(v); return b }

// message is what a member may send.
type message struct {
	Type       string  `json:"type"`
	ID         string  `json:"id"`
	Text       string  `json:"text"`
	Count      int64   `json:"count"`
	ProductID  int64   `json:"product_id"`
	ProductIDs []int64 `json:"product_ids"`
	Anchor     string  `json:"anchor"`
}

// Bounds of what members send.
const (
	idMost       = 64 // bytes
	textMost     = 200
	likeMost     = 100
	productsMost = 50
	anchorMost   = 64
)

// parse reads a member's frame: malformed when it is no message at all, else whether it is one that we take.
func parse(raw []byte) (m message, ok, malformed bool) {
	if err := json.Unmarshal(raw, &m); err != nil {
		return message{}, false, true
	}
	if !isID(m.ID) {
		m.ID = ""
		return m, false, false
	}
	switch m.Type {
	case "chat", "share":
		return m, true, false
	case "like":
		return m, m.Count >= 1 && m.Count <= likeMost, false
	case "click":
		return m, m.ProductID > 0, false
	case "exposure":
		return m, len(m.ProductIDs) > 0 && len(m.ProductIDs) <= productsMost, false
	case "follow":
		return m, len(m.Anchor) <= anchorMost, false
	}
	return m, false, false
}

// isID reports whether a client may call its message so, or nothing. The room is told the id and no moderator sees it, so it
// must not be a place for text: letters and digits of ASCII with _ - . : between them.
func isID(id string) bool {
	return len(id) <= idMost && !strings.ContainsFunc(id, func(r rune) bool {
		return (r < '0' || r > ':') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '_' && r != '-' && r != '.'
	})
}

// clean makes one plain line of a text and counts its runes: white space becomes a blank; control characters, and those
// that turn the direction of what follows or can't be seen, are dropped. Joiners stay: emoji are made with them.
func clean(text string) (string, int) {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200b, r == 0xfeff, r == 0x200e, r == 0x200f, r == 0x2060:
			return -1
		}
		return r
	}, text)
	text = strings.TrimSpace(text)
	return text, utf8.RuneCountInString(text)
}

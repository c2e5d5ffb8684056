package chat

import (
	"context"
	"encoding/json"
	"time"

	"github.com/duoduopin/duoduopin/internal/web"
)

// Speech is what somebody wants to say. It has been cleaned, its form and rate are in order, and the speaker has an account
// and is not muted.
type Speech struct {
	SessionID int64
	Viewer    string // "a:ID"
	AccountID int64
	User      string // the public id
	Name      string
	Role      string
	ID        string // the client's, may be empty
	Text      string
}

// Verdict is what becomes of it. The zero Verdict lets it be said.
type Verdict struct {
	Reason string        // not empty: it is not said now. A stable code, in docs/protocol.md
	HeldID int64         // not 0: it waits for a moderator under this number, because of Reason
	Text   string        // not empty: said in its place, some of it masked
	Words  []string      // what in the text was at fault, as it was written
	Wait   time.Duration // after which it may be tried again; 0: not said
	Until  time.Time     // when the cause is over; zero: not said
	Note   string        // what a moderator wrote about it
}

// Measure is something that was done to a message or a person of a room.
type Measure struct {
	SessionID int64
	Kind      string // remove, restore, mute, unmute, notice
	User      string // public id of whom it was done to; empty: nobody
	Name      string // how the room saw him, if known
	Epoch     string // of the message that it was done to
	Seq       uint64 // of it; 0: none
	Text      string // of a notice
	Reason    string
	Until     time.Time // when it ends by itself; zero: it doesn't
}

// Guard judges what is said and who comes in, and remembers what was done. Judge is called for every message, by the
// speaker's own goroutine, within two seconds; an error means that nobody can say, and refuses as unavailable. Enter is
// called for every socket before it opens: an error keeps it out, the event (type and fields, nil for none) is the first
// that a newcomer gets after history. Keep joins the transaction in ctx
// and gives the number under which the person concerned can appeal.
type Guard interface {
	Judge(ctx context.Context, s Speech) (Verdict, error)
	Enter(ctx context.Context, sessionID int64, a web.Actor, user string) (event json.RawMessage, err error)
	Keep(ctx context.Context, m Measure) (actID int64, err error)
}

// weigh asks the Guard and gives what may be said, with the number of its characters; 0 when nothing is said, and the
// speaker has been told why.
func (m *member) weigh(ctx context.Context, id, text string) (string, int) {
	if m.svc.guard == nil {
		return text, len(text)
	}
	v, err := m.svc.guard.Judge(ctx, Speech{
		SessionID: m.room.id, Viewer: m.actor.Viewer, AccountID: m.actor.AccountID, User: m.user.ID, Name: m.user.Name, Role: m.user.Role, ID: id, Text: text,
	})
	switch {
	case err != nil:
		m.svc.log.Warn("a message could not be judged", "error", err.Error())
		m.refuse(id, "unavailable")
	case v.HeldID != 0:
		m.remember(id)
		m.tell(encode(held{"held", id, v.HeldID, v.Reason, remedy("review"), v.Words, stamp(m.svc.clock.Now())}))
	case v.Reason != "":
		m.refuseFor(id, v)
	case v.Text != "":
		return v.Text, len(v.Text)
	default:
		return text, len(text)
	}
	return "", 0
}

// held tells the speaker that a message waits for a moderator.
type held struct {
	Type   string   `json:"type"`
	ID     string   `json:"id,omitempty"`
	HeldID int64    `json:"held_id"`
	Reason string   `json:"reason"`
	Remedy string   `json:"remedy"`
	Words  []string `json:"words,omitempty"`
	At     string   `json:"at"`
}

// refused tells a member that what it sent was not taken, why, and what to do.
type refused struct {
	Type    string     `json:"type"`
	ID      string     `json:"id,omitempty"`
	Reason  string     `json:"reason"`
	Remedy  string     `json:"remedy"`
	Words   []string   `json:"words,omitempty"`
	RetryMs int64      `json:"retry_ms,omitempty"`
	Until   *time.Time `json:"until,omitempty"`
	Note    string     `json:"note,omitempty"`
	At      string     `json:"at"`
}

// refuse tells the member why something was not taken.
func (m *member) refuse(id, reason string) {
	v := Verdict{Reason: reason}
	if reason == "muted" {
		v.Until = m.room.mutedUntil(m.user.ID)
	}
	m.refuseFor(id, v)
}

func (m *member) refuseFor(id string, v Verdict) {
	m.svc.metrics.refused.WithLabelValues(v.Reason).Inc()
	e := refused{Type: "refused", ID: id, Reason: v.Reason, Remedy: remedy(v.Reason), Words: v.Words, RetryMs: v.Wait.Milliseconds(), Note: v.Note, At: stamp(m.svc.clock.Now())}
	if !v.Until.IsZero() {
		e.Until = &v.Until
	}
	m.tell(encode(e))
}

// tell sends an event to this member alone.
func (m *member) tell(event []byte) { m.conn.Send(pack(event), time.Now()) }

func (r *room) mutedUntil(user string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mutes[user]
}

// remedy says what a person can do, for clients that have no words of their own for a reason.
func remedy(reason string) string {
	switch reason {
	case "sign-in":
		return "Sign in to chat."
	case "empty":
		return "Write something first."
	case "too-long":
		return "Shorten it to 200 characters."
	case "too-fast":
		return "Wait a second between messages."
	case "muted":
		return "A moderator muted you until the time given. You may appeal."
	case "banned":
		return "You may not chat until the time given. You may appeal."
	case "not-open":
		return "The session is over; nobody can chat any more."
	case "unavailable":
		return "Try again in a few seconds."
	case "silenced":
		return "The room is silenced for a while. Wait until it is opened again."
	case "slow-mode":
		return "The room is in slow mode. Wait for the time given."
	case "followers-only":
		return "Only followers can chat now. Follow an anchor, then try again."
	case "buyers-only":
		return "Only buyers of this session can chat now."
	case "new-account":
		return "Accounts this young can't chat here yet. Wait for the time given."
	case "blocked-word":
		return "Change the words that are shown, then send it again."
	case "link":
		return "Links are not allowed here. Send it without one."
	case "repeated":
		return "You said the same a moment ago. Wait, or say something else."
	case "crowd-repeated":
		return "Many people sent this text just now. Say it in your own words."
	case "review":
		return "Moderators look at messages first here. Yours appears when they let it through."
	case "queue-full":
		return "Too many messages wait for review. Try again in a minute."
	}
	return "Look at docs/protocol.md for the messages that are taken."
}

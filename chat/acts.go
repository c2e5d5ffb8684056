package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Remove takes a message down: members are told, and history shows it without its text from now on. The record keeps it.
func (s *Service) Remove(ctx context.Context, a web.Actor, sessionID int64, seq uint64, reason string) error {
	if err := s.gate.MayModerate(ctx, sessionID, a); err != nil {
		return err
	}
	m, err := s.Message(ctx, sessionID, seq)
	if err != nil {
		return err
	}
	act := Measure{SessionID: sessionID, Kind: "remove", User: m.User, Name: m.Name, Epoch: m.Epoch, Seq: seq, Reason: reason}
	actID, err := s.keep(ctx, act, map[string]any{"seq": seq, "user": m.User, "reason": reason}, nil)
	if err != nil {
		return err
	}
	if err := s.Post(ctx, sessionID, "removed", map[string]any{"removed_seq": seq}); err != nil {
		return err
	}
	if r := s.room(sessionID); r != nil { // the log says so too, in some milliseconds; who comes in until then gets no text
		r.mu.Lock()
		r.takeDown(seq)
		r.mu.Unlock()
	}
	s.TellOne(sessionID, m.User, "moderated", map[string]any{"what": "removed", "removed_seq": seq, "reason": reason, "act_id": actID})
	return nil
}

// Restore gives back a message that was taken down.
func (s *Service) Restore(ctx context.Context, a web.Actor, sessionID int64, seq uint64, reason string) error {
	if err := s.gate.MayModerate(ctx, sessionID, a); err != nil {
		return err
	}
	m, err := s.Message(ctx, sessionID, seq)
	if err != nil {
		return err
	}
	act := Measure{SessionID: sessionID, Kind: "restore", User: m.User, Name: m.Name, Epoch: m.Epoch, Seq: seq, Reason: reason}
	actID, err := s.keep(ctx, act, map[string]any{"seq": seq, "user": m.User, "reason": reason}, nil)
	if err != nil {
		return err
	}
	if err := s.Post(ctx, sessionID, "restored", map[string]any{"restored_seq": seq}); err != nil {
		return err
	}
	s.TellOne(sessionID, m.User, "moderated", map[string]any{"what": "restored", "restored_seq": seq, "reason": reason, "act_id": actID})
	return nil
}

// Mute keeps a viewer, named by the public id, from speaking in this room, everywhere within a second.
func (s *Service) Mute(ctx context.Context, a web.Actor, sessionID int64, user string, minutes int64, reason string) (time.Time, error) {
	if err := s.gate.MayModerate(ctx, sessionID, a); err != nil {
		return time.Time{}, err
	}
	now := s.clock.Now()
	until := now.Add(time.Duration(minutes) * time.Minute)
	act := Measure{SessionID: sessionID, Kind: "mute", User: user, Name: s.nameHere(sessionID, user), Reason: reason, Until: until}
	actID, err := s.keep(ctx, act, map[string]any{"user": user, "minutes": minutes, "reason": reason}, func(ctx context.Context) error {
		return s.store.mute(ctx, muteRow{SessionID: sessionID, UserID: user, UntilMs: db.Millis(until), ByAccount: a.AccountID, Reason: reason, AtMs: db.Millis(now)})
	})
	if err != nil {
		return time.Time{}, err
	}
	s.TellOne(sessionID, user, "moderated", map[string]any{"what": "muted", "until": until, "reason": reason, "act_id": actID})
	return until, s.tellMutes(ctx, sessionID)
}

// Unmute lets a viewer speak again.
func (s *Service) Unmute(ctx context.Context, a web.Actor, sessionID int64, user, reason string) error {
	if err := s.gate.MayModerate(ctx, sessionID, a); err != nil {
		return err
	}
	act := Measure{SessionID: sessionID, Kind: "unmute", User: user, Name: s.nameHere(sessionID, user), Reason: reason}
	actID, err := s.keep(ctx, act, map[string]any{"user": user, "reason": reason}, func(ctx context.Context) error {
		return s.store.unmute(ctx, sessionID, user)
	})
	if err != nil {
		return err
	}
	s.TellOne(sessionID, user, "moderated", map[string]any{"what": "unmuted", "reason": reason, "act_id": actID})
	return s.tellMutes(ctx, sessionID)
}

// Notice tells the room something in the shop's name.
func (s *Service) Notice(ctx context.Context, a web.Actor, sessionID int64, text string) error {
	if err := s.gate.MayModerate(ctx, sessionID, a); err != nil {
		return err
	}
	text, n := clean(text)
	if n == 0 || n > noticeMost {
		return fault.Bad("text", fmt.Sprintf("must have 1 to %d characters", noticeMost))
	}
	if _, err := s.keep(ctx, Measure{SessionID: sessionID, Kind: "notice", Text: text}, map[string]any{"text": text}, nil); err != nil {
		return err
	}
	return s.Post(ctx, sessionID, "notice", map[string]any{"text": text})
}

// keep records an act: in the audit, with the Guard, and what it changes, all in one transaction.
func (s *Service) keep(ctx context.Context, act Measure, detail map[string]any, change func(context.Context) error) (actID int64, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.audit.Record(ctx, "chat."+act.Kind, subject(act.SessionID), detail); err != nil {
			return err
		}
		if s.guard != nil {
			var err error
			if actID, err = s.guard.Keep(ctx, act); err != nil {
				return err
			}
		}
		if change == nil {
			return nil
		}
		return change(ctx)
	})
	return actID, err
}

// Say puts a message into the room that was held back when its author said it. Repeated with the same HeldID it appears
// once: within two minutes the log sees to that, later the caller must (Said.HeldID).
func (s *Service) Say(ctx context.Context, sp Speech, heldID int64) (uint64, error) {
	body := encode(said{
		Type: "chat", At: stamp(s.clock.Now()), ID: sp.ID, User: chatUser{ID: sp.User, Name: sp.Name, Role: sp.Role}, Text: sp.Text, Held: heldID,
	})
	ctx, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	seq, err := s.journal.append(ctx, sp.SessionID, body, speaker{viewer: sp.Viewer, account: sp.AccountID, once: fmt.Sprintf("held-%d", heldID)})
	if err != nil {
		return 0, ErrUnavailable.RetryAfter(time.Second).Because(err)
	}
	s.metrics.events.WithLabelValues("chat").Inc()
	s.record.mark(sp.SessionID)
	return seq, nil
}

// nameHere gives how the room sees a viewer who is in it on this node, else nothing.
func (s *Service) nameHere(sessionID int64, user string) string {
	if r := s.room(sessionID); r != nil {
		for _, m := range r.everybody() {
			if m.user.ID == user {
				return m.user.Name
			}
		}
	}
	return ""
}

func subject(sessionID int64) string { return fmt.Sprintf("session/%d", sessionID) }

// tellMutes makes this node's and the other nodes' rooms read the mutes again.
func (s *Service) tellMutes(ctx context.Context, sessionID int64) error {
	s.announceMutes(sessionID)
	if r := s.room(sessionID); r != nil {
		return r.readMutes(ctx)
	}
	return nil
}

// takeDown blanks a message in the ring, and what restored it before. Call with mu held.
func (r *room) takeDown(seq uint64) {
	e := r.ring.at(seq)
	if e == nil || e.typ != "chat" || e.was != nil {
		return
	}
	e.was = e.raw
	r.rewrite(seq, e, blank(e.raw))
	for at := seq + 1; at <= r.ring.last(); at++ {
		if o := r.ring.at(at); o.typ == "restored" && restores(o.raw) == seq {
			r.rewrite(at, o, with(o.raw, map[string]any{"text": ""}))
		}
	}
}

// giveBack undoes takeDown. The newest event in the ring says so; it carries the text from here on, for those who see the
// message blanked. Only the message itself holds it in the log. Call with mu held.
func (r *room) giveBack(seq uint64) {
	e := r.ring.at(seq)
	if e == nil || e.was == nil {
		return
	}
	raw := e.was
	e.was = nil
	r.rewrite(seq, e, raw)
	var m said
	if json.Unmarshal(raw, &m) == nil {
		at := r.ring.last()
		r.rewrite(at, r.ring.at(at), with(r.ring.at(at).raw, map[string]any{"text": m.Text}))
	}
}

// rewrite replaces an entry of the ring. Call with mu held.
func (r *room) rewrite(seq uint64, e *entry, raw []byte) {
	change := len(raw) - len(e.raw)
	e.raw = raw
	r.ring.bytes += change
	if seq > r.sent {
		r.unsent += change
	}
	clear(r.history)
}

func restores(raw []byte) uint64 {
	var h head
	_ = json.Unmarshal(raw, &h) // a field of another form stays zero
	return h.RestoredSeq
}

// with gives an event with other values of some fields.
func with(raw []byte, change map[string]any) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return raw
	}
	for k, v := range change {
		fields[k] = encode(v)
	}
	return encode(fields)
}

// entryTo gives what a newcomer is told after history: the bulletin, and the room's rules. Call with mu held.
func (r *room) entryTo(m *member) [][]byte {
	events := r.toldTo(m)
	if m.rules != nil {
		events, m.rules = append(events, m.rules), nil
	}
	return events
}

// Message gives one chat message, from the log or, if it is not there any more, from the record.
func (s *Service) Message(ctx context.Context, sessionID int64, seq uint64) (Said, error) {
	rec, err := s.journal.get(ctx, sessionID, seq)
	if errors.Is(err, fault.Missing("")) {
		return s.recorded(ctx, sessionID, seq)
	}
	if err != nil {
		return Said{}, err
	}
	if rec.head().Type != "chat" {
		return Said{}, fault.Missing("message")
	}
	_, epoch, err := s.journal.open(ctx, sessionID)
	if err != nil {
		return Said{}, ErrUnavailable.RetryAfter(time.Second).Because(err)
	}
	return saidOf(eventRow{SessionID: sessionID, Epoch: epoch, Seq: int64(rec.seq), AtMs: db.Millis(rec.head().At), Viewer: rec.by.viewer, AccountID: rec.by.account, Body: string(rec.body)}), nil
}

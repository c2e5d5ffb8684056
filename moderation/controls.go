package moderation

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Controls are a session's settings of who may say what how often.
type Controls struct {
	SessionID         int64
	Silent            bool   // nobody but the crew may speak
	SilentReason      string // shown to everybody
	SlowSeconds       int    // between two messages of one person; 0: off
	Who               string // everyone (with an account), followers (and buyers), buyers
	MinAccountMinutes int    // age that an account must have
	Links             string // allow, review, refuse
	ReviewAll         bool   // every message waits for a moderator
	OwnRepeats        int    // the same text of one person in a minute; 0: no limit
	CrowdRepeats      int    // people who may say the same text of 6 and more letters within 30 s; 0: no limit
	Notice            string // the rules of the room, shown on entry
	AIMade            bool   // faces or voices in this session are made by a machine: a standing notice
	AIText            string // what it says
	ChangedAt         time.Time
	ChangedBy         string
}

// Bounds of controls.
const (
	slowMost    = 600
	ageMost     = 30 * 24 * 60 // minutes
	repeatsMost = 1000
	noticeLong  = 500
	reasonLong  = 200
)

// usual are the controls of a session that nobody has changed. The counts are ours.
func usual(sessionID int64) Controls {
	return Controls{SessionID: sessionID, Who: whoEveryone, Links: linksRefuse, OwnRepeats: 2, CrowdRepeats: 10}
}

func (c Controls) minAge() time.Duration { return time.Duration(c.MinAccountMinutes) * time.Minute }

// rulesEvent is what the room is told of its controls: what concerns those who want to speak.
type rulesEvent struct {
	Type              string `json:"type,omitempty"`
	At                string `json:"at,omitempty"`
	Silent            bool   `json:"silent"`
	SilentReason      string `json:"silent_reason,omitempty"`
	SlowSeconds       int    `json:"slow_seconds"`
	Who               string `json:"who"`
	MinAccountMinutes int    `json:"min_account_minutes"`
	Links             string `json:"links"`
	ReviewAll         bool   `json:"review_all"`
	Notice            string `json:"notice,omitempty"`
	AIMade            bool   `json:"ai_made"`
	AIText            string `json:"ai_text,omitempty"`
}

func (c Controls) shown() rulesEvent {
	e := rulesEvent{
		Silent: c.Silent, SlowSeconds: c.SlowSeconds, Who: c.Who, MinAccountMinutes: c.MinAccountMinutes, Links: c.Links, ReviewAll: c.ReviewAll, Notice: c.Notice,
		AIMade: c.AIMade,
	}
	if c.Silent {
		e.SilentReason = c.SilentReason
	}
	if c.AIMade {
		e.AIText = c.AIText
	}
	return e
}

// event is shown with its own type and time, for one who comes in.
func (c Controls) event(now time.Time) rulesEvent {
	e := c.shown()
	e.Type, e.At = "rules", now.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	return e
}

// Controls gives a session's settings.
func (s *Service) Controls(ctx context.Context, a web.Actor, sessionID int64) (Controls, error) {
	if err := s.Gate.MayModerate(ctx, sessionID, a); err != nil {
		return Controls{}, err
	}
	return s.store.controls(ctx, sessionID)
}

// SetControls changes all but the silence, and tells the room.
func (s *Service) SetControls(ctx context.Context, a web.Actor, c Controls) (Controls, error) {
	if err := c.check(); err != nil {
		return Controls{}, err
	}
	return s.control(ctx, a, c.SessionID, Act{Kind: "controls"}, func(have *Controls) error {
		c.Silent, c.SilentReason = have.Silent, have.SilentReason
		*have = c
		return nil
	})
}

// Silence keeps everybody but the crew from speaking, at once. The reason is shown to all.
func (s *Service) Silence(ctx context.Context, a web.Actor, sessionID int64, reason string) (Controls, error) {
	reason, err := needed("reason", reason, reasonLong)
	if err != nil {
		return Controls{}, err
	}
	return s.control(ctx, a, sessionID, Act{Kind: "silence", Reason: reason}, func(c *Controls) error {
		c.Silent, c.SilentReason = true, reason
		return nil
	})
}

// Unsilence lets everybody speak again.
func (s *Service) Unsilence(ctx context.Context, a web.Actor, sessionID int64) (Controls, error) {
	return s.control(ctx, a, sessionID, Act{Kind: "unsilence"}, func(c *Controls) error {
		c.Silent, c.SilentReason = false, ""
		return nil
	})
}

// control changes a session's controls with an act, makes them effective, and tells the room.
func (s *Service) control(ctx context.Context, a web.Actor, sessionID int64, act Act, change func(*Controls) error) (Controls, error) {
	if err := s.Gate.MayModerate(ctx, sessionID, a); err != nil {
		return Controls{}, err
	}
	var c Controls
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		var err error
		if c, err = s.store.lockControls(ctx, sessionID); err != nil {
			return err
		}
		if err := change(&c); err != nil {
			return err
		}
		c.ChangedAt, c.ChangedBy = s.clock.Now().Truncate(time.Millisecond), a.Name
		act.SessionID = sessionID
		if _, err := s.act(ctx, act, c.shown()); err != nil {
			return err
		}
		return s.store.putControls(ctx, c)
	})
	if err != nil {
		return Controls{}, err
	}
	if err := s.announce(ctx, sessionID, false); err != nil {
		return Controls{}, err
	}
	return c, s.Room.Post(ctx, sessionID, "rules", c.shown())
}

func (c *Controls) check() error {
	c.Notice, c.AIText = strings.TrimSpace(c.Notice), strings.TrimSpace(c.AIText)
	switch {
	case c.SlowSeconds < 0 || c.SlowSeconds > slowMost:
		return fault.Bad("slow_seconds", fmt.Sprintf("must be 0 (off) to %d", slowMost))
	case c.Who != whoEveryone && c.Who != whoFollowers && c.Who != whoBuyers:
		return fault.Bad("who", "must be everyone, followers or buyers")
	case c.Links != linksAllow && c.Links != linksReview && c.Links != linksRefuse:
		return fault.Bad("links", "must be allow, review or refuse")
	case c.MinAccountMinutes < 0 || c.MinAccountMinutes > ageMost:
		return fault.Bad("min_account_minutes", fmt.Sprintf("must be 0 to %d", ageMost))
	case c.OwnRepeats < 0 || c.OwnRepeats > repeatsMost:
		return fault.Bad("own_repeats", fmt.Sprintf("must be 0 (no limit) to %d", repeatsMost))
	case c.CrowdRepeats < 0 || c.CrowdRepeats > repeatsMost:
		return fault.Bad("crowd_repeats", fmt.Sprintf("must be 0 (no limit) to %d", repeatsMost))
	case utf8.RuneCountInString(c.Notice) > noticeLong:
		return fault.Bad("notice", fmt.Sprintf("must have at most %d characters", noticeLong))
	case utf8.RuneCountInString(c.AIText) > noticeLong:
		return fault.Bad("ai_text", fmt.Sprintf("must have at most %d characters", noticeLong))
	case c.AIMade && c.AIText == "":
		return fault.Bad("ai_text", "is needed when ai_made is set: say what is made by a machine")
	}
	return nil
}

// needed checks a text that must be there.
func needed(field, text string, most int) (string, error) {
	text = strings.TrimSpace(text)
	switch n := utf8.RuneCountInString(text); {
	case n == 0:
		return "", fault.Bad(field, "is needed")
	case n > most:
		return "", fault.Bad(field, fmt.Sprintf("must have at most %d characters", most))
	case strings.ContainsRune(text, 0):
		return "", fault.Bad(field, "must not hold the character NUL")
	}
	return text, nil
}

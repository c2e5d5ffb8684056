package chat

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
)

// store is chat's tables. It joins the transaction in the context.
type store struct{ db *db.DB }

type eventRow struct {
	SessionID int64  `gorm:"primaryKey;autoIncrement:false"`
	Epoch     string `gorm:"primaryKey"`
	Seq       int64  `gorm:"primaryKey;autoIncrement:false"`
	Type      string `gorm:"column:typ"`
	AtMs      int64
	Viewer    string
	AccountID int64
	Body      string
}

func (eventRow) TableName() string { return "chat_events" }

type cursorRow struct {
	SessionID int64 `gorm:"primaryKey;autoIncrement:false"`
	Epoch     string
	Seq       int64
	AwayMs    int64 // when the log was put away; 0: there is one
}

func (cursorRow) TableName() string { return "chat_cursors" }

type stayRow struct {
	ID         int64 `gorm:"primaryKey;autoIncrement:false"`
	SessionID  int64
	Viewer     string
	Node       string
	FromMs     int64
	ToMs       int64
	LastSeenMs int64
}

func (stayRow) TableName() string { return "chat_presence" }

type actRow struct {
	SessionID int64  `gorm:"primaryKey;autoIncrement:false"`
	Minute    int64  `gorm:"primaryKey;autoIncrement:false"`
	Viewer    string `gorm:"primaryKey"`
	Kind      string `gorm:"primaryKey"`
	ProductID int64  `gorm:"primaryKey;autoIncrement:false"`
	Count     int64  `gorm:"column:times"`
	AtMs      int64
}

func (actRow) TableName() string { return "chat_activity" }

type muteRow struct {
	SessionID int64  `gorm:"primaryKey;autoIncrement:false"`
	UserID    string `gorm:"primaryKey"`
	UntilMs   int64
	ByAccount int64
	Reason    string
	AtMs      int64
}

func (muteRow) TableName() string { return "chat_mutes" }

type secretRow struct {
	Name  string `gorm:"primaryKey"`
	Value []byte
}

func (secretRow) TableName() string { return "chat_secrets" }

const rowsAtOnce = 500

// secret gives the key of the public ids, made once and shared by all processes on this database.
func (s store) secret(ctx context.Context) ([]byte, error) {
	const name = "public-id"
	row := secretRow{Name: name}
	err := s.db.Read(ctx).Where("name = ?", name).Take(&row).Error
	if !errors.Is(err, gorm.ErrRecordNotFound) {
		return row.Value, err
	}
	row.Value = make([]byte, 32)
	_, _ = rand.Read(row.Value) // never fails
	if err := s.db.Write(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
		return nil, err
	}
	var kept secretRow // another process may have been first
	err = s.db.Write(ctx).Where("name = ?", name).Take(&kept).Error
	return kept.Value, err
}

// cursor gives how far the log with this epoch has been copied.
func (s store) cursor(ctx context.Context, id int64, epoch string) (uint64, error) {
	var row cursorRow
	err := s.db.Read(ctx).Where("session_id = ? AND epoch = ?", id, epoch).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return 0, nil
	}
	return uint64(row.Seq), err
}

// lastCursor gives how far the newest log of a session has been copied; false when there was none.
func (s store) lastCursor(ctx context.Context, id int64) (cursorRow, bool, error) {
	var row cursorRow
	err := s.db.Read(ctx).Where("session_id = ?", id).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, false, nil
	}
	return row, err == nil, err
}

var errMoved = errors.New("the log's cursor is elsewhere")

// putAway notes that a log is going to be deleted, if the cursor stands at its end.
func (s store) putAway(ctx context.Context, end cursorRow, now time.Time) error {
	return s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.keep(ctx, nil, end); err != nil {
			return err
		}
		done := s.db.Write(ctx).Model(&cursorRow{}).Where("session_id = ? AND epoch = ? AND seq = ?", end.SessionID, end.Epoch, end.Seq).Update("away_ms", db.Millis(now))
		if done.Error == nil && done.RowsAffected != 1 {
			return errMoved
		}
		return done.Error
	})
}

// events gives a stretch of a log as the record has it.
func (s store) events(ctx context.Context, id int64, epoch string, from, to uint64) ([]eventRow, error) {
	var rows []eventRow
	return rows, s.db.Read(ctx).Where("session_id = ? AND epoch = ? AND seq BETWEEN ? AND ?", id, epoch, int64(from), int64(to)).Order("seq").Find(&rows).Error
}

// keptBefore gives the sessions that have events from before a moment.
func (s store) keptBefore(ctx context.Context, before time.Time) ([]int64, error) {
	var ids []int64
	return ids, s.db.Read(ctx).Model(&eventRow{}).Distinct("session_id").Where("at_ms < ?", db.Millis(before)).Order("session_id").Pluck("session_id", &ids).Error
}

// epochs gives the logs that a session has had, oldest first.
func (s store) epochs(ctx context.Context, id int64) ([]string, error) {
	var all []string
	return all, s.db.Read(ctx).Model(&eventRow{}).Where("session_id = ?", id).Group("epoch").Order("MIN(at_ms), epoch").Pluck("epoch", &all).Error
}

// kept gives a log's next events after a seq.
func (s store) kept(ctx context.Context, id int64, epoch string, after int64, n int) ([]eventRow, error) {
	var rows []eventRow
	return rows, s.db.Read(ctx).Where("session_id = ? AND epoch = ? AND seq > ?", id, epoch, after).Order("seq").Limit(n).Find(&rows).Error
}

// drop deletes events, at most rowsAtOnce.
func (s store) drop(ctx context.Context, events []Kept) error {
	keys := make([][]any, len(events))
	for i, e := range events {
		keys[i] = []any{e.Session, e.Epoch, e.Seq}
	}
	return s.db.Write(ctx).Where("(session_id, epoch, seq) IN ?", keys).Delete(&eventRow{}).Error
}

// sessionsOf gives the sessions in whose rooms an account was.
func (s store) sessionsOf(ctx context.Context, account int64) ([]int64, error) {
	var ids []int64
	return ids, s.db.Read(ctx).Raw(`SELECT session_id FROM chat_events WHERE account_id = ? UNION SELECT session_id FROM chat_presence WHERE viewer = ? ORDER BY 1`,
		account, viewerOf(account)).Scan(&ids).Error
}

// mentions gives the events of a session that an account said or that name it.
func (s store) mentions(ctx context.Context, id, account int64, person string) ([]eventRow, error) {
	var rows []eventRow
	return rows, s.db.Read(ctx).Where("session_id = ? AND (account_id = ? OR body LIKE ?)", id, account, `%"`+person+`"%`).Order("epoch, seq").Find(&rows).Error
}

// rewrite replaces an event's body.
func (s store) rewrite(ctx context.Context, row eventRow) error {
	return s.db.Write(ctx).Model(&eventRow{}).Where("session_id = ? AND epoch = ? AND seq = ?", row.SessionID, row.Epoch, row.Seq).Update("body", row.Body).Error
}

// cursors gives all of them by session.
func (s store) cursors(ctx context.Context) (map[int64]cursorRow, error) {
	var rows []cursorRow
	if err := s.db.Read(ctx).Find(&rows).Error; err != nil {
		return nil, err
	}
	all := make(map[int64]cursorRow, len(rows))
	for _, r := range rows {
		all[r.SessionID] = r
	}
	return all, nil
}

// hasOtherLog reports whether the record knows events of a session from another log than the one with this epoch.
func (s store) hasOtherLog(ctx context.Context, id int64, epoch string) (bool, error) {
	for _, order := range []string{"epoch", "epoch DESC"} { // the ends of an index: no scan
		var rows []eventRow
		if err := s.db.Read(ctx).Select("epoch").Where("session_id = ?", id).Order(order).Limit(1).Find(&rows).Error; err != nil {
			return false, err
		}
		if len(rows) > 0 && rows[0].Epoch != epoch {
			return true, nil
		}
	}
	return false, nil
}

// keep adds events to the record and moves the cursor, both or neither. What is there already stays, and a cursor never goes
// back: copying twice is fine.
func (s store) keep(ctx context.Context, rows []eventRow, to cursorRow) error {
	forward := clause.OnConflict{
		Columns:   []clause.Column{{Name: "session_id"}},
		DoUpdates: clause.AssignmentColumns([]string{"epoch", "seq", "away_ms"}),
		Where:     clause.Where{Exprs: []clause.Expression{clause.Expr{SQL: "chat_cursors.epoch <> excluded.epoch OR chat_cursors.seq < excluded.seq"}}},
	}
	return s.db.Tx(ctx, func(ctx context.Context) error {
		if len(rows) > 0 {
			if err := s.db.Write(ctx).Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(rows, rowsAtOnce).Error; err != nil {
				return err
			}
		}
		return s.db.Write(ctx).Clauses(forward).Create(&to).Error
	})
}

// spoken gives who said something when, from the record.
func (s store) spoken(ctx context.Context, id int64) ([]eventRow, error) {
	var rows []eventRow
	return rows, s.db.Read(ctx).Select("viewer", "at_ms").Where("session_id = ? AND typ = ?", id, "chat").Order("at_ms, seq").Find(&rows).Error
}

// write puts stays and acts down in one transaction. A stay replaces its former state, an act adds to its minute.
func (s store) write(ctx context.Context, stays []stayRow, acts []actRow) error {
	add := clause.OnConflict{
		Columns:   []clause.Column{{Name: "session_id"}, {Name: "minute"}, {Name: "viewer"}, {Name: "kind"}, {Name: "product_id"}},
		DoUpdates: clause.Assignments(map[string]any{"times": gorm.Expr("chat_activity.times + excluded.times")}),
	}
	return s.db.Tx(ctx, func(ctx context.Context) error {
		if len(stays) > 0 {
			if err := s.db.Write(ctx).Clauses(clause.OnConflict{UpdateAll: true}).CreateInBatches(stays, rowsAtOnce).Error; err != nil {
				return err
			}
		}
		if len(acts) == 0 {
			return nil
		}
		return s.db.Write(ctx).Clauses(add).CreateInBatches(acts, rowsAtOnce).Error
	})
}

// beat says that this node's open stays go on.
func (s store) beat(ctx context.Context, node string, now time.Time) error {
	return s.db.Write(ctx).Model(&stayRow{}).Where("to_ms = 0 AND node = ?", node).Update("last_seen_ms", db.Millis(now)).Error
}

// closeStale ends the stays that nobody has said anything of since `before`, at the moment when they were last seen. Those
// of `node` are spared.
func (s store) closeStale(ctx context.Context, node string, before time.Time) error {
	return s.db.Write(ctx).Model(&stayRow{}).Where("to_ms = 0 AND node <> ? AND last_seen_ms <= ?", node, db.Millis(before)).
		Update("to_ms", gorm.Expr("last_seen_ms")).Error
}

// justLeft gives the last stays of a session that ended since `since`.
func (s store) justLeft(ctx context.Context, id int64, since time.Time) ([]stayRow, error) {
	var rows []stayRow
	return rows, s.db.Read(ctx).Where("session_id = ? AND to_ms >= ?", id, db.Millis(since)).Order("to_ms").Find(&rows).Error
}

func (s store) stays(ctx context.Context, id int64) ([]stayRow, error) {
	var rows []stayRow
	return rows, s.db.Read(ctx).Where("session_id = ?", id).Order("from_ms, id").Find(&rows).Error
}

func (s store) acts(ctx context.Context, id int64) ([]actRow, error) {
	var rows []actRow
	return rows, s.db.Read(ctx).Where("session_id = ?", id).Order("at_ms, viewer, kind, product_id").Find(&rows).Error
}

func (s store) likes(ctx context.Context, id int64) (int64, error) {
	var n int64
	return n, s.db.Read(ctx).Model(&actRow{}).Where("session_id = ? AND kind = ?", id, "like").Select("COALESCE(SUM(times), 0)").Scan(&n).Error
}

func (s store) mute(ctx context.Context, row muteRow) error {
	return s.db.Write(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error
}

func (s store) unmute(ctx context.Context, id int64, user string) error {
	return s.db.Write(ctx).Where("session_id = ? AND user_id = ?", id, user).Delete(&muteRow{}).Error
}

// mutes gives until when users of a room may not speak.
func (s store) mutes(ctx context.Context, id int64, now time.Time) (map[string]time.Time, error) {
	var rows []muteRow
	if err := s.db.Read(ctx).Where("session_id = ? AND until_ms > ?", id, db.Millis(now)).Find(&rows).Error; err != nil {
		return nil, err
	}
	all := make(map[string]time.Time, len(rows))
	for _, r := range rows {
		all[r.UserID] = db.Time(r.UntilMs)
	}
	return all, nil
}

// said gives chat messages of the record, newest first.
func (s store) said(ctx context.Context, f SaidFilter) ([]eventRow, error) {
	q := s.db.Read(ctx).Where("typ = 'chat'")
	if f.SessionID != 0 {
		q = q.Where("session_id = ?", f.SessionID)
	}
	if f.Viewer != "" {
		q = q.Where("viewer = ?", f.Viewer)
	}
	if !f.From.IsZero() {
		q = q.Where("at_ms >= ?", db.Millis(f.From))
	}
	if !f.To.IsZero() {
		q = q.Where("at_ms < ?", db.Millis(f.To))
	}
	if p := f.Before; p != nil {
		q = q.Where("at_ms <= ? AND (at_ms, session_id, epoch, seq) < (?, ?, ?, ?)", p.AtMs, p.AtMs, p.SessionID, p.Epoch, int64(p.Seq))
	}
	var rows []eventRow
	return rows, q.Order("at_ms DESC, session_id DESC, epoch DESC, seq DESC").Limit(f.Limit).Find(&rows).Error
}

// message gives one chat message; the newest one when two logs of the session had the seq.
func (s store) message(ctx context.Context, id, seq int64) (eventRow, error) {
	var row eventRow
	err := s.db.Read(ctx).Where("session_id = ? AND seq = ? AND typ = 'chat'", id, seq).Order("at_ms DESC").Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, fault.Missing("message")
	}
	return row, err
}

// around gives the messages around one, oldest first.
func (s store) around(ctx context.Context, id int64, epoch string, seq int64, n int) ([]eventRow, error) {
	var before, after []eventRow
	one := func() *gorm.DB {
		return s.db.Read(ctx).Where("session_id = ? AND epoch = ? AND typ = 'chat'", id, epoch).Limit(n)
	}
	if err := one().Where("seq < ?", seq).Order("seq DESC").Find(&before).Error; err != nil {
		return nil, err
	}
	if err := one().Where("seq >= ?", seq).Order("seq").Limit(n + 1).Find(&after).Error; err != nil {
		return nil, err
	}
	slices.Reverse(before)
	return append(before, after...), nil
}

// spokenBy gives the newest message that a public id said in a session.
func (s store) spokenBy(ctx context.Context, id int64, user string) (eventRow, error) {
	var row eventRow
	err := s.db.Read(ctx).Where("session_id = ? AND typ = 'chat' AND body LIKE ?", id, `%"user":{"id":"`+user+`"%`).Order("at_ms DESC").Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, fault.Missing("viewer")
	}
	return row, err
}

func (s store) follows(ctx context.Context, viewer string) (bool, error) {
	var rows []actRow
	err := s.db.Read(ctx).Where("viewer = ? AND kind = 'follow'", viewer).Limit(1).Find(&rows).Error
	return len(rows) > 0, err
}

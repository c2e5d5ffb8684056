package draws

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
)

// store is the draws' tables. It joins the transaction in the context.
type store struct{ db *db.DB }

type drawRow struct {
	ID           int64 `gorm:"primaryKey;autoIncrement"`
	SessionID    int64
	Title, Prize string
	Winners      int64
	Who          string
	MostEntrants int64
	OpensMs      int64
	ClosesMs     int64
	PublishedMs  int64
	By           string `gorm:"column:by_name"`
	Commitment   string
	Terms        string
	TermsHash    string
	Seed         []byte
	State        string
	DrawnMs      int64
	CancelledMs  int64
	Reason       string
	EntrantsHash string
}

func (drawRow) TableName() string { return "engage_draws" }

type entryRow struct {
	DrawID    int64 `gorm:"primaryKey;autoIncrement:false"`
	AccountID int64 `gorm:"primaryKey;autoIncrement:false"`
	Ticket    string
	UserID    string
	AtMs      int64
	Place     int64
}

func (entryRow) TableName() string { return "engage_draw_entries" }

const rowsAtOnce = 500

func (r drawRow) draw() Draw {
	d := Draw{
		ID: r.ID, SessionID: r.SessionID, PublishedAt: db.Time(r.PublishedMs), By: r.By, Commitment: r.Commitment, TermsText: r.Terms, Digest: r.TermsHash,
		DrawnAt: db.Time(r.DrawnMs), CancelledAt: db.Time(r.CancelledMs), Reason: r.Reason, EntrantsHash: r.EntrantsHash,
		Terms: Terms{
			Title: r.Title, Prize: r.Prize, Winners: int(r.Winners), Who: Who(r.Who), MostEntrants: int(r.MostEntrants),
			OpensAt: db.Time(r.OpensMs), ClosesAt: db.Time(r.ClosesMs),
		},
	}
	if r.State == string(Drawn) {
		d.Seed = hex.EncodeToString(r.Seed)
	}
	return d
}

// published is the state that is kept of a draw until it is drawn or cancelled.
const published = "published"

func (s store) add(ctx context.Context, d *Draw, seed []byte) error {
	row := drawRow{
		SessionID: d.SessionID, Title: d.Terms.Title, Prize: d.Terms.Prize, Winners: int64(d.Terms.Winners), Who: string(d.Terms.Who),
		MostEntrants: int64(d.Terms.MostEntrants), OpensMs: db.Millis(d.Terms.OpensAt), ClosesMs: db.Millis(d.Terms.ClosesAt),
		PublishedMs: db.Millis(d.PublishedAt), By: d.By, Commitment: d.Commitment, Terms: d.TermsText, TermsHash: d.Digest, Seed: seed, State: published,
	}
	err := s.db.Write(ctx).Create(&row).Error
	d.ID = row.ID
	return err
}

func (s store) unfinished(ctx context.Context, sessionID int64) (n int64, err error) {
	err = s.db.Write(ctx).Model(&drawRow{}).Where("session_id = ? AND state = ?", sessionID, published).Count(&n).Error
	return n, err
}

func (s store) get(ctx context.Context, sessionID, id int64) (Draw, error) {
	return s.one(ctx, s.db.Read(ctx).Where("session_id = ? AND id = ?", sessionID, id))
}

func (s store) byID(ctx context.Context, id int64) (Draw, error) {
	return s.one(ctx, s.db.Read(ctx).Where("id = ?", id))
}

// who gives who may enter a draw, and nothing that would have to be counted.
func (s store) who(ctx context.Context, sessionID, id int64) (Who, error) {
	var row drawRow
	err := s.db.Read(ctx).Select("who").Where("session_id = ? AND id = ?", sessionID, id).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return "", fault.Missing("draw")
	}
	return Who(row.Who), err
}

// lock gives a draw and holds its row until the end of the transaction.
func (s store) lock(ctx context.Context, sessionID, id int64) (Draw, error) {
	return s.one(ctx, s.db.Write(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Where("session_id = ? AND id = ?", sessionID, id))
}

func (s store) one(ctx context.Context, g *gorm.DB) (Draw, error) {
	var row drawRow
	err := g.Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Draw{}, fault.Missing("draw")
	}
	if err != nil {
		return Draw{}, err
	}
	all, err := s.complete(ctx, []drawRow{row})
	if err != nil {
		return Draw{}, err
	}
	return all[0], nil
}

func (s store) list(ctx context.Context, sessionID, before int64, limit int) ([]Draw, error) {
	q := s.db.Read(ctx).Where("session_id = ?", sessionID).Order("id DESC").Limit(limit)
	if before > 0 {
		q = q.Where("id < ?", before)
	}
	var rows []drawRow
	if err := q.Find(&rows).Error; err != nil {
		return nil, err
	}
	return s.complete(ctx, rows)
}

// standing gives the draws of some sessions that are not over, or were drawn since a moment.
func (s store) standing(ctx context.Context, sessionIDs []int64, since time.Time) ([]Draw, error) {
	var rows []drawRow
	err := s.db.Read(ctx).Where("session_id IN ? AND (state = ? OR state = ? AND drawn_ms > ?)", sessionIDs, published, string(Drawn), db.Millis(since)).
		Order("session_id, id").Find(&rows).Error
	if err != nil {
		return nil, err
	}
	return s.complete(ctx, rows)
}

// complete adds how many have entered, and who has won, in one query each.
func (s store) complete(ctx context.Context, rows []drawRow) ([]Draw, error) {
	all := make([]Draw, len(rows))
	if len(rows) == 0 {
		return all, nil
	}
	ids, at := make([]int64, len(rows)), map[int64]*Draw{}
	for i, r := range rows {
		all[i] = r.draw()
		ids[i], at[r.ID] = r.ID, &all[i]
	}
	var counts []struct{ DrawID, N int64 }
	if err := s.db.Read(ctx).Model(&entryRow{}).Select("draw_id, count(*) AS n").Where("draw_id IN ?", ids).Group("draw_id").Scan(&counts).Error; err != nil {
		return nil, err
	}
	for _, c := range counts {
		at[c.DrawID].Entrants = c.N
	}
	var won []entryRow
	if err := s.db.Read(ctx).Where("draw_id IN ? AND place > 0", ids).Order("draw_id, place").Find(&won).Error; err != nil {
		return nil, err
	}
	for _, w := range won {
		at[w.DrawID].Won = append(at[w.DrawID].Won, Win{w.Ticket, w.UserID, w.AccountID})
	}
	return all, nil
}

func (s store) cancel(ctx context.Context, d Draw) error {
	return s.db.Write(ctx).Model(&drawRow{}).Where("id = ? AND state = ?", d.ID, published).
		Updates(map[string]any{"state": string(Cancelled), "cancelled_ms": db.Millis(d.CancelledAt), "reason": d.Reason}).Error
}

// held gives the tickets that accounts have in a draw.
func (s store) held(ctx context.Context, drawID int64, accounts []int64) (map[int64]string, error) {
	var rows []entryRow
	if err := s.db.Read(ctx).Where("draw_id = ? AND account_id IN ?", drawID, accounts).Find(&rows).Error; err != nil {
		return nil, err
	}
	held := make(map[int64]string, len(accounts))
	for _, r := range rows {
		held[r.AccountID] = r.Ticket
	}
	return held, nil
}

func (s store) enter(ctx context.Context, rows []entryRow) error {
	if len(rows) == 0 {
		return nil
	}
	return s.db.Write(ctx).CreateInBatches(rows, rowsAtOnce).Error
}

func (s store) due(ctx context.Context, now time.Time) (ids []int64, err error) {
	err = s.db.Read(ctx).Model(&drawRow{}).Where("state = ? AND closes_ms <= ?", published, db.Millis(now)).Order("closes_ms").Limit(20).Pluck("id", &ids).Error
	return ids, err
}

// beginDrawing makes a draw drawn; true for the one process that may do it.
func (s store) beginDrawing(ctx context.Context, id int64, now time.Time) (bool, error) {
	res := s.db.Write(ctx).Model(&drawRow{}).Where("id = ? AND state = ? AND closes_ms <= ?", id, published, db.Millis(now)).
		Updates(map[string]any{"state": string(Drawn), "drawn_ms": db.Millis(now)})
	return res.RowsAffected == 1, res.Error
}

func (s store) seed(ctx context.Context, id int64) ([]byte, error) {
	var row drawRow
	err := s.db.Write(ctx).Select("seed").Where("id = ?", id).Take(&row).Error
	return row.Seed, err
}

// tickets gives a draw's tickets in ascending order of their bytes.
func (s store) tickets(ctx context.Context, id int64) ([]string, error) {
	var all []string
	err := s.db.Read(ctx).Model(&entryRow{}).Where("draw_id = ?", id).Pluck("ticket", &all).Error
	slices.Sort(all) // a database may sort by other rules
	return all, err
}

// crown writes the winners down.
func (s store) crown(ctx context.Context, id int64, winners []string, entrantsHash string) error {
	for i, ticket := range winners {
		if err := s.db.Write(ctx).Model(&entryRow{}).Where("draw_id = ? AND ticket = ?", id, ticket).Update("place", i+1).Error; err != nil {
			return err
		}
	}
	return s.db.Write(ctx).Model(&drawRow{}).Where("id = ?", id).Update("entrants_hash", entrantsHash).Error
}

// newest gives the draws that took place last.
func (s store) newest(ctx context.Context, n int) ([]Draw, error) {
	var rows []drawRow
	if err := s.db.Read(ctx).Where("state = ?", string(Drawn)).Order("drawn_ms DESC, id DESC").Limit(n).Find(&rows).Error; err != nil {
		return nil, err
	}
	return s.complete(ctx, rows)
}

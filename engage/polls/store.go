package polls

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
)

// store is the polls' tables. It joins the transaction in the context.
type store struct{ db *db.DB }

type pollRow struct {
	ID        int64 `gorm:"primaryKey;autoIncrement"`
	SessionID int64
	Question  string
	By        string `gorm:"column:by_name"`
	OpenedMs  int64
	ClosesMs  int64
	ClosedMs  int64
}

func (pollRow) TableName() string { return "engage_polls" }

type optionRow struct {
	PollID   int64 `gorm:"primaryKey;autoIncrement:false"`
	Position int   `gorm:"primaryKey;autoIncrement:false"`
	Text     string
	Votes    int64
}

func (optionRow) TableName() string { return "engage_poll_options" }

type ballotRow struct {
	PollID    int64 `gorm:"primaryKey;autoIncrement:false"`
	AccountID int64 `gorm:"primaryKey;autoIncrement:false"`
	Position  int
	AtMs      int64
}

func (ballotRow) TableName() string { return "engage_poll_ballots" }

const rowsAtOnce = 500

func (r pollRow) poll() Poll {
	return Poll{ID: r.ID, SessionID: r.SessionID, Question: r.Question, By: r.By, OpenedAt: db.Time(r.OpenedMs), ClosesAt: db.Time(r.ClosesMs), ClosedAt: db.Time(r.ClosedMs)}
}

// add writes a poll; ErrOpenPoll when the session has one.
func (s store) add(ctx context.Context, p *Poll) error {
	var n int64
	if err := s.db.Write(ctx).Model(&pollRow{}).Where("session_id = ?", p.SessionID).Count(&n).Error; err != nil {
		return err
	}
	if n >= maxPolls {
		return fault.New(fault.Conflict, "too-many-polls", "this session has had 200 polls")
	}
	row := pollRow{SessionID: p.SessionID, Question: p.Question, By: p.By, OpenedMs: db.Millis(p.OpenedAt), ClosesMs: db.Millis(p.ClosesAt)}
	err := s.db.Write(ctx).Create(&row).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return ErrOpenPoll
	}
	if err != nil {
		return err
	}
	p.ID = row.ID
	rows := make([]optionRow, len(p.Options))
	for i, o := range p.Options {
		rows[i] = optionRow{PollID: p.ID, Position: i, Text: o.Text}
	}
	return s.db.Write(ctx).Create(&rows).Error
}

// lock gives a poll and holds its row until the end of the transaction.
func (s store) lock(ctx context.Context, sessionID, id int64) (Poll, error) {
	var row pollRow
	err := s.db.Write(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Where("session_id = ? AND id = ?", sessionID, id).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Poll{}, fault.Missing("poll")
	}
	if err != nil {
		return Poll{}, err
	}
	all, err := s.complete(ctx, []pollRow{row})
	if err != nil {
		return Poll{}, err
	}
	return all[0], nil
}

func (s store) list(ctx context.Context, sessionID, before int64, limit int) ([]Poll, error) {
	q := s.db.Read(ctx).Where("session_id = ?", sessionID).Order("id DESC").Limit(limit)
	if before > 0 {
		q = q.Where("id < ?", before)
	}
	var rows []pollRow
	if err := q.Find(&rows).Error; err != nil {
		return nil, err
	}
	return s.complete(ctx, rows)
}

// standing gives the polls of some sessions that are open, or were closed since a moment, oldest first.
func (s store) standing(ctx context.Context, sessionIDs []int64, since time.Time) ([]Poll, error) {
	var rows []pollRow
	if err := s.db.Read(ctx).Where("session_id IN ? AND (closed_ms = 0 OR closed_ms > ?)", sessionIDs, db.Millis(since)).Order("id").Find(&rows).Error; err != nil {
		return nil, err
	}
	return s.complete(ctx, rows)
}

// complete adds the answers, in one query.
func (s store) complete(ctx context.Context, rows []pollRow) ([]Poll, error) {
	all := make([]Poll, len(rows))
	if len(rows) == 0 {
		return all, nil
	}
	ids, at := make([]int64, len(rows)), map[int64]*Poll{}
	for i, r := range rows {
		all[i] = r.poll()
		ids[i], at[r.ID] = r.ID, &all[i]
	}
	var options []optionRow
	if err := s.db.Read(ctx).Where("poll_id IN ?", ids).Order("poll_id, position").Find(&options).Error; err != nil {
		return nil, err
	}
	for _, o := range options {
		at[o.PollID].Options = append(at[o.PollID].Options, Option{o.Text, o.Votes})
	}
	return all, nil
}

func (s store) due(ctx context.Context, now time.Time) ([]Poll, error) {
	var rows []pollRow
	if err := s.db.Read(ctx).Where("closed_ms = 0 AND closes_ms <= ?", db.Millis(now)).Order("closes_ms").Limit(20).Find(&rows).Error; err != nil {
		return nil, err
	}
	all := make([]Poll, len(rows))
	for i, r := range rows {
		all[i] = r.poll()
	}
	return all, nil
}

func (s store) close(ctx context.Context, id int64, at time.Time) error {
	return s.db.Write(ctx).Model(&pollRow{}).Where("id = ? AND closed_ms = 0", id).Update("closed_ms", db.Millis(at)).Error
}

// ballots gives what accounts have voted for in a poll.
func (s store) ballots(ctx context.Context, pollID int64, accounts []int64) (map[int64]int, error) {
	var rows []ballotRow
	if err := s.db.Read(ctx).Where("poll_id = ? AND account_id IN ?", pollID, accounts).Find(&rows).Error; err != nil {
		return nil, err
	}
	out := make(map[int64]int, len(rows))
	for _, r := range rows {
		out[r.AccountID] = r.Position
	}
	return out, nil
}

// chosen gives what an account has voted for, by poll.
func (s store) chosen(ctx context.Context, accountID int64, pollIDs []int64) (map[int64]int, error) {
	var rows []ballotRow
	if err := s.db.Read(ctx).Where("account_id = ? AND poll_id IN ?", accountID, pollIDs).Find(&rows).Error; err != nil {
		return nil, err
	}
	out := make(map[int64]int, len(rows))
	for _, r := range rows {
		out[r.PollID] = r.Position
	}
	return out, nil
}

// count writes ballots down and adds them to their answers' sums.
func (s store) count(ctx context.Context, rows []ballotRow) error {
	if len(rows) == 0 {
		return nil
	}
	if err := s.db.Write(ctx).CreateInBatches(rows, rowsAtOnce).Error; err != nil {
		return err
	}
	var sums [MaxOptions]int64
	for _, r := range rows {
		sums[r.Position]++
	}
	for position, n := range sums {
		if n == 0 {
			continue
		}
		err := s.db.Write(ctx).Model(&optionRow{}).Where("poll_id = ? AND position = ?", rows[0].PollID, position).Update("votes", gorm.Expr("votes + ?", n)).Error
		if err != nil {
			return err
		}
	}
	return nil
}

func (s store) facts(ctx context.Context, sessionID int64) ([]Fact, error) {
	var rows []ballotRow
	err := s.db.Read(ctx).Where("poll_id IN (SELECT id FROM engage_polls WHERE session_id = ?)", sessionID).Order("at_ms, poll_id, account_id").Find(&rows).Error
	out := make([]Fact, len(rows))
	for i, r := range rows {
		out[i] = Fact{r.PollID, r.AccountID, db.Time(r.AtMs)}
	}
	return out, err
}

type miscount struct{ PollID, Position, Votes, Ballots int64 }

// miscounted gives the answers whose votes are not their ballots; one more than a rule names.
func (s store) miscounted(ctx context.Context) ([]miscount, error) {
	var off []miscount
	err := s.db.Read(ctx).Raw(`SELECT o.poll_id, o.position, o.votes, count(b.account_id) AS ballots FROM engage_poll_options o
		LEFT JOIN engage_poll_ballots b ON b.poll_id = o.poll_id AND b.position = o.position
		GROUP BY o.poll_id, o.position, o.votes HAVING o.votes <> count(b.account_id) ORDER BY o.poll_id, o.position LIMIT 21`).Scan(&off).Error
	return off, err
}

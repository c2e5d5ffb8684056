package questions

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
)

// store is the questions' tables. It joins the transaction in the context.
type store struct{ db *db.DB }

type questionRow struct {
	ID        int64 `gorm:"primaryKey;autoIncrement"`
	SessionID int64
	AccountID int64
	UserID    string
	Name      string
	Text      string
	ProductID int64
	Votes     int64
	State     string
	AskedMs   int64
	DoneMs    int64
	DoneBy    string
	Reason    string
}

func (questionRow) TableName() string { return "engage_questions" }

type voteRow struct {
	QuestionID int64 `gorm:"primaryKey;autoIncrement:false"`
	AccountID  int64 `gorm:"primaryKey;autoIncrement:false"`
	AtMs       int64
}

func (voteRow) TableName() string { return "engage_question_votes" }

func (r questionRow) question() Question {
	return Question{
		ID: r.ID, SessionID: r.SessionID, Asker: r.AccountID, User: r.UserID, Name: r.Name, Text: r.Text, ProductID: r.ProductID, Votes: r.Votes,
		State: State(r.State), AskedAt: db.Time(r.AskedMs), DoneAt: db.Time(r.DoneMs), DoneBy: r.DoneBy, Reason: r.Reason,
	}
}

func questionsOf(rows []questionRow) []Question {
	out := make([]Question, len(rows))
	for i, r := range rows {
		out[i] = r.question()
	}
	return out
}

// add writes a question; ErrOpenQuestion when its asker has one open, however it came there.
func (s store) add(ctx context.Context, q *Question) error {
	row := questionRow{
		SessionID: q.SessionID, AccountID: q.Asker, UserID: q.User, Name: q.Name, Text: q.Text, ProductID: q.ProductID, State: string(q.State), AskedMs: db.Millis(q.AskedAt),
	}
	err := s.db.Write(ctx).Create(&row).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return ErrOpenQuestion
	}
	q.ID = row.ID
	return err
}

// counts gives how many questions of a session are open, how many an account has asked there, and how many of those are open.
func (s store) counts(ctx context.Context, sessionID, accountID int64) (open, own, ownOpen int64, err error) {
	var n struct{ Open, Own, OwnOpen int64 }
	err = s.db.Write(ctx).Model(&questionRow{}).Where("session_id = ? AND (state = ? OR account_id = ?)", sessionID, string(Open), accountID).
		Select(`COALESCE(SUM(CASE WHEN state = 'open' THEN 1 ELSE 0 END), 0) AS open, COALESCE(SUM(CASE WHEN account_id = ? THEN 1 ELSE 0 END), 0) AS own,
			COALESCE(SUM(CASE WHEN account_id = ? AND state = 'open' THEN 1 ELSE 0 END), 0) AS own_open`, accountID, accountID).Scan(&n).Error
	return n.Open, n.Own, n.OwnOpen, err
}

// lock gives a question and holds its row until the end of the transaction.
func (s store) lock(ctx context.Context, sessionID, id int64) (Question, error) {
	var row questionRow
	err := s.db.Write(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Where("session_id = ? AND id = ?", sessionID, id).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Question{}, fault.Missing("question")
	}
	return row.question(), err
}

// vote adds an account's vote; false when it was there.
func (s store) vote(ctx context.Context, id, accountID int64, at time.Time) (bool, error) {
	res := s.db.Write(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&voteRow{id, accountID, db.Millis(at)})
	if res.Error != nil || res.RowsAffected == 0 {
		return false, res.Error
	}
	return true, s.db.Write(ctx).Model(&questionRow{}).Where("id = ?", id).Update("votes", gorm.Expr("votes + 1")).Error
}

func (s store) finish(ctx context.Context, q Question) error {
	return s.db.Write(ctx).Model(&questionRow{}).Where("id = ?", q.ID).
		Updates(map[string]any{"state": string(q.State), "done_ms": db.Millis(q.DoneAt), "done_by": q.DoneBy, "reason": q.Reason}).Error
}

func (s store) list(ctx context.Context, sessionID int64, states []State, f Filter) ([]Question, error) {
	q := s.db.Read(ctx).Where("session_id = ? AND state IN ?", sessionID, states).Limit(f.Limit)
	if f.Votes {
		q = q.Order("votes DESC, id")
	} else {
		q = q.Order("id DESC")
		if f.Before > 0 {
			q = q.Where("id < ?", f.Before)
		}
	}
	var rows []questionRow
	err := q.Find(&rows).Error
	return questionsOf(rows), err
}

func (s store) mine(ctx context.Context, sessionID, accountID int64) ([]Question, error) {
	var rows []questionRow
	err := s.db.Read(ctx).Where("session_id = ? AND account_id = ?", sessionID, accountID).Order("id DESC").Find(&rows).Error
	return questionsOf(rows), err
}

func (s store) all(ctx context.Context, sessionID int64) ([]Question, error) {
	var rows []questionRow
	err := s.db.Read(ctx).Where("session_id = ?", sessionID).Order("id").Find(&rows).Error
	return questionsOf(rows), err
}

// standing gives how many questions of some sessions are open, and the most wanted of each.
func (s store) standing(ctx context.Context, sessionIDs []int64, top int) (map[int64]int64, []Question, error) {
	var counted []struct{ SessionID, N int64 }
	err := s.db.Read(ctx).Model(&questionRow{}).Select("session_id, count(*) AS n").Where("session_id IN ? AND state = ?", sessionIDs, string(Open)).
		Group("session_id").Scan(&counted).Error
	if err != nil || len(counted) == 0 {
		return nil, nil, err
	}
	open := make(map[int64]int64, len(counted))
	for _, c := range counted {
		open[c.SessionID] = c.N
	}
	var rows []questionRow
	err = s.db.Read(ctx).Raw(`SELECT * FROM (SELECT q.*, row_number() OVER (PARTITION BY session_id ORDER BY votes DESC, id) AS place
		FROM engage_questions q WHERE session_id IN ? AND state = ?) r WHERE place <= ? ORDER BY session_id, place`, sessionIDs, string(Open), top).Scan(&rows).Error
	return open, questionsOf(rows), err
}

func (s store) forget(ctx context.Context, accountID int64) error {
	return s.db.Write(ctx).Model(&questionRow{}).Where("account_id = ?", accountID).Updates(map[string]any{"name": "", "text": ""}).Error
}

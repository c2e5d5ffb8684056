package board

import (
	"context"
	"errors"

	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// store is the board's table. It joins the transaction in the context.
type store struct{ db *db.DB }

type lineRow struct {
	ID        int64 `gorm:"primaryKey;autoIncrement"`
	SessionID int64
	Kind      string
	Text      string
	By        string `gorm:"column:by_name"`
	FromMs    int64
	ToMs      int64
}

func (lineRow) TableName() string { return "engage_board_lines" }

// end takes down the line that stands in the place of another.
func (s store) end(ctx context.Context, l Line) error {
	return s.db.Write(ctx).Model(&lineRow{}).Where("session_id = ? AND kind = ? AND to_ms = 0", l.SessionID, string(l.Kind)).Update("to_ms", db.Millis(l.From)).Error
}

func (s store) add(ctx context.Context, l Line) error {
	err := s.db.Write(ctx).Create(&lineRow{SessionID: l.SessionID, Kind: string(l.Kind), Text: l.Text, By: l.By, FromMs: db.Millis(l.From)}).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return ErrChanged
	}
	return err
}

func (s store) standing(ctx context.Context, sessionIDs []int64) ([]Line, error) {
	return lines(s.db.Read(ctx).Where("session_id IN ? AND to_ms = 0", sessionIDs))
}

func (s store) all(ctx context.Context, sessionID int64) ([]Line, error) {
	return lines(s.db.Read(ctx).Where("session_id = ?", sessionID))
}

func lines(q *gorm.DB) ([]Line, error) {
	var rows []lineRow
	err := q.Order("id").Find(&rows).Error
	out := make([]Line, len(rows))
	for i, r := range rows {
		out[i] = Line{SessionID: r.SessionID, Kind: Kind(r.Kind), Text: r.Text, By: r.By, From: db.Time(r.FromMs), To: db.Time(r.ToMs)}
	}
	return out, err
}

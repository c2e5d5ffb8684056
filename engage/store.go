package engage

import (
	"context"
	"slices"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
)

// store is the outbox and the pace of tellings. It joins the transaction in the context.
type store struct{ db *db.DB }

type outboxRow struct {
	ID        int64 `gorm:"primaryKey;autoIncrement"`
	SessionID int64
	Type      string `gorm:"column:typ"`
	Data      string
	CreatedMs int64
	LeaseBy   string
	DueMs     int64
}

func (outboxRow) TableName() string { return "engage_outbox" }

func (s store) addOutbox(ctx context.Context, row outboxRow) error {
	return s.db.Write(ctx).Create(&row).Error
}

// claimOutbox leases up to n rows that are due, oldest first.
func (s store) claimOutbox(ctx context.Context, now time.Time, worker string, lease time.Duration, n int) ([]outboxRow, error) {
	ms := db.Millis(now)
	var due int64 // most rounds find nothing: do not take the writing lock for that
	if err := s.db.Read(ctx).Raw("SELECT count(*) FROM (SELECT 1 FROM engage_outbox WHERE due_ms <= ? LIMIT 1) d", ms).Scan(&due).Error; err != nil || due == 0 {
		return nil, err
	}
	var rows []outboxRow
	err := s.db.Write(ctx).Raw(`UPDATE engage_outbox SET lease_by = ?, due_ms = ? WHERE due_ms <= ? AND id IN
		(SELECT id FROM engage_outbox WHERE due_ms <= ? ORDER BY id LIMIT ?) RETURNING *`,
		worker, db.Millis(now.Add(lease)), ms, ms, n).Scan(&rows).Error
	slices.SortFunc(rows, func(a, b outboxRow) int { return int(a.ID - b.ID) })
	return rows, err
}

// postponeOutbox gives back what a worker has leased and not told, to be told from a time on.
func (s store) postponeOutbox(ctx context.Context, worker string, due time.Time) error {
	return s.db.Write(ctx).Model(&outboxRow{}).Where("lease_by = ?", worker).Updates(map[string]any{"lease_by": "", "due_ms": db.Millis(due)}).Error
}

func (s store) deleteOutbox(ctx context.Context, id int64) error {
	return s.db.Write(ctx).Where("id = ?", id).Delete(&outboxRow{}).Error
}

// claimTelling lets one process tell a room: true unless somebody did so after `before`.
func (s store) claimTelling(ctx context.Context, sessionID int64, typ string, now, before time.Time) (bool, error) {
	res := s.db.Write(ctx).Exec(`INSERT INTO engage_tellings (session_id, typ, told_ms) VALUES (?, ?, ?)
		ON CONFLICT (session_id, typ) DO UPDATE SET told_ms = excluded.told_ms WHERE engage_tellings.told_ms <= ?`,
		sessionID, typ, db.Millis(now), db.Millis(before))
	return res.RowsAffected == 1, res.Error
}

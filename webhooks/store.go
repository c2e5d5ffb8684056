package webhooks

import (
	"context"
	"strings"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
)

// store is the only user of gorm in this package.
type store struct{ db *db.DB }

type endpointRow struct {
	ID         int64
	URL        string
	Events     string // with commas
	Note       string
	State      string
	Why        string
	Secret     string
	OldSecret  string
	OldUntilMs int64
	NextMs     int64
	LeaseBy    string
	LeaseMs    int64
	CreatedMs  int64
}

func (endpointRow) TableName() string { return "webhook_endpoints" }

func rowOf(e Endpoint) endpointRow {
	return endpointRow{
		ID: e.ID, URL: e.URL, Events: strings.Join(e.Events, ","), Note: e.Note, State: string(e.State), Why: e.Why, Secret: e.Secret, OldSecret: e.OldSecret,
		OldUntilMs: db.Millis(e.OldUntil), NextMs: db.Millis(e.NextAt), CreatedMs: db.Millis(e.CreatedAt),
	}
}

func (r endpointRow) endpoint() Endpoint {
	return Endpoint{
		ID: r.ID, URL: r.URL, Events: strings.Split(r.Events, ","), Note: r.Note, State: State(r.State), Why: r.Why, Secret: r.Secret, OldSecret: r.OldSecret,
		OldUntil: db.Time(r.OldUntilMs), NextAt: db.Time(r.NextMs), CreatedAt: db.Time(r.CreatedMs),
	}
}

type deliveryRow struct {
	ID          int64
	EndpointID  int64
	EventID     string
	Type        string `gorm:"column:typ"`
	Body        string
	State       string
	Tries       int
	LastStatus  int
	LastError   string
	LastMs      int64
	CreatedMs   int64
	DeliveredMs int64
}

func (deliveryRow) TableName() string { return "webhook_deliveries" }

func (r deliveryRow) delivery() Delivery {
	return Delivery{
		ID: r.ID, EndpointID: r.EndpointID, EventID: r.EventID, Type: r.Type, Body: r.Body, State: DeliveryState(r.State), Tries: r.Tries,
		LastStatus: r.LastStatus, LastError: r.LastError, LastAt: db.Time(r.LastMs), CreatedAt: db.Time(r.CreatedMs), DeliveredAt: db.Time(r.DeliveredMs),
	}
}

func (s store) endpoints(ctx context.Context) ([]Endpoint, error) {
	var rows []endpointRow
	err := s.db.Read(ctx).Order("id").Find(&rows).Error
	out := make([]Endpoint, len(rows))
	for i, r := range rows {
		out[i] = r.endpoint()
	}
	return out, err
}

func (s store) get(ctx context.Context, id int64) (Endpoint, error) {
	var rows []endpointRow
	if err := s.db.Read(ctx).Where("id = ?", id).Find(&rows).Error; err != nil {
		return Endpoint{}, err
	}
	if len(rows) == 0 {
		return Endpoint{}, fault.Missing("webhook")
	}
	return rows[0].endpoint(), nil
}

func (s store) add(ctx context.Context, e *Endpoint) error {
	row := rowOf(*e)
	err := s.db.Write(ctx).Create(&row).Error
	e.ID = row.ID
	return err
}

// save writes what an operator may change; leases stay.
func (s store) save(ctx context.Context, e Endpoint) error {
	row := rowOf(e)
	return s.db.Write(ctx).Model(&endpointRow{}).Where("id = ?", e.ID).
		Select("url", "events", "note", "state", "why", "secret", "old_secret", "old_until_ms", "next_ms").Updates(&row).Error
}

func (s store) remove(ctx context.Context, id int64) error {
	done := s.db.Write(ctx).Where("id = ?", id).Delete(&endpointRow{})
	if done.Error != nil {
		return done.Error
	}
	if done.RowsAffected == 0 {
		return fault.Missing("webhook")
	}
	return s.db.Write(ctx).Where("endpoint_id = ?", id).Delete(&deliveryRow{}).Error
}

func (s store) pause(ctx context.Context, id int64, why string) error {
	return s.db.Write(ctx).Model(&endpointRow{}).Where("id = ? AND state = ?", id, string(Active)).Updates(map[string]any{"state": string(Paused), "why": why}).Error
}

// count fills in how much waits for endpoints and how much was given up.
func (s store) count(ctx context.Context, all []Endpoint) error {
	var rows []struct {
		EndpointID int64
		State      string
		N          int64
	}
	err := s.db.Read(ctx).Model(&deliveryRow{}).Select("endpoint_id, state, count(*) AS n").Where("state IN ?", []string{string(Queued), string(Dead)}).
		Group("endpoint_id, state").Scan(&rows).Error
	for _, r := range rows {
		for i := range all {
			switch {
			case all[i].ID != r.EndpointID:
			case r.State == string(Dead):
				all[i].Dead = r.N
			default:
				all[i].Queued = r.N
			}
		}
	}
	return err
}

func (s store) full(ctx context.Context, endpointID int64, most int) (bool, error) {
	var n int
	err := s.db.Read(ctx).Raw("SELECT count(*) FROM (SELECT 1 FROM webhook_deliveries WHERE endpoint_id = ? AND state = 'queued' LIMIT ?) q", endpointID, most).Scan(&n).Error
	return n >= most, err
}

func (s store) addDelivery(ctx context.Context, d *Delivery) error {
	row := deliveryRow{EndpointID: d.EndpointID, EventID: d.EventID, Type: d.Type, Body: d.Body, State: string(d.State), CreatedMs: db.Millis(d.CreatedAt)}
	err := s.db.Write(ctx).Create(&row).Error
	d.ID = row.ID
	return err
}

func (s store) deliveries(ctx context.Context, endpointID int64, state DeliveryState, before int64, limit int) ([]Delivery, error) {
	q := s.db.Read(ctx).Where("endpoint_id = ?", endpointID).Order("id DESC").Limit(limit)
	if state != "" {
		q = q.Where("state = ?", string(state))
	}
	if before > 0 {
		q = q.Where("id < ?", before)
	}
	var rows []deliveryRow
	err := q.Find(&rows).Error
	out := make([]Delivery, len(rows))
	for i, r := range rows {
		out[i] = r.delivery()
	}
	return out, err
}

// head gives the oldest delivery that waits.
func (s store) head(ctx context.Context, endpointID int64) (Delivery, bool, error) {
	var rows []deliveryRow
	err := s.db.Read(ctx).Where("endpoint_id = ? AND state = ?", endpointID, string(Queued)).Order("id").Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return Delivery{}, false, err
	}
	return rows[0].delivery(), true, nil
}

func (s store) saveTry(ctx context.Context, d Delivery) error {
	return s.db.Write(ctx).Model(&deliveryRow{}).Where("id = ?", d.ID).Updates(map[string]any{
		"state": string(d.State), "tries": d.Tries, "last_status": d.LastStatus, "last_error": d.LastError, "last_ms": db.Millis(d.LastAt), "delivered_ms": db.Millis(d.DeliveredAt),
	}).Error
}

func (s store) replay(ctx context.Context, endpointID, deliveryID int64) (int64, error) {
	q := s.db.Write(ctx).Model(&deliveryRow{}).Where("endpoint_id = ? AND state = ?", endpointID, string(Dead))
	if deliveryID != 0 {
		q = q.Where("id = ?", deliveryID)
	}
	done := q.Updates(map[string]any{"state": string(Queued), "tries": 0})
	if done.Error != nil || done.RowsAffected == 0 {
		return 0, done.Error
	}
	return done.RowsAffected, s.db.Write(ctx).Model(&endpointRow{}).Where("id = ?", endpointID).Update("next_ms", 0).Error
}

// lease takes the active endpoints that are due and have something waiting, and that nobody else holds.
func (s store) lease(ctx context.Context, worker string, now, until time.Time) ([]int64, error) {
	const due = "state = 'active' AND next_ms <= ? AND lease_ms <= ? AND EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.endpoint_id = webhook_endpoints.id AND d.state = 'queued')"
	var ids []int64 // most rounds find nothing: do not take the writing lock for that
	if err := s.db.Read(ctx).Model(&endpointRow{}).Where(due, db.Millis(now), db.Millis(now)).Pluck("id", &ids).Error; err != nil || len(ids) == 0 {
		return nil, err
	}
	var mine []int64
	err := s.db.Write(ctx).Raw("UPDATE webhook_endpoints SET lease_by = ?, lease_ms = ? WHERE id IN ? AND "+due+" RETURNING id",
		worker, db.Millis(until), ids, db.Millis(now), db.Millis(now)).Scan(&mine).Error
	return mine, err
}

// extend holds on to a lease; false: another has it.
func (s store) extend(ctx context.Context, id int64, worker string, until time.Time) (bool, error) {
	done := s.db.Write(ctx).Model(&endpointRow{}).Where("id = ? AND lease_by = ?", id, worker).Update("lease_ms", db.Millis(until))
	return done.RowsAffected == 1, done.Error
}

func (s store) release(ctx context.Context, id int64, worker string) error {
	return s.db.Write(ctx).Model(&endpointRow{}).Where("id = ? AND lease_by = ?", id, worker).Updates(map[string]any{"lease_by": "", "lease_ms": 0}).Error
}

func (s store) postpone(ctx context.Context, id int64, worker string, until time.Time) error {
	return s.db.Write(ctx).Model(&endpointRow{}).Where("id = ? AND lease_by = ?", id, worker).Update("next_ms", db.Millis(until)).Error
}

// forget deletes what was delivered, or given up, long ago, some hundreds at a time.
func (s store) forget(ctx context.Context, delivered, dead time.Time) error {
	for state, before := range map[DeliveryState]time.Time{Delivered: delivered, Dead: dead} {
		var ids []int64
		err := s.db.Read(ctx).Model(&deliveryRow{}).Where("state = ? AND created_ms < ?", string(state), db.Millis(before)).Limit(500).Pluck("id", &ids).Error
		if err != nil {
			return err
		}
		if len(ids) > 0 {
			if err := s.db.Write(ctx).Where("id IN ?", ids).Delete(&deliveryRow{}).Error; err != nil {
				return err
			}
		}
	}
	return nil
}

package records

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
)

// store is the tables of records. It joins the transaction in the context.
type store struct{ db *db.DB }

type fileRow struct {
	ID        int64 `gorm:"primaryKey"`
	SessionID int64
	Month     string
	Name      string
	Events    int
	Bytes     int64
	Sum       string
	FirstMs   int64
	LastMs    int64
}

func (fileRow) TableName() string { return "record_files" }

func (r fileRow) file() file {
	return file{r.ID, r.SessionID, r.Month, r.Name, r.Events, r.Bytes, r.Sum, db.Time(r.FirstMs), db.Time(r.LastMs)}
}

type personRow struct {
	FileID int64  `gorm:"primaryKey;autoIncrement:false"`
	Person string `gorm:"primaryKey"`
}

func (personRow) TableName() string { return "record_people" }

type trashRow struct {
	Name string `gorm:"primaryKey"`
	AtMs int64
}

func (trashRow) TableName() string { return "record_trash" }

type holdRow struct {
	ID         int64 `gorm:"primaryKey"`
	SessionID  int64
	AccountID  int64
	Person     string
	FromMs     int64
	ToMs       int64
	Reason     string
	ByName     string
	AtMs       int64
	ReleasedMs int64
	FreedBy    string
}

func (holdRow) TableName() string { return "record_holds" }

func (r holdRow) hold() Hold {
	return Hold{r.ID, r.SessionID, r.AccountID, r.Person, db.Time(r.FromMs), db.Time(r.ToMs), r.Reason, r.ByName, db.Time(r.AtMs), db.Time(r.ReleasedMs), r.FreedBy}
}

type erasureRow struct {
	ID        int64 `gorm:"primaryKey"`
	AccountID int64
	Person    string
	Reason    string
	ByName    string
	AtMs      int64
	DoneMs    int64
	TriedMs   int64
	Blanked   int64
	Held      int64
}

func (erasureRow) TableName() string { return "record_erasures" }

func (r erasureRow) erasure() Erasure {
	return Erasure{r.ID, r.AccountID, r.Person, r.Reason, r.ByName, db.Time(r.AtMs), db.Time(r.DoneMs), db.Time(r.TriedMs), r.Blanked, r.Held}
}

type runRow struct {
	ID        int64 `gorm:"primaryKey"`
	Kind      string
	Dry       bool
	ByName    string
	AskedMs   int64
	StartedMs int64
	EndedMs   int64
	Report    string
}

func (runRow) TableName() string { return "record_runs" }

func (r runRow) run() Run {
	out := Run{ID: r.ID, Kind: r.Kind, Dry: r.Dry, By: r.ByName, Asked: db.Time(r.AskedMs), Started: db.Time(r.StartedMs), Ended: db.Time(r.EndedMs)}
	_ = json.Unmarshal([]byte(r.Report), &out.Report) // empty until the run has ended
	return out
}

const leaseName = "records"

// takeLease gets the lease, unless another worker has it.
func (s store) takeLease(ctx context.Context, worker string, now time.Time, long time.Duration) (bool, error) {
	done := s.db.Write(ctx).Exec("UPDATE record_lease SET holder = ?, until_ms = ? WHERE name = ? AND (until_ms <= ? OR holder = ?)",
		worker, db.Millis(now.Add(long)), leaseName, db.Millis(now), worker)
	return done.RowsAffected == 1, done.Error
}

// guard renews the lease in a transaction and so keeps others, and new holds, waiting until its end; ErrBusy: it is lost.
func (s store) guard(ctx context.Context, worker string, now time.Time, long time.Duration) error {
	done := s.db.Write(ctx).Exec("UPDATE record_lease SET until_ms = ? WHERE name = ? AND holder = ?", db.Millis(now.Add(long)), leaseName, worker)
	if done.Error == nil && done.RowsAffected != 1 {
		return ErrBusy
	}
	return done.Error
}

// turn waits for whoever is between guard and commit.
func (s store) turn(ctx context.Context) error {
	return s.db.Write(ctx).Exec("UPDATE record_lease SET until_ms = until_ms WHERE name = ?", leaseName).Error
}

func (s store) giveLease(ctx context.Context, worker string) error {
	return s.db.Write(ctx).Exec("UPDATE record_lease SET until_ms = 0 WHERE name = ? AND holder = ?", leaseName, worker).Error
}

// addFile names a file that is in the vault, and takes it off the list of what is thrown away.
func (s store) addFile(ctx context.Context, f file, people []string) error {
	row := fileRow{SessionID: f.Session, Month: f.Month, Name: f.Name, Events: f.Events, Bytes: f.Bytes, Sum: f.Sum, FirstMs: db.Millis(f.First), LastMs: db.Millis(f.Last)}
	if err := s.db.Write(ctx).Create(&row).Error; err != nil {
		return err
	}
	named := make([]personRow, len(people))
	for i, p := range people {
		named[i] = personRow{row.ID, p}
	}
	if len(named) > 0 {
		if err := s.db.Write(ctx).CreateInBatches(named, 500).Error; err != nil {
			return err
		}
	}
	return s.untrash(ctx, f.Name)
}

// throwAway takes a file's row away and puts its name on the list of what is thrown away.
func (s store) throwAway(ctx context.Context, f file, now time.Time) error {
	if err := s.db.Write(ctx).Where("file_id = ?", f.ID).Delete(&personRow{}).Error; err != nil {
		return err
	}
	if err := s.db.Write(ctx).Where("id = ?", f.ID).Delete(&fileRow{}).Error; err != nil {
		return err
	}
	return s.addTrash(ctx, f.Name, now)
}

func (s store) addTrash(ctx context.Context, name string, now time.Time) error {
	return s.db.Write(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&trashRow{name, db.Millis(now)}).Error
}

func (s store) untrash(ctx context.Context, name string) error {
	return s.db.Write(ctx).Where("name = ?", name).Delete(&trashRow{}).Error
}

func (s store) trash(ctx context.Context, until time.Time) ([]string, error) {
	var names []string
	return names, s.db.Read(ctx).Model(&trashRow{}).Where("at_ms <= ?", db.Millis(until)).Order("at_ms, name").Limit(1000).Pluck("name", &names).Error
}

func (s store) files(ctx context.Context, where string, args ...any) ([]file, error) {
	var rows []fileRow
	err := s.db.Read(ctx).Where(where, args...).Order("month, first_ms, id").Find(&rows).Error
	out := make([]file, len(rows))
	for i, r := range rows {
		out[i] = r.file()
	}
	return out, err
}

// filesBefore gives the files whose last event is older.
func (s store) filesBefore(ctx context.Context, t time.Time) ([]file, error) {
	return s.files(ctx, "last_ms < ?", db.Millis(t))
}

func (s store) filesOfSession(ctx context.Context, id int64) ([]file, error) {
	return s.files(ctx, "session_id = ?", id)
}

// filesOf gives the files that name a person.
func (s store) filesOf(ctx context.Context, person string) ([]file, error) {
	return s.files(ctx, "id IN (SELECT file_id FROM record_people WHERE person = ?)", person)
}

// stock sums the files.
func (s store) stock(ctx context.Context) (files, events, bytes int64, err error) {
	var sum struct{ Files, Events, Bytes int64 }
	err = s.db.Read(ctx).Model(&fileRow{}).Select("COUNT(*) AS files, COALESCE(SUM(events), 0) AS events, COALESCE(SUM(bytes), 0) AS bytes").Scan(&sum).Error
	return sum.Files, sum.Events, sum.Bytes, err
}

func (s store) addHold(ctx context.Context, h Hold) (int64, error) {
	row := holdRow{
		SessionID: h.Session, AccountID: h.Account, Person: h.Person, FromMs: db.Millis(h.From), ToMs: db.Millis(h.To), Reason: h.Reason, ByName: h.By, AtMs: db.Millis(h.At),
	}
	err := s.db.Write(ctx).Create(&row).Error
	return row.ID, err
}

func (s store) release(ctx context.Context, id int64, by string, now time.Time) error {
	done := s.db.Write(ctx).Model(&holdRow{}).Where("id = ? AND released_ms = 0", id).Updates(map[string]any{"released_ms": db.Millis(now), "freed_by": by})
	if done.Error == nil && done.RowsAffected == 0 {
		return fault.Missing("hold")
	}
	return done.Error
}

func (s store) hold(ctx context.Context, id int64) (Hold, error) {
	var row holdRow
	err := s.db.Read(ctx).Where("id = ?", id).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Hold{}, fault.Missing("hold")
	}
	return row.hold(), err
}

// inForce gives the holds that have not been released.
func (s store) inForce(ctx context.Context) ([]Hold, error) {
	var rows []holdRow
	err := s.db.Read(ctx).Where("released_ms = 0").Order("id").Find(&rows).Error
	return mapped(rows, holdRow.hold), err
}

func (s store) holds(ctx context.Context, below int64, limit int) ([]Hold, error) {
	var rows []holdRow
	err := s.page(ctx, below, limit).Find(&rows).Error
	return mapped(rows, holdRow.hold), err
}

// page gives rows newest first, below an id.
func (s store) page(ctx context.Context, below int64, limit int) *gorm.DB {
	q := s.db.Read(ctx).Order("id DESC").Limit(limit)
	if below > 0 {
		q = q.Where("id < ?", below)
	}
	return q
}

func mapped[A, B any](rows []A, f func(A) B) []B {
	out := make([]B, len(rows))
	for i, r := range rows {
		out[i] = f(r)
	}
	return out
}

func (s store) addErasure(ctx context.Context, e Erasure) (int64, error) {
	row := erasureRow{AccountID: e.Account, Person: e.Person, Reason: e.Reason, ByName: e.By, AtMs: db.Millis(e.At)}
	err := s.db.Write(ctx).Create(&row).Error
	return row.ID, err
}

// openErasures gives those not tried yet, and those of which something was held until a hold was released after it was tried.
func (s store) openErasures(ctx context.Context) ([]Erasure, error) {
	var rows []erasureRow
	err := s.db.Read(ctx).Where("done_ms = 0 AND (tried_ms = 0 OR tried_ms <= (SELECT COALESCE(MAX(released_ms), 0) FROM record_holds))").Order("id").Limit(100).Find(&rows).Error
	return mapped(rows, erasureRow.erasure), err
}

func (s store) tried(ctx context.Context, e Erasure) error {
	return s.db.Write(ctx).Model(&erasureRow{}).Where("id = ?", e.ID).
		Updates(map[string]any{"done_ms": db.Millis(e.Done), "tried_ms": db.Millis(e.Tried), "blanked": e.Blanked, "held": e.Held}).Error
}

func (s store) erasures(ctx context.Context, below int64, limit int) ([]Erasure, error) {
	var rows []erasureRow
	err := s.page(ctx, below, limit).Find(&rows).Error
	return mapped(rows, erasureRow.erasure), err
}

func (s store) addRun(ctx context.Context, r Run) (int64, error) {
	row := runRow{Kind: r.Kind, Dry: r.Dry, ByName: r.By, AskedMs: db.Millis(r.Asked)}
	err := s.db.Write(ctx).Create(&row).Error
	return row.ID, err
}

// endRun keeps what a run did. Only the run's own columns: it was asked for once.
func (s store) endRun(ctx context.Context, r Run) error {
	raw, err := json.Marshal(r.Report)
	if err != nil {
		return err
	}
	return s.db.Write(ctx).Model(&runRow{}).Where("id = ?", r.ID).
		Updates(map[string]any{"started_ms": db.Millis(r.Started), "ended_ms": db.Millis(r.Ended), "report": string(raw)}).Error
}

// askedRuns gives those that have not ended: a crash in one leaves it to be done again.
func (s store) askedRuns(ctx context.Context) ([]Run, error) {
	var rows []runRow
	err := s.db.Read(ctx).Where("ended_ms = 0").Order("id").Limit(100).Find(&rows).Error
	return mapped(rows, runRow.run), err
}

// lastRun gives when a run of a kind that was no trial was last asked for.
func (s store) lastRun(ctx context.Context, kind string) (time.Time, error) {
	var ms int64
	err := s.db.Read(ctx).Model(&runRow{}).Where("kind = ? AND dry = ?", kind, false).Select("COALESCE(MAX(asked_ms), 0)").Scan(&ms).Error
	return db.Time(ms), err
}

func (s store) runs(ctx context.Context, below int64, limit int) ([]Run, error) {
	var rows []runRow
	err := s.page(ctx, below, limit).Find(&rows).Error
	return mapped(rows, runRow.run), err
}

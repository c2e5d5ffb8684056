package records

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Migrations gives the schema's steps, oldest first. Their models are frozen: today's rows stand in store.go.
func Migrations() []db.Migration {
	return []db.Migration{{ID: "20261125-records-01", Up: func(g *gorm.DB) error {
		type recordFile struct {
			ID        int64  `gorm:"primaryKey"`
			SessionID int64  `gorm:"not null;index:record_files_session"`
			Month     string `gorm:"not null;size:7;index:record_files_session"`
			Name      string `gorm:"not null;uniqueIndex;size:64"`
			Events    int    `gorm:"not null"`
			Bytes     int64  `gorm:"not null"`
			Sum       string `gorm:"not null;size:64"`
			FirstMs   int64  `gorm:"not null"`
			LastMs    int64  `gorm:"not null;index"`
		}
		type recordPerson struct { // who is named in a file
			FileID int64  `gorm:"primaryKey;autoIncrement:false"`
			Person string `gorm:"primaryKey;size:12;index"`
		}
		type recordTrash struct { // files that nothing names (any more, or yet)
			Name string `gorm:"primaryKey;size:64"`
			AtMs int64  `gorm:"not null"`
		}
		type recordHold struct {
			ID         int64  `gorm:"primaryKey"`
			SessionID  int64  `gorm:"not null"` // 0: any
			AccountID  int64  `gorm:"not null"` // 0: anybody
			Person     string `gorm:"not null"`
			FromMs     int64  `gorm:"not null"`
			ToMs       int64  `gorm:"not null"`
			Reason     string `gorm:"not null"`
			ByName     string `gorm:"not null"`
			AtMs       int64  `gorm:"not null"`
			ReleasedMs int64  `gorm:"not null"`
			FreedBy    string `gorm:"not null"`
		}
		type recordErasure struct {
			ID        int64  `gorm:"primaryKey"`
			AccountID int64  `gorm:"not null;index"`
			Person    string `gorm:"not null"`
			Reason    string `gorm:"not null"`
			ByName    string `gorm:"not null"`
			AtMs      int64  `gorm:"not null"`
			DoneMs    int64  `gorm:"not null"`
			TriedMs   int64  `gorm:"not null"`
			Blanked   int64  `gorm:"not null"`
			Held      int64  `gorm:"not null"`
		}
		type recordRun struct {
			ID        int64  `gorm:"primaryKey"`
			Kind      string `gorm:"not null;size:16;check:record_run_kind,kind in ('archive','retain')"`
			Dry       bool   `gorm:"not null"`
			ByName    string `gorm:"not null"`
			AskedMs   int64  `gorm:"not null"`
			StartedMs int64  `gorm:"not null"`
			EndedMs   int64  `gorm:"not null"`
			Report    string `gorm:"not null"`
		}
		type recordLease struct {
			Name    string `gorm:"primaryKey;size:16"`
			Holder  string `gorm:"not null"`
			UntilMs int64  `gorm:"not null"`
		}
		tables := []struct {
			name  string
			model any
		}{
			{"record_files", &recordFile{}},
			{"record_people", &recordPerson{}},
			{"record_trash", &recordTrash{}},
			{"record_holds", &recordHold{}},
			{"record_erasures", &recordErasure{}},
			{"record_runs", &recordRun{}},
			{"record_lease", &recordLease{}},
		}
		for _, t := range tables {
			if err := g.Table(t.name).Migrator().CreateTable(t.model); err != nil {
				return err
			}
		}
		return g.Table("record_lease").Create(&recordLease{Name: "records"}).Error
	}}}
}

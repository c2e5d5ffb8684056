package questions

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Migrations gives the schema's steps, oldest first. Their models are frozen: today's rows stand in store.go.
func Migrations() []db.Migration {
	return []db.Migration{{ID: "20261125-engage-questions-01", Up: func(g *gorm.DB) error {
		type question struct {
			ID        int64  `gorm:"primaryKey;autoIncrement"`
			SessionID int64  `gorm:"not null;index:engage_questions_queue,priority:1"`
			AccountID int64  `gorm:"not null;index"`
			UserID    string `gorm:"not null"`
			Name      string `gorm:"not null"`
			Text      string `gorm:"not null"`
			ProductID int64  `gorm:"not null"`
			Votes     int64  `gorm:"not null"`
			State     string `gorm:"not null;index:engage_questions_queue,priority:2;check:engage_questions_state,state in ('open','answered','dismissed','withdrawn')"`
			AskedMs   int64  `gorm:"not null"`
			DoneMs    int64  `gorm:"not null"`
			DoneBy    string `gorm:"not null"`
			Reason    string `gorm:"not null"`
		}
		type vote struct {
			QuestionID int64 `gorm:"primaryKey;autoIncrement:false"`
			AccountID  int64 `gorm:"primaryKey;autoIncrement:false"`
			AtMs       int64 `gorm:"not null"`
		}
		if err := g.Table("engage_questions").Migrator().CreateTable(&question{}); err != nil {
			return err
		}
		if err := g.Table("engage_question_votes").Migrator().CreateTable(&vote{}); err != nil {
			return err
		}
		return g.Exec("CREATE UNIQUE INDEX engage_questions_one_open ON engage_questions (session_id, account_id) WHERE state = 'open'").Error
	}}}
}

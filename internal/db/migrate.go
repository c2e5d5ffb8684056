package db

import (
	"context"
	"fmt"
	"sort"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// Migration is one step of the schema. IDs sort by time ("20261124-orders-01"); a step is frozen once it has landed and
// uses models of its own, never today's.
type Migration struct {
	ID string
	Up func(*gorm.DB) error
}

func (d *DB) migrator(ctx context.Context, steps []Migration) *gormigrate.Gormigrate {
	sort.SliceStable(steps, func(i, j int) bool { return steps[i].ID < steps[j].ID })
	all := make([]*gormigrate.Migration, 0, len(steps))
	for _, s := range steps {
		all = append(all, &gormigrate.Migration{ID: s.ID, Migrate: s.Up})
	}
	opts := *gormigrate.DefaultOptions
	opts.UseTransaction = true
	opts.TableName = "schema_migrations"
	return gormigrate.New(d.writer.WithContext(ctx), &opts, all)
}

// Migrate applies the steps that are missing, all in one transaction.
func (d *DB) Migrate(ctx context.Context, steps []Migration) error {
	if len(steps) == 0 {
		return nil
	}
	if err := d.migrator(ctx, steps).Migrate(); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// Pending counts the steps that have not been applied.
func (d *DB) Pending(ctx context.Context, steps []Migration) (int, error) {
	if !d.writer.Migrator().HasTable("schema_migrations") {
		return len(steps), nil
	}
	var ids []string
	if err := d.Read(ctx).Table("schema_migrations").Pluck("id", &ids).Error; err != nil {
		return 0, err
	}
	done := make(map[string]bool, len(ids))
	for _, id := range ids {
		done[id] = true
	}
	n := 0
	for _, s := range steps {
		if !done[s.ID] {
			n++
		}
	}
	return n, nil
}

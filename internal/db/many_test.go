package db_test

import (
	"context"
	"math"
	"reflect"
	"strings"
	"testing"

	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
)

type parcel struct {
	Key   string `gorm:"primaryKey"`
	Same  string
	N     int64
	Maybe *int64
	Yes   bool
	Part  float64
	Raw   []byte
}

func parcels() []db.Migration {
	return []db.Migration{{ID: "20260101-parcels", Up: func(g *gorm.DB) error { return g.Migrator().CreateTable(&parcel{}) }}}
}

// TestManyRowsComeBackAsTheyWent writes what is hard to quote, in many rows and in one.
func TestManyRowsComeBackAsTheyWent(t *testing.T) {
	testshop.EachDB(t, parcels(), func(t *testing.T, d *db.DB) {
		n, ctx := int64(math.MinInt64), context.Background()
		rows := []parcel{
			{Key: "a", Same: "all", N: math.MaxInt64, Maybe: &n, Yes: true},
			{Key: "b'\"\\\n\t\x01</script>\u2028", Same: "all"},
			{Key: "云南 🍅", Same: "all", N: -1},
			{Key: "1", Same: "all"},
			{Key: "null", Same: "all"},
			{Key: "[1]", Same: "all"},
			{Key: "", Same: "all"},
			{Key: strings.Repeat("long", 5000), Same: "all"},
		}
		for i := range rows {
			rows[i].Raw = []byte{}
		}
		bytes := []parcel{{Key: "bytes", Part: 0.1, Raw: []byte{0, 255}}, {Key: "more", Part: 1e-300, Raw: []byte{1}}}
		for _, part := range [][]parcel{rows, {{Key: "alone", Raw: []byte{}}}, bytes, nil} {
			if err := db.Insert(ctx, d, part, ""); err != nil {
				t.Fatal(err)
			}
			for _, want := range part {
				var got []parcel
				if err := d.Read(ctx).Where(db.In(d, "key", []string{want.Key, "nobody's"})).Find(&got).Error; err != nil || len(got) != 1 {
					t.Fatal(want.Key, got, err)
				}
				if len(got[0].Raw) == 0 {
					got[0].Raw = []byte{}
				}
				if !reflect.DeepEqual(got[0], want) {
					t.Errorf("%+v became %+v", want, got[0])
				}
			}
		}
		again := []parcel{{Key: "a", Raw: []byte{}}, {Key: "new", Raw: []byte{}}}
		if err := db.Insert(ctx, d, again, ""); !db.Conflicted(err) {
			t.Error("a second row of the same key:", err)
		}
		if err := db.Insert(ctx, d, again, "ON CONFLICT DO NOTHING"); err != nil {
			t.Error(err)
		}
		var count int64
		if err := d.Read(ctx).Model(&parcel{}).Where(db.In(d, "n", []int64{math.MaxInt64, -1})).Count(&count).Error; err != nil || count != 2 {
			t.Error(count, err)
		}
	})
}

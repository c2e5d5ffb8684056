package db

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// Many rows in one statement. On PostgreSQL the values travel as one array per column, so that the statement has the same
// text however many rows there are: it is parsed once per connection, where a list of placeholders is parsed anew for
// each length, 6,000 parameters at a time. SQLite gets the list. Measured by BenchmarkPlace in orders; see ADR 17.

// maxPlaceholders of one statement on SQLite. It takes 32,766, but our driver looks for each among all of them, so that the
// time grows by their square.
const maxPlaceholders = 400

// In gives the condition that column is one of values; column is ours, never a client's.
func In[T any](d *DB, column string, values []T) clause.Expression {
	if d.dialect == Postgres {
		return gorm.Expr(column+" = ANY(?)", &values) // a pointer: gorm would spell a slice out
	}
	return gorm.Expr(column+" IN ?", values)
}

// Insert writes rows, in their order, into the table of their gorm model, joining the transaction in ctx. Columns that
// count by themselves are left to the database and not read back. conflict is what follows, such as "ON CONFLICT DO
// NOTHING"; empty: an error.
func Insert[T any](ctx context.Context, d *DB, rows []T, conflict string) error {
	if len(rows) == 0 {
		return nil
	}
	model, err := schema.Parse(new(T), &d.models, schema.NamingStrategy{})
	if err != nil {
		return err
	}
	var fields []*schema.Field
	for _, f := range model.Fields {
		if f.DBName != "" && !f.AutoIncrement {
			fields = append(fields, f)
		}
	}
	if d.dialect == Postgres {
		return insertArrays(ctx, d, model.Table, fields, reflect.ValueOf(rows), conflict)
	}
	for part := range slices.Chunk(rows, max(1, maxPlaceholders/len(fields))) {
		part := reflect.ValueOf(part)
		if err := insertValues(ctx, d, model.Table, fields, part, conflict); err != nil {
			return err
		}
	}
	return nil
}

func columnNames(fields []*schema.Field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.DBName
	}
	return strings.Join(names, ", ")
}

// insertArrays sends one array per column.
func insertArrays(ctx context.Context, d *DB, table string, fields []*schema.Field, rows reflect.Value, conflict string) error {
	arrays, args := make([]string, len(fields)), make([]any, len(fields))
	for i, f := range fields {
		kind, err := pgType(f.FieldType)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", table, f.DBName, err)
		}
		arrays[i] = "?::" + kind + "[]"
		column := reflect.New(reflect.SliceOf(f.FieldType))
		column.Elem().Set(reflect.MakeSlice(reflect.SliceOf(f.FieldType), rows.Len(), rows.Len()))
		for r := range rows.Len() {
			column.Elem().Index(r).Set(rows.Index(r).FieldByIndex(f.StructField.Index))
		}
		args[i] = column.Interface()
	}
	return d.Write(ctx).Exec("INSERT INTO "+table+" ("+columnNames(fields)+") SELECT * FROM unnest("+strings.Join(arrays, ", ")+") "+conflict, args...).Error
}

func pgType(t reflect.Type) (string, error) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Int64 || t.Kind() == reflect.Int:
		return "bigint", nil
	case t.Kind() == reflect.String:
		return "text", nil
	case t.Kind() == reflect.Bool:
		return "boolean", nil
	case t.Kind() == reflect.Float64:
		return "double precision", nil
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return "bytea", nil
	}
	return "", fmt.Errorf("db: no array type for %s", t)
}

// insertValues spells all values out.
func insertValues(ctx context.Context, d *DB, table string, fields []*schema.Field, rows reflect.Value, conflict string) error {
	args := make([]any, 0, rows.Len()*len(fields))
	for r := range rows.Len() {
		for _, f := range fields {
			args = append(args, rows.Index(r).FieldByIndex(f.StructField.Index).Interface())
		}
	}
	one := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(fields)), ", ") + ")"
	values := strings.TrimSuffix(strings.Repeat(one+", ", rows.Len()), ", ")
	return d.Write(ctx).Exec("INSERT INTO "+table+" ("+columnNames(fields)+") VALUES "+values+" "+conflict, args...).Error
}

// models caches what gorm knows of our row types.
type models = sync.Map

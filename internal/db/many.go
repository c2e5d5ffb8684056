package db

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// Many rows in one statement, whose text is the same however many there are: on PostgreSQL as one array per column, so that
// a connection parses it once, where a list of placeholders is parsed anew for each length; on SQLite as one JSON document,
// because our driver looks for each placeholder among all of them and compiles every statement anew. Measured by
// BenchmarkPlace in orders; see ADR 17.

// In gives the condition that column, of numbers or text, is one of values; column is ours, never a client's.
func In[T int64 | string](d *DB, column string, values []T) clause.Expression {
	if d.dialect == Postgres {
		return gorm.Expr(column+" = ANY(?)", &values) // a pointer: gorm would spell a slice out
	}
	text, ok := jsonList(values)
	if !ok {
		return gorm.Expr(column+" IN ?", values)
	}
	return gorm.Expr(column+" IN (SELECT value FROM json_each(?))", text)
}

// Insert writes rows, in their order, into the table of their gorm model, joining the transaction in ctx. Columns that
// count by themselves are left to the database and not read back. conflict is what follows, such as "ON CONFLICT DO
// NOTHING"; empty: an error.
func Insert[T any](ctx context.Context, d *DB, rows []T, conflict string) error {
	if len(rows) == 0 {
		return nil
	}
	table, fields, err := tableOf[T](d)
	if err != nil {
		return err
	}
	if d.dialect != Postgres {
		return insertJSON(ctx, d, table, fields, reflect.ValueOf(rows), conflict)
	}
	text, args, err := arrays(table, fields, reflect.ValueOf(rows))
	if err != nil {
		return err
	}
	return d.Write(ctx).Exec(text+" "+conflict, args...).Error
}

// InsertBoth is Insert into two tables that do not refer to each other, on PostgreSQL in one statement, since every round trip
// is time in which the rows before it are locked.
func InsertBoth[A, B any](ctx context.Context, d *DB, a []A, b []B) error {
	if d.dialect != Postgres || len(a) == 0 || len(b) == 0 {
		if err := Insert(ctx, d, a, ""); err != nil {
			return err
		}
		return Insert(ctx, d, b, "")
	}
	tableA, fieldsA, err := tableOf[A](d)
	if err != nil {
		return err
	}
	tableB, fieldsB, err := tableOf[B](d)
	if err != nil {
		return err
	}
	textA, argsA, err := arrays(tableA, fieldsA, reflect.ValueOf(a))
	if err != nil {
		return err
	}
	textB, argsB, err := arrays(tableB, fieldsB, reflect.ValueOf(b))
	if err != nil {
		return err
	}
	return d.Write(ctx).Exec("WITH first AS ("+textA+") "+textB, append(argsA, argsB...)...).Error
}

// tableOf gives the table of a gorm model and its columns but those that count by themselves.
func tableOf[T any](d *DB) (string, []*schema.Field, error) {
	model, err := schema.Parse(new(T), &d.models, schema.NamingStrategy{})
	if err != nil {
		return "", nil, err
	}
	var fields []*schema.Field
	for _, f := range model.Fields {
		if f.DBName != "" && !f.AutoIncrement {
			fields = append(fields, f)
		}
	}
	return model.Table, fields, nil
}

func columnNames(fields []*schema.Field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.DBName
	}
	return strings.Join(names, ", ")
}

// arrays gives the statement that inserts rows, with one array per column.
func arrays(table string, fields []*schema.Field, rows reflect.Value) (string, []any, error) {
	columns, args := make([]string, len(fields)), make([]any, len(fields))
	for i, f := range fields {
		kind, err := pgType(f.FieldType)
		if err != nil {
			return "", nil, fmt.Errorf("%s.%s: %w", table, f.DBName, err)
		}
		columns[i] = "?::" + kind + "[]"
		column := reflect.New(reflect.SliceOf(f.FieldType))
		column.Elem().Set(reflect.MakeSlice(reflect.SliceOf(f.FieldType), rows.Len(), rows.Len()))
		for r := range rows.Len() {
			column.Elem().Index(r).Set(valueOf(rows, r, f))
		}
		args[i] = column.Interface()
	}
	return "INSERT INTO " + table + " (" + columnNames(fields) + ") SELECT * FROM unnest(" + strings.Join(columns, ", ") + ")", args, nil
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

// models caches what gorm knows of our row types.
type models = sync.Map

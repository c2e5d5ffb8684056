package web

import (
	"encoding/base64"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// PageIn is the paging part of a list's input: embed it. Cursors are opaque to clients.
type PageIn struct {
	After string `query:"after" doc:"Cursor: the next of the former page." maxLength:"200"`
	Limit int    `query:"limit" doc:"Rows a page, 50 unless told." minimum:"0" maximum:"200"`
}

// Size gives the rows a page should have.
func (p PageIn) Size() int {
	if p.Limit <= 0 {
		return 50
	}
	return min(p.Limit, 200)
}

// Key decodes the cursor as the last row's number; 0 for the first page.
func (p PageIn) Key() (int64, error) {
	if p.After == "" {
		return 0, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.After)
	if err != nil {
		return 0, fault.Bad("after", "not a cursor of ours")
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 0 {
		return 0, fault.Bad("after", "not a cursor of ours")
	}
	return n, nil
}

// Page is a list as the contract has it.
type Page[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next" doc:"Cursor of the next page, empty on the last."`
}

// PageOf cuts rows, which were read with one row more than size, to a page. key gives the number to go on after.
func PageOf[T any](rows []T, size int, key func(T) int64) Page[T] {
	p := Page[T]{Items: rows}
	if len(rows) > size {
		p.Items = rows[:size]
		p.Next = base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(key(rows[size-1]), 10)))
	}
	if p.Items == nil {
		p.Items = []T{}
	}
	return p
}

// MapPage changes the items of a page.
func MapPage[A, B any](p Page[A], f func(A) B) Page[B] {
	out := Page[B]{Items: make([]B, len(p.Items)), Next: p.Next}
	for i, v := range p.Items {
		out.Items[i] = f(v)
	}
	return out
}

// PathID reads a numeric path parameter of a raw route; anything else is as missing as an id that is not there.
func PathID(c echo.Context, param, what string) (int64, error) {
	id, err := strconv.ParseInt(c.Param(param), 10, 64)
	if err != nil || id <= 0 {
		return 0, fault.Missing(what)
	}
	return id, nil
}

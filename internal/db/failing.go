package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"gorm.io/gorm"
)

// Conflicted reports whether two transactions met, of which this one gave way: worth a repeat.
func Conflicted(err error) bool {
	var pg interface{ SQLState() string } // PostgreSQL, appendix A: class 40 deadlock, serialization; 23505 unique
	if errors.As(err, &pg) && (strings.HasPrefix(pg.SQLState(), "40") || pg.SQLState() == "23505") {
		return true
	}
	return errors.Is(err, gorm.ErrDuplicatedKey)
}

// Broken reports whether err says that the database, or the way to it, does not work now.
func Broken(err error) bool {
	for _, refusal := range []error{gorm.ErrDuplicatedKey, gorm.ErrForeignKeyViolated, gorm.ErrCheckConstraintViolated} {
		if errors.Is(err, refusal) {
			return false
		}
	}
	var pg interface{ SQLState() string }
	if errors.As(err, &pg) && len(pg.SQLState()) == 5 {
		switch pg.SQLState()[:2] { // PostgreSQL, appendix A: class 22 data, 23 integrity, 40 rollback, 42 syntax
		case "22", "23", "40", "42":
			return false
		}
		return true
	}
	var lite interface{ Code() int }
	if errors.As(err, &lite) {
		switch lite.Code() & 0xff { // SQLite, rescode.html: 1 error, 19 constraint, 20 mismatch, 21 misuse, 25 range
		case 1, 19, 20, 21, 25:
			return false
		}
		return true
	}
	for _, gone := range []error{
		context.DeadlineExceeded, driver.ErrBadConn, sql.ErrConnDone, sql.ErrTxDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
	} {
		if errors.Is(err, gone) {
			return true
		}
	}
	var network net.Error
	var errno syscall.Errno
	var unsent interface{ SafeToRetry() bool } // pgconn: a connection that was lost before anything was sent
	return errors.As(err, &network) || errors.As(err, &errno) || errors.As(err, &unsent)
}

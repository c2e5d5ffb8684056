package accounts

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// Address is where a person gets goods.
type Address struct {
	ID, AccountID                               int64
	Name, Phone, Province, City, District, Text string
	Default                                     bool
}

// maxAddresses an account may keep.
const maxAddresses = 20

// Addresses gives a person's addresses, the default one first.
func (s *Service) Addresses(ctx context.Context, accountID int64) ([]Address, error) {
	return s.store.addresses(ctx, accountID)
}

// SaveAddress adds an address (ID 0) or changes one of the person's own. The first one is the default.
func (s *Service) SaveAddress(ctx context.Context, a Address) (Address, error) {
	if err := a.check(); err != nil {
		return Address{}, err
	}
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		have, err := s.store.addresses(ctx, a.AccountID)
		if err != nil {
			return err
		}
		if a.ID == 0 && len(have) >= maxAddresses {
			return fault.New(fault.Conflict, "too-many-addresses", fmt.Sprintf("at most %d addresses; delete one first", maxAddresses))
		}
		a.Default = a.Default || len(have) == 0
		if a.Default {
			if err := s.store.clearDefault(ctx, a.AccountID); err != nil {
				return err
			}
		}
		return s.store.saveAddress(ctx, &a)
	})
	return a, err
}

// DropAddress deletes one of the person's own; orders keep theirs.
func (s *Service) DropAddress(ctx context.Context, accountID, id int64) error {
	return s.store.dropAddress(ctx, accountID, id)
}

func (a *Address) check() error {
	for _, f := range []struct {
		name  string
		value *string
		max   int
	}{{"name", &a.Name, 60}, {"phone", &a.Phone, 20}, {"province", &a.Province, 60}, {"city", &a.City, 60}, {"district", &a.District, 60}, {"detail", &a.Text, 200}} {
		*f.value = strings.TrimSpace(*f.value)
		switch n := utf8.RuneCountInString(*f.value); {
		case n == 0:
			return fault.Bad(f.name, "is needed")
		case n > f.max || strings.ContainsFunc(*f.value, unicode.IsControl):
			return fault.Bad(f.name, fmt.Sprintf("at most %d characters of plain text", f.max))
		}
	}
	if len(a.Phone) < 5 || strings.Trim(a.Phone, "+0123456789- ") != "" {
		return fault.Bad("phone", "is not a telephone number")
	}
	return nil
}

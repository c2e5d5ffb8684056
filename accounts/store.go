package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// store is the only user of gorm in this package.
type store struct{ db *db.DB }

type accountRow struct {
	ID           int64
	Name         string
	NameKey      string
	DisplayName  string
	Role         string
	Title        string
	Unit         string
	PasswordHash string
	Disabled     bool
	CreatedMs    int64
}

func (accountRow) TableName() string { return "accounts" }

type tokenRow struct {
	Hash      string `gorm:"primaryKey"`
	AccountID int64
	Kind      string
	Scope     string
	CreatedMs int64
	ExpiresMs int64
}

func (tokenRow) TableName() string { return "account_tokens" }

type addressRow struct {
	ID        int64
	AccountID int64
	Name      string
	Phone     string
	Province  string
	City      string
	District  string
	Detail    string
	IsDefault bool
}

func (addressRow) TableName() string { return "account_addresses" }

type auditRow struct {
	ID        int64
	AtMs      int64
	AccountID int64
	Actor     string
	Action    string
	Subject   string
	Detail    string
}

func (auditRow) TableName() string { return "audit_entries" }

type secretRow struct {
	Name  string `gorm:"primaryKey"`
	Value []byte
}

func (secretRow) TableName() string { return "secrets" }

// nameKey is how names compare: without case.
func nameKey(name string) string { return strings.ToLower(name) }

func (r accountRow) account() Account {
	return Account{
		ID: r.ID, Name: r.Name, DisplayName: r.DisplayName, Role: web.Role(r.Role), Title: r.Title, Unit: r.Unit,
		Disabled: r.Disabled, CreatedAt: db.Time(r.CreatedMs), passwordHash: r.PasswordHash,
	}
}

func accountRowOf(a Account) accountRow {
	return accountRow{
		ID: a.ID, Name: a.Name, NameKey: nameKey(a.Name), DisplayName: a.DisplayName, Role: string(a.Role), Title: a.Title, Unit: a.Unit,
		PasswordHash: a.passwordHash, Disabled: a.Disabled, CreatedMs: db.Millis(a.CreatedAt),
	}
}

func (s store) add(ctx context.Context, a *Account) error {
	row := accountRowOf(*a)
	err := s.db.Write(ctx).Create(&row).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return ErrNameTaken.At("name")
	}
	a.ID = row.ID
	return err
}

func (s store) addAll(ctx context.Context, all []*Account) error {
	if len(all) == 0 {
		return nil
	}
	rows := make([]accountRow, len(all))
	for i, a := range all {
		rows[i] = accountRowOf(*a)
	}
	if err := s.db.Write(ctx).CreateInBatches(&rows, 500).Error; err != nil {
		return err
	}
	for i := range rows {
		all[i].ID = rows[i].ID
	}
	return nil
}

// save writes what Change may change.
func (s store) save(ctx context.Context, a Account) error {
	return s.db.Write(ctx).Model(&accountRow{}).Where("id = ?", a.ID).
		Updates(map[string]any{"display_name": a.DisplayName, "role": string(a.Role), "title": a.Title, "unit": a.Unit, "disabled": a.Disabled}).Error
}

func (s store) setPassword(ctx context.Context, id int64, hash string) error {
	return s.db.Write(ctx).Model(&accountRow{}).Where("id = ?", id).Update("password_hash", hash).Error
}

func (s store) first(g *gorm.DB) (Account, error) {
	var row accountRow
	err := g.Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Account{}, fault.Missing("account")
	}
	return row.account(), err
}

func (s store) get(ctx context.Context, id int64) (Account, error) {
	return s.first(s.db.Read(ctx).Where("id = ?", id))
}

// lock gives an account and holds its row until the end of the transaction.
func (s store) lock(ctx context.Context, id int64) (Account, error) {
	return s.first(s.db.Write(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Where("id = ?", id))
}

func (s store) byName(ctx context.Context, name string) (Account, error) {
	return s.first(s.db.Read(ctx).Where("name_key = ?", nameKey(name)))
}

func (s store) byNames(ctx context.Context, names []string) (map[string]Account, error) {
	keys := make([]string, len(names))
	for i, n := range names {
		keys[i] = nameKey(n)
	}
	var rows []accountRow
	if err := s.db.Read(ctx).Where("name_key in ?", keys).Find(&rows).Error; err != nil {
		return nil, err
	}
	out := make(map[string]Account, len(rows))
	for _, r := range rows {
		out[r.NameKey] = r.account()
	}
	return out, nil
}

func (s store) list(ctx context.Context, f Filter) ([]Account, error) {
	q := s.db.Read(ctx).Where("id > ?", f.After).Order("id").Limit(f.Limit)
	if f.Role != "" {
		q = q.Where("role = ?", string(f.Role))
	}
	if f.Query != "" {
		like := "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(strings.ToLower(f.Query)) + "%"
		q = q.Where(`name_key like ? escape '\' or lower(display_name) like ? escape '\'`, like, like)
	}
	var rows []accountRow
	err := q.Find(&rows).Error
	out := make([]Account, len(rows))
	for i, r := range rows {
		out[i] = r.account()
	}
	return out, err
}

func (s store) count(ctx context.Context) (n int64, err error) {
	err = s.db.Read(ctx).Model(&accountRow{}).Count(&n).Error
	return n, err
}

// admins counts those who can sign in, with their rows held, so that two can't disable each other at once.
func (s store) admins(ctx context.Context) (int, error) {
	var ids []int64
	err := s.db.Write(ctx).Model(&accountRow{}).Clauses(clause.Locking{Strength: "UPDATE"}).
		Where("role = ? and disabled = ?", string(web.Admin), false).Order("id").Pluck("id", &ids).Error
	return len(ids), err
}

func (s store) addTokens(ctx context.Context, rows []tokenRow) error {
	if len(rows) == 0 {
		return nil
	}
	return s.db.Write(ctx).CreateInBatches(&rows, 500).Error
}

func (s store) byToken(ctx context.Context, hash string) (tokenRow, Account, error) {
	var t tokenRow
	err := s.db.Read(ctx).Where("hash = ?", hash).Take(&t).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return t, Account{}, ErrToken
	}
	if err != nil {
		return t, Account{}, err
	}
	a, err := s.get(ctx, t.AccountID)
	return t, a, err
}

func (s store) dropToken(ctx context.Context, hash string) error {
	return s.db.Write(ctx).Where("hash = ?", hash).Delete(&tokenRow{}).Error
}

func (s store) dropTokens(ctx context.Context, accountID int64) error {
	return s.db.Write(ctx).Where("account_id = ?", accountID).Delete(&tokenRow{}).Error
}

func (s store) dropOtherTokens(ctx context.Context, accountID int64, keep string) error {
	return s.db.Write(ctx).Where("account_id = ? and hash <> ?", accountID, keep).Delete(&tokenRow{}).Error
}

func (s store) dropScope(ctx context.Context, accountID int64, scope string) error {
	return s.db.Write(ctx).Where("account_id = ? and scope = ?", accountID, scope).Delete(&tokenRow{}).Error
}

func (s store) addresses(ctx context.Context, accountID int64) ([]Address, error) {
	var rows []addressRow
	err := s.db.Read(ctx).Where("account_id = ?", accountID).Order("is_default desc, id").Find(&rows).Error
	out := make([]Address, len(rows))
	for i, r := range rows {
		out[i] = Address{r.ID, r.AccountID, r.Name, r.Phone, r.Province, r.City, r.District, r.Detail, r.IsDefault}
	}
	return out, err
}

func (s store) clearDefault(ctx context.Context, accountID int64) error {
	return s.db.Write(ctx).Model(&addressRow{}).Where("account_id = ?", accountID).Update("is_default", false).Error
}

func (s store) saveAddress(ctx context.Context, a *Address) error {
	row := addressRow{a.ID, a.AccountID, a.Name, a.Phone, a.Province, a.City, a.District, a.Text, a.Default}
	if a.ID == 0 {
		err := s.db.Write(ctx).Create(&row).Error
		a.ID = row.ID
		return err
	}
	done := s.db.Write(ctx).Model(&addressRow{}).Where("id = ? and account_id = ?", a.ID, a.AccountID).Select("*").Omit("id", "account_id").Updates(&row)
	if done.Error == nil && done.RowsAffected == 0 {
		return fault.Missing("address")
	}
	return done.Error
}

func (s store) dropAddress(ctx context.Context, accountID, id int64) error {
	done := s.db.Write(ctx).Where("id = ? and account_id = ?", id, accountID).Delete(&addressRow{})
	if done.Error == nil && done.RowsAffected == 0 {
		return fault.Missing("address")
	}
	return done.Error
}

func (s store) addAudit(ctx context.Context, row auditRow) error {
	return s.db.Write(ctx).Create(&row).Error
}

func (s store) audit(ctx context.Context, before int64, limit int) ([]Entry, error) {
	q := s.db.Read(ctx).Order("id desc").Limit(limit)
	if before > 0 {
		q = q.Where("id < ?", before)
	}
	var rows []auditRow
	err := q.Find(&rows).Error
	out := make([]Entry, len(rows))
	for i, r := range rows {
		out[i] = Entry{r.ID, db.Time(r.AtMs), r.Actor, r.Action, r.Subject, json.RawMessage(r.Detail)}
	}
	return out, err
}

// secret gives the named secret; the first process to ask keeps fresh as it.
func (s store) secret(ctx context.Context, name string, fresh []byte) ([]byte, error) {
	err := s.db.Write(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&secretRow{Name: name, Value: fresh}).Error
	if err != nil {
		return nil, err
	}
	var row secretRow
	err = s.db.Write(ctx).Where("name = ?", name).Take(&row).Error
	return row.Value, err
}

package moderation

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/moderation/words"
)

// store is the only user of gorm in this package. It joins the transaction in the context.
type store struct{ db *db.DB }

type controlsRow struct {
	SessionID         int64 `gorm:"primaryKey;autoIncrement:false"`
	Silent            bool
	SilentReason      string
	SlowSeconds       int
	Who               string
	MinAccountMinutes int
	Links             string
	ReviewAll         bool
	OwnRepeats        int
	CrowdRepeats      int
	Notice            string
	AIMade            bool   `gorm:"column:ai_made"`
	AIText            string `gorm:"column:ai_text"`
	ChangedMs         int64
	ChangedBy         string
}

func (controlsRow) TableName() string { return "moderation_controls" }

type listRow struct {
	ID        int64
	SessionID int64
	Name      string
	Action    string
	Enabled   bool
	Words     int64
	Version   int64
}

func (listRow) TableName() string { return "moderation_lists" }

type wordRow struct {
	ID     int64
	ListID int64
	Fold   string
	Word   string
	Note   string
}

func (wordRow) TableName() string { return "moderation_words" }

type banRow struct {
	SessionID int64  `gorm:"primaryKey;autoIncrement:false"`
	UserID    string `gorm:"primaryKey"`
	Name      string
	UntilMs   int64
	Reason    string
	ByName    string
	AtMs      int64
}

func (banRow) TableName() string { return "moderation_bans" }

type actRow struct {
	ID        int64
	AtMs      int64
	SessionID int64
	Kind      string
	UserID    string
	Name      string
	Epoch     string
	Seq       int64
	HeldID    int64
	Text      string
	Reason    string
	UntilMs   int64
	ByAccount int64
	ByName    string
	Undoes    int64
	UndoneBy  int64
}

func (actRow) TableName() string { return "moderation_acts" }

type heldRow struct {
	ID        int64
	AtMs      int64
	SessionID int64
	State     string
	Viewer    string
	AccountID int64
	UserID    string
	Name      string
	Role      string
	ClientID  string
	Text      string
	Original  string
	Reason    string
	Found     string
	DecidedBy string
	DecidedMs int64
	Note      string
	Seq       int64
}

func (heldRow) TableName() string { return "moderation_held" }

type appealRow struct {
	ID        int64
	ActID     int64
	SessionID int64
	UserID    string
	Name      string
	Text      string
	AtMs      int64
	State     string
	DecidedBy string
	DecidedMs int64
	Answer    string
}

func (appealRow) TableName() string { return "moderation_appeals" }

const rowsAtOnce = 500

// take reads one row, or says that it is missing.
func take[R any](q *gorm.DB, what string) (R, error) {
	var row R
	err := q.Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, fault.Missing(what)
	}
	return row, err
}

// locked reads for a change: on PostgreSQL the row stays ours, on SQLite the transaction is the only writer.
func (s store) locked(ctx context.Context) *gorm.DB {
	q := s.db.Write(ctx)
	if s.db.Dialect() == db.Postgres {
		q = q.Clauses(clause.Locking{Strength: "UPDATE"})
	}
	return q
}

func (s store) controls(ctx context.Context, id int64) (Controls, error) {
	row, err := take[controlsRow](s.db.Read(ctx).Where("session_id = ?", id), "controls")
	if fault.KindOf(err) == fault.NotFound {
		return usual(id), nil
	}
	return controlsOf(row), err
}

// lockControls gives controls to be changed; the row is made first, so that two changes at once follow one another.
func (s store) lockControls(ctx context.Context, id int64) (Controls, error) {
	row := rowOfControls(usual(id))
	if err := s.db.Write(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
		return Controls{}, err
	}
	row, err := take[controlsRow](s.locked(ctx).Where("session_id = ?", id), "controls")
	return controlsOf(row), err
}

func controlsOf(r controlsRow) Controls {
	return Controls{
		SessionID: r.SessionID, Silent: r.Silent, SilentReason: r.SilentReason, SlowSeconds: r.SlowSeconds, Who: r.Who, MinAccountMinutes: r.MinAccountMinutes,
		Links: r.Links, ReviewAll: r.ReviewAll, OwnRepeats: r.OwnRepeats, CrowdRepeats: r.CrowdRepeats, Notice: r.Notice, AIMade: r.AIMade, AIText: r.AIText,
		ChangedAt: db.Time(r.ChangedMs), ChangedBy: r.ChangedBy,
	}
}

func rowOfControls(c Controls) controlsRow {
	return controlsRow{
		SessionID: c.SessionID, Silent: c.Silent, SilentReason: c.SilentReason, SlowSeconds: c.SlowSeconds, Who: c.Who, MinAccountMinutes: c.MinAccountMinutes,
		Links: c.Links, ReviewAll: c.ReviewAll, OwnRepeats: c.OwnRepeats, CrowdRepeats: c.CrowdRepeats, Notice: c.Notice, AIMade: c.AIMade, AIText: c.AIText,
		ChangedMs: db.Millis(c.ChangedAt), ChangedBy: c.ChangedBy,
	}
}

func (s store) putControls(ctx context.Context, c Controls) error {
	row := rowOfControls(c)
	return s.db.Write(ctx).Save(&row).Error
}

func (s store) lists(ctx context.Context, sessionID int64) ([]List, error) {
	var rows []listRow
	if err := s.db.Read(ctx).Where("session_id = ?", sessionID).Order("id").Find(&rows).Error; err != nil {
		return nil, err
	}
	out := make([]List, len(rows))
	for i, r := range rows {
		out[i] = listOf(r)
	}
	return out, nil
}

func listOf(r listRow) List {
	return List{ID: r.ID, SessionID: r.SessionID, Name: r.Name, Action: Action(r.Action), Enabled: r.Enabled, Words: r.Words, Version: r.Version}
}

func rowOfList(l List) listRow {
	return listRow{ID: l.ID, SessionID: l.SessionID, Name: l.Name, Action: string(l.Action), Enabled: l.Enabled, Words: l.Words, Version: l.Version}
}

func (s store) list(ctx context.Context, id int64) (List, error) {
	row, err := take[listRow](s.db.Read(ctx).Where("id = ?", id), "list")
	return listOf(row), err
}

func (s store) lockList(ctx context.Context, id int64) (List, error) {
	row, err := take[listRow](s.locked(ctx).Where("id = ?", id), "list")
	return listOf(row), err
}

func (s store) addList(ctx context.Context, l List) (int64, error) {
	row := rowOfList(l)
	err := s.db.Write(ctx).Create(&row).Error
	return row.ID, err
}

// putList writes a list that is there; one that has been removed stays removed.
func (s store) putList(ctx context.Context, l List) error {
	return s.db.Write(ctx).Model(&listRow{}).Where("id = ?", l.ID).
		Updates(map[string]any{"name": l.Name, "action": string(l.Action), "enabled": l.Enabled, "words": l.Words, "version": l.Version}).Error
}

func (s store) removeList(ctx context.Context, id int64) error {
	if err := s.db.Write(ctx).Where("list_id = ?", id).Delete(&wordRow{}).Error; err != nil {
		return err
	}
	return s.db.Write(ctx).Where("id = ?", id).Delete(&listRow{}).Error
}

// putWords adds words; those that are there already stay as they are.
func (s store) putWords(ctx context.Context, listID int64, list []words.Word, replace bool) error {
	if replace {
		if err := s.db.Write(ctx).Where("list_id = ?", listID).Delete(&wordRow{}).Error; err != nil {
			return err
		}
	}
	rows := make([]wordRow, len(list))
	for i, w := range list {
		rows[i] = wordRow{ListID: listID, Fold: w.Fold, Word: w.Text, Note: w.Note}
	}
	if len(rows) == 0 {
		return nil
	}
	return s.db.Write(ctx).Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(rows, rowsAtOnce).Error
}

func (s store) countWords(ctx context.Context, listID int64) (int64, error) {
	var n int64
	return n, s.db.Write(ctx).Model(&wordRow{}).Where("list_id = ?", listID).Count(&n).Error
}

func (s store) wordsOf(ctx context.Context, listIDs []int64) ([]wordRow, error) {
	var rows []wordRow
	return rows, s.db.Read(ctx).Where("list_id IN ?", listIDs).Order("id").Find(&rows).Error
}

func (s store) words(ctx context.Context, listID, after int64, limit int) ([]ListWord, error) {
	var rows []wordRow
	if err := s.db.Read(ctx).Where("list_id = ? AND id > ?", listID, after).Order("id").Limit(limit).Find(&rows).Error; err != nil {
		return nil, err
	}
	out := make([]ListWord, len(rows))
	for i, r := range rows {
		out[i] = ListWord{ID: r.ID, Word: r.Word, Note: r.Note}
	}
	return out, nil
}

func (s store) dropWord(ctx context.Context, listID, wordID int64) (string, error) {
	row, err := take[wordRow](s.db.Write(ctx).Where("list_id = ? AND id = ?", listID, wordID), "word")
	if err != nil {
		return "", err
	}
	return row.Word, s.db.Write(ctx).Where("id = ?", wordID).Delete(&wordRow{}).Error
}

// bans gives who may not come into a session, by public id; a ban from all rooms counts, and the longer one of two.
func (s store) bans(ctx context.Context, sessionID int64, now time.Time) (map[string]ban, error) {
	rows, err := s.banRows(ctx, sessionID, now)
	if err != nil {
		return nil, err
	}
	out := make(map[string]ban, len(rows))
	for _, r := range rows {
		b := ban{until: db.Time(r.UntilMs), reason: r.Reason}
		if have, ok := out[r.UserID]; ok && (have.until.IsZero() || !b.until.IsZero() && have.until.After(b.until)) {
			continue
		}
		out[r.UserID] = b
	}
	return out, nil
}

func (s store) banRows(ctx context.Context, sessionID int64, now time.Time) ([]banRow, error) {
	var rows []banRow
	return rows, s.db.Read(ctx).Where("session_id IN (0, ?) AND (until_ms = 0 OR until_ms > ?)", sessionID, db.Millis(now)).Order("at_ms DESC").Find(&rows).Error
}

func (s store) banList(ctx context.Context, sessionID int64, now time.Time) ([]Ban, error) {
	rows, err := s.banRows(ctx, sessionID, now)
	out := make([]Ban, len(rows))
	for i, r := range rows {
		out[i] = Ban{SessionID: r.SessionID, User: r.UserID, Name: r.Name, Until: db.Time(r.UntilMs), Reason: r.Reason, By: r.ByName, At: db.Time(r.AtMs)}
	}
	return out, err
}

func (s store) putBan(ctx context.Context, b Ban) error {
	row := banRow{SessionID: b.SessionID, UserID: b.User, Name: b.Name, UntilMs: db.Millis(b.Until), Reason: b.Reason, ByName: b.By, AtMs: db.Millis(b.At)}
	return s.db.Write(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error
}

func (s store) dropBan(ctx context.Context, sessionID int64, user string) error {
	done := s.db.Write(ctx).Where("session_id = ? AND user_id = ?", sessionID, user).Delete(&banRow{})
	if done.Error == nil && done.RowsAffected == 0 {
		return fault.Missing("ban")
	}
	return done.Error
}

func (s store) addAct(ctx context.Context, a Act) (int64, error) {
	row := actRow{
		AtMs: db.Millis(a.At), SessionID: a.SessionID, Kind: a.Kind, UserID: a.User, Name: a.Name, Epoch: a.Epoch, Seq: int64(a.Seq), HeldID: a.HeldID, Text: a.Text,
		Reason: a.Reason, UntilMs: db.Millis(a.Until), ByAccount: a.ByAccount, ByName: a.By, Undoes: a.Undoes,
	}
	err := s.db.Write(ctx).Create(&row).Error
	return row.ID, err
}

func actOf(r actRow) Act {
	return Act{
		ID: r.ID, At: db.Time(r.AtMs), SessionID: r.SessionID, Kind: r.Kind, User: r.UserID, Name: r.Name, Epoch: r.Epoch, Seq: uint64(r.Seq), HeldID: r.HeldID, Text: r.Text,
		Reason: r.Reason, Until: db.Time(r.UntilMs), ByAccount: r.ByAccount, By: r.ByName, Undoes: r.Undoes, UndoneBy: r.UndoneBy,
	}
}

// markUndone says which act undid one; only the first does.
func (s store) markUndone(ctx context.Context, id, by int64) error {
	done := s.db.Write(ctx).Model(&actRow{}).Where("id = ? AND undone_by = 0", id).Update("undone_by", by)
	if done.Error == nil && done.RowsAffected == 0 {
		return ErrUndone
	}
	return done.Error
}

func (s store) act(ctx context.Context, id int64) (Act, error) {
	row, err := take[actRow](s.db.Read(ctx).Where("id = ?", id), "act")
	return actOf(row), err
}

// acts gives a session's acts (0: all sessions'), and those of everywhere, newest first.
func (s store) acts(ctx context.Context, sessionID int64, user string, before int64, limit int) ([]Act, error) {
	q := s.db.Read(ctx)
	if sessionID != 0 {
		q = q.Where("session_id IN (0, ?)", sessionID)
	}
	if user != "" {
		q = q.Where("user_id = ?", user)
	}
	return actsOf(q, before, limit)
}

// actsOn gives what was done to a person, newest first.
func (s store) actsOn(ctx context.Context, user string, before int64, limit int) ([]Act, error) {
	return actsOf(s.db.Read(ctx).Where("user_id = ? AND kind IN ?", user, toldKinds()), before, limit)
}

func actsOf(q *gorm.DB, before int64, limit int) ([]Act, error) {
	if before != 0 {
		q = q.Where("id < ?", before)
	}
	var rows []actRow
	if err := q.Order("id DESC").Limit(limit).Find(&rows).Error; err != nil {
		return nil, err
	}
	out := make([]Act, len(rows))
	for i, r := range rows {
		out[i] = actOf(r)
	}
	return out, nil
}

// removed says which of these messages are taken down: the newest act on each counts.
func (s store) removed(ctx context.Context, said []Said) (map[string]bool, error) {
	seqs := map[int64][]int64{}
	for _, m := range said {
		seqs[m.SessionID] = append(seqs[m.SessionID], int64(m.Seq))
	}
	out := map[string]bool{}
	for session, list := range seqs {
		for len(list) > 0 {
			n := min(len(list), rowsAtOnce)
			var rows []actRow
			err := s.db.Read(ctx).Where("session_id = ? AND seq IN ? AND kind IN ('remove', 'restore')", session, list[:n]).Order("id").Find(&rows).Error
			if err != nil {
				return nil, err
			}
			for _, r := range rows {
				out[messageKey(session, r.Epoch, uint64(r.Seq))] = r.Kind == "remove"
			}
			list = list[n:]
		}
	}
	return out, nil
}

// hold adds a message to the queue and gives its number, or the number that it has: a client that was not sure sends it
// again under the same id. ErrFull when the session has most waiting, or the person mine.
func (s store) hold(ctx context.Context, h Held, most, mine int64) (int64, error) {
	found, err := json.Marshal(h.Words)
	if err != nil {
		return 0, err
	}
	sp := h.Speech
	row := heldRow{
		AtMs: db.Millis(h.At), SessionID: sp.SessionID, State: h.State, Viewer: sp.Viewer, AccountID: sp.AccountID, UserID: sp.User, Name: sp.Name, Role: sp.Role, ClientID: sp.ID,
		Text: sp.Text, Original: h.Original, Reason: h.Reason, Found: string(found),
	}
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		if sp.ID != "" {
			have, err := take[heldRow](s.db.Write(ctx).Where("session_id = ? AND viewer = ? AND client_id = ? AND text = ? AND original = ?", sp.SessionID, sp.Viewer, sp.ID, sp.Text, h.Original).
				Where("state = 'waiting' OR at_ms > ?", db.Millis(h.At.Add(-heldTwice))), "held message")
			if err == nil {
				row.ID = have.ID
			}
			if fault.KindOf(err) != fault.NotFound {
				return err
			}
		}
		waiting := func() *gorm.DB {
			return s.db.Write(ctx).Model(&heldRow{}).Where("session_id = ? AND state = 'waiting'", sp.SessionID)
		}
		var all, own int64
		if err := errors.Join(waiting().Count(&all).Error, waiting().Where("viewer = ?", sp.Viewer).Count(&own).Error); err != nil {
			return err
		}
		if all >= most || own >= mine {
			return ErrFull
		}
		return s.db.Write(ctx).Create(&row).Error
	})
	return row.ID, err
}

func heldOf(r heldRow) Held {
	h := Held{
		ID: r.ID, At: db.Time(r.AtMs), Original: r.Original, Reason: r.Reason, State: r.State, DecidedBy: r.DecidedBy, DecidedAt: db.Time(r.DecidedMs), Note: r.Note, Seq: uint64(r.Seq),
		Speech: Speech{SessionID: r.SessionID, Viewer: r.Viewer, AccountID: r.AccountID, User: r.UserID, Name: r.Name, Role: r.Role, ID: r.ClientID, Text: r.Text},
	}
	_ = json.Unmarshal([]byte(r.Found), &h.Words) // our own
	return h
}

func (s store) held(ctx context.Context, id int64) (Held, error) {
	row, err := take[heldRow](s.db.Read(ctx).Where("id = ?", id), "held message")
	return heldOf(row), err
}

func heldAll(q *gorm.DB) ([]Held, error) {
	var rows []heldRow
	if err := q.Find(&rows).Error; err != nil {
		return nil, err
	}
	out := make([]Held, len(rows))
	for i, r := range rows {
		out[i] = heldOf(r)
	}
	return out, nil
}

func (s store) queue(ctx context.Context, sessionID int64, state string, after int64, limit int) ([]Held, error) {
	return heldAll(s.db.Read(ctx).Where("session_id = ? AND state = ? AND id > ?", sessionID, state, after).Order("id").Limit(limit))
}

func (s store) heldBy(ctx context.Context, sessionID int64, viewer string, limit int) ([]Held, error) {
	q := s.db.Read(ctx).Where("viewer = ?", viewer)
	if sessionID != 0 {
		q = q.Where("session_id = ?", sessionID)
	}
	return heldAll(q.Order("id DESC").Limit(limit))
}

// unsaid gives messages that were approved before a time and have not appeared.
func (s store) unsaid(ctx context.Context, before time.Time) ([]Held, error) {
	return heldAll(s.db.Read(ctx).Where("state = 'approved' AND seq = 0 AND decided_ms <= ?", db.Millis(before)).Order("decided_ms, id").Limit(100))
}

func (s store) waitingSince(ctx context.Context, before time.Time, limit int) ([]Held, error) {
	return heldAll(s.db.Read(ctx).Where("state = 'waiting' AND at_ms <= ?", db.Millis(before)).Order("at_ms").Limit(limit))
}

// decide moves a held message on; only the first who does so wins.
func (s store) decide(ctx context.Context, id int64, from, to, by, note string, at time.Time) error {
	done := s.db.Write(ctx).Model(&heldRow{}).Where("id = ? AND state = ?", id, from).
		Updates(map[string]any{"state": to, "decided_by": by, "note": note, "decided_ms": db.Millis(at)})
	if done.Error == nil && done.RowsAffected == 0 {
		return ErrDecided
	}
	return done.Error
}

func (s store) appeared(ctx context.Context, id int64, seq uint64) error {
	return s.db.Write(ctx).Model(&heldRow{}).Where("id = ?", id).Update("seq", int64(seq)).Error
}

func appealOf(r appealRow) Appeal {
	return Appeal{
		ID: r.ID, ActID: r.ActID, SessionID: r.SessionID, User: r.UserID, Name: r.Name, Text: r.Text, At: db.Time(r.AtMs), State: r.State, DecidedBy: r.DecidedBy,
		DecidedAt: db.Time(r.DecidedMs), Answer: r.Answer,
	}
}

// addAppeal adds the one appeal that there may be against an act.
func (s store) addAppeal(ctx context.Context, p Appeal) (int64, error) {
	row := appealRow{ActID: p.ActID, SessionID: p.SessionID, UserID: p.User, Name: p.Name, Text: p.Text, AtMs: db.Millis(p.At), State: p.State}
	done := s.db.Write(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
	if done.Error == nil && done.RowsAffected == 0 {
		return 0, ErrAppealed
	}
	return row.ID, done.Error
}

func (s store) appeal(ctx context.Context, id int64) (Appeal, error) {
	row, err := take[appealRow](s.db.Read(ctx).Where("id = ?", id), "appeal")
	return appealOf(row), err
}

func (s store) appealAgainst(ctx context.Context, actID int64) (Appeal, error) {
	row, err := take[appealRow](s.db.Read(ctx).Where("act_id = ?", actID), "appeal")
	return appealOf(row), err
}

func (s store) appealsAgainst(ctx context.Context, acts []Act) (map[int64]Appeal, error) {
	ids := make([]int64, len(acts))
	for i, a := range acts {
		ids[i] = a.ID
	}
	var rows []appealRow
	if err := s.db.Read(ctx).Where("act_id IN ?", ids).Find(&rows).Error; err != nil {
		return nil, err
	}
	out := make(map[int64]Appeal, len(rows))
	for _, r := range rows {
		out[r.ActID] = appealOf(r)
	}
	return out, nil
}

func (s store) appeals(ctx context.Context, sessionID int64, state string, after int64, limit int) ([]Appeal, error) {
	q := s.db.Read(ctx).Where("id > ?", after)
	if sessionID != 0 {
		q = q.Where("session_id IN (0, ?)", sessionID)
	}
	if state != "" {
		q = q.Where("state = ?", state)
	}
	var rows []appealRow
	if err := q.Order("id").Limit(limit).Find(&rows).Error; err != nil {
		return nil, err
	}
	out := make([]Appeal, len(rows))
	for i, r := range rows {
		out[i] = appealOf(r)
	}
	return out, nil
}

func (s store) decideAppeal(ctx context.Context, id int64, state, by, answer string, at time.Time) error {
	done := s.db.Write(ctx).Model(&appealRow{}).Where("id = ? AND state = 'open'", id).
		Updates(map[string]any{"state": state, "decided_by": by, "answer": answer, "decided_ms": db.Millis(at)})
	if done.Error == nil && done.RowsAffected == 0 {
		return ErrDecided
	}
	return done.Error
}

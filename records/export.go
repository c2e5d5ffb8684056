package records

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Formats of an export.
const (
	CSV   = "csv"
	JSONL = "jsonl"
)

// Export writes everything kept of a session's room. Who took it is in the audit before the first byte goes out.
func (s *Service) Export(ctx context.Context, session int64, format string, open func() io.Writer) error {
	if err := s.cfg.Shop.Session(ctx, session); err != nil {
		return err
	}
	if err := s.cfg.Audit.Record(ctx, "records.export", fmt.Sprintf("session/%d", session), map[string]any{"format": format}); err != nil {
		return err
	}
	if format == JSONL {
		return s.exportLines(ctx, session, bufio.NewWriterSize(open(), 64<<10))
	}
	return s.exportTable(ctx, session, open())
}

func (s *Service) exportLines(ctx context.Context, session int64, w *bufio.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	err := s.Each(ctx, session, func(batch []Event) error {
		for _, e := range batch {
			if err := enc.Encode(lineOf(e)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

// said is what an export shows of an event's body.
type said struct {
	User struct {
		ID   string `json:"id"`
		Name string `json:"name"`
		Role string `json:"role"`
	} `json:"user"`
	Text       string `json:"text"`
	Removed    bool   `json:"removed"`
	RemovedSeq int64  `json:"removed_seq"`
}

// exportTable writes CSV as spreadsheets take it: UTF-8 with a mark, and nothing that they would run.
func (s *Service) exportTable(ctx context.Context, session int64, w io.Writer) error {
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return err
	}
	out := csv.NewWriter(w)
	err := out.Write([]string{"at", "epoch", "seq", "type", "user_id", "user", "role", "account_id", "text", "removed_seq"})
	if err != nil {
		return err
	}
	err = s.Each(ctx, session, func(batch []Event) error {
		for _, e := range batch {
			if err := out.Write(row(e)); err != nil {
				return err
			}
		}
		return nil
	})
	out.Flush()
	if err != nil {
		return err
	}
	return out.Error()
}

func row(e Event) []string {
	var b said
	_ = json.Unmarshal(e.Body, &b) // a field of another form stays empty
	return []string{
		e.At.UTC().Format("2006-01-02T15:04:05.000Z"), e.Epoch, strconv.FormatInt(e.Seq, 10), e.Type, b.User.ID, inert(b.User.Name), b.User.Role,
		blankZero(e.Account), inert(b.Text), blankZero(b.RemovedSeq),
	}
}

func blankZero(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// inert keeps a spreadsheet from taking a text for a formula.
func inert(text string) string {
	if strings.IndexAny(text, "=+-@\t\r\n＝＋－＠") == 0 {
		return "'" + text
	}
	return text
}

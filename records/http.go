package records

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds what operators do with the records.
func (s *Service) Routes(api *web.API) {
	const tag, base = "records", "/api/v1/records"
	operators := web.Only(web.Operator)
	web.Handle(api, web.Op{ID: "records-status", Method: http.MethodGet, Path: base, Summary: "Terms, and what the files hold", Tag: tag, Access: operators}, s.getStatus)
	web.Handle(api, web.Op{ID: "list-holds", Method: http.MethodGet, Path: base + "/holds", Summary: "Legal holds, newest first", Tag: tag, Access: operators}, s.getHolds)
	web.Handle(api, web.Op{ID: "add-hold", Method: http.MethodPost, Path: base + "/holds", Summary: "Put a legal hold on a session, a person or a time", Tag: tag, Access: operators, Status: http.StatusCreated}, s.postHold)
	web.Handle(api, web.Op{ID: "release-hold", Method: http.MethodPost, Path: base + "/holds/{id}/release", Summary: "End a legal hold", Tag: tag, Access: operators}, s.postRelease)
	web.Handle(api, web.Op{ID: "list-erasures", Method: http.MethodGet, Path: base + "/erasures", Summary: "Who asked to be forgotten, newest first", Tag: tag, Access: operators}, s.getErasures)
	web.Handle(api, web.Op{ID: "forget-person", Method: http.MethodPost, Path: base + "/erasures", Summary: "Forget a person: name and words go, the events stay", Tag: tag, Access: operators, Status: http.StatusAccepted}, s.postErasure)
	web.Handle(api, web.Op{ID: "list-record-runs", Method: http.MethodGet, Path: base + "/runs", Summary: "Runs of archiving and retention with their reports, newest first", Tag: tag, Access: operators}, s.getRuns)
	web.Handle(api, web.Op{ID: "ask-record-run", Method: http.MethodPost, Path: base + "/runs", Summary: "Ask for a run, or for a trial that changes nothing", Tag: tag, Access: operators, Status: http.StatusAccepted}, s.postRun)
	api.Raw(http.MethodGet, "/api/v1/sessions/:id/records.csv", operators, s.export(CSV, "text/csv; charset=utf-8"))
	api.Raw(http.MethodGet, "/api/v1/sessions/:id/records.jsonl", operators, s.export(JSONL, "application/jsonl"))
}

type status struct {
	KeepMonths    int       `json:"keep_months"`
	ArchiveMonths int       `json:"archive_months"`
	RetainBefore  time.Time `json:"retain_before" doc:"What is older is deleted, unless a hold claims it."`
	ArchiveBefore time.Time `json:"archive_before" doc:"What is older goes from the database into files."`
	Files         int64     `json:"files"`
	FileEvents    int64     `json:"file_events"`
	FileBytes     int64     `json:"file_bytes"`
}

// Status gives the terms and what the files hold.
func (s *Service) status(ctx context.Context) (status, error) {
	out := status{KeepMonths: s.cfg.Keep, ArchiveMonths: s.cfg.Archive, RetainBefore: s.cutoff(), ArchiveBefore: s.archiveBefore()}
	var err error
	out.Files, out.FileEvents, out.FileBytes, err = s.store.stock(ctx)
	return out, err
}

func (s *Service) getStatus(ctx context.Context, _ *struct{}) (*struct{ Body status }, error) {
	st, err := s.status(ctx)
	return &struct{ Body status }{st}, err
}

type holdView struct {
	ID         int64      `json:"id"`
	SessionID  int64      `json:"session_id,omitempty"`
	AccountID  int64      `json:"account_id,omitempty"`
	From       *time.Time `json:"from,omitempty"`
	To         *time.Time `json:"to,omitempty"`
	Reason     string     `json:"reason"`
	By         string     `json:"by"`
	At         time.Time  `json:"at"`
	ReleasedAt *time.Time `json:"released_at,omitempty"`
	ReleasedBy string     `json:"released_by,omitempty"`
}

func viewHold(h Hold) holdView {
	return holdView{h.ID, h.Session, h.Account, some(h.From), some(h.To), h.Reason, h.By, h.At, some(h.Released), h.FreedBy}
}

// some is nil for no time.
func some(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (s *Service) getHolds(ctx context.Context, in *web.PageIn) (*struct{ Body web.Page[holdView] }, error) {
	page, err := listed(ctx, in, s.Holds, func(h Hold) int64 { return h.ID })
	return &struct{ Body web.Page[holdView] }{web.MapPage(page, viewHold)}, err
}

// listed gives a page of what is listed newest first.
func listed[T any](ctx context.Context, in *web.PageIn, list func(context.Context, int64, int) ([]T, error), id func(T) int64) (web.Page[T], error) {
	below, err := in.Key()
	if err != nil {
		return web.Page[T]{}, err
	}
	rows, err := list(ctx, below, in.Size()+1)
	if err != nil {
		return web.Page[T]{}, err
	}
	return web.PageOf(rows, in.Size(), id), nil
}

func (s *Service) postHold(ctx context.Context, in *struct {
	Body struct {
		SessionID int64     `json:"session_id,omitempty" minimum:"0"`
		Account   string    `json:"account,omitempty" maxLength:"64" doc:"Sign-in name."`
		From      time.Time `json:"from,omitempty"`
		To        time.Time `json:"to,omitempty"`
		Reason    string    `json:"reason" minLength:"1" maxLength:"500"`
	}
},
) (*struct{ Body holdView }, error) {
	h := Hold{Session: in.Body.SessionID, From: in.Body.From, To: in.Body.To, Reason: in.Body.Reason}
	if in.Body.Account != "" {
		var err error
		if h.Account, err = s.cfg.Shop.Account(ctx, in.Body.Account); err != nil {
			return nil, err
		}
	}
	made, err := s.Hold(ctx, h)
	if err != nil {
		return nil, err
	}
	return &struct{ Body holdView }{viewHold(made)}, nil
}

func (s *Service) postRelease(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1"`
},
) (*struct{ Body holdView }, error) {
	h, err := s.Release(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body holdView }{viewHold(h)}, nil
}

type erasureView struct {
	ID        int64      `json:"id"`
	AccountID int64      `json:"account_id"`
	Reason    string     `json:"reason"`
	By        string     `json:"by"`
	At        time.Time  `json:"at"`
	DoneAt    *time.Time `json:"done_at,omitempty"`
	Blanked   int64      `json:"blanked" doc:"Events whose name or words are gone."`
	Held      int64      `json:"held" doc:"Events that a legal hold keeps as they are; they follow when it is released."`
}

func viewErasure(e Erasure) erasureView {
	return erasureView{e.ID, e.Account, e.Reason, e.By, e.At, some(e.Done), e.Blanked, e.Held}
}

func (s *Service) getErasures(ctx context.Context, in *web.PageIn) (*struct{ Body web.Page[erasureView] }, error) {
	page, err := listed(ctx, in, s.Erasures, func(e Erasure) int64 { return e.ID })
	return &struct{ Body web.Page[erasureView] }{web.MapPage(page, viewErasure)}, err
}

func (s *Service) postErasure(ctx context.Context, in *struct {
	Body struct {
		Account string `json:"account" minLength:"1" maxLength:"64" doc:"Sign-in name."`
		Reason  string `json:"reason" minLength:"1" maxLength:"500"`
	}
},
) (*struct{ Body erasureView }, error) {
	account, err := s.cfg.Shop.Account(ctx, in.Body.Account)
	if err != nil {
		return nil, err
	}
	e, err := s.Forget(ctx, account, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return &struct{ Body erasureView }{viewErasure(e)}, nil
}

type runView struct {
	ID        int64      `json:"id"`
	Kind      string     `json:"kind"`
	DryRun    bool       `json:"dry_run"`
	By        string     `json:"by"`
	AskedAt   time.Time  `json:"asked_at"`
	StartedAt *time.Time `json:"started_at,omitempty"`
	EndedAt   *time.Time `json:"ended_at,omitempty"`
	Report    *Report    `json:"report,omitempty"`
}

func viewRun(r Run) runView {
	v := runView{r.ID, r.Kind, r.Dry, r.By, r.Asked, some(r.Started), some(r.Ended), nil}
	if v.EndedAt != nil {
		v.Report = &r.Report
	}
	return v
}

func (s *Service) getRuns(ctx context.Context, in *web.PageIn) (*struct{ Body web.Page[runView] }, error) {
	page, err := listed(ctx, in, s.Runs, func(r Run) int64 { return r.ID })
	return &struct{ Body web.Page[runView] }{web.MapPage(page, viewRun)}, err
}

func (s *Service) postRun(ctx context.Context, in *struct {
	Body struct {
		Kind   string `json:"kind" enum:"archive,retain"`
		DryRun bool   `json:"dry_run,omitempty"`
	}
},
) (*struct{ Body runView }, error) {
	r, err := s.Ask(ctx, in.Body.Kind, in.Body.DryRun)
	if err != nil {
		return nil, err
	}
	return &struct{ Body runView }{viewRun(r)}, nil
}

// export streams a session's record. What fails after the first byte cuts the answer short, which clients notice.
func (s *Service) export(format, contentType string) echo.HandlerFunc {
	return func(c echo.Context) error {
		id, err := web.PathID(c, "id", "session")
		if err != nil {
			return err
		}
		err = s.Export(c.Request().Context(), id, format, func() io.Writer {
			h := c.Response().Header()
			h.Set(echo.HeaderContentType, contentType)
			h.Set(echo.HeaderContentDisposition, fmt.Sprintf(`attachment; filename="session-%d-records.%s"`, id, format))
			h.Set("Cache-Control", "no-store")
			return c.Response()
		})
		if err != nil && c.Response().Committed {
			s.cfg.Logger.Error("an export of records was cut short", "session_id", id, "error", err.Error())
			panic(http.ErrAbortHandler)
		}
		if err == nil && !c.Response().Committed {
			c.Response().WriteHeader(http.StatusOK) // a room in which nothing was said
		}
		return err
	}
}

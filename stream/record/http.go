package record

import (
	"context"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds the list of a session's recordings and the recordings themselves, for the crew.
func (s *Service) Routes(api *web.API) {
	crew := web.Only(web.Operator, web.Assistant, web.Anchor)
	web.Handle(api, web.Op{
		ID: "session-recordings", Method: http.MethodGet, Path: "/api/v1/sessions/{id}/recordings", Tag: "media",
		Summary: "Recordings of a session, oldest first", Access: crew,
	}, s.getList)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		api.Raw(method, "/api/v1/sessions/:id/recordings/:name", crew, s.getFile(func(n string) string { return n }))
		api.Raw(method, "/api/v1/sessions/:id/recordings/:name/index", crew, s.getFile(indexPath))
	}
}

type listIn struct {
	ID int64 `path:"id" minimum:"1"`
	web.PageIn
}

type view struct {
	About
	URL      string `json:"url"`
	IndexURL string `json:"index_url" doc:"JSON lines {at, pts_ms, offset, key}: which place of the MP4 was captured when."`
}

type listOut struct{ Body web.Page[view] }

func (s *Service) getList(ctx context.Context, in *listIn) (*listOut, error) {
	if err := s.cfg.Gate.MayModerate(ctx, in.ID, web.ActorFrom(ctx)); err != nil {
		return nil, err
	}
	after, err := in.Key()
	if err != nil {
		return nil, err
	}
	all, err := s.List(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	first := int(min(after, int64(len(all))))
	rows := make([]int, len(all)-first)
	for i := range rows {
		rows[i] = first + i
	}
	size := in.Size()
	page := web.PageOf(rows[:min(len(rows), size+1)], size, func(i int) int64 { return int64(i) + 1 })
	return &listOut{Body: web.MapPage(page, func(i int) view { return viewOf(in.ID, all[i]) })}, nil
}

func viewOf(session int64, a About) view {
	url := path.Join("/api/v1/sessions", strconv.FormatInt(session, 10), "recordings", a.Name)
	return view{About: a, URL: url, IndexURL: url + "/index"}
}

// getFile serves a recording or its index, in parts if asked (RFC 9110, section 14). Of one that is still being written
// it serves what there is now; players ignore a tail that is not whole.
func (s *Service) getFile(which func(name string) string) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx := c.Request().Context()
		id, err := web.PathID(c, "id", "session")
		if err != nil {
			return err
		}
		if err := s.cfg.Gate.MayModerate(ctx, id, web.ActorFrom(ctx)); err != nil {
			return err
		}
		name := c.Param("name")
		if !nameOK.MatchString(name) {
			return ErrMissing
		}
		name = which(name)
		content, _, at, err := s.content(ctx, id, name)
		if err != nil {
			return err
		}
		defer content.Close()
		serve(c, name, at, content)
		return nil
	}
}

func serve(c echo.Context, name string, at time.Time, content Content) {
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, typeOf(name))
	h.Set("Cache-Control", "private, no-cache")
	h.Set(echo.HeaderContentDisposition, `inline; filename="`+strings.ReplaceAll(name, `"`, "")+`"`)
	http.ServeContent(c.Response(), c.Request(), name, at, content)
}

package stream

import (
	"context"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Media types of WHIP and WHEP.
const (
	typeSDP      = "application/sdp"
	typeFragment = "application/trickle-ice-sdpfrag"
)

// Errors of the HTTP side.
var (
	errMediaType  = fault.New(fault.Unsupported, "media-type", "send the body as "+typeSDP)
	errFragType   = fault.New(fault.Unsupported, "media-type", "send the body as "+typeFragment)
	errAccept     = fault.New(fault.NotAcceptable, "not-acceptable", "the answer is "+typeSDP)
	errEmpty      = fault.New(fault.BadRequest, "empty-body", "the body is empty")
	errTooLarge   = fault.New(fault.TooLarge, "too-large", "the body is larger than 64 KiB")
	errUnreadable = fault.New(fault.BadRequest, "unreadable-body", "the body did not arrive whole")
)

// Routes adds WHIP, WHEP and the figures of a session's media.
func (s *Service) Routes(api *web.API) {
	s.protocol(api, "whip", publishing, web.Publishing(), s.postWHIP)
	s.EdgeRoutes(api)
	web.Handle(api, web.Op{
		ID: "session-media", Method: http.MethodGet, Path: "/api/v1/sessions/{id}/media", Tag: "media",
		Summary: "Who is on air, how well, and how many watch", Access: web.Only(web.Operator, web.Assistant, web.Anchor),
	}, s.getMedia)
	s.checkRoutes(api)
	crew := web.Only(web.Operator, web.Assistant)
	web.Handle(api, web.Op{
		ID: "session-media-viewers", Method: http.MethodGet, Path: "/api/v1/sessions/{id}/media/viewers", Tag: "media",
		Summary: "Everybody who watches and how well, worst first", Access: crew,
	}, s.getViewers)
	web.Handle(api, web.Op{
		ID: "session-media-viewer", Method: http.MethodGet, Path: "/api/v1/sessions/{id}/media/viewers/{viewer}", Tag: "media",
		Summary: "One viewer's path: why is it bad?", Access: crew,
	}, s.getViewer)
}

// protocol adds an endpoint and its resources with every method that RFC 9725 speaks of: GET and HEAD have nothing to
// show (section 4.1), OPTIONS is for other sites' pages (section 4.2), the rest is not allowed.
func (s *Service) protocol(api *web.API, name string, d direction, access web.Access, post echo.HandlerFunc) {
	endpoint := "/api/v1/sessions/:id/" + name
	resource := endpoint + "/:resource"
	anyone := web.Public()
	api.Raw(http.MethodPost, endpoint, access, cors(post))
	api.Raw(http.MethodPatch, resource, access, cors(s.patch(d)))
	api.Raw(http.MethodDelete, resource, access, cors(s.remove(d)))
	for _, path := range []string{endpoint, resource} {
		api.Raw(http.MethodGet, path, anyone, cors(nothing))
		api.Raw(http.MethodHead, path, anyone, cors(nothing))
		api.Raw(http.MethodPut, path, anyone, cors(notAllowed))
	}
	api.Raw(http.MethodOptions, endpoint, anyone, cors(options("OPTIONS, POST")))
	api.Raw(http.MethodOptions, resource, anyone, cors(options("OPTIONS, PATCH, DELETE")))
	api.Raw(http.MethodPatch, endpoint, anyone, cors(notAllowed))
	api.Raw(http.MethodDelete, endpoint, anyone, cors(notAllowed))
	api.Raw(http.MethodPost, resource, anyone, cors(notAllowed))
}

// cors lets pages of other sites use the protocol: what they bring of their own is a bearer token or nothing.
func cors(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", "Location, ETag, Link, Retry-After")
		return next(c)
	}
}

func nothing(c echo.Context) error { return c.NoContent(http.StatusNoContent) }

func notAllowed(c echo.Context) error {
	methods := "OPTIONS, GET, HEAD, POST"
	if c.Param("resource") != "" {
		methods = "OPTIONS, GET, HEAD, PATCH, DELETE"
	}
	c.Response().Header().Set(echo.HeaderAllow, methods)
	return echo.ErrMethodNotAllowed
}

func options(methods string) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Access-Control-Allow-Methods", methods)
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
		h.Set("Access-Control-Max-Age", "86400")
		h.Set("Accept-Post", typeSDP)
		h.Set("Accept-Patch", typeFragment)
		return c.NoContent(http.StatusOK)
	}
}

func (s *Service) postWHIP(c echo.Context) error {
	ctx, actor, id, err := s.begin(c)
	if err != nil {
		return err
	}
	anchor, err := s.gate.MayPublish(ctx, id, actor)
	if err != nil {
		return err
	}
	page := c.QueryParam("page")
	if len(page) > 64 {
		return fault.Bad("page", "at most 64 bytes")
	}
	return s.answer(c, func(body []byte) (*Answer, error) { return s.Publish(ctx, id, actor, anchor, page, body) })
}

func (s *Service) postWHEP(c echo.Context) error {
	ctx, actor, id, err := s.begin(c)
	if err != nil {
		return err
	}
	if err := s.gate.MayWatch(ctx, id, actor); err != nil {
		return err
	}
	except := ""
	if c.QueryParam("talkback") == "1" {
		if except, err = s.gate.MayPublish(ctx, id, actor); err != nil {
			return err
		}
	}
	if s.cfg.Redirect != nil && except == "" && !isPull(ctx) {
		if to, ok := s.cfg.Redirect(ctx, id, actor, c.Request()); ok {
			return c.Redirect(http.StatusTemporaryRedirect, to)
		}
	}
	return s.answer(c, func(body []byte) (*Answer, error) {
		a, err := s.Play(ctx, id, actor, except, body)
		if err == nil {
			resource := strings.TrimSuffix(c.Request().URL.Path, "/") + "/" + a.Resource
			c.Response().Header().Set("Link", "<"+resource+`/picture>; rel="urn:duoduopin:whep:picture"`)
		}
		return a, err
	})
}

// begin reads who asks for which session, within the rates.
func (s *Service) begin(c echo.Context) (context.Context, web.Actor, int64, error) {
	ctx := c.Request().Context()
	actor := web.ActorFrom(ctx)
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil || id <= 0 {
		return nil, web.Actor{}, 0, fault.Missing("session")
	}
	return ctx, actor, id, s.door.allow(actor)
}

// answer reads the offer and writes 201 (RFC 9725, section 4.2).
func (s *Service) answer(c echo.Context, set func([]byte) (*Answer, error)) error {
	if !isType(c.Request(), typeSDP) {
		return errMediaType
	}
	if !accepts(c.Request(), typeSDP) {
		return errAccept
	}
	body, err := readBody(c)
	if err != nil {
		return err
	}
	a, err := set(body)
	if err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set(echo.HeaderLocation, strings.TrimSuffix(c.Request().URL.Path, "/")+"/"+a.Resource)
	h.Set("ETag", a.ETag)
	h.Set("Accept-Patch", typeFragment)
	return c.Blob(http.StatusCreated, typeSDP, []byte(a.SDP))
}

// patch adds candidates (204) or restarts ICE (200; RFC 9725, section 4.3).
func (s *Service) patch(d direction) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx, actor, id, err := s.begin(c)
		if err != nil {
			return err
		}
		p, err := s.find(d, id, c.Param("resource"), actor)
		if err != nil {
			return err
		}
		if !isType(c.Request(), typeFragment) {
			return errFragType
		}
		match := c.Request().Header.Get("If-Match")
		if match == "" {
			return echo.NewHTTPError(http.StatusPreconditionRequired)
		}
		body, err := readBody(c)
		if err != nil {
			return err
		}
		f, err := parseFragment(body)
		if err != nil {
			return err
		}
		reply, etag, err := p.patch(ctx, f, match)
		if err != nil {
			return err
		}
		if etag == "" {
			return c.NoContent(http.StatusNoContent)
		}
		c.Response().Header().Set("ETag", etag)
		return c.Blob(http.StatusOK, typeFragment, []byte(reply))
	}
}

// remove ends a connection; If-Match does not matter (RFC 9725, section 4.3.1).
func (s *Service) remove(d direction) echo.HandlerFunc {
	return func(c echo.Context) error {
		id, err := strconv.ParseInt(c.Param("id"), 10, 64)
		if err != nil {
			return fault.Missing("resource")
		}
		p, err := s.find(d, id, c.Param("resource"), web.ActorFrom(c.Request().Context()))
		if err != nil {
			return err
		}
		p.close()
		return c.NoContent(http.StatusOK)
	}
}

func isType(r *http.Request, want string) bool {
	got, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
	return err == nil && got == want
}

// accepts reads Accept (RFC 9110, section 12.5.1): nothing, or a range that takes want in and is not weighed 0.
func accepts(r *http.Request, want string) bool {
	values := r.Header.Values(echo.HeaderAccept)
	if len(values) == 0 {
		return true
	}
	group, _, _ := strings.Cut(want, "/")
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		got, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil || (got != want && got != group+"/*" && got != "*/*") {
			continue
		}
		if q, err := strconv.ParseFloat(params["q"], 64); err != nil || q > 0 {
			return true
		}
	}
	return false
}

func readBody(c echo.Context) ([]byte, error) {
	r := c.Request()
	if r.ContentLength > maxBody {
		return nil, errTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, errUnreadable.Because(err)
	case len(body) > maxBody:
		return nil, errTooLarge
	case len(strings.TrimSpace(string(body))) == 0:
		return nil, errEmpty
	}
	return body, nil
}

type mediaIn struct {
	ID int64 `path:"id" minimum:"1"`
}

type mediaOut struct{ Body Stats }

// getMedia is for the crew: staff, and the session's own anchors.
func (s *Service) getMedia(ctx context.Context, in *mediaIn) (*mediaOut, error) {
	actor := web.ActorFrom(ctx)
	if actor.Staff() {
		if err := s.gate.MayWatch(ctx, in.ID, actor); err != nil {
			return nil, err
		}
	} else if _, err := s.gate.MayPublish(ctx, in.ID, actor); err != nil {
		return nil, err
	}
	return &mediaOut{Body: s.Stats(in.ID)}, nil
}

type viewersIn struct {
	ID    int64  `path:"id" minimum:"1"`
	After string `query:"after" doc:"The last viewer of the page before."`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type viewersOut struct {
	Body struct {
		Items []Path `json:"items" nullable:"false"`
		Next  string `json:"next"`
	}
}

// getViewers pages through a list that changes while it is read: what moved between two pages may be missed or repeated.
func (s *Service) getViewers(ctx context.Context, in *viewersIn) (*viewersOut, error) {
	if err := s.gate.MayWatch(ctx, in.ID, web.ActorFrom(ctx)); err != nil {
		return nil, err
	}
	all := s.Paths(in.ID)
	if at := slices.IndexFunc(all, func(p Path) bool { return p.Viewer == in.After }); at >= 0 {
		all = all[at+1:]
	}
	out := &viewersOut{}
	out.Body.Items = append([]Path{}, all[:min(len(all), in.Limit)]...)
	if len(all) > in.Limit {
		out.Body.Next = all[in.Limit-1].Viewer
	}
	return out, nil
}

type viewerIn struct {
	ID     int64  `path:"id" minimum:"1"`
	Viewer string `path:"viewer" maxLength:"32"`
}

type viewerOut struct{ Body Path }

func (s *Service) getViewer(ctx context.Context, in *viewerIn) (*viewerOut, error) {
	if err := s.gate.MayWatch(ctx, in.ID, web.ActorFrom(ctx)); err != nil {
		return nil, err
	}
	p, ok := s.PathOf(in.ID, in.Viewer)
	if !ok {
		return nil, fault.Missing("viewer")
	}
	return &viewerOut{Body: p}, nil
}

type pictureIn struct {
	ID       int64  `path:"id" minimum:"1"`
	Resource string `path:"resource" maxLength:"64"`
	Body     struct {
		Quality *Quality `json:"quality,omitempty" doc:"auto, smooth (the smallest picture) or clear (the best that the line carries)."`
		Video   *bool    `json:"video,omitempty" doc:"False stops the pictures, for a hidden page; sound goes on."`
		Focus   *string  `json:"focus,omitempty" doc:"The anchor shown large, who gets the best picture; empty: who speaks."`
	}
}

type pictureOut struct {
	Origin string `header:"Access-Control-Allow-Origin"`
	Body   struct {
		Quality Quality `json:"quality"`
		Video   bool    `json:"video"`
		Focus   string  `json:"focus"`
	}
}

func (s *Service) putPicture(ctx context.Context, in *pictureIn) (*pictureOut, error) {
	p, err := s.find(playing, in.ID, in.Resource, web.ActorFrom(ctx))
	if err != nil {
		return nil, err
	}
	v, ok := p.role.(*viewer)
	if !ok {
		return nil, fault.Missing("resource")
	}
	c, err := v.choose(Change(in.Body))
	if err != nil {
		return nil, err
	}
	out := &pictureOut{Origin: "*"}
	out.Body.Quality, out.Body.Video, out.Body.Focus = c.Quality, c.Video, c.Focus
	return out, nil
}

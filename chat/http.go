package chat

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds the room's socket and its moderation.
func (s *Service) Routes(api *web.API) {
	const tag, base = "room", "/api/v1/sessions/{id}"
	moderators := web.Only(web.Operator, web.Assistant, web.Anchor) // of this session: the Gate says
	api.Raw(http.MethodGet, "/api/v1/sessions/:id/ws", web.Public(), s.connect(newUpgrader()))
	api.Raw(http.MethodGet, ssePath, web.Public(), s.serveEvents(newUpgrader()))
	web.Handle(api, web.Op{ID: "remove-message", Method: http.MethodPost, Path: base + "/messages/{seq}/remove", Summary: "Take a chat message down", Tag: tag, Access: moderators}, s.postRemove)
	web.Handle(api, web.Op{ID: "mute-viewer", Method: http.MethodPost, Path: base + "/mutes", Summary: "Keep a viewer from speaking in this room", Tag: tag, Access: moderators}, s.postMute)
	web.Handle(api, web.Op{ID: "unmute-viewer", Method: http.MethodDelete, Path: base + "/mutes/{user}", Summary: "Let a viewer speak again", Tag: tag, Access: moderators}, s.deleteMute)
	web.Handle(api, web.Op{ID: "post-notice", Method: http.MethodPost, Path: base + "/notices", Summary: "Tell the room something in the shop's name", Tag: tag, Access: moderators}, s.postNotice)
}

func newUpgrader() *websocket.Upgrader {
	return &websocket.Upgrader{
		HandshakeTimeout: 10 * time.Second, ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10, WriteBufferPool: &sync.Pool{},
		CheckOrigin: func(*http.Request) bool { return true },                // mayJoin has looked
		Error:       func(http.ResponseWriter, *http.Request, int, error) {}, // the one writer of errors answers
	}
}

// connect upgrades to WebSocket and hands the socket to a member. Whatever speaks against it is a problem before the upgrade.
func (s *Service) connect(up *websocket.Upgrader) echo.HandlerFunc {
	return func(c echo.Context) error {
		a := web.ActorFrom(c.Request().Context())
		about, p, err := s.mayJoin(c, a)
		if err != nil {
			return err
		}
		leave, err := s.door.enter(a)
		if err != nil {
			return err
		}
		if err := s.admit(c, up, a, about, p, leave); err != nil {
			leave()
			return err
		}
		return nil
	}
}

// mayJoin checks the request: the session, the right, the origin, the form.
func (s *Service) mayJoin(c echo.Context, a web.Actor) (Room, place, error) {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil || id <= 0 {
		return Room{}, place{}, fault.Missing("session")
	}
	if !sameOrigin(c.Request(), a) {
		return Room{}, place{}, ErrOrigin
	}
	about, err := s.gate.MayWatch(c.Request().Context(), id, a)
	if err != nil {
		return Room{}, place{}, err
	}
	about.ID = id
	p, err := placeOf(c)
	if err != nil {
		return Room{}, place{}, err
	}
	if !websocket.IsWebSocketUpgrade(c.Request()) {
		return Room{}, place{}, ErrUpgrade
	}
	return about, p, nil
}

// sameOrigin: a page of another site must not use the browser's cookie, nor make its visitors ours. A bearer token is no
// ambient right, and who sends no Origin is no browser.
func sameOrigin(r *http.Request, a web.Actor) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || a.SignedIn() && !a.Cookie {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

func placeOf(c echo.Context) (place, error) {
	after := c.QueryParam("after")
	if after == "" {
		return place{}, nil
	}
	seq, err := strconv.ParseUint(after, 10, 63)
	if err != nil {
		return place{}, fault.Bad("after", "must be the seq of the newest event you have")
	}
	return place{given: true, after: seq, epoch: c.QueryParam("epoch")}, nil
}

// admit brings a member into its room. When it returns nil, the member owns the socket and leave.
func (s *Service) admit(c echo.Context, up *websocket.Upgrader, a web.Actor, about Room, p place, leave func()) error {
	ctx := c.Request().Context()
	user, err := s.publicID(ctx, a.Viewer)
	if err != nil {
		return err
	}
	rules, err := s.mayEnter(ctx, about.ID, a, user)
	if err != nil {
		return err
	}
	r, err := s.enter(ctx, about)
	if err != nil {
		return err
	}
	if err := r.await(ctx, p); err != nil {
		s.exit(r)
		return err
	}
	conn, err := up.Upgrade(c.Response(), c.Request(), http.Header{"Set-Cookie": c.Response().Header()["Set-Cookie"]})
	if err != nil {
		s.exit(r)
		return ErrUpgrade.Because(err)
	}
	m := newMember(s, r, a, chatUser{ID: user, Name: nameOf(a, user), Role: string(a.Role)}, conn, p, func() { s.exit(r); leave() })
	m.backstage, m.rules = about.State == "rehearsing", rules
	if !s.serve(m) {
		_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(codeRestart, "retry_ms=1000"), time.Now().Add(time.Second))
		_ = conn.Close()
		m.left()
	}
	return nil
}

// mayEnter asks the Guard.
func (s *Service) mayEnter(ctx context.Context, id int64, a web.Actor, user string) ([]byte, error) {
	if s.guard == nil {
		return nil, nil
	}
	return s.guard.Enter(ctx, id, a, user)
}

// nameOf never shows the sign-in name, which may be a phone number.
func nameOf(a web.Actor, user string) string {
	if a.DisplayName != "" {
		return a.DisplayName
	}
	return "#" + user[:4]
}

func (s *Service) postRemove(ctx context.Context, in *struct {
	ID   int64  `path:"id" minimum:"1"`
	Seq  uint64 `path:"seq" minimum:"1"`
	Body *struct {
		Reason string `json:"reason,omitempty" maxLength:"200"`
	}
},
) (*struct{}, error) {
	reason := ""
	if in.Body != nil {
		reason = in.Body.Reason
	}
	return nil, s.Remove(ctx, web.ActorFrom(ctx), in.ID, in.Seq, reason)
}

type muteOut struct{ Body muteView }

type muteView struct {
	User  string    `json:"user"`
	Until time.Time `json:"until"`
}

func (s *Service) postMute(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		User    string `json:"user" pattern:"^[0-9a-f]{12}$" doc:"The public id, as in a chat event's user."`
		Minutes int64  `json:"minutes" minimum:"1" maximum:"1440"`
		Reason  string `json:"reason,omitempty" maxLength:"200"`
	}
},
) (*muteOut, error) {
	until, err := s.Mute(ctx, web.ActorFrom(ctx), in.ID, in.Body.User, in.Body.Minutes, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return &muteOut{muteView{in.Body.User, until}}, nil
}

func (s *Service) deleteMute(ctx context.Context, in *struct {
	ID   int64  `path:"id" minimum:"1"`
	User string `path:"user" pattern:"^[0-9a-f]{12}$"`
},
) (*struct{}, error) {
	return nil, s.Unmute(ctx, web.ActorFrom(ctx), in.ID, in.User, "")
}

func (s *Service) postNotice(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		Text string `json:"text" minLength:"1" maxLength:"200"`
	}
},
) (*struct{}, error) {
	return nil, s.Notice(ctx, web.ActorFrom(ctx), in.ID, in.Body.Text)
}

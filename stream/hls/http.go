package hls

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Media types.
const (
	typePlaylist = "application/vnd.apple.mpegurl"
	typeMedia    = "video/mp4"
)

// How long answers may be cached. A reload that waited names what it waited for, so it stays true for longer (RFC 8216bis,
// appendix B.1).
const (
	briefly = "max-age=1"
	a24s    = "max-age=24"
	forever = "max-age=31536000, immutable"
)

var errFile = fault.Missing("segment")

// Routes adds the playlists and what they name.
func (s *Service) Routes(api *web.API) {
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		api.Raw(method, "/api/v1/sessions/:id/hls/index.m3u8", web.Public(), s.handle)
		api.Raw(method, "/api/v1/sessions/:id/hls/:anchor/:file", web.Public(), s.handle)
	}
}

// request is one that may be answered.
type request struct {
	echo.Context
	c      *channel
	public bool
}

func (s *Service) handle(c echo.Context) error {
	c.Response().Header().Set("Access-Control-Allow-Origin", "*")
	ctx := c.Request().Context()
	id, err := web.PathID(c, "id", "session")
	if err != nil {
		return err
	}
	actor := web.ActorFrom(ctx)
	public, err := s.admit(ctx, id, actor)
	if err != nil {
		return err
	}
	ch, err := s.channel(id, c.Param("anchor"))
	if err != nil {
		return err
	}
	r := request{c, ch, public}
	switch file := c.Param("file"); file {
	case "", "index.m3u8":
		ch.touch("")
		return r.index()
	case "live.m3u8":
		ch.touch(actor.Viewer)
		return r.live()
	default:
		ch.touch("")
		return r.file(file)
	}
}

// index gives the multivariant playlist, once the first segment is there.
func (r request) index() error {
	err := r.c.await(r.Request().Context(), r.c.s.cfg.first, func() (bool, error) { return r.c.whole() > 0, nil })
	if err != nil {
		return err
	}
	dir := ""
	if r.Param("anchor") == "" {
		dir = r.c.key.anchor
	}
	list := r.c.multivariant(dir)
	r.c.mu.Unlock()
	return r.send(typePlaylist, briefly, &content{[][]byte{list}, len(list)})
}

// live gives the media playlist, if asked for only when it has a certain segment or part (section 6.2.5.2).
func (r request) live() error {
	msn, part, blocking, err := readReload(r.QueryParam("_HLS_msn"), r.QueryParam("_HLS_part"))
	if err != nil {
		return err
	}
	atMost, age := r.c.s.cfg.first, briefly
	if blocking {
		atMost, age = reloadWait, a24s
	}
	err = r.c.await(r.Request().Context(), atMost, func() (bool, error) {
		switch {
		case r.c.whole() == 0:
			return false, nil
		case !blocking:
			return true, nil
		}
		return r.c.has(msn, part)
	})
	if err != nil {
		return err
	}
	list := r.c.list
	r.c.mu.Unlock()
	return r.send(typePlaylist, age, &content{[][]byte{list}, len(list)})
}

// readReload reads the delivery directives; part is -1 when the whole segment is wanted.
func readReload(msn, part string) (uint64, int, bool, error) {
	if msn == "" {
		if part != "" {
			return 0, 0, false, ErrAhead
		}
		return 0, 0, false, nil
	}
	m, err := strconv.ParseUint(msn, 10, 63)
	if err != nil {
		return 0, 0, false, ErrAhead
	}
	if part == "" {
		return m, -1, true, nil
	}
	p, err := strconv.ParseUint(part, 10, 16)
	if err != nil {
		return 0, 0, false, ErrAhead
	}
	return m, int(p), true, nil
}

// has reports whether the playlist holds a segment, or one of its parts, or what comes after it. c.mu must be held.
func (c *channel) has(msn uint64, part int) (bool, error) {
	last := c.segments[len(c.segments)-1]
	switch {
	case msn > last.seq+2:
		return false, ErrAhead
	case msn < last.seq:
		return true, nil
	}
	return msn == last.seq && part >= 0 && part < len(last.parts), nil
}

// file gives an init segment, a segment or a part; the part of the preload hint as soon as it is there.
func (r request) file(name string) error {
	err := r.c.await(r.Request().Context(), reloadWait, func() (bool, error) {
		if r.c.files[name] != nil {
			return true, nil
		}
		if name != r.c.hint() {
			return false, errFile
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	f := r.c.files[name]
	r.c.mu.Unlock()
	return r.send(typeMedia, forever, f)
}

// send writes an answer that shared caches may keep when the session is public.
func (r request) send(kind, age string, f *content) error {
	h := r.Response().Header()
	h.Set(echo.HeaderContentType, kind)
	h.Set(echo.HeaderContentLength, strconv.Itoa(f.size))
	scope := "private"
	if r.public {
		scope = "public"
		h.Del("Set-Cookie") // a visitor's cookie would keep caches from storing it
	}
	h.Set("Cache-Control", fmt.Sprintf("%s, %s", scope, age))
	r.Response().WriteHeader(http.StatusOK)
	if r.Request().Method == http.MethodHead {
		return nil
	}
	for _, p := range f.pieces {
		if _, err := r.Response().Write(p); err != nil {
			return nil //nolint:nilerr // the client has gone
		}
	}
	r.c.s.meter.bytes.Add(float64(f.size))
	return nil
}

package edge

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/web"
)

const path = "/api/v1/edges"

// Routes adds the edges' beats and the operators' list to the origin's API.
func (g *Registry) Routes(api *web.API) {
	api.Raw(http.MethodPost, path, web.Signature(), g.postBeat)
	web.Handle(api, web.Op{
		ID: "list-edges", Method: http.MethodGet, Path: path, Tag: "media", Summary: "Edges and their loads, the most loaded first", Access: web.Only(web.Operator),
	}, g.getEdges)
}

func (g *Registry) postBeat(c echo.Context) error {
	body, err := CheckRequest(c.Request(), g.Secret, maxBeat, g.Clock.Now())
	if err != nil {
		return err
	}
	var b Beat
	if err := json.Unmarshal(body, &b); err != nil {
		return ErrBeat.Because(err)
	}
	r, err := g.Heard(b)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, r)
}

type listOut struct {
	Body struct {
		Items []View `json:"items" nullable:"false"`
	}
}

func (g *Registry) getEdges(context.Context, *struct{}) (*listOut, error) {
	out := &listOut{}
	out.Body.Items = g.List()
	return out, nil
}

// Pulls is the origin's middleware for edges that pull: a WHEP request with ?edge=1 must be signed, and is then marked by
// mark; all others pass as they are.
func (g *Registry) Pulls(mark func(context.Context) context.Context) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/whep") || !r.URL.Query().Has("edge") {
				return next(c)
			}
			if _, err := CheckRequest(r, g.Secret, web.MaxJSON, g.Clock.Now()); err != nil {
				return err
			}
			c.SetRequest(r.WithContext(mark(r.Context())))
			return next(c)
		}
	}
}

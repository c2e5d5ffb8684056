package live

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds the sessions' part of the API.
func (s *Service) Routes(api *web.API) {
	const root, tag = "/api/v1/sessions", "sessions"
	get, post := http.MethodGet, http.MethodPost
	public, operator := web.Public(), web.Only(web.Operator)
	crew, lead := web.Only(web.Operator, web.Assistant, web.Anchor), web.Only(web.Operator, web.Anchor)
	web.Handle(api, web.Op{ID: "list-sessions", Method: get, Path: root, Summary: "Live sessions, the latest start first", Tag: tag, Access: public}, s.listSessions)
	web.Handle(api, web.Op{ID: "get-session", Method: get, Path: root + "/{id}", Summary: "One session with anchors, shelf and pins", Tag: tag, Access: public}, s.getSession)
	web.Handle(api, web.Op{ID: "create-session", Method: post, Path: root, Summary: "Schedule a session", Tag: tag, Access: operator, Status: http.StatusCreated}, s.postSession)
	web.Handle(api, web.Op{ID: "change-session", Method: http.MethodPatch, Path: root + "/{id}", Summary: "Change a session", Tag: tag, Access: operator}, s.patchSession)
	web.Handle(api, web.Op{ID: "set-shelf", Method: http.MethodPut, Path: root + "/{id}/shelf", Summary: "Replace the shelf", Tag: tag, Access: operator}, s.putShelf)
	for _, t := range []struct {
		name, summary string
		access        web.Access
		fn            func(context.Context, int64) (Session, error)
	}{
		{"rehearse", "Start a rehearsal", lead, s.Rehearse},
		{"start", "Open the room", lead, s.Start},
		{"end", "Close the room", lead, s.End},
		{"cancel", "Call the session off", operator, s.Cancel},
	} {
		web.Handle(api, web.Op{ID: t.name + "-session", Method: post, Path: root + "/{id}/" + t.name, Summary: t.summary, Tag: tag, Access: t.access},
			func(ctx context.Context, in *idIn) (*sessionOut, error) {
				x, err := t.fn(ctx, in.ID)
				return s.out(ctx, x, err)
			})
	}
	web.Handle(api, web.Op{ID: "list-pins", Method: get, Path: root + "/{id}/pins", Summary: "Every pin of the session, oldest first", Tag: tag, Access: crew}, s.listPins)
	web.Handle(api, web.Op{ID: "pin", Method: post, Path: root + "/{id}/pins", Summary: "Explain a product", Tag: tag, Access: crew, Status: http.StatusCreated}, s.postPin)
	web.Handle(api, web.Op{ID: "unpin", Method: http.MethodDelete, Path: root + "/{id}/pins/{pin_id}", Summary: "Take the explaining card down", Tag: tag, Access: crew}, s.deletePin)
	web.Handle(api, web.Op{ID: "publish-token", Method: post, Path: root + "/{id}/publish-token", Summary: "A token for OBS; voids the one before", Tag: tag, Access: lead, Status: http.StatusCreated}, s.postToken)
	s.deskRoutes(api, root+"/{id}/anchors/{anchor}", tag)
	api.Raw(get, root+"/:id/calendar.ics", public, s.getCalendar)
}

// deskRoutes adds what the desk may order of an anchor.
func (s *Service) deskRoutes(api *web.API, root, tag string) {
	desk, post := web.Only(web.Operator, web.Assistant), http.MethodPost
	web.Handle(api, web.Op{ID: "mute-anchor", Method: post, Path: root + "/mute", Summary: "Drop an anchor's sound to everybody, or give it back", Tag: tag, Access: desk}, s.postMute)
	web.Handle(api, web.Op{ID: "cut-anchor", Method: post, Path: root + "/cut", Summary: "Take an anchor off the air until restored", Tag: tag, Access: desk}, s.postCut)
	web.Handle(api, web.Op{ID: "restore-anchor", Method: post, Path: root + "/restore", Summary: "Let an anchor who was cut publish again", Tag: tag, Access: desk}, s.postRestore)
}

type idIn struct {
	ID int64 `path:"id" minimum:"1"`
}

type shelfIn struct {
	SKUID    int64  `json:"sku_id" minimum:"1"`
	PriceFen *int64 `json:"price_fen,omitempty" minimum:"0" doc:"The session's own price; the catalogue's unless given."`
	Stock    *int64 `json:"stock,omitempty" minimum:"0" doc:"What this session may sell in all; whatever there is unless given."`
}

func items(in []shelfIn) []ShelfItem {
	out := make([]ShelfItem, len(in))
	for i, it := range in {
		out[i] = ShelfItem(it)
	}
	return out
}

type anchorView struct {
	Name        string `json:"name"`
	DisplayName string `json:"display_name"`
	Title       string `json:"title"`
	Unit        string `json:"unit"`
	OnAir       bool   `json:"on_air"`
	Muted       bool   `json:"muted" doc:"The desk has dropped this anchor's sound. To strangers only while the room is open."`
	Cut         bool   `json:"cut" doc:"The desk has taken this anchor off the air. To strangers only while the room is open."`
}

type shelfView struct {
	ProductID    int64  `json:"product_id"`
	SKUID        int64  `json:"sku_id"`
	Title        string `json:"title"`
	SKUName      string `json:"sku_name"`
	PriceFen     int64  `json:"price_fen"`
	ListPriceFen int64  `json:"list_price_fen"`
	Stock        int64  `json:"stock" doc:"What can be bought here now."`
	Low          bool   `json:"low" doc:"Little is left, by the SKU's threshold."`
	Fresh        bool   `json:"fresh" doc:"Exempt from the 7-day return; to be told before buying."`
	SessionStock *int64 `json:"session_stock" doc:"What the session may sell in all; null: no limit of its own."`
	PictureURL   string `json:"picture_url"`
	Position     int    `json:"position"`

	StruckPriceFen *int64     `json:"struck_price_fen" doc:"May stand struck through beside the price: the lowest deal of the 7 days before; null: nothing may."`
	Flash          *flashView `json:"flash" doc:"The flash sale that runs or is announced; while it runs, price_fen is its price."`
}

// flashView is a flash sale on a shelf: count down to starts_at or ends_at by server_time.
type flashView struct {
	ID        int64     `json:"id"`
	PriceFen  int64     `json:"price_fen"`
	Stock     int64     `json:"stock"`
	Left      int64     `json:"left"`
	PerPerson int64     `json:"per_person" doc:"Units; 0: no limit."`
	StartsAt  time.Time `json:"starts_at"`
	EndsAt    time.Time `json:"ends_at"`
}

func viewFlash(f *Flash) *flashView {
	if f == nil {
		return nil
	}
	return &flashView{f.ID, f.PriceFen, f.Stock, f.Left, f.PerPerson, f.StartsAt, f.EndsAt}
}

// orNull is how an absent amount goes out.
func orNull(fen int64) *int64 {
	if fen == 0 {
		return nil
	}
	return &fen
}

type pictureView struct {
	ID       int64  `json:"id"`
	URL      string `json:"url"`
	ThumbURL string `json:"thumb_url"`
	Width    int    `json:"width"`
	Height   int    `json:"height"`
}

type explainedSKU struct {
	ID           int64  `json:"id"`
	Name         string `json:"name"`
	PriceFen     int64  `json:"price_fen" doc:"The session's price."`
	ListPriceFen int64  `json:"list_price_fen"`
	Stock        int64  `json:"stock"`

	StruckPriceFen *int64     `json:"struck_price_fen"`
	Flash          *flashView `json:"flash"`
}

// explainedView is the product on the explaining card, at the session's terms.
type explainedView struct {
	ID            int64          `json:"id"`
	Title         string         `json:"title"`
	Subtitle      string         `json:"subtitle"`
	Description   string         `json:"description"`
	Category      string         `json:"category"`
	Origin        string         `json:"origin"`
	LicenceNo     string         `json:"licence_no"`
	Fresh         bool           `json:"fresh"`
	SellingPoints []string       `json:"selling_points" nullable:"false"`
	BannedWords   []string       `json:"banned_words,omitempty" doc:"For the crew."`
	Pictures      []pictureView  `json:"pictures" nullable:"false"`
	SKUs          []explainedSKU `json:"skus" nullable:"false"`
}

type pinView struct {
	ID        int64          `json:"id"`
	PinID     int64          `json:"pin_id"`
	SessionID int64          `json:"session_id"`
	ProductID int64          `json:"product_id"`
	Anchors   []string       `json:"anchors" nullable:"false"`
	Anchor    *string        `json:"anchor" doc:"The holder, when there is only one."`
	From      time.Time      `json:"from"`
	To        *time.Time     `json:"to"`
	Product   *explainedView `json:"product"`
}

type gapView struct {
	From time.Time  `json:"from"`
	To   *time.Time `json:"to"`
}

type sessionView struct {
	ID               int64        `json:"id"`
	Title            string       `json:"title"`
	Intro            string       `json:"intro"`
	State            State        `json:"state" enum:"scheduled,rehearsing,live,interrupted,ended,cancelled"`
	StartsAt         time.Time    `json:"starts_at"`
	LiveAt           *time.Time   `json:"live_at"`
	EndedAt          *time.Time   `json:"ended_at"`
	HoldMinutes      int          `json:"hold_minutes" doc:"How long an unpaid order keeps its stock; 0: the shop's default."`
	CoverURL         string       `json:"cover_url"`
	Viewers          int          `json:"viewers"`
	Anchors          []anchorView `json:"anchors" nullable:"false"`
	Shelf            []shelfView  `json:"shelf" nullable:"false"`
	Pins             []pinView    `json:"pins" nullable:"false" doc:"Those that are up."`
	InterruptedSince *time.Time   `json:"interrupted_since"`
	Interruptions    []gapView    `json:"interruptions" nullable:"false"`
	ServerTime       time.Time    `json:"server_time"`
}

type sessionOut struct{ Body sessionView }

func (s *Service) out(ctx context.Context, x Session, err error) (*sessionOut, error) {
	if err != nil {
		return nil, err
	}
	views, err := s.views(ctx, []Session{x})
	if err != nil {
		return nil, err
	}
	return &sessionOut{views[0]}, nil
}

// views makes sessions into JSON with what belongs to them, in a handful of queries for all.
func (s *Service) views(ctx context.Context, all []Session) ([]sessionView, error) {
	ids := make([]int64, len(all))
	names := map[string]bool{}
	for i, x := range all {
		ids[i] = x.ID
		for _, n := range x.Anchors {
			names[n] = true
		}
	}
	people, err := s.people(ctx, names)
	if err != nil {
		return nil, err
	}
	shelves, err := s.Shelves(ctx, ids)
	if err != nil {
		return nil, err
	}
	articles, err := s.articles(ctx, shelves)
	if err != nil {
		return nil, err
	}
	pins, err := s.store.pins(ctx, ids, true)
	if err != nil {
		return nil, err
	}
	actor, now := web.ActorFrom(ctx), s.clock.Now()
	views := make([]sessionView, len(all))
	for i, x := range all {
		views[i] = s.view(actor, x, people, shelves[x.ID], articles, now)
		if x.State == Rehearsing && !x.Crew(actor) {
			continue // its pins are the crew's business
		}
		for _, p := range pins {
			if p.SessionID == x.ID {
				views[i].Pins = append(views[i].Pins, viewPin(p, explain(articles[p.ProductID], shelves[x.ID], x.Crew(actor))))
			}
		}
	}
	return views, nil
}

func (s *Service) people(ctx context.Context, names map[string]bool) (map[string]Person, error) {
	list := make([]string, 0, len(names))
	for n := range names {
		list = append(list, n)
	}
	slices.Sort(list)
	found, err := s.People.ByNames(ctx, list)
	if err != nil {
		return nil, err
	}
	out := make(map[string]Person, len(found))
	for _, p := range found {
		out[p.Name] = p
	}
	return out, nil
}

func (s *Service) articles(ctx context.Context, shelves map[int64][]Offered) (map[int64]Article, error) {
	var ids []int64
	for _, shelf := range shelves {
		for _, o := range shelf {
			ids = append(ids, o.ProductID)
		}
	}
	slices.Sort(ids)
	return s.Goods.Articles(ctx, slices.Compact(ids))
}

func (s *Service) view(actor web.Actor, x Session, people map[string]Person, shelf []Offered, articles map[int64]Article, now time.Time) sessionView {
	v := sessionView{
		ID: x.ID, Title: x.Title, Intro: x.Intro, State: x.Shown(actor), StartsAt: x.StartsAt, LiveAt: when(x.LiveAt), EndedAt: when(x.EndedAt),
		HoldMinutes: int(x.Hold.Minutes()), Viewers: s.Room.Viewers(x.ID), Anchors: make([]anchorView, len(x.Anchors)),
		Shelf: make([]shelfView, len(shelf)), Pins: []pinView{}, Interruptions: make([]gapView, len(x.Interrupted)), ServerTime: now,
	}
	onAir := s.Media.OnAir(x.ID)
	for i, n := range x.Anchors {
		p := people[n]
		v.Anchors[i] = anchorView{Name: n, DisplayName: p.DisplayName, Title: p.Title, Unit: p.Unit}
		if x.State.Open() || x.Crew(actor) {
			v.Anchors[i].OnAir, v.Anchors[i].Muted, v.Anchors[i].Cut = slices.Contains(onAir, n), x.Under(Muted, n), x.Under(Cut, n)
		}
	}
	for i, o := range shelf {
		v.Shelf[i] = viewOffered(o, i, articles[o.ProductID])
		if v.CoverURL == "" {
			v.CoverURL = picture(articles[o.ProductID], false)
		}
	}
	for i, g := range x.Interrupted {
		v.Interruptions[i] = gapView{g.From, when(g.To)}
		if g.To.IsZero() {
			v.InterruptedSince = &v.Interruptions[i].From
		}
	}
	return v
}

func viewOffered(o Offered, position int, a Article) shelfView {
	v := shelfView{
		ProductID: o.ProductID, SKUID: o.SKUID, Title: o.Title, SKUName: o.SKUName, PriceFen: o.PriceFen, ListPriceFen: o.ListPriceFen,
		Stock: o.Left, Low: o.Low(), Fresh: o.Fresh, PictureURL: picture(a, true), Position: position,
		StruckPriceFen: orNull(o.StruckFen), Flash: viewFlash(o.Flash),
	}
	if o.SessionStock >= 0 {
		v.SessionStock = &o.SessionStock
	}
	return v
}

func picture(a Article, thumb bool) string {
	switch {
	case len(a.Pictures) == 0:
		return ""
	case thumb:
		return a.Pictures[0].ThumbURL
	}
	return a.Pictures[0].URL
}

// explained gives the product on the card at the session's terms of this moment.
func (s *Service) explained(ctx context.Context, sessionID, productID int64) (explainedView, error) {
	shelf, err := s.Shelf(ctx, sessionID)
	if err != nil {
		return explainedView{}, err
	}
	articles, err := s.Goods.Articles(ctx, []int64{productID})
	if err != nil {
		return explainedView{}, err
	}
	return explain(articles[productID], shelf, true), nil
}

func explain(a Article, shelf []Offered, crew bool) explainedView {
	v := explainedView{
		ID: a.ID, Title: a.Title, Subtitle: a.Subtitle, Description: a.Description, Category: a.Category, Origin: a.Origin, LicenceNo: a.LicenceNo,
		Fresh: a.Fresh, SellingPoints: append([]string{}, a.SellingPoints...), Pictures: make([]pictureView, len(a.Pictures)), SKUs: []explainedSKU{},
	}
	if crew {
		v.BannedWords = a.BannedWords
	}
	for i, p := range a.Pictures {
		v.Pictures[i] = pictureView(p)
	}
	for _, o := range shelf {
		if o.ProductID == a.ID {
			v.SKUs = append(v.SKUs, explainedSKU{o.SKUID, o.SKUName, o.PriceFen, o.ListPriceFen, o.Left, orNull(o.StruckFen), viewFlash(o.Flash)})
		}
	}
	return v
}

func viewPin(p Pin, product explainedView) pinView {
	v := pinView{ID: p.ID, PinID: p.ID, SessionID: p.SessionID, ProductID: p.ProductID, Anchors: append([]string{}, p.Anchors...), From: p.From, To: when(p.To), Product: &product}
	if len(p.Anchors) == 1 {
		v.Anchor = &p.Anchors[0]
	}
	return v
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (s *Service) listSessions(ctx context.Context, in *struct {
	web.PageIn
	State string `query:"state" maxLength:"100" doc:"States with commas; all unless given."`
	Mine  bool   `query:"mine" doc:"Only where I am an anchor."`
},
) (*struct{ Body web.Page[sessionView] }, error) {
	after, err := in.Key()
	if err != nil {
		return nil, err
	}
	a := web.ActorFrom(ctx)
	f := Filter{After: after, Limit: in.Size() + 1}
	if in.Mine {
		if !a.SignedIn() {
			return nil, web.ErrSignIn
		}
		f.Anchor = a.Name
	}
	if f.States, err = states(in.State); err != nil {
		return nil, err
	}
	rows, err := s.List(ctx, f)
	if err != nil {
		return nil, err
	}
	page := web.PageOf(rows, in.Size(), func(x Session) int64 { return x.ID })
	views, err := s.views(ctx, page.Items)
	if err != nil {
		return nil, err
	}
	return &struct{ Body web.Page[sessionView] }{web.Page[sessionView]{Items: views, Next: page.Next}}, nil
}

// states reads a list of states; who asks for scheduled ones also gets those in rehearsal, which look the same to most.
func states(list string) ([]State, error) {
	if list == "" {
		return nil, nil
	}
	var out []State
	for _, w := range strings.Split(list, ",") {
		switch st := State(strings.TrimSpace(w)); st {
		case Scheduled:
			out = append(out, Scheduled, Rehearsing)
		case Rehearsing, Live, Interrupted, Ended, Cancelled:
			out = append(out, st)
		default:
			return nil, fault.Bad("state", "unknown: "+w)
		}
	}
	return out, nil
}

func (s *Service) getSession(ctx context.Context, in *idIn) (*sessionOut, error) {
	x, err := s.Get(ctx, in.ID)
	return s.out(ctx, x, err)
}

func (s *Service) postSession(ctx context.Context, in *struct {
	Body struct {
		Title       string    `json:"title" maxLength:"60"`
		Intro       string    `json:"intro,omitempty" maxLength:"1000"`
		StartsAt    time.Time `json:"starts_at"`
		HoldMinutes int       `json:"hold_minutes,omitempty" minimum:"0" maximum:"1440"`
		Anchors     []string  `json:"anchors" minItems:"1" maxItems:"5" nullable:"false" doc:"Account names."`
		Shelf       []shelfIn `json:"shelf,omitempty" maxItems:"200"`
	}
},
) (*sessionOut, error) {
	b := in.Body
	x, err := s.Create(ctx, Plan{Title: &b.Title, Intro: &b.Intro, StartsAt: &b.StartsAt, HoldMinutes: &b.HoldMinutes, Anchors: b.Anchors, Shelf: items(b.Shelf)})
	return s.out(ctx, x, err)
}

func (s *Service) patchSession(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		Title       *string    `json:"title,omitempty" maxLength:"60"`
		Intro       *string    `json:"intro,omitempty" maxLength:"1000"`
		StartsAt    *time.Time `json:"starts_at,omitempty"`
		HoldMinutes *int       `json:"hold_minutes,omitempty" minimum:"0" maximum:"1440"`
		Anchors     []string   `json:"anchors,omitempty" maxItems:"5"`
	}
},
) (*sessionOut, error) {
	b := in.Body
	x, err := s.Change(ctx, in.ID, Plan{Title: b.Title, Intro: b.Intro, StartsAt: b.StartsAt, HoldMinutes: b.HoldMinutes, Anchors: b.Anchors})
	return s.out(ctx, x, err)
}

func (s *Service) putShelf(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		Items []shelfIn `json:"items" maxItems:"200" nullable:"false"`
	}
},
) (*sessionOut, error) {
	x, err := s.SetShelf(ctx, in.ID, items(in.Body.Items))
	return s.out(ctx, x, err)
}

func (s *Service) listPins(ctx context.Context, in *idIn) (*struct{ Body web.Page[pinView] }, error) {
	x, err := s.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if !x.Crew(web.ActorFrom(ctx)) {
		return nil, ErrNotYours
	}
	pins, err := s.Pins(ctx, in.ID, false)
	if err != nil {
		return nil, err
	}
	shelf, err := s.Shelf(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(pins))
	for i, p := range pins {
		ids[i] = p.ProductID
	}
	articles, err := s.Goods.Articles(ctx, ids)
	if err != nil {
		return nil, err
	}
	return &struct{ Body web.Page[pinView] }{web.MapPage(web.Page[Pin]{Items: pins}, func(p Pin) pinView { return viewPin(p, explain(articles[p.ProductID], shelf, true)) })}, nil
}

func (s *Service) postPin(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		ProductID int64  `json:"product_id" minimum:"1"`
		Anchor    string `json:"anchor,omitempty" maxLength:"40" doc:"Whose pin it is; see Pin."`
	}
},
) (*struct{ Body pinView }, error) {
	p, err := s.Pin(ctx, in.ID, in.Body.ProductID, in.Body.Anchor)
	if err != nil {
		return nil, err
	}
	product, err := s.explained(ctx, in.ID, p.ProductID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body pinView }{viewPin(p, product)}, nil
}

func (s *Service) deletePin(ctx context.Context, in *struct {
	ID  int64 `path:"id" minimum:"1"`
	Pin int64 `path:"pin_id" minimum:"1"`
},
) (*struct{}, error) {
	return nil, s.Unpin(ctx, in.ID, in.Pin)
}

type tokenOut struct {
	Body struct {
		Token   string `json:"token" doc:"Bearer token for the WHIP client; shown this once."`
		WHIPURL string `json:"whip_url" doc:"Path on this server."`
	}
}

func (s *Service) postToken(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body *struct {
		Anchor string `json:"anchor,omitempty" maxLength:"40" doc:"For operators: whose token."`
	} `required:"false"`
},
) (*tokenOut, error) {
	x, err := s.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	a := web.ActorFrom(ctx)
	name := a.Name
	if in.Body != nil && in.Body.Anchor != "" && a.Is(web.Operator) {
		name = in.Body.Anchor
	}
	if !slices.Contains(x.Anchors, name) {
		return nil, ErrNotYours
	}
	token, err := s.People.PublishToken(ctx, name, in.ID)
	if err != nil {
		return nil, err
	}
	out := &tokenOut{}
	out.Body.Token, out.Body.WHIPURL = token, fmt.Sprintf("/api/v1/sessions/%d/whip", in.ID)
	return out, nil
}

func (s *Service) postMute(ctx context.Context, in *struct {
	ID     int64  `path:"id" minimum:"1"`
	Anchor string `path:"anchor" maxLength:"40" doc:"Account name."`
	Body   struct {
		Muted  bool   `json:"muted" doc:"false gives the sound back."`
		Reason string `json:"reason,omitempty" maxLength:"200" doc:"For the audit log."`
	}
},
) (*sessionOut, error) {
	x, err := s.Mute(ctx, in.ID, in.Anchor, in.Body.Muted, in.Body.Reason)
	return s.out(ctx, x, err)
}

func (s *Service) postCut(ctx context.Context, in *struct {
	ID     int64  `path:"id" minimum:"1"`
	Anchor string `path:"anchor" maxLength:"40" doc:"Account name."`
	Body   struct {
		Reason string `json:"reason" minLength:"1" maxLength:"200" doc:"For the audit log."`
	}
},
) (*sessionOut, error) {
	x, err := s.Cut(ctx, in.ID, in.Anchor, in.Body.Reason)
	return s.out(ctx, x, err)
}

func (s *Service) postRestore(ctx context.Context, in *struct {
	ID     int64  `path:"id" minimum:"1"`
	Anchor string `path:"anchor" maxLength:"40" doc:"Account name."`
	Body   *struct {
		Reason string `json:"reason,omitempty" maxLength:"200" doc:"For the audit log."`
	} `required:"false"`
},
) (*sessionOut, error) {
	var reason string
	if in.Body != nil {
		reason = in.Body.Reason
	}
	x, err := s.Restore(ctx, in.ID, in.Anchor, reason)
	return s.out(ctx, x, err)
}

// getCalendar is "remind me": one event (RFC 5545) with an alarm ten minutes before.
func (s *Service) getCalendar(c echo.Context) error {
	id, err := web.PathID(c, "id", "session")
	if err != nil {
		return err
	}
	x, err := s.Get(c.Request().Context(), id)
	if err != nil {
		return err
	}
	const form = "20060102T150405Z"
	esc := strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\n", `\n`)
	lines := []string{
		"BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Duoduopin//ZH", "BEGIN:VEVENT",
		fmt.Sprintf("UID:session-%d@%s", x.ID, c.Request().Host), "DTSTAMP:" + s.clock.Now().Format(form),
		"DTSTART:" + x.StartsAt.Format(form), "DTEND:" + x.StartsAt.Add(2*time.Hour).Format(form), "SUMMARY:" + esc.Replace(x.Title),
		fmt.Sprintf("URL:%s://%s/s/%d", c.Scheme(), c.Request().Host, x.ID),
		"BEGIN:VALARM", "ACTION:DISPLAY", "TRIGGER:-PT10M", "DESCRIPTION:" + esc.Replace(x.Title), "END:VALARM", "END:VEVENT", "END:VCALENDAR", "",
	}
	c.Response().Header().Set(echo.HeaderContentDisposition, fmt.Sprintf(`attachment; filename="session-%d.ics"`, x.ID))
	return c.Blob(http.StatusOK, "text/calendar; charset=utf-8", []byte(strings.Join(lines, "\r\n")))
}

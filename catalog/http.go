package catalog

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/pictures"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds products, stock and pictures.
func (s *Service) Routes(api *web.API) {
	const root, tag = "/api/v1", "catalogue"
	public, operator := web.Public(), web.Only(web.Operator)
	staff := web.Only(web.Operator, web.Assistant)
	web.Handle(api, web.Op{ID: "list-products", Method: http.MethodGet, Path: root + "/products", Summary: "Products; drafts for staff only", Tag: tag, Access: public}, s.listProducts)
	web.Handle(api, web.Op{ID: "get-product", Method: http.MethodGet, Path: root + "/products/{id}", Summary: "One product", Tag: tag, Access: public}, s.getProduct)
	web.Handle(api, web.Op{ID: "add-product", Method: http.MethodPost, Path: root + "/products", Summary: "Add a product", Tag: tag, Access: operator, Status: http.StatusCreated}, s.postProduct)
	web.Handle(api, web.Op{ID: "change-product", Method: http.MethodPatch, Path: root + "/products/{id}", Summary: "Change a product; SKUs without an id are added", Tag: tag, Access: operator}, s.patchProduct)
	web.Handle(api, web.Op{ID: "check-product", Method: http.MethodPost, Path: root + "/products/{id}/check", Summary: "Say that wording and licences are checked", Tag: tag, Access: operator}, s.postCheck)
	web.Handle(api, web.Op{ID: "withdraw-product", Method: http.MethodPost, Path: root + "/products/{id}/withdraw", Summary: "Take out of sale", Tag: tag, Access: operator}, s.postWithdraw)
	web.Handle(api, web.Op{ID: "drop-picture", Method: http.MethodDelete, Path: root + "/products/{id}/pictures/{picture_id}", Summary: "Take a picture off", Tag: tag, Access: operator}, s.deletePicture)
	web.Handle(api, web.Op{ID: "adjust-stock", Method: http.MethodPost, Path: root + "/skus/{id}/stock", Summary: "Add stock that came, or take out what is lost", Tag: tag, Access: operator}, s.postStock)
	web.Handle(api, web.Op{ID: "resume-sale", Method: http.MethodPost, Path: root + "/skus/{id}/resume", Summary: "Sell a stopped SKU again", Tag: tag, Access: operator}, s.postResume)
	web.Handle(api, web.Op{ID: "list-movements", Method: http.MethodGet, Path: root + "/skus/{id}/movements", Summary: "The stock ledger of a SKU, newest first", Tag: tag, Access: staff}, s.listMovements)
	web.Handle(api, web.Op{ID: "set-low-stock", Method: http.MethodPut, Path: root + "/skus/{id}/low", Summary: "Say at how few units a SKU counts as low", Tag: tag, Access: operator}, s.putLow)
	web.Handle(api, web.Op{ID: "list-low-stock", Method: http.MethodGet, Path: root + "/stock/low", Summary: "SKUs of which little is left, fewest first", Tag: tag, Access: web.Only(web.Operator, web.Assistant, web.Anchor)}, s.listLow)
	api.Raw(http.MethodPost, root+"/products/:id/pictures", operator, s.postPicture)
	api.Raw(http.MethodGet, "/media/pictures/:name", public, s.getPicture)
	api.Raw(http.MethodHead, "/media/pictures/:name", public, s.getPicture)
}

type skuIn struct {
	ID       int64  `json:"id,omitempty" doc:"Only to change one."`
	Name     string `json:"name" maxLength:"60"`
	PriceFen int64  `json:"price_fen" minimum:"0"`
	Stock    int64  `json:"stock,omitempty" minimum:"0" doc:"First stock of a new SKU; later: POST /skus/{id}/stock."`
}

// ProductBody is what an operator writes of a product.
type ProductBody struct {
	Title         *string  `json:"title,omitempty" maxLength:"80"`
	Subtitle      *string  `json:"subtitle,omitempty" maxLength:"120"`
	Description   *string  `json:"description,omitempty" maxLength:"5000"`
	Category      *string  `json:"category,omitempty" maxLength:"30"`
	Origin        *string  `json:"origin,omitempty" maxLength:"60"`
	LicenceNo     *string  `json:"licence_no,omitempty" maxLength:"60"`
	Fresh         *bool    `json:"fresh,omitempty" doc:"Exempt from the 7-day return."`
	SellingPoints []string `json:"selling_points,omitempty" maxItems:"20"`
	BannedWords   []string `json:"banned_words,omitempty" maxItems:"20"`
	SKUs          []skuIn  `json:"skus,omitempty" maxItems:"50"`
}

func (in ProductBody) edit() Edit {
	e := Edit{
		Title: in.Title, Subtitle: in.Subtitle, Description: in.Description, Category: in.Category, Origin: in.Origin, LicenceNo: in.LicenceNo,
		Fresh: in.Fresh, SellingPoints: in.SellingPoints, BannedWords: in.BannedWords,
	}
	for _, k := range in.SKUs {
		e.SKUs = append(e.SKUs, SKUEdit(k))
	}
	return e
}

type skuView struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	PriceFen int64  `json:"price_fen"`
	Stock    int64  `json:"stock" doc:"What can be bought now."`
	OnHand   *int64 `json:"on_hand,omitempty" doc:"For staff, like the following."`
	Reserved *int64 `json:"reserved,omitempty"`
	Sold     *int64 `json:"sold,omitempty"`
	Stopped  bool   `json:"stopped,omitempty"`
	LowAt    *int64 `json:"low_at,omitempty" doc:"For staff: so few units are low; 0: off."`
	Low      bool   `json:"low,omitempty" doc:"Little is left."`
}

type pictureView struct {
	ID       int64  `json:"id"`
	URL      string `json:"url"`
	ThumbURL string `json:"thumb_url"`
	Width    int    `json:"width"`
	Height   int    `json:"height"`
}

type productView struct {
	ID            int64         `json:"id"`
	Title         string        `json:"title"`
	Subtitle      string        `json:"subtitle"`
	Description   string        `json:"description"`
	Category      string        `json:"category"`
	Origin        string        `json:"origin"`
	LicenceNo     string        `json:"licence_no"`
	Fresh         bool          `json:"fresh"`
	Returns       returnsView   `json:"returns" doc:"To be shown before buying."`
	SellingPoints []string      `json:"selling_points" nullable:"false"`
	BannedWords   []string      `json:"banned_words" nullable:"false"`
	State         State         `json:"state" enum:"draft,checked,withdrawn"`
	CheckedBy     *string       `json:"checked_by"`
	CheckedAt     *time.Time    `json:"checked_at"`
	Pictures      []pictureView `json:"pictures" nullable:"false"`
	SKUs          []skuView     `json:"skus" nullable:"false"`
}

// returnsView is the rule of returns as a buyer has to read it before buying.
type returnsView struct {
	SevenDays bool   `json:"seven_days" doc:"May be returned within seven days without a reason."`
	TextZH    string `json:"text_zh"`
	TextEN    string `json:"text_en"`
}

func viewReturns(p Product) returnsView {
	zh, en := p.ReturnRule()
	return returnsView{!p.Fresh, zh, en}
}

func viewPicture(p Picture) pictureView {
	return pictureView{p.ID, p.URL(), p.ThumbURL(), p.Width, p.Height}
}

// URL is where the large picture is served.
func (p Picture) URL() string { return "/media/pictures/" + p.Name + "-1280.jpg" }

// ThumbURL is where the small picture is served.
func (p Picture) ThumbURL() string { return "/media/pictures/" + p.Name + "-320.jpg" }

func view(a web.Actor, p Product) productView {
	v := productView{
		ID: p.ID, Title: p.Title, Subtitle: p.Subtitle, Description: p.Description, Category: p.Category, Origin: p.Origin, LicenceNo: p.LicenceNo,
		Fresh: p.Fresh, Returns: viewReturns(p), SellingPoints: append([]string{}, p.SellingPoints...), BannedWords: append([]string{}, p.BannedWords...), State: p.State,
		Pictures: make([]pictureView, len(p.Pictures)), SKUs: make([]skuView, len(p.SKUs)),
	}
	if p.State == Checked {
		v.CheckedBy, v.CheckedAt = &p.CheckedBy, &p.CheckedAt
	}
	for i, k := range p.SKUs {
		v.SKUs[i] = viewSKU(a, k)
	}
	for i, pic := range p.Pictures {
		v.Pictures[i] = viewPicture(pic)
	}
	return v
}

func viewSKU(a web.Actor, k SKU) skuView {
	v := skuView{ID: k.ID, Name: k.Name, PriceFen: k.PriceFen, Stock: k.Free, Low: k.Low()}
	if k.Stopped {
		v.Stock = 0
	}
	if a.Staff() {
		onHand := k.Free + k.Reserved
		v.OnHand, v.Reserved, v.Sold, v.Stopped, v.LowAt = &onHand, &k.Reserved, &k.Sold, k.Stopped, &k.LowAt
	}
	return v
}

type productOut struct{ Body productView }

func (s *Service) out(ctx context.Context, p Product, err error) (*productOut, error) {
	if err != nil {
		return nil, err
	}
	return &productOut{view(web.ActorFrom(ctx), p)}, nil
}

func (s *Service) listProducts(ctx context.Context, in *struct {
	web.PageIn
	Query    string `query:"q" maxLength:"100" doc:"Words; each must be somewhere."`
	State    string `query:"state" enum:"draft,checked,withdrawn" doc:"For staff; others see checked ones."`
	Category string `query:"category" maxLength:"30"`
},
) (*struct{ Body web.Page[productView] }, error) {
	after, err := in.Key()
	if err != nil {
		return nil, err
	}
	a := web.ActorFrom(ctx)
	f := Filter{Query: in.Query, State: State(in.State), Category: in.Category, After: after, Limit: in.Size() + 1}
	if !a.Staff() {
		f.State = Checked
	}
	rows, err := s.List(ctx, f)
	if err != nil {
		return nil, err
	}
	page := web.PageOf(rows, in.Size(), func(p Product) int64 { return p.ID })
	return &struct{ Body web.Page[productView] }{web.MapPage(page, func(p Product) productView { return view(a, p) })}, nil
}

type idIn struct {
	ID int64 `path:"id" minimum:"1"`
}

func (s *Service) getProduct(ctx context.Context, in *idIn) (*productOut, error) {
	p, err := s.Get(ctx, in.ID, web.ActorFrom(ctx).Staff())
	return s.out(ctx, p, err)
}

func (s *Service) postProduct(ctx context.Context, in *struct {
	Body struct {
		ProductBody
		Draft bool `json:"draft,omitempty" doc:"Without it the product counts as checked by who adds it."`
	}
},
) (*productOut, error) {
	p, err := s.Add(ctx, in.Body.edit(), in.Body.Draft)
	return s.out(ctx, p, err)
}

func (s *Service) patchProduct(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body ProductBody
},
) (*productOut, error) {
	p, err := s.Change(ctx, in.ID, in.Body.edit())
	return s.out(ctx, p, err)
}

func (s *Service) postCheck(ctx context.Context, in *idIn) (*productOut, error) {
	p, err := s.Check(ctx, in.ID)
	return s.out(ctx, p, err)
}

func (s *Service) postWithdraw(ctx context.Context, in *idIn) (*productOut, error) {
	p, err := s.Withdraw(ctx, in.ID)
	return s.out(ctx, p, err)
}

func (s *Service) deletePicture(ctx context.Context, in *struct {
	ID      int64 `path:"id" minimum:"1"`
	Picture int64 `path:"picture_id" minimum:"1"`
},
) (*struct{}, error) {
	return nil, s.DropPicture(ctx, in.ID, in.Picture)
}

func (s *Service) postStock(ctx context.Context, in *struct {
	ID   int64  `path:"id" minimum:"1"`
	Key  string `header:"Idempotency-Key" doc:"Send one, and repeat it when you repeat the request: then it counts once. Kept 30 days."`
	Body struct {
		Change int64  `json:"change" doc:"Units that came, or with a minus were lost."`
		Reason string `json:"reason" minLength:"1" maxLength:"100"`
	}
},
) (*struct{ Body skuView }, error) {
	k, err := s.AdjustOnce(ctx, in.Key, in.ID, in.Body.Change, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return &struct{ Body skuView }{viewSKU(web.ActorFrom(ctx), k)}, nil
}

func (s *Service) postResume(ctx context.Context, in *idIn) (*struct{}, error) {
	return nil, s.Resume(ctx, in.ID)
}

func (s *Service) putLow(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		LowAt int64 `json:"low_at" minimum:"0" doc:"0 switches it off."`
	}
},
) (*struct{ Body skuView }, error) {
	k, err := s.SetLow(ctx, in.ID, in.Body.LowAt)
	if err != nil {
		return nil, err
	}
	return &struct{ Body skuView }{viewSKU(web.ActorFrom(ctx), k)}, nil
}

type lowView struct {
	SKUID     int64  `json:"sku_id"`
	ProductID int64  `json:"product_id"`
	Title     string `json:"title"`
	SKUName   string `json:"sku_name"`
	Stock     int64  `json:"stock"`
	LowAt     int64  `json:"low_at"`
}

func (s *Service) listLow(ctx context.Context, _ *struct{}) (*struct{ Body web.Page[lowView] }, error) {
	all, err := s.LowStock(ctx, 200)
	if err != nil {
		return nil, err
	}
	return &struct{ Body web.Page[lowView] }{web.MapPage(web.Page[LowSKU]{Items: all}, func(k LowSKU) lowView {
		return lowView{k.ID, k.ProductID, k.Title, k.Name, k.Free, k.LowAt}
	})}, nil
}

type movementView struct {
	ID       int64     `json:"id"`
	At       time.Time `json:"at"`
	Kind     string    `json:"kind"`
	Free     int64     `json:"free"`
	Reserved int64     `json:"reserved"`
	Sold     int64     `json:"sold"`
	Ref      string    `json:"ref"`
	Reason   string    `json:"reason"`
	By       string    `json:"by"`
}

func (s *Service) listMovements(ctx context.Context, in *struct {
	web.PageIn
	ID int64 `path:"id" minimum:"1"`
},
) (*struct{ Body web.Page[movementView] }, error) {
	before, err := in.Key()
	if err != nil {
		return nil, err
	}
	rows, err := s.Movements(ctx, in.ID, before, in.Size()+1)
	if err != nil {
		return nil, err
	}
	page := web.PageOf(rows, in.Size(), func(m Movement) int64 { return m.ID })
	return &struct{ Body web.Page[movementView] }{web.MapPage(page, func(m Movement) movementView { return movementView(m) })}, nil
}

// postPicture takes the file itself as the body.
func (s *Service) postPicture(c echo.Context) error {
	id, err := web.PathID(c, "id", "product")
	if err != nil {
		return err
	}
	raw, err := pictures.Body(c.Response(), c.Request())
	if err != nil {
		return err
	}
	p, err := s.AddPicture(c.Request().Context(), id, raw)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, viewPicture(p))
}

func (s *Service) getPicture(c echo.Context) error {
	data, err := s.files.Get(c.Request().Context(), c.Param("name"))
	if err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("ETag", `"`+c.Param("name")+`"`)
	if c.Request().Header.Get("If-None-Match") == h.Get("ETag") {
		return c.NoContent(http.StatusNotModified)
	}
	return c.Blob(http.StatusOK, "image/jpeg", data)
}

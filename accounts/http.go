package accounts

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds sign-in, the person's own things, and the accounts' administration.
func (s *Service) Routes(api *web.API) {
	const root = "/api/v1"
	public, mine, operator, admin := web.Public(), web.SignedIn(), web.Only(web.Operator), web.Only(web.Admin)
	web.Handle(api, web.Op{ID: "login", Method: http.MethodPost, Path: root + "/login", Summary: "Sign in by password", Tag: "account", Access: public}, s.login)
	web.Handle(api, web.Op{ID: "get-me", Method: http.MethodGet, Path: root + "/me", Summary: "Who I am; user is null for a visitor", Tag: "account", Access: public}, s.me)
	web.Handle(api, web.Op{ID: "change-password", Method: http.MethodPut, Path: root + "/me/password", Summary: "Change the own password; other sessions end", Tag: "account", Access: mine}, s.changePassword)
	web.Handle(api, web.Op{ID: "list-addresses", Method: http.MethodGet, Path: root + "/me/addresses", Summary: "Own addresses, the default first", Tag: "account", Access: mine}, s.listAddresses)
	web.Handle(api, web.Op{ID: "add-address", Method: http.MethodPost, Path: root + "/me/addresses", Summary: "Keep an address", Tag: "account", Access: mine, Status: http.StatusCreated}, s.postAddress)
	web.Handle(api, web.Op{ID: "change-address", Method: http.MethodPut, Path: root + "/me/addresses/{id}", Summary: "Change an address", Tag: "account", Access: mine}, s.putAddress)
	web.Handle(api, web.Op{ID: "drop-address", Method: http.MethodDelete, Path: root + "/me/addresses/{id}", Summary: "Forget an address", Tag: "account", Access: mine}, s.deleteAddress)
	web.Handle(api, web.Op{ID: "list-accounts", Method: http.MethodGet, Path: root + "/accounts", Summary: "Accounts", Tag: "accounts", Access: operator}, s.listAccounts)
	web.Handle(api, web.Op{ID: "add-account", Method: http.MethodPost, Path: root + "/accounts", Summary: "Add an account", Tag: "accounts", Access: admin, Status: http.StatusCreated}, s.postAccount)
	web.Handle(api, web.Op{ID: "change-account", Method: http.MethodPatch, Path: root + "/accounts/{id}", Summary: "Change or disable an account", Tag: "accounts", Access: admin}, s.patchAccount)
	web.Handle(api, web.Op{ID: "reset-password", Method: http.MethodPost, Path: root + "/accounts/{id}/password", Summary: "Give a new password, shown once", Tag: "accounts", Access: admin}, s.postPassword)
	web.Handle(api, web.Op{ID: "list-audit", Method: http.MethodGet, Path: root + "/audit", Summary: "What operators did, newest first", Tag: "accounts", Access: admin}, s.listAudit)
	api.Raw(http.MethodPost, root+"/logout", public, s.logout)
}

type userView struct {
	ID          int64    `json:"id"`
	Name        string   `json:"name"`
	DisplayName string   `json:"display_name"`
	Role        web.Role `json:"role"`
	Title       string   `json:"title"`
	Unit        string   `json:"unit"`
	Disabled    bool     `json:"disabled"`
}

func viewUser(a Account) userView {
	return userView{a.ID, a.Name, a.DisplayName, a.Role, a.Title, a.Unit, a.Disabled}
}

type loginOut struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
	Body      struct {
		Token string   `json:"token"`
		User  userView `json:"user"`
	}
}

func (s *Service) login(ctx context.Context, in *struct {
	Body struct {
		Name     string `json:"name" maxLength:"100"`
		Password string `json:"password" maxLength:"1000"`
	}
},
) (*loginOut, error) {
	a, token, err := s.Login(ctx, in.Body.Name, in.Body.Password)
	if err != nil {
		return nil, err
	}
	out := &loginOut{SetCookie: web.CookieFor(ctx, web.SessionCookie, token, int(browserLife.Seconds()))}
	out.Body.Token, out.Body.User = token, viewUser(a)
	return out, nil
}

// logout ends the session of the cookie or bearer token and takes the cookie away.
func (s *Service) logout(c echo.Context) error {
	r := c.Request()
	if token := web.TokenOf(r); token != "" {
		if err := s.Logout(r.Context(), token); err != nil {
			return err
		}
	}
	web.SetCookie(c.Response(), r, web.SessionCookie, "", -1)
	return c.NoContent(http.StatusNoContent)
}

type meOut struct {
	Body struct {
		User *userView `json:"user"`
	}
}

func (s *Service) me(ctx context.Context, _ *struct{}) (*meOut, error) {
	out := &meOut{}
	actor := web.ActorFrom(ctx)
	if !actor.SignedIn() {
		return out, nil
	}
	a, err := s.Get(ctx, actor.AccountID)
	if err != nil {
		return nil, err
	}
	v := viewUser(a)
	out.Body.User = &v
	return out, nil
}

func (s *Service) changePassword(ctx context.Context, in *struct {
	Authorization string `header:"Authorization" hidden:"true"`
	Cookie        string `cookie:"duoduopin" hidden:"true"`
	HostCookie    string `cookie:"__Host-duoduopin" hidden:"true"`
	Body          struct {
		Old string `json:"old" maxLength:"1000"`
		New string `json:"new" maxLength:"1000"`
	}
},
) (*struct{}, error) {
	keep := web.TokenFrom(in.Authorization, in.HostCookie, in.Cookie)
	return nil, s.ChangePassword(ctx, web.ActorFrom(ctx).AccountID, in.Body.Old, in.Body.New, keep)
}

// AddressBody is what a person writes of an address.
type AddressBody struct {
	Name      string `json:"name" maxLength:"60"`
	Phone     string `json:"phone" maxLength:"20"`
	Province  string `json:"province" maxLength:"60"`
	City      string `json:"city" maxLength:"60"`
	District  string `json:"district" maxLength:"60"`
	Detail    string `json:"detail" maxLength:"200"`
	IsDefault bool   `json:"is_default,omitempty"`
}

type addressView struct {
	ID int64 `json:"id"`
	AddressBody
}

type addressOut struct{ Body addressView }

func viewAddress(a Address) addressView {
	return addressView{a.ID, AddressBody{a.Name, a.Phone, a.Province, a.City, a.District, a.Text, a.Default}}
}

func (in AddressBody) address(ctx context.Context, id int64) Address {
	return Address{id, web.ActorFrom(ctx).AccountID, in.Name, in.Phone, in.Province, in.City, in.District, in.Detail, in.IsDefault}
}

func (s *Service) listAddresses(ctx context.Context, _ *struct{}) (*struct{ Body web.Page[addressView] }, error) {
	all, err := s.Addresses(ctx, web.ActorFrom(ctx).AccountID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body web.Page[addressView] }{web.MapPage(web.Page[Address]{Items: all}, viewAddress)}, nil
}

func (s *Service) postAddress(ctx context.Context, in *struct{ Body AddressBody }) (*addressOut, error) {
	a, err := s.SaveAddress(ctx, in.Body.address(ctx, 0))
	return &addressOut{viewAddress(a)}, err
}

func (s *Service) putAddress(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body AddressBody
},
) (*addressOut, error) {
	a, err := s.SaveAddress(ctx, in.Body.address(ctx, in.ID))
	return &addressOut{viewAddress(a)}, err
}

type idIn struct {
	ID int64 `path:"id" minimum:"1"`
}

func (s *Service) deleteAddress(ctx context.Context, in *idIn) (*struct{}, error) {
	return nil, s.DropAddress(ctx, web.ActorFrom(ctx).AccountID, in.ID)
}

func (s *Service) listAccounts(ctx context.Context, in *struct {
	web.PageIn
	Role  string `query:"role" enum:"admin,operator,assistant,anchor,buyer"`
	Query string `query:"q" maxLength:"60"`
},
) (*struct{ Body web.Page[userView] }, error) {
	after, err := in.Key()
	if err != nil {
		return nil, err
	}
	rows, err := s.List(ctx, Filter{Role: web.Role(in.Role), Query: in.Query, After: after, Limit: in.Size() + 1})
	if err != nil {
		return nil, err
	}
	page := web.PageOf(rows, in.Size(), func(a Account) int64 { return a.ID })
	return &struct{ Body web.Page[userView] }{web.MapPage(page, viewUser)}, nil
}

type accountOut struct {
	Body struct {
		Account  userView `json:"account"`
		Password string   `json:"password" doc:"Shown this once."`
	}
}

func (s *Service) postAccount(ctx context.Context, in *struct {
	Body struct {
		Name        string `json:"name" maxLength:"40"`
		DisplayName string `json:"display_name,omitempty" maxLength:"40"`
		Role        string `json:"role" enum:"admin,operator,assistant,anchor,buyer"`
		Title       string `json:"title,omitempty" maxLength:"60"`
		Unit        string `json:"unit,omitempty" maxLength:"60"`
		Password    string `json:"password,omitempty" maxLength:"200" doc:"Made up unless given."`
	}
},
) (*accountOut, error) {
	b := in.Body
	a, password, err := s.Add(ctx, NewAccount{b.Name, b.DisplayName, web.Role(b.Role), b.Title, b.Unit, b.Password})
	if err != nil {
		return nil, err
	}
	out := &accountOut{}
	out.Body.Account, out.Body.Password = viewUser(a), password
	return out, nil
}

func (s *Service) patchAccount(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		DisplayName *string   `json:"display_name,omitempty" maxLength:"40"`
		Role        *web.Role `json:"role,omitempty" enum:"admin,operator,assistant,anchor,buyer"`
		Title       *string   `json:"title,omitempty" maxLength:"60"`
		Unit        *string   `json:"unit,omitempty" maxLength:"60"`
		Disabled    *bool     `json:"disabled,omitempty"`
	}
},
) (*struct{ Body userView }, error) {
	b := in.Body
	a, err := s.Change(ctx, in.ID, Change{DisplayName: b.DisplayName, Title: b.Title, Unit: b.Unit, Role: b.Role, Disabled: b.Disabled})
	if err != nil {
		return nil, err
	}
	return &struct{ Body userView }{viewUser(a)}, nil
}

type passwordOut struct {
	Body struct {
		Password string `json:"password" doc:"Shown this once."`
	}
}

func (s *Service) postPassword(ctx context.Context, in *idIn) (*passwordOut, error) {
	password, err := s.ResetPassword(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &passwordOut{}
	out.Body.Password = password
	return out, nil
}

type entryView struct {
	ID      int64           `json:"id"`
	At      time.Time       `json:"at"`
	Actor   string          `json:"actor"`
	Action  string          `json:"action"`
	Subject string          `json:"subject"`
	Detail  json.RawMessage `json:"detail"`
}

func (s *Service) listAudit(ctx context.Context, in *struct{ web.PageIn }) (*struct{ Body web.Page[entryView] }, error) {
	before, err := in.Key()
	if err != nil {
		return nil, err
	}
	rows, err := s.Audit(ctx, before, in.Size()+1)
	if err != nil {
		return nil, err
	}
	page := web.PageOf(rows, in.Size(), func(e Entry) int64 { return e.ID })
	return &struct{ Body web.Page[entryView] }{web.MapPage(page, func(e Entry) entryView { return entryView(e) })}, nil
}

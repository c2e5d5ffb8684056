package banners

import (
	"context"
	"net/http"

	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds the banners' part of the API.
func (s *Service) Routes(api *web.API) {
	const path, tag = "/api/v1/me/banners", "accounts"
	web.Handle(api, web.Op{ID: "get-banner-consent", Method: http.MethodGet, Path: path, Summary: "May my first letter stand in just-bought banners", Tag: tag, Access: web.SignedIn()}, s.getConsent)
	web.Handle(api, web.Op{ID: "set-banner-consent", Method: http.MethodPut, Path: path, Summary: "Agree that my first letter stands in just-bought banners, or do not", Tag: tag, Access: web.SignedIn()}, s.putConsent)
}

type consentView struct {
	Consent bool `json:"consent"`
}

type consentOut struct{ Body consentView }

func (s *Service) getConsent(ctx context.Context, _ *struct{}) (*consentOut, error) {
	agreed, err := s.Agreed(ctx, web.ActorFrom(ctx).AccountID)
	if err != nil {
		return nil, err
	}
	return &consentOut{consentView{agreed}}, nil
}

func (s *Service) putConsent(ctx context.Context, in *struct{ Body consentView }) (*consentOut, error) {
	if err := s.Agree(ctx, web.ActorFrom(ctx).AccountID, in.Body.Consent); err != nil {
		return nil, err
	}
	return &consentOut{in.Body}, nil
}

type soldItem struct {
	ProductID int64  `json:"product_id"`
	Title     string `json:"title"`
	Quantity  int64  `json:"quantity"`
}

// soldView is the room's event: the product that has waited longest, and beside it the others of that second.
type soldView struct {
	soldItem
	Buyer string     `json:"buyer"` // one letter, or empty
	Also  []soldItem `json:"also,omitempty"`
}

func view(sums []Sum) soldView {
	item := func(s Sum) soldItem { return soldItem{s.ProductID, s.Title, s.Quantity} }
	v := soldView{soldItem: item(sums[0]), Buyer: sums[0].Buyer}
	for _, s := range sums[1:] {
		v.Also = append(v.Also, item(s))
	}
	return v
}

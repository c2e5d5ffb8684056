package webhooks

import (
	"context"
	"net/http"
	"time"

	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds the endpoints' administration.
func (s *Service) Routes(api *web.API) {
	const root, tag = "/api/v1/webhooks", "webhooks"
	get, post := http.MethodGet, http.MethodPost
	operator := web.Only(web.Operator)
	web.Handle(api, web.Op{ID: "list-webhooks", Method: get, Path: root, Summary: "Endpoints of other systems, and the types of events there are", Tag: tag, Access: operator}, s.list)
	web.Handle(api, web.Op{ID: "add-webhook", Method: post, Path: root, Summary: "Add an endpoint; the answer alone shows its secret", Tag: tag, Access: operator, Status: http.StatusCreated}, s.post)
	web.Handle(api, web.Op{ID: "change-webhook", Method: http.MethodPatch, Path: root + "/{id}", Summary: "Change, pause or resume an endpoint", Tag: tag, Access: operator}, s.patch)
	web.Handle(api, web.Op{ID: "remove-webhook", Method: http.MethodDelete, Path: root + "/{id}", Summary: "Delete an endpoint and what waits for it", Tag: tag, Access: operator}, s.delete)
	web.Handle(api, web.Op{ID: "renew-webhook-secret", Method: post, Path: root + "/{id}/secret", Summary: "Give an endpoint a new secret; the old one signs too for a day", Tag: tag, Access: operator}, s.postSecret)
	web.Handle(api, web.Op{ID: "ping-webhook", Method: post, Path: root + "/{id}/ping", Summary: "Send a test event", Tag: tag, Access: operator, Status: http.StatusCreated}, s.postPing)
	web.Handle(api, web.Op{ID: "replay-webhook", Method: post, Path: root + "/{id}/replay", Summary: "Queue dead letters again: one, or all", Tag: tag, Access: operator}, s.postReplay)
	web.Handle(api, web.Op{ID: "list-webhook-deliveries", Method: get, Path: root + "/{id}/deliveries", Summary: "An endpoint's deliveries, newest first", Tag: tag, Access: operator}, s.listDeliveries)
}

type endpointView struct {
	ID        int64      `json:"id"`
	URL       string     `json:"url"`
	Events    []string   `json:"events" nullable:"false"`
	Note      string     `json:"note"`
	State     State      `json:"state" enum:"active,paused"`
	Why       string     `json:"why,omitempty" doc:"It is paused."`
	Secret    string     `json:"secret,omitempty" doc:"Only in the answer that made it."`
	NextAt    *time.Time `json:"next_at" doc:"Not tried again before, after a failure."`
	Queued    int64      `json:"queued"`
	Dead      int64      `json:"dead"`
	CreatedAt time.Time  `json:"created_at"`
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func view(e Endpoint) endpointView {
	return endpointView{e.ID, e.URL, append([]string{}, e.Events...), e.Note, e.State, e.Why, e.Secret, when(e.NextAt), e.Queued, e.Dead, e.CreatedAt}
}

type endpointOut struct{ Body endpointView }

func out(e Endpoint, err error) (*endpointOut, error) {
	if err != nil {
		return nil, err
	}
	return &endpointOut{view(e)}, nil
}

type idIn struct {
	ID int64 `path:"id" minimum:"1"`
}

type endpointsView struct {
	Items []endpointView `json:"items" nullable:"false"`
	Types []string       `json:"types" nullable:"false" doc:"What may stand in events, beside *."`
}

func (s *Service) list(ctx context.Context, _ *struct{}) (*struct{ Body endpointsView }, error) {
	all, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	v := endpointsView{Items: make([]endpointView, len(all)), Types: Types()}
	for i, e := range all {
		v.Items[i] = view(e)
	}
	return &struct{ Body endpointsView }{v}, nil
}

type endpointIn struct {
	URL    *string  `json:"url,omitempty" maxLength:"500"`
	Events []string `json:"events,omitempty" maxItems:"50" doc:"Types, or *."`
	Note   *string  `json:"note,omitempty" maxLength:"200"`
	Paused *bool    `json:"paused,omitempty"`
}

func (s *Service) post(ctx context.Context, in *struct{ Body endpointIn }) (*endpointOut, error) {
	return out(s.Add(ctx, Plan(in.Body)))
}

func (s *Service) patch(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body endpointIn
},
) (*endpointOut, error) {
	return out(s.Change(ctx, in.ID, Plan(in.Body)))
}

func (s *Service) delete(ctx context.Context, in *idIn) (*struct{}, error) {
	return nil, s.Remove(ctx, in.ID)
}

func (s *Service) postSecret(ctx context.Context, in *idIn) (*endpointOut, error) {
	return out(s.Renew(ctx, in.ID))
}

type deliveryView struct {
	ID          int64         `json:"id"`
	EventID     string        `json:"event_id"`
	Type        string        `json:"type"`
	Body        string        `json:"body"`
	State       DeliveryState `json:"state" enum:"queued,delivered,dead"`
	Tries       int           `json:"tries"`
	LastStatus  int           `json:"last_status" doc:"0: no answer."`
	LastError   string        `json:"last_error,omitempty"`
	LastAt      *time.Time    `json:"last_at"`
	CreatedAt   time.Time     `json:"created_at"`
	DeliveredAt *time.Time    `json:"delivered_at"`
}

func viewDelivery(d Delivery) deliveryView {
	return deliveryView{d.ID, d.EventID, d.Type, d.Body, d.State, d.Tries, d.LastStatus, d.LastError, when(d.LastAt), d.CreatedAt, when(d.DeliveredAt)}
}

func (s *Service) postPing(ctx context.Context, in *idIn) (*struct{ Body deliveryView }, error) {
	d, err := s.Ping(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body deliveryView }{viewDelivery(d)}, nil
}

type replayedView struct {
	Count int64 `json:"count"`
}

func (s *Service) postReplay(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		DeliveryID int64 `json:"delivery_id,omitempty" minimum:"0" doc:"All dead letters of the endpoint unless given."`
	}
},
) (*struct{ Body replayedView }, error) {
	n, err := s.Replay(ctx, in.ID, in.Body.DeliveryID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body replayedView }{replayedView{n}}, nil
}

func (s *Service) listDeliveries(ctx context.Context, in *struct {
	web.PageIn
	ID    int64  `path:"id" minimum:"1"`
	State string `query:"state" enum:"queued,delivered,dead"`
},
) (*struct{ Body web.Page[deliveryView] }, error) {
	before, err := in.Key()
	if err != nil {
		return nil, err
	}
	rows, err := s.Deliveries(ctx, in.ID, DeliveryState(in.State), before, in.Size()+1)
	if err != nil {
		return nil, err
	}
	page := web.PageOf(rows, in.Size(), func(d Delivery) int64 { return d.ID })
	return &struct{ Body web.Page[deliveryView] }{web.MapPage(page, viewDelivery)}, nil
}

package questions

import (
	"context"
	"net/http"
	"time"

	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds the questions' part of the API.
func (s *Service) Routes(api *web.API) {
	const root, one, tag = "/api/v1/sessions/{id}/questions", "/api/v1/sessions/{id}/questions/{question}", "room"
	get, post := http.MethodGet, http.MethodPost
	crew, signedIn := web.Only(web.Operator, web.Assistant, web.Anchor), web.SignedIn()
	web.Handle(api, web.Op{ID: "ask-question", Method: post, Path: root, Summary: "Ask the anchor", Tag: tag, Access: signedIn, Status: http.StatusCreated}, s.postQuestion)
	web.Handle(api, web.Op{ID: "list-questions", Method: get, Path: root, Summary: "Questions to the anchor; dismissed and withdrawn ones for the crew", Tag: tag, Access: web.Public()}, s.listQuestions)
	web.Handle(api, web.Op{ID: "my-questions", Method: get, Path: root + "/mine", Summary: "What I have asked here, and what became of it", Tag: tag, Access: signedIn}, s.listMine)
	web.Handle(api, web.Op{ID: "vote-question", Method: post, Path: one + "/votes", Summary: "I want to know that too; once an account", Tag: tag, Access: signedIn}, s.postVote)
	web.Handle(api, web.Op{ID: "withdraw-question", Method: post, Path: one + "/withdraw", Summary: "Take my question back", Tag: tag, Access: signedIn}, s.postWithdraw)
	web.Handle(api, web.Op{ID: "answer-question", Method: post, Path: one + "/answer", Summary: "Mark a question as answered", Tag: tag, Access: crew}, s.postAnswer)
	web.Handle(api, web.Op{ID: "dismiss-question", Method: post, Path: one + "/dismiss", Summary: "Take a question out of the queue, with a reason", Tag: tag, Access: crew}, s.postDismiss)
}

type userView struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// QuestionView is a question as everybody sees it, over HTTP and in the room.
type QuestionView struct {
	ID        int64     `json:"question_id"`
	State     State     `json:"state" enum:"open,answered,dismissed,withdrawn"`
	User      userView  `json:"user"`
	Text      string    `json:"text"`
	ProductID int64     `json:"product_id" doc:"0: about no product."`
	Votes     int64     `json:"votes"`
	AskedAt   time.Time `json:"asked_at"`
}

// fullView is a question for its asker and the crew.
type fullView struct {
	QuestionView
	DoneAt *time.Time `json:"done_at"`
	Reason string     `json:"reason,omitempty" doc:"Why it was dismissed."`
}

// markView is the kept event: what became of a question, without its text.
type markView struct {
	ID        int64  `json:"question_id"`
	State     State  `json:"state"`
	User      string `json:"user"` // public id of the asker
	ProductID int64  `json:"product_id"`
	Votes     int64  `json:"votes"`
}

type sheetView struct {
	Open int64          `json:"open"`
	Top  []QuestionView `json:"top"`
}

func view(q Question) QuestionView {
	return QuestionView{ID: q.ID, State: q.State, User: userView{q.User, q.Name}, Text: q.Text, ProductID: q.ProductID, Votes: q.Votes, AskedAt: q.AskedAt}
}

func full(q Question) fullView {
	v := fullView{QuestionView: view(q), Reason: q.Reason}
	if !q.DoneAt.IsZero() {
		v.DoneAt = &q.DoneAt
	}
	return v
}

// sheets gives what stands in the rooms: how many questions wait, and the most wanted.
func (s *Service) sheets(ctx context.Context, sessionIDs []int64) (map[int64]any, error) {
	open, top, err := s.store.standing(ctx, sessionIDs, shown)
	if err != nil {
		return nil, err
	}
	byRoom := map[int64][]QuestionView{}
	for _, q := range top {
		byRoom[q.SessionID] = append(byRoom[q.SessionID], view(q))
	}
	sheets := make(map[int64]any, len(open))
	for id, n := range open {
		sheets[id] = sheetView{n, append([]QuestionView{}, byRoom[id]...)}
	}
	return sheets, nil
}

type questionOut struct{ Body fullView }

func out(q Question, err error) (*questionOut, error) {
	if err != nil {
		return nil, err
	}
	return &questionOut{full(q)}, nil
}

func (s *Service) postQuestion(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		Text      string `json:"text" maxLength:"400" doc:"One line of 1 to 100 characters."`
		ProductID int64  `json:"product_id,omitempty" minimum:"0" doc:"A product of this session's shelf; 0 or absent: about none."`
	}
},
) (*questionOut, error) {
	return out(s.Ask(ctx, in.ID, in.Body.Text, in.Body.ProductID))
}

func (s *Service) listQuestions(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1"`
	web.PageIn
	State State  `query:"state" enum:"open,answered,dismissed,withdrawn" doc:"All that you may see unless given."`
	Sort  string `query:"sort" enum:"new,votes" default:"new" doc:"votes: the most wanted first, one page of up to 200."`
},
) (*struct{ Body web.Page[fullView] }, error) {
	before, err := in.Key()
	if err != nil {
		return nil, err
	}
	f := Filter{State: in.State, Votes: in.Sort == "votes", Before: before, Limit: in.Size() + 1}
	if f.Votes {
		f.Limit = in.Size()
	}
	rows, err := s.List(ctx, in.ID, f)
	if err != nil {
		return nil, err
	}
	page := web.PageOf(rows, in.Size(), func(q Question) int64 { return q.ID })
	return &struct{ Body web.Page[fullView] }{web.MapPage(page, full)}, nil
}

func (s *Service) listMine(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1"`
},
) (*struct{ Body web.Page[fullView] }, error) {
	rows, err := s.Mine(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	page := web.Page[Question]{Items: rows}
	return &struct{ Body web.Page[fullView] }{web.MapPage(page, full)}, nil
}

type oneIn struct {
	ID       int64 `path:"id" minimum:"1"`
	Question int64 `path:"question" minimum:"1"`
}

func (s *Service) postVote(ctx context.Context, in *oneIn) (*questionOut, error) {
	return out(s.Vote(ctx, in.ID, in.Question))
}

func (s *Service) postWithdraw(ctx context.Context, in *oneIn) (*questionOut, error) {
	return out(s.Withdraw(ctx, in.ID, in.Question))
}

func (s *Service) postAnswer(ctx context.Context, in *oneIn) (*questionOut, error) {
	return out(s.Answer(ctx, in.ID, in.Question))
}

func (s *Service) postDismiss(ctx context.Context, in *struct {
	ID       int64 `path:"id" minimum:"1"`
	Question int64 `path:"question" minimum:"1"`
	Body     struct {
		Reason string `json:"reason" minLength:"1" maxLength:"400" doc:"For the asker: 1 to 100 characters."`
	}
},
) (*questionOut, error) {
	return out(s.Dismiss(ctx, in.ID, in.Question, in.Body.Reason))
}

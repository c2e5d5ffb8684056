package moderation

import (
	"context"
	"net/http"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Routes adds what the moderators' console needs, and what a person concerned may ask and say.
func (s *Service) Routes(api *web.API) {
	const tag, room, all = "moderation", "/api/v1/sessions/{id}/moderation", "/api/v1/moderation"
	crew := web.Only(web.Operator, web.Assistant, web.Anchor) // of this session: the Gate says
	staff := web.Only(web.Operator, web.Assistant)
	op := func(id, method, path, summary string, access web.Access) web.Op {
		return web.Op{ID: id, Method: method, Path: path, Summary: summary, Tag: tag, Access: access}
	}
	web.Handle(api, op("get-controls", http.MethodGet, room+"/controls", "Who may say what how often in a room", crew), s.getControls)
	web.Handle(api, op("set-controls", http.MethodPut, room+"/controls", "Change who may say what how often", crew), s.putControls)
	web.Handle(api, op("silence-room", http.MethodPost, room+"/silence", "Nobody but the crew may speak, at once", crew), s.postSilence)
	web.Handle(api, op("unsilence-room", http.MethodDelete, room+"/silence", "Everybody may speak again", crew), s.deleteSilence)
	web.Handle(api, op("moderate-remove", http.MethodPost, room+"/messages/{seq}/remove", "Take a message down, with a reason", crew), s.postRemove)
	web.Handle(api, op("message-context", http.MethodGet, room+"/messages/{seq}/context", "The messages around one", crew), s.getContext)
	web.Handle(api, op("sweep-messages", http.MethodPost, room+"/messages/{seq}/sweep", "Take down what was said like one message lately", crew), s.postSweep)
	web.Handle(api, op("moderate-mute", http.MethodPost, room+"/mutes", "Keep somebody from speaking in this room, with a reason", crew), s.postMute)
	web.Handle(api, op("list-bans", http.MethodGet, room+"/bans", "Who may not come in", crew), s.getBans)
	web.Handle(api, op("ban-viewer", http.MethodPost, room+"/bans", "Keep somebody out of this room, or of all", crew), s.postBan)
	web.Handle(api, op("unban-viewer", http.MethodDelete, room+"/bans/{user}", "Let somebody in again", crew), s.deleteBan)
	web.Handle(api, op("list-acts", http.MethodGet, room+"/acts", "What was done in this room, newest first", crew), s.getActs)
	web.Handle(api, op("list-held", http.MethodGet, room+"/queue", "Messages that wait for a moderator, oldest first", crew), s.getQueue)
	web.Handle(api, op("get-person", http.MethodGet, room+"/people/{user}", "What somebody said and what was done to him", crew), s.getPerson)
	web.Handle(api, op("approve-held", http.MethodPost, all+"/held/{id}/approve", "Let a held message appear", crew), s.postApprove)
	web.Handle(api, op("reject-held", http.MethodPost, all+"/held/{id}/reject", "Keep a held message from appearing", crew), s.postReject)
	web.Handle(api, op("undo-act", http.MethodPost, all+"/acts/{id}/undo", "Take an act back, within ten minutes", crew), s.postUndo)
	web.Handle(api, op("search-messages", http.MethodGet, all+"/search", "Search what was said, newest first", crew), s.getSearch)
	web.Handle(api, op("reveal-message", http.MethodPost, all+"/reveal", "Read the text of a removed message; recorded in the audit", web.Only(web.Admin)), s.postReveal)
	web.Handle(api, op("list-appeals", http.MethodGet, all+"/appeals", "Appeals, oldest first", crew), s.getAppeals)
	web.Handle(api, op("get-appeal", http.MethodGet, all+"/appeals/{id}", "An appeal with the act and the text in question; recorded in the audit", crew), s.getAppeal)
	web.Handle(api, op("decide-appeal", http.MethodPost, all+"/appeals/{id}/decide", "Answer an appeal against a colleague's act", crew), s.postDecide)
	web.Handle(api, op("my-moderation", http.MethodGet, "/api/v1/me/moderation", "What was done to me", web.SignedIn()), s.getMine)
	web.Handle(api, op("appeal", http.MethodPost, "/api/v1/me/moderation/{id}/appeal", "Say something against an act that was done to me", web.SignedIn()), s.postAppeal)
	web.Handle(api, op("withdraw-appeal", http.MethodDelete, "/api/v1/me/moderation/{id}/appeal", "Take my appeal back", web.SignedIn()), s.deleteAppeal)
	s.listRoutes(api, crew, staff)
}

type controlsView struct {
	SlowSeconds       int        `json:"slow_seconds" doc:"Seconds between two messages of one person; 0: off."`
	Who               string     `json:"who" enum:"everyone,followers,buyers" doc:"everyone with an account; followers and buyers; buyers of this session."`
	MinAccountMinutes int        `json:"min_account_minutes" doc:"Age that an account must have; 0: none."`
	Links             string     `json:"links" enum:"allow,review,refuse"`
	ReviewAll         bool       `json:"review_all" doc:"Every message waits for a moderator."`
	OwnRepeats        int        `json:"own_repeats" doc:"How often one person may say the same in a minute; 0: no limit."`
	CrowdRepeats      int        `json:"crowd_repeats" doc:"How many people may say the same text of six and more letters within 30 s; 0: no limit."`
	Notice            string     `json:"notice" doc:"The rules of the room, shown on entry."`
	AIMade            bool       `json:"ai_made" doc:"Faces or voices are made by a machine: a standing notice."`
	AIText            string     `json:"ai_text" doc:"What that notice says."`
	Silent            bool       `json:"silent" readOnly:"true"`
	SilentReason      string     `json:"silent_reason" readOnly:"true"`
	ChangedAt         *time.Time `json:"changed_at" readOnly:"true"`
	ChangedBy         string     `json:"changed_by" readOnly:"true"`
}

type controlsOut struct{ Body controlsView }

func viewControls(c Controls, err error) (*controlsOut, error) {
	if err != nil {
		return nil, err
	}
	return &controlsOut{controlsView{
		SlowSeconds: c.SlowSeconds, Who: c.Who, MinAccountMinutes: c.MinAccountMinutes, Links: c.Links, ReviewAll: c.ReviewAll, OwnRepeats: c.OwnRepeats,
		CrowdRepeats: c.CrowdRepeats, Notice: c.Notice, AIMade: c.AIMade, AIText: c.AIText, Silent: c.Silent, SilentReason: c.SilentReason,
		ChangedAt: when(c.ChangedAt), ChangedBy: c.ChangedBy,
	}}, nil
}

type roomIn struct {
	ID int64 `path:"id" minimum:"1"`
}

func (s *Service) getControls(ctx context.Context, in *roomIn) (*controlsOut, error) {
	return viewControls(s.Controls(ctx, web.ActorFrom(ctx), in.ID))
}

func (s *Service) putControls(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		SlowSeconds       int    `json:"slow_seconds"`
		Who               string `json:"who"`
		MinAccountMinutes int    `json:"min_account_minutes"`
		Links             string `json:"links"`
		ReviewAll         bool   `json:"review_all"`
		OwnRepeats        int    `json:"own_repeats"`
		CrowdRepeats      int    `json:"crowd_repeats"`
		Notice            string `json:"notice,omitempty" maxLength:"500"`
		AIMade            bool   `json:"ai_made,omitempty"`
		AIText            string `json:"ai_text,omitempty" maxLength:"500"`
	}
},
) (*controlsOut, error) {
	b := in.Body
	return viewControls(s.SetControls(ctx, web.ActorFrom(ctx), Controls{
		SessionID: in.ID, SlowSeconds: b.SlowSeconds, Who: b.Who, MinAccountMinutes: b.MinAccountMinutes, Links: b.Links, ReviewAll: b.ReviewAll,
		OwnRepeats: b.OwnRepeats, CrowdRepeats: b.CrowdRepeats, Notice: b.Notice, AIMade: b.AIMade, AIText: b.AIText,
	}))
}

type reasonBody struct {
	Reason string `json:"reason" minLength:"1" maxLength:"200"`
}

func (s *Service) postSilence(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body reasonBody
},
) (*controlsOut, error) {
	return viewControls(s.Silence(ctx, web.ActorFrom(ctx), in.ID, in.Body.Reason))
}

func (s *Service) deleteSilence(ctx context.Context, in *roomIn) (*controlsOut, error) {
	return viewControls(s.Unsilence(ctx, web.ActorFrom(ctx), in.ID))
}

type messageIn struct {
	ID   int64  `path:"id" minimum:"1"`
	Seq  uint64 `path:"seq" minimum:"1"`
	Body reasonBody
}

func (s *Service) postRemove(ctx context.Context, in *messageIn) (*struct{}, error) {
	return nil, s.Remove(ctx, web.ActorFrom(ctx), in.ID, in.Seq, in.Body.Reason)
}

type lineView struct {
	SessionID int64     `json:"session_id"`
	Epoch     string    `json:"epoch"`
	Seq       uint64    `json:"seq"`
	At        time.Time `json:"at"`
	User      userView  `json:"user"`
	Text      string    `json:"text" doc:"Empty when the message was removed."`
	Removed   bool      `json:"removed"`
}

type userView struct {
	ID   string `json:"id" doc:"The public id."`
	Name string `json:"name"`
	Role string `json:"role"`
}

func viewLines(lines []Line) []lineView {
	out := make([]lineView, len(lines))
	for i, l := range lines {
		out[i] = lineView{SessionID: l.SessionID, Epoch: l.Epoch, Seq: l.Seq, At: l.At, User: userView{l.User, l.Name, l.Role}, Text: l.Text, Removed: l.Removed}
	}
	return out
}

type linesOut struct {
	Body struct {
		Items []lineView `json:"items" nullable:"false"`
	}
}

func (s *Service) getContext(ctx context.Context, in *struct {
	ID  int64  `path:"id" minimum:"1"`
	Seq uint64 `path:"seq" minimum:"1"`
	N   int    `query:"n" minimum:"1" maximum:"50" default:"10" doc:"Messages on each side."`
},
) (*linesOut, error) {
	lines, err := s.Context(ctx, web.ActorFrom(ctx), in.ID, in.Seq, in.N)
	if err != nil {
		return nil, err
	}
	out := &linesOut{}
	out.Body.Items = viewLines(lines)
	return out, nil
}

type sweepOut struct {
	Body struct {
		Removed []uint64 `json:"removed" nullable:"false" doc:"The seqs that were taken down, newest first; at most 200 at a time."`
	}
}

func (s *Service) postSweep(ctx context.Context, in *struct {
	ID   int64  `path:"id" minimum:"1"`
	Seq  uint64 `path:"seq" minimum:"1"`
	Body struct {
		Reason  string `json:"reason" minLength:"1" maxLength:"200"`
		Minutes int    `json:"minutes,omitempty" minimum:"1" maximum:"60" default:"10" doc:"How far back."`
	}
},
) (*sweepOut, error) {
	seqs, err := s.Sweep(ctx, web.ActorFrom(ctx), in.ID, in.Seq, in.Body.Minutes, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	out := &sweepOut{}
	out.Body.Removed = append([]uint64{}, seqs...)
	return out, nil
}

type muteOut struct {
	Body struct {
		User  string    `json:"user"`
		Until time.Time `json:"until"`
	}
}

func (s *Service) postMute(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		User    string `json:"user" pattern:"^[0-9a-f]{12}$" doc:"The public id, as in a chat event's user."`
		Minutes int64  `json:"minutes" minimum:"1" maximum:"43200"`
		Reason  string `json:"reason" minLength:"1" maxLength:"200"`
	}
},
) (*muteOut, error) {
	until, err := s.Mute(ctx, web.ActorFrom(ctx), in.ID, in.Body.User, in.Body.Minutes, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	out := &muteOut{}
	out.Body.User, out.Body.Until = in.Body.User, until
	return out, nil
}

type banView struct {
	User       string     `json:"user"`
	Name       string     `json:"name"`
	Everywhere bool       `json:"everywhere"`
	Until      *time.Time `json:"until" doc:"null: no end."`
	Reason     string     `json:"reason"`
	By         string     `json:"by"`
	At         time.Time  `json:"at"`
}

func viewBan(b Ban) banView {
	return banView{User: b.User, Name: b.Name, Everywhere: b.SessionID == 0, Until: when(b.Until), Reason: b.Reason, By: b.By, At: b.At}
}

type bansOut struct {
	Body struct {
		Items []banView `json:"items" nullable:"false"`
	}
}

func (s *Service) getBans(ctx context.Context, in *roomIn) (*bansOut, error) {
	bans, err := s.Bans(ctx, web.ActorFrom(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	out := &bansOut{}
	out.Body.Items = make([]banView, len(bans))
	for i, b := range bans {
		out.Body.Items[i] = viewBan(b)
	}
	return out, nil
}

type banOut struct{ Body banView }

func (s *Service) postBan(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		User       string `json:"user" pattern:"^[0-9a-f]{12}$"`
		Minutes    int64  `json:"minutes" minimum:"0" maximum:"525600" doc:"0: without an end."`
		Everywhere bool   `json:"everywhere,omitempty" doc:"From all rooms: operators and assistants only."`
		Reason     string `json:"reason" minLength:"1" maxLength:"200"`
	}
},
) (*banOut, error) {
	b, err := s.Ban(ctx, web.ActorFrom(ctx), in.ID, in.Body.User, in.Body.Everywhere, in.Body.Minutes, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return &banOut{viewBan(b)}, nil
}

func (s *Service) deleteBan(ctx context.Context, in *struct {
	ID         int64  `path:"id" minimum:"1"`
	User       string `path:"user" pattern:"^[0-9a-f]{12}$"`
	Everywhere bool   `query:"everywhere"`
	Reason     string `query:"reason" maxLength:"200"`
},
) (*struct{}, error) {
	return nil, s.Unban(ctx, web.ActorFrom(ctx), in.ID, in.User, in.Everywhere, in.Reason)
}

type actView struct {
	ID        int64      `json:"id"`
	At        time.Time  `json:"at"`
	SessionID int64      `json:"session_id" doc:"0: everywhere."`
	Kind      string     `json:"kind"`
	User      string     `json:"user,omitempty" doc:"Public id of whom it was done to."`
	Name      string     `json:"name,omitempty"`
	Seq       uint64     `json:"seq,omitempty"`
	HeldID    int64      `json:"held_id,omitempty"`
	Text      string     `json:"text,omitempty" doc:"Of a notice."`
	Reason    string     `json:"reason,omitempty"`
	Until     *time.Time `json:"until,omitempty"`
	By        string     `json:"by,omitempty"`
	Undoes    int64      `json:"undoes,omitempty"`
	UndoneBy  int64      `json:"undone_by,omitempty"`
}

func viewAct(a Act) actView {
	return actView{
		ID: a.ID, At: a.At, SessionID: a.SessionID, Kind: a.Kind, User: a.User, Name: a.Name, Seq: a.Seq, HeldID: a.HeldID, Text: a.Text, Reason: a.Reason,
		Until: when(a.Until), By: a.By, Undoes: a.Undoes, UndoneBy: a.UndoneBy,
	}
}

type actsOut struct{ Body web.Page[actView] }

func (s *Service) getActs(ctx context.Context, in *struct {
	ID   int64  `path:"id" minimum:"1"`
	User string `query:"user" pattern:"^([0-9a-f]{12})?$"`
	web.PageIn
},
) (*actsOut, error) {
	before, err := in.Key()
	if err != nil {
		return nil, err
	}
	acts, err := s.Acts(ctx, web.ActorFrom(ctx), in.ID, in.User, before, in.Size()+1)
	if err != nil {
		return nil, err
	}
	return &actsOut{web.MapPage(web.PageOf(acts, in.Size(), func(a Act) int64 { return a.ID }), viewAct)}, nil
}

type heldView struct {
	ID        int64      `json:"id"`
	At        time.Time  `json:"at"`
	SessionID int64      `json:"session_id"`
	User      userView   `json:"user"`
	Text      string     `json:"text" doc:"As it would appear."`
	Original  string     `json:"original,omitempty" doc:"As it was written, when some of it is masked."`
	Reason    string     `json:"reason"`
	Words     []string   `json:"words" nullable:"false"`
	State     string     `json:"state" enum:"waiting,approved,rejected,expired"`
	DecidedBy string     `json:"decided_by,omitempty"`
	DecidedAt *time.Time `json:"decided_at,omitempty"`
	Note      string     `json:"note,omitempty"`
	Seq       uint64     `json:"seq,omitempty"`
}

func viewHeld(h Held) heldView {
	return heldView{
		ID: h.ID, At: h.At, SessionID: h.Speech.SessionID, User: userView{h.Speech.User, h.Speech.Name, h.Speech.Role}, Text: h.Speech.Text, Original: h.Original,
		Reason: h.Reason, Words: append([]string{}, h.Words...), State: h.State, DecidedBy: h.DecidedBy, DecidedAt: when(h.DecidedAt), Note: h.Note, Seq: h.Seq,
	}
}

type queueOut struct{ Body web.Page[heldView] }

func (s *Service) getQueue(ctx context.Context, in *struct {
	ID    int64  `path:"id" minimum:"1"`
	State string `query:"state" enum:"waiting,approved,rejected,expired" default:"waiting"`
	web.PageIn
},
) (*queueOut, error) {
	after, err := in.Key()
	if err != nil {
		return nil, err
	}
	held, err := s.Queue(ctx, web.ActorFrom(ctx), in.ID, in.State, after, in.Size()+1)
	if err != nil {
		return nil, err
	}
	return &queueOut{web.MapPage(web.PageOf(held, in.Size(), func(h Held) int64 { return h.ID }), viewHeld)}, nil
}

type heldOut struct{ Body heldView }

func oneHeld(h Held, err error) (*heldOut, error) {
	if err != nil {
		return nil, err
	}
	return &heldOut{viewHeld(h)}, nil
}

func (s *Service) postApprove(ctx context.Context, in *roomIn) (*heldOut, error) {
	return oneHeld(s.Approve(ctx, web.ActorFrom(ctx), in.ID))
}

type reasonIn struct {
	ID   int64 `path:"id" minimum:"1"`
	Body reasonBody
}

func (s *Service) postReject(ctx context.Context, in *reasonIn) (*heldOut, error) {
	return oneHeld(s.Reject(ctx, web.ActorFrom(ctx), in.ID, in.Body.Reason))
}

func (s *Service) postUndo(ctx context.Context, in *reasonIn) (*struct{}, error) {
	return nil, s.Undo(ctx, web.ActorFrom(ctx), in.ID, in.Body.Reason)
}

type answerView struct {
	Items []lineView `json:"items" nullable:"false"`
	Next  string     `json:"next" doc:"Cursor; empty: the record has no more. A page may be short and have one."`
	Until *time.Time `json:"until" doc:"Back to when was looked; null: to the end."`
}

func viewAnswer(a Answer) answerView { return answerView{viewLines(a.Lines), a.Next, when(a.Until)} }

type searchOut struct{ Body answerView }

func (s *Service) getSearch(ctx context.Context, in *struct {
	Text       string `query:"q" maxLength:"100" doc:"Found whatever its width, case, script or what stands between."`
	SessionID  int64  `query:"session_id" minimum:"0" doc:"Needed by anchors, and with user."`
	User       string `query:"user" pattern:"^([0-9a-f]{12})?$" doc:"Public id of somebody who spoke in the session."`
	Everywhere bool   `query:"everywhere" doc:"With user: in all sessions, not only in this one. Staff only."`
	From       string `query:"from" format:"date-time"`
	To         string `query:"to" format:"date-time"`
	After      string `query:"after" maxLength:"300"`
	Limit      int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
},
) (*searchOut, error) {
	q := Question{Text: in.Text, SessionID: in.SessionID, User: in.User, Everywhere: in.Everywhere, After: in.After, Limit: in.Limit}
	var err error
	if q.From, err = timeIn("from", in.From); err != nil {
		return nil, err
	}
	if q.To, err = timeIn("to", in.To); err != nil {
		return nil, err
	}
	a, err := s.Search(ctx, web.ActorFrom(ctx), q)
	if err != nil {
		return nil, err
	}
	return &searchOut{viewAnswer(a)}, nil
}

func timeIn(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fault.Bad(field, "must be a time such as 2022-07-08T11:00:00Z")
	}
	return t, nil
}

type personOut struct{ Body personView }

type personView struct {
	User string     `json:"user"`
	Name string     `json:"name"`
	Acts []actView  `json:"acts" nullable:"false"`
	Held []heldView `json:"held" nullable:"false"`
	Said answerView `json:"said" doc:"The newest 50; go on with search and its cursor."`
}

func (s *Service) getPerson(ctx context.Context, in *struct {
	ID         int64  `path:"id" minimum:"1"`
	User       string `path:"user" pattern:"^[0-9a-f]{12}$"`
	Everywhere bool   `query:"everywhere" doc:"In all sessions. Staff only."`
},
) (*personOut, error) {
	p, err := s.Person(ctx, web.ActorFrom(ctx), in.ID, in.User, in.Everywhere)
	if err != nil {
		return nil, err
	}
	v := personView{User: p.User, Name: p.Name, Acts: make([]actView, len(p.Acts)), Held: make([]heldView, len(p.Held)), Said: viewAnswer(p.Said)}
	for i, a := range p.Acts {
		v.Acts[i] = viewAct(a)
	}
	for i, h := range p.Held {
		v.Held[i] = viewHeld(h)
	}
	return &personOut{v}, nil
}

type revealOut struct{ Body lineView }

func (s *Service) postReveal(ctx context.Context, in *struct {
	Body struct {
		SessionID int64  `json:"session_id" minimum:"1"`
		Seq       uint64 `json:"seq" minimum:"1"`
		Reason    string `json:"reason" minLength:"1" maxLength:"200"`
	}
},
) (*revealOut, error) {
	m, err := s.Reveal(ctx, in.Body.SessionID, in.Body.Seq, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return &revealOut{viewLines([]Line{{Said: m}})[0]}, nil
}

type appealView struct {
	ID        int64      `json:"id"`
	ActID     int64      `json:"act_id"`
	SessionID int64      `json:"session_id"`
	User      string     `json:"user"`
	Name      string     `json:"name"`
	Text      string     `json:"text"`
	At        time.Time  `json:"at"`
	State     string     `json:"state" enum:"open,upheld,overturned,withdrawn"`
	DecidedBy string     `json:"decided_by,omitempty"`
	DecidedAt *time.Time `json:"decided_at,omitempty"`
	Answer    string     `json:"answer,omitempty"`
}

func viewAppeal(p Appeal) appealView {
	return appealView{
		ID: p.ID, ActID: p.ActID, SessionID: p.SessionID, User: p.User, Name: p.Name, Text: p.Text, At: p.At, State: p.State, DecidedBy: p.DecidedBy,
		DecidedAt: when(p.DecidedAt), Answer: p.Answer,
	}
}

type appealsOut struct{ Body web.Page[appealView] }

func (s *Service) getAppeals(ctx context.Context, in *struct {
	SessionID int64  `query:"session_id" minimum:"0" doc:"Needed by anchors."`
	State     string `query:"state" enum:"open,upheld,overturned,withdrawn," default:"open"`
	web.PageIn
},
) (*appealsOut, error) {
	after, err := in.Key()
	if err != nil {
		return nil, err
	}
	list, err := s.Appeals(ctx, web.ActorFrom(ctx), in.SessionID, in.State, after, in.Size()+1)
	if err != nil {
		return nil, err
	}
	return &appealsOut{web.MapPage(web.PageOf(list, in.Size(), func(p Appeal) int64 { return p.ID }), viewAppeal)}, nil
}

type caseOut struct {
	Body struct {
		Appeal appealView `json:"appeal"`
		Act    actView    `json:"act"`
		Text   string     `json:"text" doc:"Of the message that was removed or rejected."`
	}
}

func (s *Service) getAppeal(ctx context.Context, in *roomIn) (*caseOut, error) {
	c, err := s.AppealCase(ctx, web.ActorFrom(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	out := &caseOut{}
	out.Body.Appeal, out.Body.Act, out.Body.Text = viewAppeal(c.Appeal), viewAct(c.Act), c.Text
	return out, nil
}

type appealOut struct{ Body appealView }

func (s *Service) postDecide(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		Uphold bool   `json:"uphold" doc:"true: the act stands. false: it is undone."`
		Answer string `json:"answer" minLength:"1" maxLength:"500" doc:"Told to the person."`
	}
},
) (*appealOut, error) {
	p, err := s.Decide(ctx, web.ActorFrom(ctx), in.ID, in.Body.Uphold, in.Body.Answer)
	if err != nil {
		return nil, err
	}
	return &appealOut{viewAppeal(p)}, nil
}

// mineView is what a person sees of an act: not who did it.
type mineView struct {
	ActID     int64      `json:"act_id"`
	At        time.Time  `json:"at"`
	SessionID int64      `json:"session_id" doc:"0: everywhere."`
	Kind      string     `json:"kind" enum:"remove,restore,mute,unmute,ban,unban,approve,reject"`
	Seq       uint64     `json:"seq,omitempty"`
	HeldID    int64      `json:"held_id,omitempty"`
	Reason    string     `json:"reason"`
	Until     *time.Time `json:"until"`
	Undone    bool       `json:"undone"`
	Appeal    *myAppeal  `json:"appeal"`
}

type myAppeal struct {
	Text   string    `json:"text"`
	At     time.Time `json:"at"`
	State  string    `json:"state" enum:"open,upheld,overturned,withdrawn"`
	Answer string    `json:"answer"`
}

type mineOut struct{ Body web.Page[mineView] }

func (s *Service) getMine(ctx context.Context, in *struct{ web.PageIn }) (*mineOut, error) {
	before, err := in.Key()
	if err != nil {
		return nil, err
	}
	acts, appeals, err := s.Mine(ctx, web.ActorFrom(ctx), before, in.Size()+1)
	if err != nil {
		return nil, err
	}
	page := web.PageOf(acts, in.Size(), func(a Act) int64 { return a.ID })
	return &mineOut{web.MapPage(page, func(a Act) mineView {
		v := mineView{ActID: a.ID, At: a.At, SessionID: a.SessionID, Kind: a.Kind, Seq: a.Seq, HeldID: a.HeldID, Reason: a.Reason, Until: when(a.Until), Undone: a.UndoneBy != 0}
		if p, ok := appeals[a.ID]; ok {
			v.Appeal = viewMine(p)
		}
		return v
	})}, nil
}

func viewMine(p Appeal) *myAppeal {
	return &myAppeal{Text: p.Text, At: p.At, State: p.State, Answer: p.Answer}
}

type myAppealOut struct{ Body *myAppeal }

func (s *Service) postAppeal(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		Text string `json:"text" minLength:"1" maxLength:"500"`
	}
},
) (*myAppealOut, error) {
	p, err := s.Appeal(ctx, web.ActorFrom(ctx), in.ID, in.Body.Text)
	if err != nil {
		return nil, err
	}
	return &myAppealOut{viewMine(p)}, nil
}

func (s *Service) deleteAppeal(ctx context.Context, in *roomIn) (*struct{}, error) {
	return nil, s.Withdraw(ctx, web.ActorFrom(ctx), in.ID)
}

package moderation

import (
	"context"
	"net/http"

	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/moderation/words"
)

// listRoutes adds the word lists.
func (s *Service) listRoutes(api *web.API, crew, staff web.Access) {
	const tag, base = "moderation", "/api/v1/moderation/lists"
	web.Handle(api, web.Op{ID: "list-word-lists", Method: http.MethodGet, Path: base, Summary: "Word lists of the installation, or of a session", Tag: tag, Access: crew}, s.getLists)
	web.Handle(api, web.Op{ID: "add-word-list", Method: http.MethodPost, Path: base, Summary: "Make an empty word list", Tag: tag, Access: crew, Status: http.StatusCreated}, s.postList)
	web.Handle(api, web.Op{ID: "change-word-list", Method: http.MethodPatch, Path: base + "/{id}", Summary: "Rename a list, change what it does, switch it on or off", Tag: tag, Access: crew}, s.patchList)
	web.Handle(api, web.Op{ID: "remove-word-list", Method: http.MethodDelete, Path: base + "/{id}", Summary: "Remove a list with its words", Tag: tag, Access: crew}, s.deleteList)
	web.Handle(api, web.Op{ID: "import-words", Method: http.MethodPost, Path: base + "/{id}/import", Summary: "Bring words, with a preview", Tag: tag, Access: crew, Max: 4 * words.ImportMost}, s.postImport)
	web.Handle(api, web.Op{ID: "list-words", Method: http.MethodGet, Path: base + "/{id}/words", Summary: "A list's words", Tag: tag, Access: crew}, s.getWords)
	web.Handle(api, web.Op{ID: "drop-word", Method: http.MethodPost, Path: base + "/{id}/drop", Summary: "Remove one word", Tag: tag, Access: crew}, s.postDrop)
	web.Handle(api, web.Op{ID: "try-words", Method: http.MethodPost, Path: "/api/v1/moderation/try", Summary: "What the lists say of a text", Tag: tag, Access: staff}, s.postTry)
}

type listView struct {
	ID        int64  `json:"id"`
	SessionID int64  `json:"session_id" doc:"0: of the installation."`
	Name      string `json:"name"`
	Action    Action `json:"action" enum:"refuse,hold,mask"`
	Enabled   bool   `json:"enabled"`
	Words     int64  `json:"words"`
}

func viewList(l List) listView {
	return listView{ID: l.ID, SessionID: l.SessionID, Name: l.Name, Action: l.Action, Enabled: l.Enabled, Words: l.Words}
}

type listOut struct{ Body listView }

func oneList(l List, err error) (*listOut, error) {
	if err != nil {
		return nil, err
	}
	return &listOut{viewList(l)}, nil
}

type listsOut struct {
	Body struct {
		Items []listView `json:"items" nullable:"false"`
	}
}

func (s *Service) getLists(ctx context.Context, in *struct {
	SessionID int64 `query:"session_id" minimum:"0" doc:"0: the installation's, for staff."`
},
) (*listsOut, error) {
	lists, err := s.Lists(ctx, web.ActorFrom(ctx), in.SessionID)
	if err != nil {
		return nil, err
	}
	out := &listsOut{}
	out.Body.Items = make([]listView, len(lists))
	for i, l := range lists {
		out.Body.Items[i] = viewList(l)
	}
	return out, nil
}

func (s *Service) postList(ctx context.Context, in *struct {
	Body struct {
		SessionID int64  `json:"session_id,omitempty" minimum:"0"`
		Name      string `json:"name" minLength:"1" maxLength:"60"`
		Action    Action `json:"action" enum:"refuse,hold,mask"`
	}
},
) (*listOut, error) {
	return oneList(s.AddList(ctx, web.ActorFrom(ctx), List{SessionID: in.Body.SessionID, Name: in.Body.Name, Action: in.Body.Action, Enabled: true}))
}

func (s *Service) patchList(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		Name    *string `json:"name,omitempty"`
		Action  *Action `json:"action,omitempty"`
		Enabled *bool   `json:"enabled,omitempty"`
	}
},
) (*listOut, error) {
	return oneList(s.ChangeList(ctx, web.ActorFrom(ctx), in.ID, ListChange{in.Body.Name, in.Body.Action, in.Body.Enabled}))
}

func (s *Service) deleteList(ctx context.Context, in *roomIn) (*struct{}, error) {
	return nil, s.RemoveList(ctx, web.ActorFrom(ctx), in.ID)
}

type badLine struct {
	Line    int    `json:"line" doc:"From 1."`
	Text    string `json:"text"`
	Problem string `json:"problem"`
}

func viewBad(lines []words.Line) []badLine {
	out := make([]badLine, 0, min(len(lines), linesShown))
	for _, l := range lines[:min(len(lines), linesShown)] {
		out = append(out, badLine{l.Number, l.Text, l.Problem})
	}
	return out
}

// linesShown bounds the answer; the counts are of all.
const linesShown = 200

type importOut struct {
	Body struct {
		Applied bool      `json:"applied" doc:"The words are in the list now."`
		Words   int       `json:"words" doc:"Lines that can be used."`
		Bad     int       `json:"bad" doc:"Lines that can't."`
		BadHere []badLine `json:"bad_lines" nullable:"false" doc:"The first 200 of them."`
		OddHere []badLine `json:"odd_lines" nullable:"false" doc:"Taken, but worth a look."`
		Sample  []string  `json:"sample" nullable:"false" doc:"The first 20 words."`
	}
}

func (s *Service) postImport(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		Format  string `json:"format" enum:"text,csv" doc:"text: one word a line, # begins a remark. csv: word, note."`
		Content string `json:"content"`
		Preview bool   `json:"preview,omitempty" doc:"Change nothing, only show what would come of it."`
		Replace bool   `json:"replace,omitempty" doc:"Take the place of the words that are there."`
		SkipBad bool   `json:"skip_bad,omitempty" doc:"Take the good lines although there are bad ones."`
	}
},
) (*importOut, error) {
	b := in.Body
	read, applied, err := s.Import(ctx, web.ActorFrom(ctx), ImportList{ListID: in.ID, Format: b.Format, Content: b.Content, Preview: b.Preview, Replace: b.Replace, SkipBad: b.SkipBad})
	if err != nil {
		return nil, err
	}
	out := &importOut{}
	out.Body.Applied, out.Body.Words, out.Body.Bad = applied, len(read.Words), len(read.Bad)
	out.Body.BadHere, out.Body.OddHere, out.Body.Sample = viewBad(read.Bad), viewBad(read.Odd), []string{}
	for _, w := range read.Words[:min(len(read.Words), 20)] {
		out.Body.Sample = append(out.Body.Sample, w.Text)
	}
	return out, nil
}

type wordView struct {
	ID   int64  `json:"id"`
	Word string `json:"word"`
	Note string `json:"note"`
}

type wordsOut struct{ Body web.Page[wordView] }

func (s *Service) getWords(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1"`
	web.PageIn
},
) (*wordsOut, error) {
	after, err := in.Key()
	if err != nil {
		return nil, err
	}
	list, err := s.Words(ctx, web.ActorFrom(ctx), in.ID, after, in.Size()+1)
	if err != nil {
		return nil, err
	}
	page := web.PageOf(list, in.Size(), func(w ListWord) int64 { return w.ID })
	return &wordsOut{web.MapPage(page, func(w ListWord) wordView { return wordView(w) })}, nil
}

func (s *Service) postDrop(ctx context.Context, in *struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		WordID int64 `json:"word_id" minimum:"1"`
	}
},
) (*struct{}, error) {
	return nil, s.DropWord(ctx, web.ActorFrom(ctx), in.ID, in.Body.WordID)
}

type tryOut struct {
	Body struct {
		Folded string   `json:"folded" doc:"The text as it is compared."`
		Action Action   `json:"action" doc:"Of the strongest list that finds something; empty: none."`
		Words  []string `json:"words" nullable:"false"`
		Said   string   `json:"said" doc:"With what is masked."`
		Link   bool     `json:"link"`
	}
}

func (s *Service) postTry(ctx context.Context, in *struct {
	Body struct {
		SessionID int64  `json:"session_id,omitempty" minimum:"0"`
		Text      string `json:"text" minLength:"1" maxLength:"200"`
	}
},
) (*tryOut, error) {
	t, err := s.Try(ctx, web.ActorFrom(ctx), in.Body.SessionID, in.Body.Text)
	if err != nil {
		return nil, err
	}
	out := &tryOut{}
	out.Body.Folded, out.Body.Action, out.Body.Words, out.Body.Said, out.Body.Link = t.Folded, t.Action, append([]string{}, t.Words...), t.Said, t.Link
	return out, nil
}

package record

import (
	"context"
	"log/slog"
	"path/filepath"
)

// upload gives every finished recording in the folder to the store and then removes it here. What fails is tried again at
// the next turn, by this process or the next: the folder is the list of what is left to do.
func (s *Service) upload(ctx context.Context) {
	sessions, err := s.local.sessions()
	if err != nil {
		s.complain("recordings can't be listed", 0, err)
		return
	}
	for _, id := range sessions {
		if err := s.uploadSession(ctx, id); err != nil {
			if ctx.Err() == nil {
				s.meter.errors.Inc()
				s.complain("recording not stored yet; tried again later", id, err)
			}
			return // the store is away
		}
	}
	s.trouble.Store(s.unmended.Load())
}

func (s *Service) uploadSession(ctx context.Context, id int64) error {
	abouts, err := s.local.List(id)
	if err != nil {
		return err
	}
	for _, a := range abouts {
		if a.EndedAt == nil {
			continue
		}
		if err := s.uploadOne(ctx, id, a); err != nil {
			return err
		}
	}
	return nil
}

// complain logs trouble that comes back every few seconds once, until all goes well again.
func (s *Service) complain(what string, session int64, err error) {
	if !s.trouble.Swap(true) {
		slog.Error("recordings need attention", "what", what, "session", session, "error", err)
	}
}

// uploadOne stores a recording's three files, the description last: it is what makes the recording be listed.
func (s *Service) uploadOne(ctx context.Context, session int64, a About) error {
	path := filepath.Join(s.local.folder(session), a.Name)
	for _, p := range []string{path, indexPath(path), aboutPath(path)} {
		if err := s.cfg.Store.Put(ctx, session, filepath.Base(p), p); err != nil {
			return err
		}
	}
	removeFiles(path)
	return nil
}

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
		slog.Warn("recordings can't be listed", "error", err)
		return
	}
	for _, id := range sessions {
		abouts, err := s.local.List(id)
		if err != nil {
			slog.Warn("recordings can't be listed", "session", id, "error", err)
			continue
		}
		for _, a := range abouts {
			if a.EndedAt == nil || ctx.Err() != nil {
				continue
			}
			if err := s.uploadOne(ctx, id, a); err != nil && ctx.Err() == nil {
				s.meter.errors.Inc()
				slog.Warn("recording not stored yet; tried again later", "session", id, "error", err)
				return // the store is away
			}
		}
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

package catalog

import (
	"context"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// maxPictures is how many pictures a product may have.
const maxPictures = 10

// ErrPictures refuses one more.
var ErrPictures = fault.New(fault.Conflict, "too-many-pictures", "a product has at most 10 pictures; delete one first")

// AddPicture checks, scales and re-encodes a picture and hangs it on its product.
func (s *Service) AddPicture(ctx context.Context, productID int64, raw []byte) (Picture, error) {
	if _, err := s.store.get(ctx, productID); err != nil {
		return Picture{}, err
	}
	kept, err := s.press.Keep(ctx, s.files, raw)
	if err != nil {
		return Picture{}, err
	}
	p := Picture{ProductID: productID, Name: kept.Name, Width: kept.Width, Height: kept.Height}
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		if _, err := s.store.lockProduct(ctx, productID); err != nil {
			return err
		}
		if err := s.store.addPicture(ctx, &p); err != nil {
			return err
		}
		s.changedAfterCommit(ctx, productID)
		return s.audit.Record(ctx, "picture.add", ref(productID), map[string]any{"picture": p.Name})
	})
	return p, err
}

// DropPicture takes a picture off its product.
func (s *Service) DropPicture(ctx context.Context, productID, id int64) error {
	return s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.dropPicture(ctx, productID, id); err != nil {
			return err
		}
		s.changedAfterCommit(ctx, productID)
		return s.audit.Record(ctx, "picture.drop", ref(productID), map[string]any{"picture": id})
	})
}

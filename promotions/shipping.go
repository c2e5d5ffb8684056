package promotions

import (
	"context"
	"fmt"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/pricing"
)

// Template is what shipping costs: see pricing.Template. Without any, shipping is free.
type Template struct {
	Name string
	pricing.Template
}

const (
	maxTemplates = 50
	maxZones     = 40
	maxWeights   = 500 // SKUs at once
)

// SaveTemplate adds a template, or replaces the one with its id. Operators only, as the route says. It counts from the next
// order on; those that stand keep what they were told.
func (s *Service) SaveTemplate(ctx context.Context, t Template) (Template, error) {
	var err error
	if t.Name, err = plain("name", t.Name, 60); err != nil {
		return Template{}, err
	}
	if err := checkZones(t); err != nil {
		return Template{}, err
	}
	err = s.enact(ctx, "shipping.save", func(ctx context.Context) (string, any, error) {
		n, err := s.store.templateCount(ctx)
		if err != nil {
			return "", nil, err
		}
		if t.ID == 0 && n >= maxTemplates {
			return "", nil, fault.Bad("name", fmt.Sprintf("there are %d templates; delete one first", n))
		}
		err = s.store.saveTemplate(ctx, &t)
		return fmt.Sprintf("shipping/%d", t.ID), map[string]any{"name": t.Name, "zones": t.Zones}, err
	})
	return t, err
}

func checkZones(t Template) error {
	if err := checkScope("products", t.Products); err != nil {
		return err
	}
	if len(t.Zones) < 1 || len(t.Zones) > maxZones {
		return fault.Bad("zones", fmt.Sprintf("1 to %d", maxZones))
	}
	seen := map[string]bool{}
	for i, z := range t.Zones {
		at := fmt.Sprintf("zones[%d].", i)
		switch {
		case len(z.Provinces) > 40:
			return fault.Bad(at+"provinces", "at most 40")
		case z.NotDelivered:
		case z.FirstG < 1 || z.FirstG > pricing.MaxWeight:
			return fault.Bad(at+"first_g", "must be 1 to 1,000,000 grams")
		case z.NextG < 1 || z.NextG > pricing.MaxWeight:
			return fault.Bad(at+"next_g", "must be 1 to 1,000,000 grams")
		case z.FirstFen < 0 || z.FirstFen > pricing.MaxPostage:
			return fault.Bad(at+"first_fen", "must be 0 to 1,000,000 fen")
		case z.NextFen < 0 || z.NextFen > pricing.MaxPostage:
			return fault.Bad(at+"next_fen", "must be 0 to 1,000,000 fen")
		}
		if err := checkFen(at+"free_from_fen", z.FreeFromFen, 0); err != nil {
			return err
		}
		names := z.Provinces
		if len(names) == 0 {
			names = []string{""} // all others
		}
		for _, p := range names {
			if p = pricing.Province(p); seen[p] || len(p) > 60 {
				return fault.Bad(at+"provinces", p+" is named twice, or too long")
			}
			seen[p] = true
		}
	}
	return nil
}

// DropTemplate deletes a template. Orders that stand keep what they were told.
func (s *Service) DropTemplate(ctx context.Context, id int64) error {
	return s.enact(ctx, "shipping.drop", func(ctx context.Context) (string, any, error) {
		return fmt.Sprintf("shipping/%d", id), nil, s.store.dropTemplate(ctx, id)
	})
}

// Templates gives all templates, oldest first: the order in which they are asked for a product.
func (s *Service) Templates(ctx context.Context) ([]Template, error) { return s.store.templates(ctx) }

// SetWeights says what one unit of each SKU weighs, in grams; those not named stay as they are.
func (s *Service) SetWeights(ctx context.Context, grams map[int64]int64) error {
	if len(grams) < 1 || len(grams) > maxWeights {
		return fault.Bad("items", fmt.Sprintf("1 to %d", maxWeights))
	}
	for id, g := range grams {
		if id < 1 || g < 0 || g > pricing.MaxWeight {
			return fault.Bad("items", fmt.Sprintf("SKU %d: grams must be 0 to 1,000,000", id))
		}
	}
	return s.enact(ctx, "shipping.weights", func(ctx context.Context) (string, any, error) {
		return "shipping", map[string]any{"skus": len(grams)}, s.store.setWeights(ctx, grams)
	})
}

// Weights gives what is known of SKUs' weights.
func (s *Service) Weights(ctx context.Context) (map[int64]int64, error) { return s.store.weights(ctx) }

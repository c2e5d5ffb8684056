package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/gif" // a decoder: the first frame
	"image/jpeg"
	_ "image/png" // a decoder
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp" // a decoder

	"github.com/duoduopin/duoduopin/internal/fault"
)

// Files keeps pictures: a folder here, an object store later.
type Files interface {
	Put(ctx context.Context, name string, data []byte) error
	// Get gives a file; fault.Missing("picture") if there is none.
	Get(ctx context.Context, name string) ([]byte, error)
}

// Bounds of pictures.
const (
	MaxPicture  = 5 << 20 // bytes as sent
	maxPixels   = 40_000_000
	maxPictures = 10
	largeWidth  = 1280
	thumbWidth  = 320
)

// Faults of pictures.
var (
	ErrPictureKind = fault.New(fault.Unsupported, "picture-type", "send a JPEG, PNG, WebP or GIF picture")
	ErrPictureSize = fault.New(fault.TooLarge, "picture-too-large", "a picture has at most 5 MiB and 40 million pixels; send a smaller one")
	ErrPictures    = fault.New(fault.Conflict, "too-many-pictures", "a product has at most 10 pictures; delete one first")
)

// AddPicture checks, scales and re-encodes a picture, so that nothing of the file that came is kept: no metadata, no
// place where it was taken, no code. The name is made of its content.
func (s *Service) AddPicture(ctx context.Context, productID int64, raw []byte) (Picture, error) {
	if len(raw) > MaxPicture {
		return Picture{}, ErrPictureSize
	}
	if _, err := s.store.get(ctx, productID); err != nil {
		return Picture{}, err
	}
	large, thumb, size, err := s.render(ctx, raw)
	if err != nil {
		return Picture{}, err
	}
	sum := sha256.Sum256(large)
	p := Picture{ProductID: productID, Name: hex.EncodeToString(sum[:16]), Width: size.X, Height: size.Y}
	if err := errors.Join(s.files.Put(ctx, p.Name+"-1280.jpg", large), s.files.Put(ctx, p.Name+"-320.jpg", thumb)); err != nil {
		return Picture{}, fmt.Errorf("keep picture: %w", err)
	}
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

func (s *Service) render(ctx context.Context, raw []byte) (large, thumb []byte, size image.Point, err error) {
	config, _, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		return nil, nil, size, ErrPictureKind.Because(err)
	}
	if config.Width < 1 || config.Height < 1 || config.Width > maxPixels/config.Height {
		return nil, nil, size, ErrPictureSize
	}
	select {
	case s.decoding <- struct{}{}:
		defer func() { <-s.decoding }()
	case <-ctx.Done():
		return nil, nil, size, ctx.Err()
	}
	img, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, nil, size, ErrPictureKind.Because(err)
	}
	img = upright(img, orientation(raw))
	big := scale(img, largeWidth)
	small := scale(big, thumbWidth)
	large, err = encode(big)
	if err != nil {
		return nil, nil, size, err
	}
	thumb, err = encode(small)
	return large, thumb, big.Bounds().Size(), err
}

// scale fits img into width on white; smaller ones keep their size.
func scale(img image.Image, width int) *image.RGBA {
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	if w > width {
		w, h = width, max(1, h*width/w)
	}
	if h > 2*width { // a very tall one
		w, h = max(1, w*2*width/h), 2*width
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(out, out.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.CatmullRom.Scale(out, out.Bounds(), img, b, draw.Over, nil)
	return out
}

func encode(img image.Image) ([]byte, error) {
	var b bytes.Buffer
	err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 85})
	return b.Bytes(), err
}

// Disk keeps files in a folder.
type Disk struct{ Dir string }

var fileName = regexp.MustCompile(`^[0-9a-f]{32}-(1280|320)\.jpg$`) //nolint:gochecknoglobals // a constant pattern

// Put writes a file whole or not at all.
func (d Disk) Put(_ context.Context, name string, data []byte) error {
	if !fileName.MatchString(name) {
		return fmt.Errorf("bad file name %q", name)
	}
	if err := os.MkdirAll(d.Dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(d.Dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(d.Dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Get reads a file.
func (d Disk) Get(_ context.Context, name string) ([]byte, error) {
	if !fileName.MatchString(name) {
		return nil, fault.Missing("picture")
	}
	data, err := os.ReadFile(filepath.Join(d.Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Missing("picture")
	}
	return data, err
}

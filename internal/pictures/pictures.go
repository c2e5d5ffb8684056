// Package pictures takes pictures that people upload: it checks them before decoding, scales and re-encodes them, so that
// nothing of the file that came is kept (no metadata, no place where it was taken, no code), and keeps the result under a
// name made of its content.
package pictures

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
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"

	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp" // a decoder

	"github.com/duoduopin/duoduopin/internal/fault"
)

// Bounds of pictures.
const (
	MaxBytes   = 5 << 20 // as sent
	maxPixels  = 40_000_000
	largeWidth = 1280
	thumbWidth = 320
)

// Faults of pictures.
var (
	ErrKind   = fault.New(fault.Unsupported, "picture-type", "send a JPEG, PNG, WebP or GIF picture")
	ErrSize   = fault.New(fault.TooLarge, "picture-too-large", "a picture has at most 5 MiB and 40 million pixels; send a smaller one")
	errUnread = fault.New(fault.BadRequest, "unreadable-body", "the picture did not arrive whole; send it again")
)

// Files keeps pictures: a folder here, an object store later.
type Files interface {
	Put(ctx context.Context, name string, data []byte) error
	// Get gives a file; fault.Missing("picture") if there is none.
	Get(ctx context.Context, name string) ([]byte, error)
}

// Picture is one re-encoded picture.
type Picture struct {
	Name          string // without size and ending: see Large and Thumb
	Width, Height int    // of the large one, pixels
}

// Large is the file name of the large size.
func (p Picture) Large() string { return p.Name + "-1280.jpg" }

// Thumb is the file name of the small size.
func (p Picture) Thumb() string { return p.Name + "-320.jpg" }

// Press checks and re-encodes pictures, one at a time: decoding takes memory.
type Press struct{ decoding chan struct{} }

// NewPress returns a press.
func NewPress() *Press { return &Press{make(chan struct{}, 1)} }

// Keep checks, scales and re-encodes a picture and puts both sizes into files. The same picture twice is one.
func (p *Press) Keep(ctx context.Context, files Files, raw []byte) (Picture, error) {
	large, thumb, size, err := p.render(ctx, raw)
	if err != nil {
		return Picture{}, err
	}
	sum := sha256.Sum256(large)
	pic := Picture{Name: hex.EncodeToString(sum[:16]), Width: size.X, Height: size.Y}
	if err := errors.Join(files.Put(ctx, pic.Large(), large), files.Put(ctx, pic.Thumb(), thumb)); err != nil {
		return Picture{}, fmt.Errorf("keep picture: %w", err)
	}
	return pic, nil
}

// Body reads an upload, which is the picture itself.
func Body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBytes))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, ErrSize
	case err != nil:
		return nil, errUnread.Because(err)
	}
	return raw, nil
}

func (p *Press) render(ctx context.Context, raw []byte) (large, thumb []byte, size image.Point, err error) {
	if len(raw) > MaxBytes {
		return nil, nil, size, ErrSize
	}
	config, _, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		return nil, nil, size, ErrKind.Because(err)
	}
	if config.Width < 1 || config.Height < 1 || config.Width > maxPixels/config.Height {
		return nil, nil, size, ErrSize
	}
	select {
	case p.decoding <- struct{}{}:
		defer func() { <-p.decoding }()
	case <-ctx.Done():
		return nil, nil, size, ctx.Err()
	}
	img, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, nil, size, ErrKind.Because(err)
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

package pictures_test

import (
	"testing"

	"github.com/duoduopin/duoduopin/internal/pictures"
)

func FuzzOrientation(f *testing.F) {
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x22Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if v := pictures.Orientation(raw); v < 1 || v > 8 {
			t.Fatal(v)
		}
	})
}

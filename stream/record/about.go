package record

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4"

	"github.com/duoduopin/duoduopin/stream/fragment"
)

// noteCodec: the picture is in a codec for which MP4 has no place (VP8), so only the sound was recorded.
const noteCodec = "video-codec-not-recordable"

// About is what is known of a recording; it lies beside it as NAME.json.
type About struct {
	Name      string     `json:"name"`
	Anchor    string     `json:"anchor"`
	StartedAt time.Time  `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at,omitempty"` // nil while it is being written
	Seconds   float64    `json:"seconds"`
	Bytes     int64      `json:"bytes"`
	Video     string     `json:"video,omitempty"` // "h264", "vp9", "av1"
	Audio     string     `json:"audio,omitempty"` // "opus"
	Note      string     `json:"note,omitempty"`
}

// Names that are safe as file names and object keys. Only these are ever looked for.
var (
	nameOK  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}-[0-9]{8}T[0-9]{9}Z-[a-z0-9]{4}\.mp4$`) //nolint:gochecknoglobals // a constant pattern
	notSafe = regexp.MustCompile(`[^A-Za-z0-9_-]`)                                            //nolint:gochecknoglobals // a constant pattern
)

func newAbout(anchor string, at time.Time, note string, f fragment.Format) About {
	at = at.UTC().Truncate(time.Millisecond)
	word := notSafe.ReplaceAllString(anchor, "_")
	word = cmp.Or(word[:min(len(word), 40)], "anchor")
	stamp := strings.ReplaceAll(at.Format("20060102T150405.000Z"), ".", "")
	a := About{Name: fmt.Sprintf("%s-%s-%s.mp4", word, stamp, strings.ToLower(rand.Text()[:4])), Anchor: anchor, StartedAt: at, Note: note}
	switch f.Video.(type) {
	case *mp4.CodecH264:
		a.Video = "h264"
	case *mp4.CodecVP9:
		a.Video = "vp9"
	case *mp4.CodecAV1:
		a.Video = "av1"
	}
	if f.Audio != nil {
		a.Audio = "opus"
	}
	return a
}

func indexPath(path string) string { return strings.TrimSuffix(path, ".mp4") + ".jsonl" }
func aboutPath(path string) string { return strings.TrimSuffix(path, ".mp4") + ".json" }

// writeAbout replaces the file beside the recording at path, at once or not at all.
func writeAbout(path string, a About) error {
	b, err := json.Marshal(a)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".about-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already when all went well
	if _, err := f.Write(b); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), aboutPath(path)); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// readAbout reads a description; one that is not ours is an error.
func readAbout(b []byte) (About, error) {
	var a About
	if err := json.Unmarshal(b, &a); err != nil {
		return About{}, err
	}
	if !nameOK.MatchString(a.Name) {
		return About{}, fmt.Errorf("%q is no recording's name", a.Name)
	}
	return a, nil
}

package stream

import (
	"bytes"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// ErrFragment refuses a PATCH body that is not a usable trickle-ice-sdpfrag.
var ErrFragment = fault.New(fault.Invalid, "sdpfrag", "this ICE fragment can't be read")

// fragment is the body of a PATCH: ICE credentials and candidates (RFC 8840, section 9).
type fragment struct {
	ufrag, pwd string
	candidates []string // without "candidate:"
}

// parseFragment reads a trickle-ice-sdpfrag. Lines that it does not know are skipped, as SDP asks; with max-bundle only
// the first m-line's candidates count. It never panics: FuzzParseFragment.
func parseFragment(body []byte) (*fragment, error) {
	f := &fragment{}
	lines, useful := 0, false
	for raw := range bytes.Lines(body) {
		lines++
		if len(raw) > maxSDPLineSize || lines > maxSDPLines {
			return nil, ErrFragment.Saying("the fragment is too long")
		}
		line := strings.TrimRight(string(raw), "\r\n")
		if line == "" {
			continue
		}
		if len(line) < 2 || line[1] != '=' {
			return nil, ErrFragment.Saying("a line is not of the form x=value")
		}
		key, value, _ := strings.Cut(line[2:], ":")
		if line[0] != 'a' {
			continue
		}
		switch key {
		case "ice-ufrag":
			f.ufrag, useful = value, true
		case "ice-pwd":
			f.pwd, useful = value, true
		case "candidate":
			f.candidates, useful = append(f.candidates, value), true
		case "end-of-candidates", "mid", "group":
			useful = true
		}
		if len(f.candidates) > maxCandidates {
			return nil, ErrFragment.Saying("too many ICE candidates")
		}
	}
	if !useful || (f.ufrag == "") != (f.pwd == "") || !iceText(f.ufrag, 4) || !iceText(f.pwd, 22) {
		return nil, ErrFragment
	}
	return f, nil
}

// iceText checks a user fragment or password: ice-chars only, at least least and at most 256 (RFC 8839, section 5.4).
func iceText(s string, least int) bool {
	if s == "" {
		return true
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '+' && r != '/' {
			return false
		}
	}
	return len(s) >= least && len(s) <= 256
}

// fragmentOf takes our side's new credentials and candidates out of an answer, for the reply to an ICE restart.
func fragmentOf(answer string) (string, error) {
	desc := &sdp.SessionDescription{}
	if err := desc.UnmarshalString(answer); err != nil {
		return "", err
	}
	var b strings.Builder
	line := func(parts ...string) { b.WriteString(strings.Join(parts, "") + "\r\n") }
	line("a=ice-options:trickle ice2")
	if group, ok := desc.Attribute("group"); ok {
		line("a=group:", group)
	}
	m := desc.MediaDescriptions[0]
	line("m=", m.MediaName.String())
	for _, key := range []string{"mid", "ice-ufrag", "ice-pwd"} {
		if v, ok := attribute(desc, m, key); ok {
			line("a=", key, ":", v)
		}
	}
	for _, a := range m.Attributes {
		if a.Key == "candidate" {
			line("a=candidate:", a.Value)
		}
	}
	line("a=end-of-candidates")
	return b.String(), nil
}

package fragment

import (
	"fmt"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4"

	"github.com/duoduopin/duoduopin/stream/units"
)

// Fragment is one moof and its mdat.
type Fragment struct {
	Data     []byte
	At       time.Time     // capture time of its first sample
	PTS      time.Duration // since its format began
	Duration time.Duration // of the leading track: the picture, without one the sound
	Key      bool          // begins with a key frame, or is sound alone
	Segment  bool          // begins a segment
}

// Sink takes what a Packager makes. Begin comes before the first fragment of each format.
type Sink interface {
	Begin(f Format, init []byte, at time.Time)
	Fragment(f Fragment)
}

// Policy says when to cut.
type Policy struct {
	Part    time.Duration // a fragment's longest time
	Segment time.Duration // a segment's shortest time: after it the next key frame begins a new one
	Max     time.Duration // a segment's longest time, with or without a key frame
}

// Times of choosing a format.
const (
	gather  = time.Second     // for the second track to appear
	aside   = 3 * time.Second // sound without picture, after which the picture counts as gone
	maxHeld = 2000            // units that wait for a format
)

// Packager makes fragments of one anchor's units. A new format begins when the publisher's picture begins a new run or
// changes its parameters, and when a track appears or disappears for long. It is not safe for concurrent use.
type Packager struct {
	policy Policy
	sink   Sink

	held                   []*units.Unit // until the format is known
	firstVideo, firstSound *units.Unit   // of them, what a format can begin with
	codec                  mp4.Codec     // of firstVideo

	on       bool
	format   Format
	origin   time.Time
	run      int // of the leading track
	video    *lane
	sound    *lane
	sequence uint32
	segStart int64 // of the leading track
	fresh    bool  // the next fragment begins a segment
	keyNext  bool  // ... and begins with a key frame

	err error // the first failure to write a fragment; none is known with what the checks let through
}

// NewPackager returns a Packager without a format.
func NewPackager(p Policy, s Sink) *Packager { return &Packager{policy: p, sink: s} }

// Err gives the first failure to put units into fragments.
func (p *Packager) Err() error { return p.err }

// Add takes the next unit. Pictures that do not fit are left out (see Fits).
func (p *Packager) Add(u *units.Unit) {
	if u.Video && !Fits(u.Codec) || !u.Video && u.Codec != "opus" {
		return
	}
	if p.on && p.outlived(u) {
		p.Flush()
	}
	if p.on {
		p.put(u)
		return
	}
	p.hold(u)
	p.choose()
}

// Flush cuts what is there and forgets the format: the publisher is gone, or the recording stops.
func (p *Packager) Flush() {
	if !p.on {
		p.forget()
		return
	}
	lead := p.lead()
	if lead.pending != nil {
		lead.close(lead.at + max(lead.last, lead.scale/50))
	}
	p.cut()
	p.on = false
	p.forget()
}

// outlived reports whether u can't go on in the present format.
func (p *Packager) outlived(u *units.Unit) bool {
	switch {
	case u.Video && p.video == nil:
		return u.Key && videoCodec(u) != nil
	case u.Video:
		if u.Run != p.run {
			return true
		}
		if !u.Key {
			return false
		}
		c := videoCodec(u)
		return c != nil && !sameVideo(p.format.Video, c)
	case p.sound == nil:
		return p.video.time(p.video.at) > 2*gather // its chance to be in the format is over; the next has it
	case p.video == nil:
		return u.Run != p.run
	}
	return p.sound.time(p.sound.at)-p.video.time(p.video.at) > aside
}

// hold keeps u until a format is chosen, and notes what it says of one.
func (p *Packager) hold(u *units.Unit) {
	if len(p.held) >= maxHeld {
		p.forget() // nothing playable among so many
	}
	p.held = append(p.held, u)
	switch {
	case !u.Video && p.firstSound == nil:
		p.firstSound = u
	case u.Video && u.Key && p.firstVideo == nil:
		if p.codec = videoCodec(u); p.codec != nil {
			p.firstVideo = u
		}
	}
}

func (p *Packager) forget() { p.held, p.firstVideo, p.firstSound, p.codec = nil, nil, nil, nil }

// choose fixes the format as soon as both tracks are there, or one alone for long enough.
func (p *Packager) choose() {
	waited := p.held[len(p.held)-1].At.Sub(p.held[0].At)
	switch {
	case p.firstVideo != nil && (p.firstSound != nil || waited >= gather):
	case p.firstVideo == nil && p.firstSound != nil && waited >= aside:
	default:
		return
	}
	held, video, sound, codec := p.held, p.firstVideo, p.firstSound, p.codec
	p.forget()
	lead := p.begin(video, sound, codec)
	if lead == nil {
		return
	}
	started := false
	for _, u := range held {
		if started = started || u == lead; started || !u.Video {
			p.put(u)
		}
	}
}

// begin starts a format and gives the unit that it begins with; nil if there is no way to write it.
func (p *Packager) begin(video, sound *units.Unit, codec mp4.Codec) *units.Unit {
	f := Format{Video: codec}
	if sound != nil {
		f.Audio = &mp4.CodecOpus{ChannelCount: 2}
	}
	head, err := f.Init()
	if err != nil {
		p.fail(err)
		return nil
	}
	p.on, p.format, p.video, p.sound = true, f, nil, nil
	lead := video
	if video != nil {
		p.video = &lane{id: videoID, scale: videoScale}
	} else {
		lead = sound
	}
	if sound != nil {
		p.sound = &lane{id: audioID, scale: audioScale}
	}
	p.origin, p.run = lead.At, lead.Run
	p.sequence, p.segStart, p.fresh, p.keyNext = 0, 0, true, true
	p.sink.Begin(f, head, p.origin)
	return lead
}

func (p *Packager) lead() *lane {
	if p.video != nil {
		return p.video
	}
	return p.sound
}

// put adds u to its lane and cuts what has become long enough.
func (p *Packager) put(u *units.Unit) {
	if !u.Video {
		p.putSound(u)
		return
	}
	if p.video == nil {
		return // no key frame yet
	}
	payload, err := sample(u)
	if err != nil {
		p.fail(err)
		return
	}
	l := p.video
	l.add(l.ticks(p.origin, l.line.Place(u)), &fmp4.Sample{Payload: payload, IsNonSyncSample: !u.Key})
	p.after(l, u.Key)
}

func (p *Packager) putSound(u *units.Unit) {
	l := p.sound
	if l == nil {
		return
	}
	at := l.ticks(p.origin, l.line.Place(u))
	if at < 0 {
		return // before the first picture
	}
	l.addSound(at, u.Parts[0])
	if p.video == nil {
		p.after(l, true)
	}
}

// after cuts before the pending sample of the leading lane where the policy asks for it.
func (p *Packager) after(l *lane, key bool) {
	if len(l.samples) == 0 {
		return
	}
	segment := l.time(l.at - p.segStart)
	part := l.time(l.at + l.last - l.base)
	switch {
	case (key && segment >= p.policy.Segment) || segment >= p.policy.Max:
		p.cut()
		p.fresh, p.segStart = true, l.at
	case part > p.policy.Part+time.Millisecond:
		p.cut()
	default:
		return
	}
	p.keyNext = key
}

// cut writes a fragment of all that is whole.
func (p *Packager) cut() {
	lead := p.lead()
	begin := lead.base
	if p.video != nil && p.sound != nil {
		p.sound.catchUp(p.video.at * audioScale / videoScale)
	}
	p.sequence++
	part := fmp4.Part{SequenceNumber: p.sequence}
	t := lead.cut()
	if t == nil {
		return
	}
	part.Tracks = append(part.Tracks, t)
	if p.video != nil && p.sound != nil {
		if s := p.sound.cut(); s != nil {
			part.Tracks = append(part.Tracks, s)
		}
	}
	var b seekablebuffer.Buffer
	if err := part.Marshal(&b); err != nil {
		p.fail(fmt.Errorf("fragment: %w", err))
		return
	}
	p.sink.Fragment(Fragment{
		Data: b.Bytes(), At: p.origin.Add(lead.time(begin)), PTS: lead.time(begin), Duration: lead.time(lead.base - begin),
		Key: p.keyNext, Segment: p.fresh,
	})
	p.fresh = false
}

func (p *Packager) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

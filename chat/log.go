package chat

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/duoduopin/duoduopin/internal/bus"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
)

// The log of a room is a JetStream stream of its own, ROOM_<id>, with the one subject room.<id>. Nothing else is put into
// it and nothing is taken out but the oldest that the record has, so that its sequence is dense: it is seq. Its metadata
// carries a random epoch: a log that was lost and made anew is another one. One that was put away on purpose, because the
// record has it all, goes on where it ended. A message may be erased (somebody was forgotten): then the record, which is
// blank there, stands in for it, and seq stays dense.
const (
	logLimit   = 2000        // newest events of a room's log that rooms read, and that are left when the record has them
	logMost    = 100_000     // events a log keeps while the record can't take them: about an hour at 30 a second
	logMessage = 32 << 10    // bytes of the largest event
	logTry     = time.Second // for one attempt to reach the log
	logBeat    = time.Second // a log that says nothing for two of them is asked anew
	logAgain   = 100 * time.Millisecond
	endAsked   = 3 // times that a log must say that its end is missing
	epochKey   = "epoch"
	sinceKey   = "since" // seq before the epoch's first, unless that is 0

	repeatedWithin = 5 * time.Minute // a message sent again is known as such by the log
	headViewer     = "Viewer"        // who said it: for the record, never for the room
	headPerson     = "Account"
)

// speaker is who said something, as the record keeps it; zero for the server itself.
type speaker struct {
	viewer  string
	account int64
	once    string // of a message: repeated within repeatedWithin, on whatever node, it is the same one
}

// record is one event of a log.
type record struct {
	seq  uint64
	body []byte // JSON object without seq
	by   speaker
}

// head is what the server itself reads of an event.
type head struct {
	Type       string    `json:"type"`
	At         time.Time `json:"at"`
	State      string    `json:"state"`       // of session
	RemovedSeq uint64    `json:"removed_seq"` // of removed

	RestoredSeq uint64   `json:"restored_seq"` // of restored
	User        chatUser `json:"user"`         // of chat
}

func (r record) head() head {
	var h head
	_ = json.Unmarshal(r.body, &h) // a field of another form stays zero
	return h
}

// journal is all rooms' logs. Safe for use by several goroutines.
type journal struct {
	bus   *bus.Bus
	js    jetstream.JetStream
	store store
	log   *slog.Logger
	seen  func(sessionID int64, epoch string) // a log was opened and has this epoch

	mu    sync.Mutex // guards epoch
	epoch map[int64]string
}

func newJournal(b *bus.Bus, st store, log *slog.Logger, seen func(int64, string)) *journal {
	return &journal{bus: b, js: b.JetStream(), store: st, log: log, seen: seen, epoch: map[int64]string{}}
}

func streamName(id int64) string { return fmt.Sprintf("ROOM_%d", id) }
func subjectOf(id int64) string  { return fmt.Sprintf("room.%d", id) }

// sessionOf is the inverse of streamName; 0 for another's stream.
func sessionOf(stream string) int64 {
	id, _ := strconv.ParseInt(strings.TrimPrefix(stream, "ROOM_"), 10, 64)
	return id
}

// open gives a room's stream with its present state, made if there is none.
func (j *journal) open(ctx context.Context, id int64) (jetstream.Stream, string, error) {
	stream, err := j.js.Stream(ctx, streamName(id))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = j.create(ctx, id)
	}
	if err == nil && !j.known(id) {
		stream, err = j.whole(ctx, id, stream)
	}
	if err != nil {
		return nil, "", err
	}
	epoch := epochOf(stream.CachedInfo())
	j.mu.Lock()
	j.epoch[id] = epoch
	j.mu.Unlock()
	j.seen(id, epoch)
	return stream, epoch, nil
}

func epochOf(info *jetstream.StreamInfo) string { return info.Config.Metadata[epochKey] }

// sinceOf gives the seq before the first of the log's epoch.
func sinceOf(info *jetstream.StreamInfo) uint64 {
	n, _ := strconv.ParseUint(info.Config.Metadata[sinceKey], 10, 64)
	return n
}

func (j *journal) known(id int64) bool { j.mu.Lock(); defer j.mu.Unlock(); return j.epoch[id] != "" }

// forget makes the next append look the log up.
func (j *journal) forget(id int64) { j.mu.Lock(); delete(j.epoch, id); j.mu.Unlock() }

// create makes a stream. Another node may do so at the same moment. It goes on where a log that was put away ended.
func (j *journal) create(ctx context.Context, id int64) (jetstream.Stream, error) {
	cfg := jetstream.StreamConfig{
		Name: streamName(id), Subjects: []string{subjectOf(id)}, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
		MaxMsgs: logMost, MaxMsgSize: logMessage, AllowDirect: true, Duplicates: repeatedWithin, Metadata: map[string]string{epochKey: rand.Text()[:12]},
	}
	at, ok, err := j.store.lastCursor(db.Outside(ctx), id) // who tells the room may have just committed
	switch {
	case err != nil:
		return nil, err
	case ok && at.AwayMs > 0:
		cfg.Metadata[epochKey], cfg.FirstSeq = at.Epoch, uint64(at.Seq)+1
	case ok:
		j.log.Warn("a room's log is lost and starts anew", "session_id", id, "copied", at.Seq)
	}
	stream, err := j.place(ctx, cfg)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return j.js.Stream(ctx, streamName(id))
	}
	return stream, err
}

// place makes a stream on as many servers as are wanted, on one when there are not as many now: mend adds them later.
func (j *journal) place(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	cfg.Replicas = j.bus.Replicas()
	stream, err := j.js.CreateStream(ctx, cfg)
	var refused *jetstream.APIError
	if cfg.Replicas == 1 || !errors.As(err, &refused) || errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return stream, err
	}
	cfg.Replicas = 1
	return j.js.CreateStream(ctx, cfg)
}

// mend gives a stream the bounds and the number of copies that it should have.
func (j *journal) mend(ctx context.Context, info *jetstream.StreamInfo) error {
	cfg := info.Config
	if cfg.Sealed || cfg.Replicas >= j.bus.Replicas() && cfg.MaxMsgs == logMost && cfg.Duplicates == repeatedWithin {
		return nil
	}
	cfg.Replicas, cfg.MaxMsgs, cfg.Duplicates = max(cfg.Replicas, j.bus.Replicas()), logMost, repeatedWithin
	_, err := j.js.UpdateStream(ctx, cfg)
	return err
}

// whole looks whether a log still has its end: the bus syncs lazily, and a power cut may take the newest events of a log of
// one copy. Positions would then mean other events than before, so the log gets a new epoch, of which all nodes think alike.
func (j *journal) whole(ctx context.Context, id int64, stream jetstream.Stream) (jetstream.Stream, error) {
	at, ok, err := j.store.lastCursor(db.Outside(ctx), id)
	if err != nil || !ok || at.Epoch != epochOf(stream.CachedInfo()) {
		return stream, err
	}
	return j.reaches(ctx, stream, uint64(at.Seq))
}

// reaches gives the stream as it is if it has seq, else with a new epoch. A server that was frozen may for a moment believe
// that it still leads, and answer what was true before: so it is asked for some seconds.
func (j *journal) reaches(ctx context.Context, stream jetstream.Stream, seq uint64) (jetstream.Stream, error) {
	info := stream.CachedInfo()
	for range endAsked {
		if info.State.LastSeq >= seq {
			return stream, nil
		}
		if !pause(ctx, logTry) {
			return nil, ctx.Err()
		}
		var err error
		if info, err = stream.Info(ctx); err != nil {
			return nil, err
		}
	}
	j.log.Warn("a room's log has lost its end and gets a new epoch", "stream", info.Config.Name, "events", seq-info.State.LastSeq)
	return j.renew(ctx, info)
}

// renew gives a log that goes on after its present end a new epoch.
func (j *journal) renew(ctx context.Context, info *jetstream.StreamInfo) (jetstream.Stream, error) {
	cfg := info.Config
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", epochOf(info), info.State.LastSeq))
	cfg.Metadata = maps.Clone(cfg.Metadata)
	cfg.Metadata[epochKey], cfg.Metadata[sinceKey] = hex.EncodeToString(sum[:6]), strconv.FormatUint(info.State.LastSeq, 10)
	return j.js.UpdateStream(ctx, cfg)
}

// append adds an event and gives its seq once the log has it; of a message that it has already, the seq of the first. While the
// log has no leader (a server of the cluster has just gone) it waits, as long as ctx does.
func (j *journal) append(ctx context.Context, id int64, body []byte, by speaker) (uint64, error) {
	if by.once == "" {
		by.once = rand.Text() // what is tried again is the same one
	}
	for {
		seq, err := j.try(ctx, id, body, by)
		if err == nil || ctx.Err() != nil || errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrConnectionClosed) {
			return seq, err
		}
		if !pause(ctx, logAgain) {
			return 0, err
		}
	}
}

// try is one attempt of append.
func (j *journal) try(ctx context.Context, id int64, body []byte, by speaker) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*logTry)
	defer cancel()
	if j.known(id) {
		seq, err := j.publish(ctx, id, body, by)
		if err == nil || !gone(err) {
			return seq, err
		}
	}
	if _, _, err := j.open(ctx, id); err != nil {
		return 0, err
	}
	return j.publish(ctx, id, body, by)
}

func (j *journal) publish(ctx context.Context, id int64, body []byte, by speaker) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, logTry)
	defer cancel()
	msg := &nats.Msg{Subject: subjectOf(id), Data: body, Header: nats.Header{}}
	if by.viewer != "" {
		msg.Header.Set(headViewer, by.viewer)
		msg.Header.Set(headPerson, strconv.FormatInt(by.account, 10))
	}
	ack, err := j.js.PublishMsg(ctx, msg, jetstream.WithExpectStream(streamName(id)), jetstream.WithRetryAttempts(0), jetstream.WithMsgID(by.once))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// gone reports whether err may mean that there is no such stream: that is how it looks, too, while it has no leader.
func gone(err error) bool {
	return errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, nats.ErrNoResponders)
}

// pause waits; false when ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func spokenBy(h nats.Header) speaker {
	account, _ := strconv.ParseInt(h.Get(headPerson), 10, 64) // 0: the server
	return speaker{viewer: h.Get(headViewer), account: account}
}

// get reads one event; fault.Missing("message") when the log hasn't got it.
func (j *journal) get(ctx context.Context, id int64, seq uint64) (record, error) {
	ctx, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	stream, err := j.js.Stream(ctx, streamName(id))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return record{}, fault.Missing("message")
	}
	if err != nil {
		return record{}, ErrUnavailable.Because(err)
	}
	m, err := stream.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return record{}, fault.Missing("message")
	}
	if err != nil {
		return record{}, ErrUnavailable.Because(err)
	}
	return record{seq: m.Sequence, body: m.Data, by: spokenBy(m.Header)}, nil
}

// erase takes one event's content out of the log for good. Its place stays counted.
func (j *journal) erase(ctx context.Context, stream jetstream.Stream, seq uint64) error {
	if _, err := stream.GetMsg(ctx, seq); errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil // by another node, or by age
	}
	return stream.SecureDeleteMsg(ctx, seq)
}

// request is a direct get of several messages, answered by any server that has the stream (NATS ADR-31).
type request struct {
	Seq      uint64 `json:"seq"`
	Batch    int    `json:"batch"`
	MaxBytes int    `json:"max_bytes"`
}

var errLog = errors.New("the log answered")

// read gives up to n events from seq `from` on, in order: without those that were erased, and fewer when the server that
// answers is behind.
func (j *journal) read(ctx context.Context, id int64, from uint64, n int) ([]record, error) {
	inbox := j.bus.Conn().NewInbox()
	sub, err := j.bus.Conn().SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	ask := encode(request{Seq: from, Batch: n, MaxBytes: 8 << 20})
	if err := j.bus.Conn().PublishRequest("$JS.API.DIRECT.GET."+streamName(id), inbox, ask); err != nil {
		return nil, err
	}
	out := make([]record, 0, n)
	for {
		ctx, cancel := context.WithTimeout(ctx, 2*logTry)
		m, err := sub.NextMsgWithContext(ctx)
		cancel()
		if err != nil {
			return nil, err
		}
		switch status := m.Header.Get("Status"); status {
		case "":
			out = append(out, direct(m))
		case "204", "404": // that was all; nothing from here on
			return out, nil
		default:
			return nil, fmt.Errorf("%w %s %s", errLog, status, m.Header.Get("Description"))
		}
	}
}

func direct(m *nats.Msg) record {
	seq, _ := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	return record{seq: seq, body: m.Data, by: spokenBy(m.Header)}
}

// all gives every room's log.
func (j *journal) all(ctx context.Context) ([]*jetstream.StreamInfo, error) {
	list := j.js.ListStreams(ctx, jetstream.WithStreamListSubject("room.*"))
	var out []*jetstream.StreamInfo
	for info := range list.Info() {
		if sessionOf(info.Config.Name) != 0 {
			out = append(out, info)
		}
	}
	return out, list.Err()
}

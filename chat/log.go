package chat

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/duoduopin/duoduopin/internal/bus"
	"github.com/duoduopin/duoduopin/internal/fault"
)

// The log of a room is a JetStream stream of its own, ROOM_<id>, with the one subject room.<id>. Nothing else is put into
// it and nothing is taken out but the oldest, so that its sequence is dense: it is seq. Its metadata carries a random
// epoch: a log that was lost and made anew is another one.
const (
	logLimit   = 2000     // events a room's log keeps
	logMessage = 32 << 10 // bytes of the largest event
	epochKey   = "epoch"

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
	bus  *bus.Bus
	js   jetstream.JetStream
	seen func(sessionID int64, epoch string) // a log was opened and has this epoch

	mu    sync.Mutex // guards epoch
	epoch map[int64]string
}

func newJournal(b *bus.Bus, seen func(int64, string)) *journal {
	return &journal{bus: b, js: b.JetStream(), seen: seen, epoch: map[int64]string{}}
}

func streamName(id int64) string { return fmt.Sprintf("ROOM_%d", id) }
func subjectOf(id int64) string  { return fmt.Sprintf("room.%d", id) }

// open gives a room's stream with its present state, made if there is none.
func (j *journal) open(ctx context.Context, id int64) (jetstream.Stream, string, error) {
	stream, err := j.js.Stream(ctx, streamName(id))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = j.create(ctx, id)
	}
	if err != nil {
		return nil, "", err
	}
	epoch := stream.CachedInfo().Config.Metadata[epochKey]
	j.mu.Lock()
	j.epoch[id] = epoch
	j.mu.Unlock()
	j.seen(id, epoch)
	return stream, epoch, nil
}

// create makes a stream, on three servers where there is a cluster. Another node may do so at the same moment.
func (j *journal) create(ctx context.Context, id int64) (jetstream.Stream, error) {
	cfg := jetstream.StreamConfig{
		Name: streamName(id), Subjects: []string{subjectOf(id)}, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
		MaxMsgs: logLimit, MaxMsgSize: logMessage, AllowDirect: true, Duplicates: repeatedWithin, Metadata: map[string]string{epochKey: rand.Text()[:12]},
	}
	if j.bus.Conn().ConnectedClusterName() != "" {
		cfg.Replicas = 3
		if stream, err := j.js.CreateStream(ctx, cfg); err == nil {
			return stream, nil
		}
		cfg.Replicas = 1
	}
	stream, err := j.js.CreateStream(ctx, cfg)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return j.js.Stream(ctx, streamName(id))
	}
	return stream, err
}

// append adds an event and gives its seq once the log has it.
func (j *journal) append(ctx context.Context, id int64, body []byte, by speaker) (uint64, error) {
	j.mu.Lock()
	known := j.epoch[id] != ""
	j.mu.Unlock()
	if known {
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
	msg := &nats.Msg{Subject: subjectOf(id), Data: body, Header: nats.Header{}}
	if by.viewer != "" {
		msg.Header.Set(headViewer, by.viewer)
		msg.Header.Set(headPerson, strconv.FormatInt(by.account, 10))
	}
	if by.once != "" {
		msg.Header.Set(jetstream.MsgIDHeader, by.once)
	}
	ack, err := j.js.PublishMsg(ctx, msg, jetstream.WithExpectStream(streamName(id)), jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// gone reports whether err says that there is no such stream (and not that the bus is away).
func gone(err error) bool {
	return errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, jetstream.ErrStreamNotFound)
}

// follow gives every event from seq `from` on to take, in order, until stop is called. It outlives reconnections.
func (j *journal) follow(ctx context.Context, stream jetstream.Stream, from uint64, take func(record)) (stop func(), err error) {
	cons, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1), InactiveThreshold: time.Minute,
	})
	if err != nil {
		return nil, err
	}
	run, err := cons.Consume(func(m jetstream.Msg) {
		if r, ok := read(m); ok {
			take(r)
		}
	})
	if err != nil {
		return nil, err
	}
	return run.Stop, nil
}

func read(m jetstream.Msg) (record, bool) {
	meta, err := m.Metadata()
	if err != nil {
		return record{}, false
	}
	return record{seq: meta.Sequence.Stream, body: m.Data(), by: spokenBy(m.Headers())}, true
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

// read gives up to n events from seq `from` on, fewer if they are slow to come.
func (j *journal) read(ctx context.Context, stream jetstream.Stream, from uint64, n int) ([]record, error) {
	cons, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from, InactiveThreshold: 10 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	batch, err := cons.Fetch(n, jetstream.FetchMaxWait(2*time.Second))
	if err != nil {
		return nil, err
	}
	out := make([]record, 0, n)
	for m := range batch.Messages() {
		if r, ok := read(m); ok {
			out = append(out, r)
		}
	}
	if info := cons.CachedInfo(); info != nil { // it would go by itself, ten seconds later
		_ = stream.DeleteConsumer(ctx, info.Name)
	}
	return out, batch.Error()
}

// position is how far one room's log goes.
type position struct {
	id    int64
	epoch string
	last  uint64
}

// all lists the logs that there are, for the record's start.
func (j *journal) all(ctx context.Context) ([]position, error) {
	list := j.js.ListStreams(ctx, jetstream.WithStreamListSubject("room.*"))
	var out []position
	for info := range list.Info() {
		id, err := strconv.ParseInt(strings.TrimPrefix(info.Config.Name, "ROOM_"), 10, 64)
		if err == nil {
			out = append(out, position{id, info.Config.Metadata[epochKey], info.State.LastSeq})
		}
	}
	return out, list.Err()
}

package orders

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/stock"
)

// The placing lane: one goroutine per process places all orders. What waits while a transaction is under way becomes the
// next batch, so that a busy lane pays for one commit per batch and a quiet one for one per order, without any timer.
// See design.md, "The life of an order", and BenchmarkPlace.
const (
	maxBatch     = 256              // orders in one transaction
	maxQueue     = 4096             // orders waiting; beyond it ErrBusy at once
	batchTimeout = 10 * time.Second // of one transaction, when the database hangs
	maxWait      = 12 * time.Second // of one buyer for an answer
	unwellFor    = 10 * time.Second // after a batch that the database did not take
)

// lane is the queue in front of the one goroutine that places.
type lane struct {
	queue chan *placing // full: ErrBusy
	done  chan struct{} // closed when nobody places any more

	failed *atomic.Int64 // Unix nanoseconds of the last batch that the database did not take; 0: it took the last one
}

// outcome notes whether the database took a batch.
func (l *lane) outcome(err error, now time.Time) {
	switch {
	case err == nil:
		l.failed.Store(0)
	case db.Broken(err):
		l.failed.Store(now.UnixNano())
	}
}

// Ping answers whether orders could be placed: an error for some seconds after the database has not taken a batch. A
// database whose disk is full answers everything else.
func (s *Service) Ping(context.Context) error {
	if at := s.lane.failed.Load(); at != 0 && time.Since(time.Unix(0, at)) < unwellFor {
		return ErrUnavailable
	}
	return nil
}

func newLane() lane {
	return lane{queue: make(chan *placing, maxQueue), done: make(chan struct{}), failed: new(atomic.Int64)}
}

// placing is one placement on its way through the lane.
type placing struct {
	Placement
	idem, bodyHash string
	ctx            context.Context //nolint:containedctx // of the waiting buyer: only to see that nobody waits any more
	answered       chan struct{}   // closed once order or err is final; the lane owns the fields until then

	order    *Order
	replayed bool // the order had been placed before
	err      error
	limits   map[int64]int64 // session stock by SKU, where there is one
	asked    int             // items that the buyer asked for; gifts stand behind them
}

// prepare validates a placement and gives it its identity.
func prepare(ctx context.Context, p Placement) (*placing, error) {
	if err := checkKey(p.Key); err != nil {
		return nil, err
	}
	if err := p.normalise(); err != nil {
		return nil, err
	}
	return &placing{
		Placement: p, idem: fmt.Sprintf("%d:%d:%s", shopID, p.BuyerID, p.Key), bodyHash: p.hash(), ctx: ctx,
		answered: make(chan struct{}), asked: len(p.Items),
	}, nil
}

// Place puts an order through the lane and waits for the commit. The same key and body give the same order; another body
// ErrMismatch. It answers ErrBusy at once when the queue is full and ErrUnavailable when the database does not answer:
// then the order may or may not exist, and the repeat with the same key tells.
func (s *Service) Place(ctx context.Context, p Placement) (Order, error) {
	began := time.Now()
	o, err := s.place(ctx, p)
	s.metrics.placed(err, time.Since(began))
	return o, err
}

func (s *Service) place(ctx context.Context, p Placement) (Order, error) {
	r, err := prepare(ctx, p)
	if err != nil {
		return Order{}, err
	}
	if s.stopping.Load() {
		return Order{}, ErrStopping
	}
	select {
	case s.lane.queue <- r:
	default:
		return Order{}, ErrBusy
	}
	wait := time.NewTimer(maxWait)
	defer wait.Stop()
	select {
	case <-r.answered:
	case <-s.lane.done:
		select {
		case <-r.answered: // among the last
		default:
			return Order{}, ErrStopping
		}
	case <-wait.C:
		return Order{}, ErrUnavailable
	case <-ctx.Done():
		return Order{}, ctx.Err()
	}
	if r.err != nil {
		return Order{}, r.err
	}
	return *r.order, nil
}

// runLane places until ctx has ended, and then what is still queued.
func (s *Service) runLane(ctx context.Context) {
	defer close(s.lane.done)
	batch := make([]*placing, 0, maxBatch)
	for {
		batch = batch[:0]
		select {
		case r := <-s.lane.queue:
			batch = append(batch, r)
		case <-ctx.Done():
			select {
			case r := <-s.lane.queue:
				batch = append(batch, r)
			default:
				return
			}
		}
		batch = s.lane.fill(batch)
		s.metrics.batch.Observe(float64(len(batch)))
		s.placeAll(context.WithoutCancel(ctx), batch)
		for _, r := range batch {
			close(r.answered)
		}
	}
}

// fill takes what waits, up to a whole batch. Those who have just been answered may be about to come again: it lets them
// run as long as that brings somebody, so that they do not split into one and all the others.
func (l *lane) fill(batch []*placing) []*placing {
	for range 32 {
		before := len(batch)
		for len(batch) < maxBatch {
			select {
			case r := <-l.queue:
				batch = append(batch, r)
				continue
			default:
			}
			break
		}
		if len(batch) == maxBatch || len(batch) == before {
			return batch
		}
		runtime.Gosched()
	}
	return batch
}

// placeAll decides every placement of a batch: in one transaction, or one by one where that fails for a reason of its own,
// so that one bad order hurts nobody else. Two with the same key do not share a transaction.
func (s *Service) placeAll(ctx context.Context, batch []*placing) {
	first, again := uniqueKeys(batch)
	err := s.placeBatch(ctx, first)
	if err != nil && len(first) == 1 && db.Conflicted(err) { // another process was there at the same moment
		err = s.placeBatch(ctx, first)
	}
	switch {
	case err == nil:
	case len(first) == 1, !db.Conflicted(err) && db.Broken(err):
		for _, r := range first {
			r.order, r.err = nil, s.unavailable(err)
		}
	default:
		s.log.Warn("a batch of orders failed and is repeated one by one", "orders", len(first), "error", err.Error())
		again = append(slices.Clone(first), again...)
	}
	s.placeEach(ctx, again)
}

// placeEach places one by one, and gives up on the rest when the database has turned out not to work: each would wait in
// vain for as long as the one before.
func (s *Service) placeEach(ctx context.Context, all []*placing) {
	for i, r := range all {
		s.placeAll(ctx, []*placing{r})
		if !errors.Is(r.err, ErrUnavailable) {
			continue
		}
		for _, rest := range all[i+1:] {
			rest.order, rest.err = nil, r.err
		}
		return
	}
}

func uniqueKeys(batch []*placing) (first, again []*placing) {
	seen := make(map[string]bool, len(batch))
	first = make([]*placing, 0, len(batch))
	for _, r := range batch {
		if seen[r.idem] {
			again = append(again, r)
			continue
		}
		seen[r.idem] = true
		first = append(first, r)
	}
	return first, again
}

// placeBatch is the transaction of a batch: repeats are recognised, prices read, stock given in order of arrival, and all
// rows written in one statement per table. An error means that nothing of the batch has happened.
func (s *Service) placeBatch(ctx context.Context, batch []*placing) error {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.byIndex(ctx); err != nil {
			return err
		}
		rest, err := s.recognise(ctx, batch)
		if err != nil {
			return err
		}
		for _, step := range []func(context.Context, []*placing) ([]*placing, error){s.offer, s.price} {
			if rest, err = step(ctx, rest); err != nil {
				return err
			}
		}
		taken, err := s.store.lockTaken(ctx, takenKeys(rest))
		if err != nil {
			return err
		}
		if rest, err = s.limitHolds(ctx, rest); err != nil {
			return err
		}
		if rest, err = s.give(ctx, rest, taken); err != nil {
			return err
		}
		if err := s.recogniseRefused(ctx, batch); err != nil || len(rest) == 0 {
			return err
		}
		orders := make([]*Order, len(rest))
		for i, r := range rest {
			orders[i] = r.order
		}
		if err := s.store.insertOrders(ctx, orders); err != nil {
			return err
		}
		return s.keepPrices(ctx, orders)
	})
	if err != nil && ctx.Err() != nil { // whatever it broke: the time was over
		err = errors.Join(ctx.Err(), err)
	}
	s.lane.outcome(err, time.Now())
	return err
}

// recogniseRefused looks again at those who are to be refused: another process that sells from the same database may have
// placed the same key since recognise, and taken the very stock that is missing now. That order is the one true answer.
func (s *Service) recogniseRefused(ctx context.Context, batch []*placing) error {
	var keys []string
	for _, r := range batch {
		if r.err != nil {
			keys = append(keys, r.idem)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	known, err := s.store.byIdem(ctx, keys)
	if err != nil {
		return err
	}
	for _, r := range batch {
		if o, ok := known[r.idem]; ok && r.err != nil && o.bodyHash == r.bodyHash {
			r.order, r.err, r.replayed = &o, nil, true
		}
	}
	return nil
}

// recognise answers repeats of placed orders and forgets buyers who no longer wait; it gives the rest.
func (s *Service) recognise(ctx context.Context, batch []*placing) ([]*placing, error) {
	keys := make([]string, len(batch))
	for i, r := range batch {
		keys[i] = r.idem
	}
	known, err := s.store.byIdem(ctx, keys)
	if err != nil {
		return nil, err
	}
	rest := make([]*placing, 0, len(batch))
	for _, r := range batch {
		r.order, r.err, r.replayed = nil, nil, false
		o, ok := known[r.idem]
		switch {
		case ok && o.bodyHash != r.bodyHash:
			r.err = ErrMismatch
		case ok:
			r.order, r.replayed = &o, true
		case r.ctx.Err() != nil:
			r.err = r.ctx.Err()
		default:
			r.Items = r.Items[:r.asked]
			rest = append(rest, r)
		}
	}
	return rest, nil
}

// offer prices the orders, with one question per session.
func (s *Service) offer(ctx context.Context, batch []*placing) ([]*placing, error) {
	skus := map[int64][]int64{}
	for _, r := range batch {
		skus[r.SessionID] = append(skus[r.SessionID], r.skus()...)
	}
	offers := make(map[int64]Offers, len(skus))
	refused := map[int64]error{}
	for session, ids := range skus {
		slices.Sort(ids)
		o, err := s.sessions.Offers(ctx, session, slices.Compact(ids))
		switch {
		case err != nil && fault.KindOf(err) != fault.Internal && fault.KindOf(err) != fault.Unavailable:
			refused[session] = err
		case err != nil:
			return nil, err
		default:
			offers[session] = o
		}
	}
	return keep(batch, func(r *placing) error {
		if err := refused[r.SessionID]; err != nil {
			return err
		}
		return r.accept(offers[r.SessionID], s)
	}), nil
}

// keep asks of each whether it may go on, notes the refusal of those that may not, and gives the others.
func keep(batch []*placing, ask func(*placing) error) []*placing {
	rest := make([]*placing, 0, len(batch))
	for _, r := range batch {
		if r.err = ask(r); r.err == nil {
			rest = append(rest, r)
		} else {
			r.order = nil
		}
	}
	return rest
}

// accept makes the order at the terms of this moment, without stock yet.
func (r *placing) accept(offers Offers, s *Service) error {
	if !offers.Open {
		return ErrNotOpen
	}
	lines, total, err := r.price(offers)
	if err != nil {
		return err
	}
	r.limits = map[int64]int64{}
	for _, l := range lines {
		if n := offers.Items[l.SKUID].SessionStock; n >= 0 {
			r.limits[l.SKUID] = n
		}
	}
	now, hold := s.clock.Now(), cmp.Or(offers.Hold, s.holdFor)
	if !r.At.IsZero() {
		now = r.At
	}
	now = now.Truncate(time.Millisecond).UTC()
	r.order = &Order{
		ID: newID(now), SessionID: r.SessionID, BuyerID: r.BuyerID, BuyerName: r.BuyerName, BuyerInitial: r.initial(),
		Channel: cmp.Or(offers.Channel, roomChannel), State: Pending, TotalFen: total, Address: r.Address, Lines: lines,
		CreatedAt: now, ExpiresAt: now.Add(hold).Truncate(time.Millisecond),
		Timeline: []Event{{At: now, What: "placed", By: "buyer"}},
		idem:     r.idem, bodyHash: r.bodyHash, stock: stockReserved,
	}
	r.order.pin()
	return nil
}

// pin puts the first pinned line's pin on the order, and its anchor if there is only one.
func (o *Order) pin() {
	for _, l := range o.Lines {
		if l.PinID == 0 {
			continue
		}
		o.PinID = l.PinID
		if len(l.Anchors) == 1 {
			o.Anchor = l.Anchors[0]
		}
		return
	}
}

// limitHolds refuses who already holds a SKU unpaid. It must be called after the session stock has been locked, so that another
// process that sells the same from the same database has either committed or waits.
func (s *Service) limitHolds(ctx context.Context, batch []*placing) ([]*placing, error) {
	if !s.limits || len(batch) == 0 {
		return batch, nil
	}
	buyers := make([]int64, 0, len(batch))
	for _, r := range batch {
		buyers = append(buyers, r.BuyerID)
	}
	slices.Sort(buyers)
	open, err := s.store.openHolds(ctx, slices.Compact(buyers))
	if err != nil {
		return nil, err
	}
	return keep(batch, func(r *placing) error {
		for _, l := range r.order.Lines {
			if h := open[holdKey{r.BuyerID, l.SKUID}]; h.count >= maxOpenHolds && !l.Gift {
				return ErrOpenHold.Saying("you already hold this unpaid in order " + h.order + "; pay or cancel it first")
			}
		}
		for _, l := range r.order.Lines {
			k := holdKey{r.BuyerID, l.SKUID}
			open[k] = openHold{count: open[k].count + 1, order: cmp.Or(open[k].order, r.order.ID)}
		}
		return nil
	}), nil
}

// give hands out session stock and then stock, in order of arrival. Somebody refused for session stock that another one
// then did not get, for want of stock, is asked again.
// taken is what the orders before have of the session stock, locked.
func (s *Service) give(ctx context.Context, batch []*placing, taken map[takenKey]int64) ([]*placing, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	var granted []*placing
	added := map[takenKey]int64{}
	for waiting := batch; len(waiting) > 0; {
		try, short := shareSession(waiting, taken, added)
		if len(try) == 0 {
			break
		}
		holds := make([]stock.Hold, len(try))
		for i, r := range try {
			holds[i] = holdOf(r.order)
		}
		answers, err := s.stock.Reserve(ctx, holds)
		if err != nil {
			return nil, err
		}
		freed := false
		for i, r := range try {
			if answers[i] == nil {
				granted = append(granted, r)
				continue
			}
			r.err, r.order = answers[i], nil
			for _, it := range r.Items {
				added[takenKey{r.SessionID, it.SKUID}] -= it.Quantity
				freed = true
			}
		}
		if !freed {
			break
		}
		for _, r := range short {
			r.err = nil
		}
		waiting = short
	}
	for _, r := range batch {
		if r.err != nil {
			r.order = nil
		}
	}
	return granted, s.store.addTaken(ctx, added)
}

// shareSession gives session stock in order of arrival, counting into added, and refuses the others.
func shareSession(waiting []*placing, taken, added map[takenKey]int64) (try, short []*placing) {
next:
	for _, r := range waiting {
		for _, it := range r.Items {
			k := takenKey{r.SessionID, it.SKUID}
			if limit, ok := r.limits[it.SKUID]; ok && taken[k]+added[k]+it.Quantity > limit {
				r.err = ErrSoldOut.At(fmt.Sprintf("items[%d].quantity", it.first))
				short = append(short, r)
				continue next
			}
		}
		for _, it := range r.Items {
			added[takenKey{r.SessionID, it.SKUID}] += it.Quantity
		}
		try = append(try, r)
	}
	return try, short
}

// takenKey is one SKU of one session.
type takenKey struct{ session, sku int64 }

func takenKeys(batch []*placing) []takenKey {
	var keys []takenKey
	for _, r := range batch {
		for _, it := range r.Items {
			keys = append(keys, takenKey{r.SessionID, it.SKUID})
		}
	}
	return sortKeys(keys)
}

// sortKeys puts keys in the one order in which rows are locked, each once.
func sortKeys(keys []takenKey) []takenKey {
	slices.SortFunc(keys, func(a, b takenKey) int { return cmp.Or(cmp.Compare(a.session, b.session), cmp.Compare(a.sku, b.sku)) })
	return slices.Compact(keys)
}

// stockLines are an order's lines as the catalogue wants them, in id order.
func stockLines(lines []Line) []stock.Line {
	out := make([]stock.Line, len(lines))
	for i, l := range lines {
		out[i] = stock.Line{SKUID: l.SKUID, Quantity: l.Quantity}
	}
	slices.SortFunc(out, func(a, b stock.Line) int { return cmp.Compare(a.SKUID, b.SKUID) })
	return out
}

// release gives back what cancelled or expired orders held, all in one go.
func (s *Service) release(ctx context.Context, orders []*Order) error {
	if len(orders) == 0 {
		return nil
	}
	if err := s.giveBack(ctx, orders); err != nil {
		return err
	}
	counted := map[takenKey]int64{}
	holds := make([]stock.Hold, len(orders))
	for i, o := range orders {
		holds[i] = holdOf(o)
		for _, l := range o.Lines {
			counted[takenKey{o.SessionID, l.SKUID}] -= l.Quantity
		}
	}
	if err := s.store.addTaken(ctx, counted); err != nil {
		return err
	}
	return s.stock.Release(ctx, holds)
}

// moveStock tells the catalogue line by line in SKU order, and counts session stock by sign (0: not at all).
func (s *Service) moveStock(ctx context.Context, orders []*Order, verb func(context.Context, string, []stock.Line) error, sign int64) error {
	type part struct {
		ref  string
		line stock.Line
	}
	var parts []part
	counted := map[takenKey]int64{}
	for _, o := range orders {
		for _, l := range stockLines(o.Lines) {
			parts = append(parts, part{o.ID, l})
			counted[takenKey{o.SessionID, l.SKUID}] += sign * l.Quantity
		}
	}
	if sign != 0 {
		if err := s.store.addTaken(ctx, counted); err != nil {
			return err
		}
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.line.SKUID, b.line.SKUID) })
	for i := 0; i < len(parts); i++ {
		if err := verb(ctx, parts[i].ref, []stock.Line{parts[i].line}); err != nil {
			return err
		}
	}
	return nil
}

// holdOf gives an order's lines as one hold.
func holdOf(o *Order) stock.Hold { return stock.Hold{Ref: o.ID, Lines: stockLines(o.Lines)} }

package fulfilment

import (
	"cmp"
	"context"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/duoduopin/duoduopin/internal/money"
	"github.com/duoduopin/duoduopin/internal/sheet"
)

// Bounds of what is written or printed at once.
const (
	maxExport  = 20_000 // orders
	maxPrinted = 500    // orders on one picking list or stack of labels
	exportPage = 500
)

// shanghai is the wall clock of those who read the sheets; JSON stays in UTC.
func shanghai() *time.Location { return time.FixedZone("Asia/Shanghai", 8*3600) }

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(shanghai()).Format("2006-01-02 15:04:05")
}

// WriteCSV writes orders, a row for each line, in columns that Preview understands when carrier and number have been
// filled in. Whoever takes addresses out of the house is kept in the audit.
func (s *Service) WriteCSV(ctx context.Context, w io.Writer, f Filter) error {
	if err := s.audit.Record(ctx, "orders.export", "fulfilment", map[string]any{"states": f.States, "session": f.SessionID, "orders": len(f.IDs)}); err != nil {
		return err
	}
	out, err := sheet.NewWriter(w, "订单号", "场次", "渠道", "平台单号", "状态", "下单时间", "付款时间", "买家", "收货人", "电话", "省", "市", "区县", "详细地址",
		"商品", "规格", "SKU编号", "购买数量", "待发数量", "单价(元)", "快递公司", "快递单号")
	if err != nil {
		return err
	}
	f.Limit = exportPage
	for n := 0; n < maxExport; {
		page, err := s.Desk(ctx, f)
		if err != nil {
			return err
		}
		for _, o := range page {
			if err := o.rows(out); err != nil {
				return err
			}
		}
		n += len(page)
		if len(page) < exportPage {
			break
		}
		f.After = page[len(page)-1].Seq
	}
	return out.Flush()
}

// rows writes an order, a row for each line. What is sent shows its parcels, so that the list sent back changes nothing.
func (o DeskOrder) rows(w *sheet.Writer) error {
	var to Address
	if o.Address != nil {
		to = *o.Address
	}
	for i, l := range o.Lines {
		carrier, number := o.parcelsOf(i)
		if l.ToSend() > 0 {
			carrier, number = "", ""
		}
		err := w.Row(o.ID, strconv.FormatInt(o.SessionID, 10), o.Channel, o.Number, o.State, stamp(o.CreatedAt), stamp(o.PaidAt), o.Buyer,
			to.Name, to.Phone, to.Province, to.City, to.District, to.Detail, l.Title, l.SKUName, strconv.FormatInt(l.SKUID, 10),
			strconv.FormatInt(l.Quantity, 10), strconv.FormatInt(l.ToSend(), 10), money.Yuan(l.PriceFen), carrier, number)
		if err != nil {
			return err
		}
	}
	return nil
}

func (o DeskOrder) parcelsOf(line int) (carrier, number string) {
	var carriers, numbers []string
	for _, p := range o.Parcels {
		if slices.ContainsFunc(p.Pieces, func(x Piece) bool { return x.Line == line }) {
			c, _ := CarrierOf(p.Carrier)
			carriers, numbers = append(carriers, c.NameZH), append(numbers, p.TrackingNo)
		}
	}
	return strings.Join(slices.Compact(carriers), " "), strings.Join(numbers, " ")
}

// Pick is one SKU on a picking list.
type Pick struct {
	SKUID   int64
	Title   string
	SKUName string
	Units   int64 // to be taken off the shelf
	Orders  int   // for so many orders
}

// Picking adds up what has still to be sent of the orders that f names, by SKU, and gives those orders.
func (s *Service) Picking(ctx context.Context, f Filter) ([]Pick, []DeskOrder, error) {
	orders, err := s.toSend(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	sums := map[int64]*Pick{}
	var all []*Pick
	for _, o := range orders {
		for _, l := range o.Lines {
			n := l.ToSend()
			if n < 1 {
				continue
			}
			p := sums[l.SKUID]
			if p == nil {
				p = &Pick{SKUID: l.SKUID, Title: l.Title, SKUName: l.SKUName}
				sums[l.SKUID] = p
				all = append(all, p)
			}
			p.Units += n
			p.Orders++
		}
	}
	slices.SortFunc(all, func(a, b *Pick) int {
		return cmp.Or(strings.Compare(a.Title, b.Title), cmp.Compare(a.SKUID, b.SKUID))
	})
	out := make([]Pick, len(all))
	for i, p := range all {
		out[i] = *p
	}
	return out, orders, nil
}

// toSend gives paid orders with something to send, oldest first, as many as one list holds.
func (s *Service) toSend(ctx context.Context, f Filter) ([]DeskOrder, error) {
	f.States, f.Oldest, f.Limit = []string{"paid"}, true, maxPrinted
	all, err := s.Desk(ctx, f)
	return slices.DeleteFunc(all, func(o DeskOrder) bool {
		return !slices.ContainsFunc(o.Lines, func(l Line) bool { return l.ToSend() > 0 })
	}), err
}

package orders

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/rule"
)

// proof is one conservation rule with one statement, so that it sees one moment of the database: it gives the rows that
// break the rule.
type proof struct {
	rule.Rule
	kind string // of what breaks it
	text string // with its name and how far it is off
	sql  string
}

// proofs are recomputed from rows and nothing else.
func proofs() []proof {
	return []proof{
		{
			rule.Rule{ID: "entry-sums-to-zero", Title: "every double entry sums to zero", Formula: "sum of an entry's amounts = 0", Unit: "fen"},
			"entry",
			"ledger entry %s does not sum to zero: %d fen",
			`SELECT ref AS name, sum(amount_fen) AS off FROM ledger_entries GROUP BY ref HAVING sum(amount_fen) <> 0`,
		},
		{
			rule.Rule{ID: "provider-ledger", Title: "what each provider captured and refunded stands in the ledger", Formula: "captured - refunded = balance of provider:NAME", Unit: "fen"},
			"provider",
			"provider %s: captured - refunded differs from the ledger by %d fen",
			`SELECT provider AS name, sum(fen) AS off FROM (
				SELECT provider, amount_fen AS fen FROM order_payments WHERE state IN ('settled', 'returned')
				UNION ALL SELECT p.provider, -r.amount_fen FROM order_refunds r JOIN order_payments p ON p.id = r.payment_id WHERE r.state = 'succeeded'
				UNION ALL SELECT substr(account, 10), -amount_fen FROM ledger_entries WHERE account LIKE 'provider:%'
			) x GROUP BY provider HAVING sum(fen) <> 0`,
		},
		{
			rule.Rule{ID: "payment-in-ledger", Title: "each payment stands in the ledger once, with its amount", Formula: "payment's amount = its ledger row", Unit: "fen"},
			"payment",
			"payment %s is not in the ledger with its amount, off by %d fen",
			`SELECT p.id AS name, p.amount_fen - coalesce(l.amount_fen, 0) AS off FROM order_payments p
				LEFT JOIN ledger_entries l ON l.ref = 'payment:' || p.id AND l.amount_fen > 0
				WHERE p.state IN ('settled', 'returned') AND p.amount_fen <> coalesce(l.amount_fen, 0)`,
		},
		{
			rule.Rule{ID: "order-total", Title: "an order's total is the sum of its lines, less coupons and points, with shipping", Formula: "total = sum of price x quantity - coupons - points + shipping", Unit: "fen"},
			"order",
			"order %s: the total differs from its lines by %d fen",
			`SELECT name, sum(fen) AS off FROM (
				SELECT id AS name, total_fen AS fen FROM orders
				UNION ALL SELECT order_id, -price_fen * quantity FROM order_lines
				UNION ALL SELECT order_id, coupon_fen + points_fen - shipping_fen FROM order_prices
			) x GROUP BY name HAVING sum(fen) <> 0`,
		},
		{
			rule.Rule{ID: "order-discounts", Title: "an order's coupons and points are the sum of its lines' shares, and of its coupons", Formula: "coupons = sum of shares = sum of coupons; points = sum of shares", Unit: "fen"},
			"order",
			"order %s: coupons or points differ from its lines or coupons (%d of these sums)",
			`SELECT name, count(*) AS off FROM (
				SELECT name FROM (SELECT order_id AS name, coupon_fen AS fen FROM order_prices UNION ALL SELECT order_id, -coupon_fen FROM order_line_prices) a GROUP BY name HAVING sum(fen) <> 0
				UNION ALL SELECT name FROM (SELECT order_id AS name, points_fen AS fen FROM order_prices UNION ALL SELECT order_id, -points_fen FROM order_line_prices) b GROUP BY name HAVING sum(fen) <> 0
				UNION ALL SELECT name FROM (SELECT order_id AS name, coupon_fen AS fen FROM order_prices UNION ALL SELECT order_id, -off_fen FROM order_coupons) c GROUP BY name HAVING sum(fen) <> 0
			) x GROUP BY name`,
		},
		{
			rule.Rule{ID: "order-one-payment", Title: "a paid order has exactly one settled payment, an unpaid one none", Formula: "settled payments = 1, or 0 while pending or cancelled", Unit: "rows"},
			"order",
			"order %s has the wrong number of settled payments for its state: %d",
			`SELECT o.id AS name, count(p.id) AS off FROM orders o LEFT JOIN order_payments p ON p.order_id = o.id AND p.state = 'settled'
				GROUP BY o.id, o.state HAVING count(p.id) <> CASE WHEN o.state IN ('pending', 'cancelled') THEN 0 ELSE 1 END`,
		},
		{
			rule.Rule{ID: "order-paid", Title: "what an order says was paid is what its payment brought", Formula: "paid = settled payment = total", Unit: "fen"},
			"order",
			"order %s: what it says was paid differs from its payment by %d fen",
			`SELECT o.id AS name, o.paid_fen - coalesce(p.amount_fen, 0) AS off FROM orders o
				LEFT JOIN order_payments p ON p.order_id = o.id AND p.state = 'settled'
				WHERE o.paid_fen <> coalesce(p.amount_fen, 0) OR o.paid_fen <> CASE WHEN o.state IN ('pending', 'cancelled') THEN 0 ELSE o.total_fen END`,
		},
		{
			rule.Rule{ID: "order-refunded", Title: "what an order says was refunded is the sum of its refunds", Formula: "refunded = sum of refunds", Unit: "fen"},
			"order",
			"order %s: what it says was refunded differs from its refunds by %d fen",
			`SELECT o.id AS name, o.refunded_fen - coalesce(r.fen, 0) AS off FROM orders o
				LEFT JOIN (SELECT order_id, sum(amount_fen) AS fen FROM order_refunds WHERE NOT automatic GROUP BY order_id) r ON r.order_id = o.id
				WHERE o.refunded_fen <> coalesce(r.fen, 0)`,
		},
		{
			rule.Rule{ID: "refunded-is-back", Title: "the money of a refunded order is all back", Formula: "paid = succeeded refunds", Unit: "fen"},
			"order",
			"order %s is refunded but %d fen are not back",
			`SELECT o.id AS name, o.paid_fen - coalesce(r.fen, 0) AS off FROM orders o
				LEFT JOIN (SELECT order_id, sum(amount_fen) AS fen FROM order_refunds WHERE NOT automatic AND state = 'succeeded' GROUP BY order_id) r ON r.order_id = o.id
				WHERE o.state = 'refunded' AND o.paid_fen <> coalesce(r.fen, 0)`,
		},
		{
			rule.Rule{ID: "order-stock", Title: "an order's stock stands where its state says", Formula: "pending: reserved; paid, shipped, completed: sold; cancelled: free", Unit: "rows"},
			"order",
			"order %s holds its stock in a way that does not fit its state (%d)",
			`SELECT id AS name, 1 AS off FROM orders WHERE NOT (stock = 'none' AND state NOT IN ('pending', 'cancelled')
				OR state = 'pending' AND stock = 'reserved' OR state IN ('paid', 'shipped', 'completed') AND stock = 'sold'
				OR state = 'cancelled' AND stock = 'free' OR state = 'refunded' AND stock IN ('free', 'sold'))`,
		},
		{
			rule.Rule{ID: "session-stock", Title: "what a session counts as taken is what its orders hold", Formula: "taken = reserved + sold by the session's orders", Unit: "units"},
			"session-sku",
			"session and SKU %s: what is counted as taken differs from the orders by %d",
			`SELECT session_id || '/' || sku_id AS name, sum(n) AS off, sku_id AS sku FROM (
				SELECT session_id, sku_id, taken AS n FROM order_session_stock
				UNION ALL SELECT o.session_id, l.sku_id, -l.quantity FROM orders o JOIN order_lines l ON l.order_id = o.id WHERE o.stock IN ('reserved', 'sold')
				UNION ALL SELECT o.session_id, u.sku_id, u.freed FROM orders o JOIN order_units u ON u.order_id = o.id WHERE o.stock = 'sold'
			) x GROUP BY session_id, sku_id HAVING sum(n) <> 0`,
		},
		{
			rule.Rule{ID: "refund-lines", Title: "a refund by line is the sum of its lines", Formula: "refund = sum of its lines", Unit: "fen"},
			"refund",
			"refund %s differs from its lines by %d fen",
			`SELECT r.id AS name, r.amount_fen - sum(l.amount_fen) AS off FROM order_refunds r JOIN order_refund_lines l ON l.refund_id = r.id
				GROUP BY r.id, r.amount_fen HAVING r.amount_fen <> sum(l.amount_fen)`,
		},
		{
			rule.Rule{ID: "lines-refunded", Title: "what an order's lines say was refunded is what the order says", Formula: "refunded = sum of the lines' refunds", Unit: "fen"},
			"order",
			"order %s: what its lines say was refunded differs from the order by %d fen",
			`SELECT o.id AS name, o.refunded_fen - u.fen AS off FROM orders o
				JOIN (SELECT order_id, sum(refunded_fen) AS fen FROM order_units GROUP BY order_id) u ON u.order_id = o.id WHERE o.refunded_fen <> u.fen`,
		},
		{
			rule.Rule{ID: "lines-paid", Title: "what an order's lines say was paid is what the order says", Formula: "paid = sum of the lines' payments", Unit: "fen"},
			"order",
			"order %s: what its lines say was paid differs from the order by %d fen",
			`SELECT o.id AS name, o.paid_fen - u.fen AS off FROM orders o
				JOIN (SELECT order_id, sum(paid_fen) AS fen FROM order_units GROUP BY order_id) u ON u.order_id = o.id WHERE o.paid_fen <> u.fen`,
		},
	}
}

// rules proves every rule.
func (s store) rules(ctx context.Context) ([]rule.Rule, error) {
	var all []rule.Rule
	for _, p := range proofs() {
		var rows []struct {
			Name string
			Off  int64
			SKU  int64 `gorm:"column:sku"`
		}
		if err := s.db.Read(ctx).Raw(p.sql+" LIMIT ?", rule.Most+1).Scan(&rows).Error; err != nil {
			return nil, fmt.Errorf("orders: proving %q: %w", p.ID, err)
		}
		for _, r := range rows {
			p.Add(rule.Break{Kind: p.kind, ID: r.Name, SKU: r.SKU, Off: r.Off, Text: fmt.Sprintf(p.text, r.Name, r.Off)})
		}
		all = append(all, p.Rule)
	}
	return all, nil
}

// units sums what orders hold of each SKU in the given way.
func (s store) units(ctx context.Context, stock string) (map[int64]int64, error) {
	var rows []struct {
		SKUID int64 `gorm:"column:sku_id"`
		N     int64
	}
	err := s.db.Read(ctx).Raw(`SELECT sku_id, sum(n) AS n FROM (
			SELECT l.sku_id, l.quantity AS n FROM orders o JOIN order_lines l ON l.order_id = o.id WHERE o.stock = ?
			UNION ALL SELECT u.sku_id, -u.freed FROM orders o JOIN order_units u ON u.order_id = o.id WHERE o.stock = 'sold' AND o.stock = ?
			UNION ALL SELECT sku_id, quantity FROM order_replacements WHERE 'sold' = ?
		) x GROUP BY sku_id`, stock, stock, stock).Scan(&rows).Error
	out := make(map[int64]int64, len(rows))
	for _, r := range rows {
		out[r.SKUID] = r.N
	}
	return out, err
}

// ofSession gives all orders of a session, oldest first.
func (s store) ofSession(ctx context.Context, sessionID int64) ([]Order, error) {
	var rows []orderRow
	if err := s.db.Read(ctx).Where("session_id = ?", sessionID).Order("created_ms, seq").Find(&rows).Error; err != nil {
		return nil, err
	}
	return s.fill(ctx, rows)
}

// sumOf adds up what buyers placed and paid in [from, to), in other sessions than the given one.
func (s store) sumOf(ctx context.Context, buyers []int64, notSession int64, from, to time.Time) (Sum, error) {
	var all Sum
	for part := range slices.Chunk(buyers, 1000) {
		var one Sum
		err := s.db.Read(ctx).Raw(`SELECT count(*) AS orders, coalesce(sum(total_fen), 0) AS placed_fen, coalesce(sum(paid_fen), 0) AS paid_fen,
			coalesce(sum(CASE WHEN paid_ms > 0 THEN 1 ELSE 0 END), 0) AS paid_orders
			FROM orders WHERE buyer_id IN ? AND session_id <> ? AND created_ms >= ? AND created_ms < ?`,
			part, notSession, db.Millis(from), db.Millis(to)).Scan(&one).Error
		if err != nil {
			return Sum{}, err
		}
		all.Orders += one.Orders
		all.PaidOrders += one.PaidOrders
		all.PlacedFen += one.PlacedFen
		all.PaidFen += one.PaidFen
	}
	return all, nil
}

// known gives those of the identities that exist.
func (s store) known(ctx context.Context, idems []string) (map[string]bool, error) {
	out := map[string]bool{}
	for part := range slices.Chunk(idems, 500) {
		var found []string
		if err := s.db.Read(ctx).Model(&orderRow{}).Where("idem IN ?", part).Pluck("idem", &found).Error; err != nil {
			return nil, err
		}
		for _, id := range found {
			out[id] = true
		}
	}
	return out, nil
}

func (s store) hasPaid(ctx context.Context, sessionID, accountID int64) (bool, error) {
	var n int64
	err := s.db.Read(ctx).Raw(`SELECT count(*) FROM (SELECT 1 FROM orders WHERE buyer_id = ? AND session_id = ? AND state IN ('paid', 'shipped', 'completed') LIMIT 1) x`,
		accountID, sessionID).Scan(&n).Error
	return n > 0, err
}

// entries gives the double-entry rows of an order, oldest first.
func (s store) entries(ctx context.Context, orderID string) ([]entryRow, error) {
	var rows []entryRow
	err := s.db.Read(ctx).Where("order_id = ?", orderID).Order("id").Find(&rows).Error
	return rows, err
}

// balances sums every account.
func (s store) balances(ctx context.Context) ([]Balance, error) {
	var rows []Balance
	err := s.db.Read(ctx).Raw("SELECT account, sum(amount_fen) AS fen, count(*) AS entries FROM ledger_entries GROUP BY account ORDER BY account").Scan(&rows).Error
	return rows, err
}

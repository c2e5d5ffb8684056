package orders

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
)

// proof is one conservation rule as one statement, so that it sees one moment of the database: it gives the rows that
// break the rule.
type proof struct{ rule, sql string }

// proofs are recomputed from rows and nothing else.
func proofs() []proof {
	return []proof{
		{
			"ledger entry %s does not sum to zero: %d fen",
			`SELECT ref AS name, sum(amount_fen) AS off FROM ledger_entries GROUP BY ref HAVING sum(amount_fen) <> 0`,
		},
		{
			"provider %s: captured - refunded differs from the ledger by %d fen",
			`SELECT provider AS name, sum(fen) AS off FROM (
				SELECT provider, amount_fen AS fen FROM order_payments WHERE state IN ('settled', 'returned')
				UNION ALL SELECT p.provider, -r.amount_fen FROM order_refunds r JOIN order_payments p ON p.id = r.payment_id WHERE r.state = 'succeeded'
				UNION ALL SELECT substr(account, 10), -amount_fen FROM ledger_entries WHERE account LIKE 'provider:%'
			) x GROUP BY provider HAVING sum(fen) <> 0`,
		},
		{
			"payment %s is not in the ledger with its amount, off by %d fen",
			`SELECT p.id AS name, p.amount_fen - coalesce(l.amount_fen, 0) AS off FROM order_payments p
				LEFT JOIN ledger_entries l ON l.ref = 'payment:' || p.id AND l.amount_fen > 0
				WHERE p.state IN ('settled', 'returned') AND p.amount_fen <> coalesce(l.amount_fen, 0)`,
		},
		{
			"order %s: the total differs from its lines by %d fen",
			`SELECT o.id AS name, o.total_fen - coalesce(sum(l.price_fen * l.quantity), 0) AS off FROM orders o
				LEFT JOIN order_lines l ON l.order_id = o.id GROUP BY o.id, o.total_fen
				HAVING o.total_fen <> coalesce(sum(l.price_fen * l.quantity), 0)`,
		},
		{
			"order %s has the wrong number of settled payments for its state: %d",
			`SELECT o.id AS name, count(p.id) AS off FROM orders o LEFT JOIN order_payments p ON p.order_id = o.id AND p.state = 'settled'
				GROUP BY o.id, o.state HAVING count(p.id) <> CASE WHEN o.state IN ('pending', 'cancelled') THEN 0 ELSE 1 END`,
		},
		{
			"order %s: what it says was paid differs from its payment by %d fen",
			`SELECT o.id AS name, o.paid_fen - coalesce(p.amount_fen, 0) AS off FROM orders o
				LEFT JOIN order_payments p ON p.order_id = o.id AND p.state = 'settled'
				WHERE o.paid_fen <> coalesce(p.amount_fen, 0) OR o.paid_fen <> CASE WHEN o.state IN ('pending', 'cancelled') THEN 0 ELSE o.total_fen END`,
		},
		{
			"order %s: what it says was refunded differs from its refunds by %d fen",
			`SELECT o.id AS name, o.refunded_fen - coalesce(r.fen, 0) AS off FROM orders o
				LEFT JOIN (SELECT order_id, sum(amount_fen) AS fen FROM order_refunds WHERE NOT automatic GROUP BY order_id) r ON r.order_id = o.id
				WHERE o.refunded_fen <> coalesce(r.fen, 0)`,
		},
		{
			"order %s is refunded but %d fen are not back",
			`SELECT o.id AS name, o.paid_fen - coalesce(r.fen, 0) AS off FROM orders o
				LEFT JOIN (SELECT order_id, sum(amount_fen) AS fen FROM order_refunds WHERE NOT automatic AND state = 'succeeded' GROUP BY order_id) r ON r.order_id = o.id
				WHERE o.state = 'refunded' AND o.paid_fen <> coalesce(r.fen, 0)`,
		},
		{
			"order %s holds its stock in a way that does not fit its state (%d)",
			`SELECT id AS name, 1 AS off FROM orders WHERE NOT (stock = 'none' AND state NOT IN ('pending', 'cancelled')
				OR state = 'pending' AND stock = 'reserved' OR state IN ('paid', 'shipped', 'completed') AND stock = 'sold'
				OR state = 'cancelled' AND stock = 'free' OR state = 'refunded' AND stock IN ('free', 'sold'))`,
		},
		{
			"session and SKU %s: what is counted as taken differs from the orders by %d",
			`SELECT session_id || '/' || sku_id AS name, sum(n) AS off FROM (
				SELECT session_id, sku_id, taken AS n FROM order_session_stock
				UNION ALL SELECT o.session_id, l.sku_id, -l.quantity FROM orders o JOIN order_lines l ON l.order_id = o.id WHERE o.stock IN ('reserved', 'sold')
			) x GROUP BY session_id, sku_id HAVING sum(n) <> 0`,
		},
	}
}

// maxBroken bounds how many rows of one rule are named.
const maxBroken = 20

// broken gives one sentence per row that breaks a rule.
func (s store) broken(ctx context.Context) ([]string, error) {
	var all []string
	for _, p := range proofs() {
		var rows []struct {
			Name string
			Off  int64
		}
		if err := s.db.Read(ctx).Raw(p.sql+" LIMIT ?", maxBroken+1).Scan(&rows).Error; err != nil {
			return nil, fmt.Errorf("orders: proving %q: %w", p.rule, err)
		}
		for i, r := range rows {
			if i == maxBroken {
				all = append(all, "and more of the same")
				break
			}
			all = append(all, fmt.Sprintf(p.rule, r.Name, r.Off))
		}
	}
	return all, nil
}

// units sums what orders hold of each SKU in the given way.
func (s store) units(ctx context.Context, stock string) (map[int64]int64, error) {
	var rows []struct {
		SKUID int64 `gorm:"column:sku_id"`
		N     int64
	}
	err := s.db.Read(ctx).Raw(`SELECT l.sku_id, sum(l.quantity) AS n FROM orders o JOIN order_lines l ON l.order_id = o.id
		WHERE o.stock = ? GROUP BY l.sku_id`, stock).Scan(&rows).Error
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

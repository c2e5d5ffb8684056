package load

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// OrdersOptions say how many buy for how long.
type OrdersOptions struct {
	Buyers int
	Time   time.Duration // of each of the runs
}

// Rate is how fast something was done by many at once.
type Rate struct {
	Done         int64   `json:"done"`
	Failed       int64   `json:"failed"`
	PerSecond    float64 `json:"per_second"`
	MsP50        float64 `json:"ms_p50"`
	MsP99        float64 `json:"ms_p99"`
	FirstFailure string  `json:"first_failure,omitempty"`
}

// OrdersResult is how fast orders were placed, over HTTP and through the service in process, beside bare statements on the
// same database in the same run.
type OrdersResult struct {
	Database       string  `json:"database"`
	Buyers         int     `json:"buyers"`
	SKUs           int     `json:"skus"`
	Seconds        float64 `json:"seconds"`
	Placed         int64   `json:"orders_placed"`
	Failed         int64   `json:"failed"`
	PerSecond      float64 `json:"orders_per_second"`
	MsP50          float64 `json:"ms_p50"`
	MsP99          float64 `json:"ms_p99"`
	CPUPerThousand float64 `json:"cpu_seconds_per_thousand_orders"`
	FirstFailure   string  `json:"first_failure,omitempty"`

	Service *Rate `json:"service,omitempty"` // orders.Place with the whole shop behind it, in the generator's process

	BareBatched *Rate   `json:"bare_batched,omitempty"`              // one writer, a guarded UPDATE and one narrow row an order, one commit a batch
	SameRows    float64 `json:"bare_same_rows_per_second,omitempty"` // copies of the very rows of the orders in batches of the same size: what the database can do at best
	Commits     float64 `json:"baseline_commits_per_second"`         // one row a commit, one after another

	ServiceOfBare     float64 `json:"service_of_bare_batched,omitempty"`
	ServiceOfSameRows float64 `json:"service_of_bare_same_rows,omitempty"`
	HTTPOfService     float64 `json:"http_of_service,omitempty"`
	Ratio             float64 `json:"orders_per_baseline_commit"`

	RulesBroken []string `json:"rules_broken"` // of verify, after all of it; empty: nothing oversold, nothing lost
}

// Compare fills in the ratios.
func (r *OrdersResult) Compare() {
	r.Ratio = ratio(r.PerSecond, r.Commits)
	if r.Service == nil {
		return
	}
	r.HTTPOfService = ratio(r.PerSecond, r.Service.PerSecond)
	r.ServiceOfSameRows = ratio(r.Service.PerSecond, r.SameRows)
	if r.BareBatched != nil {
		r.ServiceOfBare = ratio(r.Service.PerSecond, r.BareBatched.PerSecond)
	}
}

// Orders has each buyer place one order after the other over HTTP.
func Orders(ctx context.Context, t *Target, o OrdersOptions) (OrdersResult, error) {
	r := OrdersResult{Buyers: o.Buyers, SKUs: len(t.Goods)}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.Buyers, MaxConnsPerHost: o.Buyers}}
	defer client.CloseIdleConnections()
	cpu0, err := t.cpu()
	if err != nil {
		return r, err
	}
	start := time.Now()
	rate := Clients(ctx, o.Buyers, o.Time, func(ctx context.Context, who, n int) error {
		return t.buy(ctx, client, t.Buyers[who%len(t.Buyers)], t.Goods[(who*7919+n)%len(t.Goods)], fmt.Sprintf("load-%d-%d-%d", start.UnixNano(), who, n))
	})
	r.Seconds = round(time.Since(start).Seconds())
	cpu1, err := t.cpu()
	if err != nil {
		return r, err
	}
	r.Placed, r.Failed, r.PerSecond, r.MsP50, r.MsP99, r.FirstFailure = rate.Done, rate.Failed, rate.PerSecond, rate.MsP50, rate.MsP99, rate.FirstFailure
	r.CPUPerThousand = round(perMillion(cpu1-cpu0, float64(r.Placed)) / 1000)
	return r, nil
}

// Clients lets n clients do one thing after another for a time, each its own, and says how fast that went.
func Clients(ctx context.Context, n int, d time.Duration, one func(ctx context.Context, who, n int) error) Rate {
	var r Rate
	var latency durations
	var failed atomic.Int64
	var first sync.Once
	timed, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	start := time.Now()
	var wg sync.WaitGroup
	for who := range n {
		wg.Go(func() {
			for i := 0; timed.Err() == nil; i++ {
				from := time.Now()
				if err := one(ctx, who, i); err != nil {
					failed.Add(1)
					first.Do(func() { r.FirstFailure = err.Error() })
					continue
				}
				latency.add(time.Since(from))
			}
		})
	}
	wg.Wait()
	r.Done, r.Failed = int64(latency.count()), failed.Load()
	r.PerSecond, r.MsP50, r.MsP99 = ratio(float64(r.Done), time.Since(start).Seconds()), latency.ms(.5), latency.ms(.99)
	return r
}

func (t *Target) buy(ctx context.Context, c *http.Client, token string, what Good, key string) error {
	body := fmt.Sprintf(`{"session_id":%d,"items":[{"sku_id":%d,"quantity":1}]}`, what.Session, what.SKU)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL+"/api/v1/orders", bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Idempotency-Key", key)
	status, raw, err := do(c, req)
	if err != nil {
		return err
	}
	if status != http.StatusCreated {
		return fmt.Errorf("%d %s", status, raw)
	}
	return nil
}

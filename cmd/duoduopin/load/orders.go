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
	Time   time.Duration
}

// OrdersResult is how fast orders were placed.
type OrdersResult struct {
	Database        string  `json:"database"`
	Buyers          int     `json:"buyers"`
	Seconds         float64 `json:"seconds"`
	Placed          int64   `json:"orders_placed"`
	Failed          int64   `json:"failed"`
	PerSecond       float64 `json:"orders_per_second"`
	MsP50           float64 `json:"ms_p50"`
	MsP99           float64 `json:"ms_p99"`
	CPUPerThousand  float64 `json:"cpu_seconds_per_thousand_orders"`
	BaselineCommits float64 `json:"baseline_commits_per_second"`
	Ratio           float64 `json:"orders_per_baseline_commit"`
	FirstFailure    string  `json:"first_failure,omitempty"`
}

// Orders has each buyer place one order after the other for the same SKU, over HTTP.
func Orders(ctx context.Context, t *Target, o OrdersOptions, commits func(context.Context) (float64, error)) (OrdersResult, error) {
	r := OrdersResult{Buyers: o.Buyers}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.Buyers, MaxConnsPerHost: o.Buyers}}
	defer client.CloseIdleConnections()
	var latency durations
	var failed atomic.Int64
	var first sync.Once
	timed, cancel := context.WithTimeout(ctx, o.Time)
	defer cancel()
	cpu0, err := t.cpu()
	if err != nil {
		return r, err
	}
	start := time.Now()
	var wg sync.WaitGroup
	for i := range o.Buyers {
		wg.Go(func() {
			for n := 0; timed.Err() == nil; n++ {
				from := time.Now()
				err := t.buy(ctx, client, t.Buyers[i%len(t.Buyers)], fmt.Sprintf("load-%d-%d", i, n))
				if err != nil {
					failed.Add(1)
					first.Do(func() { r.FirstFailure = err.Error() })
					continue
				}
				latency.add(time.Since(from))
			}
		})
	}
	wg.Wait()
	r.Seconds = round(time.Since(start).Seconds())
	cpu1, err := t.cpu()
	if err != nil {
		return r, err
	}
	r.Placed, r.Failed = int64(latency.count()), failed.Load()
	r.PerSecond, r.MsP50, r.MsP99 = ratio(float64(r.Placed), r.Seconds), latency.ms(.5), latency.ms(.99)
	r.CPUPerThousand = round(perMillion(cpu1-cpu0, float64(r.Placed)) / 1000)
	if commits == nil {
		return r, nil
	}
	if r.BaselineCommits, err = commits(ctx); err != nil {
		return r, err
	}
	r.Ratio = ratio(r.PerSecond, r.BaselineCommits)
	return r, nil
}

func (t *Target) buy(ctx context.Context, c *http.Client, token, key string) error {
	body := fmt.Sprintf(`{"session_id":%d,"items":[{"sku_id":%d,"quantity":1}]}`, t.Session, t.SKU)
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

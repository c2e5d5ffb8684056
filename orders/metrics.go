package orders

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/duoduopin/duoduopin/internal/fault"
)

type metrics struct {
	orders    *prometheus.CounterVec
	seconds   prometheus.Histogram
	batch     prometheus.Histogram
	callbacks *prometheus.CounterVec
	expired   prometheus.Counter
	failed    prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, queued func() float64) metrics {
	m := metrics{
		orders: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "duoduopin_orders_placements_total", Help: "Answers to placing an order, by outcome.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "duoduopin_orders_place_seconds", Help: "Time from a placement's arrival to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 15},
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "duoduopin_orders_batch_orders", Help: "Orders in one transaction of the placing lane.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256},
		}),
		callbacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "duoduopin_orders_callbacks_total", Help: "Payment callbacks, by outcome.",
		}, []string{"outcome"}),
		expired: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "duoduopin_orders_expired_total", Help: "Unpaid orders whose hold ran out.",
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "duoduopin_orders_refunds_failed_total", Help: "Refunds that a payment provider refused or ended; each waits for an operator.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.orders, m.seconds, m.batch, m.callbacks, m.expired, m.failed, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "duoduopin_orders_queue_orders", Help: "Orders waiting in front of the placing lane.",
		}, queued))
	}
	return m
}

func (m metrics) placed(err error, took time.Duration) {
	outcome := "placed"
	if err != nil {
		switch fault.KindOf(err) {
		case fault.Internal:
			outcome = "error"
		case fault.Unavailable:
			outcome = "unavailable"
		default:
			outcome = "refused"
		}
	}
	m.orders.WithLabelValues(outcome).Inc()
	m.seconds.Observe(took.Seconds())
}

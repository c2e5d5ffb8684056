package hls

import "github.com/prometheus/client_golang/prometheus"

// meter is this package's metrics.
type meter struct{ bytes prometheus.Counter }

func newMeter(r prometheus.Registerer, channels func() float64) *meter {
	m := &meter{bytes: prometheus.NewCounter(prometheus.CounterOpts{Name: "duoduopin_hls_bytes_total", Help: "Bytes served by HLS."})}
	if r != nil {
		r.MustRegister(m.bytes, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "duoduopin_hls_channels", Help: "Anchors that are being served by HLS.",
		}, channels))
	}
	return m
}

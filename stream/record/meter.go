package record

import "github.com/prometheus/client_golang/prometheus"

// meter is this package's metrics.
type meter struct {
	bytes, errors prometheus.Counter
	paused        prometheus.Gauge
}

func newMeter(r prometheus.Registerer) *meter {
	m := &meter{
		bytes:  prometheus.NewCounter(prometheus.CounterOpts{Name: "duoduopin_recording_bytes_total", Help: "Bytes of recordings written."}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{Name: "duoduopin_recording_errors_total", Help: "Failures to write or store a recording."}),
		paused: prometheus.NewGauge(prometheus.GaugeOpts{Name: "duoduopin_recording_paused", Help: "Recordings that wait for room on the disk."}),
	}
	if r != nil {
		r.MustRegister(m.bytes, m.errors, m.paused)
	}
	return m
}

// watch adds the packets that a slow disk has cost.
func (*meter) watch(r prometheus.Registerer, dropped func() float64) {
	if r != nil {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "duoduopin_recording_dropped_packets", Help: "Packets dropped by present recordings because the disk was too slow.",
		}, dropped))
	}
}

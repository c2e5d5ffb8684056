package chat

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	events    *prometheus.CounterVec
	refused   *prometheus.CounterVec
	delivered prometheus.Counter
	cut       prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, members func() float64) metrics {
	m := metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "duoduopin_chat_events_total", Help: "Events that this process put into rooms' logs, by type.",
		}, []string{"type"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "duoduopin_chat_refused_total", Help: "Messages of members that were refused, by reason.",
		}, []string{"reason"}),
		delivered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "duoduopin_chat_delivered_total", Help: "Kept events handed to members: events times members.",
		}),
		cut: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "duoduopin_chat_cut_total", Help: "Members cut because they read too slowly.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.events, m.refused, m.delivered, m.cut, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "duoduopin_chat_members", Help: "Sockets in rooms.",
		}, members))
	}
	return m
}

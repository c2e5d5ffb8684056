package reports

// Figure is one figure of the totals: its key in JSON, its names, its unit and its formula in both languages, so that
// whoever reads it can check it.
type Figure struct {
	Key, ZH, EN          string
	Unit                 string // fen, count, rate, seconds, minutes, people
	FormulaZH, FormulaEN string
	of                   func(Totals) any // a number, or nil without a denominator
}

// Figures lists every figure of the totals in the order of reading. A fresh copy each time.
func Figures() []Figure {
	return []Figure{
		{"gmv_paid_fen", "支付金额", "GMV paid", "fen", "本场 [t0,t1] 内下单的订单中买家实际支付之和，退款不扣除；积分与优惠券另列", "what buyers really paid for orders placed in [t0,t1], refunds left in", func(t Totals) any { return t.GMVPaidFen }},
		{"coupon_fen", "优惠券抵扣", "Taken off by coupons", "fen", "上述已支付订单中优惠券抵扣之和；不计入支付金额", "what coupons took off these paid orders; not in GMV paid", func(t Totals) any { return t.CouponFen }},
		{"points_fen", "积分支付", "Paid with points", "fen", "上述已支付订单中消费积分支付之和(1 积分 = 1 分)；不计入支付金额", "what consumption points paid of these paid orders, 1 point = 1 fen; not in GMV paid", func(t Totals) any { return t.PointsFen }},
		{"net_sales_fen", "净销售额", "Net sales", "fen", "支付金额 − 已成功退款", "GMV paid − succeeded refunds", func(t Totals) any { return t.NetSalesFen }},
		{"gmv_placed_fen", "下单金额", "GMV placed", "fen", "本场 [t0,t1] 内创建的订单金额之和，含未支付", "sum of the totals of orders created in [t0,t1], paid or not", func(t Totals) any { return t.GMVPlacedFen }},
		{"refunded_fen", "退款金额", "Refunded", "fen", "上述订单已成功的退款之和", "succeeded refunds of these orders", func(t Totals) any { return t.RefundedFen }},
		{"refund_pending_fen", "退款中", "Refunds under way", "fen", "上述订单已申请、未成功的退款之和", "refunds of these orders that were requested and have not succeeded yet", func(t Totals) any { return t.RefundPendingFen }},
		{"within_7_days_paid_fen", "散场后 7 天支付", "Paid within 7 days after", "fen", "看过或买过本场的观众在 t1 后 7 天内另下订单的支付金额；不并入本场", "what viewers of this session paid for other orders placed within 7 days after t1; never added to the session", func(t Totals) any { return t.Within7DaysPaidFen }},
		{"within_7_days_orders", "散场后 7 天订单", "Orders within 7 days after", "count", "同上，订单数", "the same, number of orders", func(t Totals) any { return t.Within7DaysOrders }},
		{"orders_placed", "下单数", "Orders placed", "count", "本场 [t0,t1] 内创建的订单数", "orders created in [t0,t1]", func(t Totals) any { return t.OrdersPlaced }},
		{"orders_paid", "支付订单数", "Paid orders", "count", "上述订单中已支付的(含后来退款的)", "those of them that were paid, later refunded ones included", func(t Totals) any { return t.OrdersPaid }},
		{"lines_paid", "支付行数", "Paid lines", "count", "支付订单的商品行数", "lines of the paid orders", func(t Totals) any { return t.LinesPaid }},
		{"units_paid", "支付件数", "Paid units", "count", "支付订单各行件数之和", "units of the paid orders", func(t Totals) any { return t.UnitsPaid }},
		{"buyers", "支付人数", "Paying buyers", "people", "有支付订单的不同买家", "distinct buyers of the paid orders", func(t Totals) any { return t.Buyers }},
		{"aov_fen", "客单价", "Average per buyer", "fen", "支付金额 ÷ 支付人数", "GMV paid / paying buyers", func(t Totals) any { return t.AOVFen }},
		{"payment_rate", "支付率", "Payment rate", "rate", "支付订单数 ÷ 下单数", "paid orders / orders placed", func(t Totals) any { return t.PaymentRate }},
		{"uv", "观看人数", "UV", "people", "[t0,t1] 内进入过的不同观众(账号，否则为签名访客)", "distinct viewers in [t0,t1]: account, else signed cookie", func(t Totals) any { return t.UV }},
		{"pv", "进入次数", "PV", "count", "进入次数；同一观众 30 秒内重连算同一次(自定)", "entries into the room; a viewer back within 30 s continues the same one (ours)", func(t Totals) any { return t.PV }},
		{"pcu", "最高在线", "PCU", "people", "max P(t),P(t) 为第 t 秒在线的不同观众", "max P(t), P(t) = distinct viewers connected at t", func(t Totals) any { return t.PCU }},
		{"acu", "平均在线", "ACU", "people", "Σ 每分钟最高 P(t) × 该分钟在播时长 ÷ 在播分钟数(中断不计；不足一分钟按时长计权)", "sum of each minute's highest P(t) × its minutes on air / minutes on air; interruptions are off air, parts of a minute weigh as much as they last", func(t Totals) any { return t.ACU }},
		{"watch_seconds_avg", "人均观看秒数", "Average watch time", "seconds", "[t0,t1] 内观看秒数之和 ÷ 观看人数", "watched seconds inside [t0,t1] / UV", func(t Totals) any { return t.WatchSecondsAvg }},
		{"watch_seconds_total", "总观看秒数", "Watched seconds", "seconds", "∫P(t)dt;同一观众多端重叠只算一次", "integral of P(t); overlapping connections of one viewer count once", func(t Totals) any { return t.WatchSecondsTotal }},
		{"on_air_minutes", "在播分钟", "Minutes on air", "minutes", "t1 − t0 − 中断", "t1 − t0 − interruptions", func(t Totals) any { return t.OnAirMinutes }},
		{"interrupted_minutes", "中断分钟", "Interrupted minutes", "minutes", "没有任何主播画面的时长", "time without any anchor's picture", func(t Totals) any { return t.InterruptedMinutes }},
		{"interaction_rate", "互动率", "Interaction rate", "rate", "发言、点赞、分享或关注过的观众 ÷ 观看人数", "viewers who chatted, liked, shared or followed / UV", func(t Totals) any { return t.InteractionRate }},
		{"gpm_fen", "千次观看成交", "GPM", "fen", "支付金额 × 1000 ÷ 进入次数", "GMV paid × 1000 / PV", func(t Totals) any { return t.GPMFen }},
		{"uv_value_fen", "UV 价值", "UV value", "fen", "支付金额 ÷ 观看人数", "GMV paid / UV", func(t Totals) any { return t.UVValueFen }},
		{"refund_rate", "退款率(单)", "Refund rate, orders", "rate", "有成功退款的订单 ÷ 支付订单数", "orders with a succeeded refund / paid orders", func(t Totals) any { return t.RefundRate }},
		{"refund_amount_rate", "退款率(额)", "Refund rate, amount", "rate", "退款金额 ÷ 支付金额", "refunded / GMV paid", func(t Totals) any { return t.RefundAmountRate }},
		{"sell_through", "动销率", "Sell-through", "rate", "卖出过的 SKU ÷ 橱窗上的 SKU", "SKUs sold / SKUs on the shelf", func(t Totals) any { return t.SellThrough }},
		{"stock_out_minutes", "讲解断货分钟", "Stock-out minutes", "minutes", "讲解中的商品的 SKU 库存为 0 的时长之和", "time that SKUs of a pinned product stood at 0", func(t Totals) any { return t.StockOutMinutes }},
	}
}

// moreFormulas are those of the tables and the boxes.
func moreFormulas() []Figure {
	return []Figure{
		{Key: "exposures", FormulaZH: "橱窗露出次数 + 讲解时在场的观众(每次讲解每人一次)", FormulaEN: "times seen on the shelf + viewers present while it was pinned, once per pin"},
		{Key: "clicks", FormulaZH: "打开商品的次数", FormulaEN: "times the product was opened"},
		{Key: "ctr", FormulaZH: "点击 ÷ 曝光", FormulaEN: "clicks / exposures"},
		{Key: "ctor", FormulaZH: "下单 ÷ 点击", FormulaEN: "orders / clicks"},
		{Key: "anchors", FormulaZH: "每行归下单时讲解该商品的主播；多人共讲平分，零头按最大余数；无讲解归 room。主播合计 + room = 支付金额(自定)", FormulaEN: "a line goes to the holder of its product's pin when it was ordered; a shared pin is split equally, leftover fen by largest remainder; else to room. Anchors + room = GMV paid (ours)"},
		{Key: "channels", FormulaZH: "本直播间与导入的抖音、快手订单；渠道合计 = 支付金额", FormulaEN: "own room, and imported orders of Douyin and Kuaishou; channels = GMV paid"},
		{Key: "usual", FormulaZH: "本场之前最近 10 场各指标的中位数", FormulaEN: "median of each figure over the last 10 sessions before this one"},
		{Key: "honest", FormulaZH: "标记：散场后全额退款的订单(自定)。标记不取消订单，只并列两个合计", FormulaEN: "flagged: orders refunded whole after the session (ours). A flag cancels nothing; both totals are shown"},
	}
}

// Formulas gives the text of every figure by key.
func Formulas() (zh, en map[string]string) {
	zh, en = map[string]string{}, map[string]string{}
	for _, f := range append(Figures(), moreFormulas()...) {
		zh[f.Key], en[f.Key] = f.FormulaZH, f.FormulaEN
	}
	return zh, en
}

// Map gives the totals by key, as JSON has them.
func (t Totals) Map() map[string]any {
	m := map[string]any{}
	for _, f := range Figures() {
		m[f.Key] = f.of(t)
	}
	return m
}

package demo

import "time"

// product is one article of the demo shop. Kangbashi's kinds of goods come from the newspaper report; brands, prices,
// licence numbers and texts are invented and say so.
type product struct {
	title, subtitle, category, origin, licence, picture string
	description                                         string
	fresh                                               bool
	points, banned                                      []string
	skus                                                []sku
}

type sku struct {
	name  string
	price int64 // fen, catalogue
	live  int64 // fen, price in the show
	stock int64
}

func products() []product {
	return []product{
		{
			title: "鄂尔多斯羊绒围巾", subtitle: "双面加厚 · 30×180 厘米", category: "服饰", origin: "内蒙古鄂尔多斯", picture: "cashmere-scarf.jpg",
			description: "山羊绒原料，手感柔软。演示商品：品牌、价格与文字均为虚构。",
			points:      []string{"百分之百山羊绒，标签可查", "双面织法，一条两种颜色", "盒装，送长辈合适"}, banned: []string{"最好", "第一", "国家级"},
			skus: []sku{{"驼色", 39900, 29900, 3000}, {"正红", 39900, 29900, 3000}, {"藏青", 36900, 26900, 2000}},
		},
		{
			title: "沙棘汁礼盒", subtitle: "300 毫升 × 8 瓶", category: "饮品", origin: "内蒙古鄂尔多斯", licence: "SC10615060000000(演示)", picture: "sea-buckthorn-juice.jpg",
			description: "毛乌素沙地的沙棘果，酸甜开胃。演示商品。",
			points:      []string{"沙棘树固沙，果子榨汁", "不加香精，配料表三行", "冷藏后口感更好"}, banned: []string{"治病", "降血脂", "抗癌"},
			skus: []sku{{"原味 8 瓶", 12800, 9900, 4000}, {"蜂蜜味 8 瓶", 13800, 10900, 3000}},
		},
		{
			title: "沙地酸杏干", subtitle: "500 克 × 2 袋", category: "零食", origin: "内蒙古鄂尔多斯", licence: "SC10715060000000(演示)", picture: "sour-apricot.jpg",
			description: "日晒杏干，酸味足。演示商品。",
			points:      []string{"日晒，不加糖精", "小时候的味道", "独立小袋，分着吃"}, banned: []string{"减肥", "最好"},
			skus: []sku{{"两袋装", 5900, 3900, 5000}, {"六袋家庭装", 15900, 9900, 2000}},
		},
		{
			title: "蒙古锅茶套装", subtitle: "炒米 · 奶皮子 · 牛肉干 · 砖茶", category: "茶饮", origin: "内蒙古鄂尔多斯", licence: "SC11415060000000(演示)", picture: "pot-tea.jpg",
			description: "一锅煮开，四人份。演示商品。",
			points:      []string{"四样料分开包，咸淡自己定", "十分钟一锅，照卡片煮", "配手绘煮茶说明"}, banned: []string{"养生", "治病"},
			skus: []sku{{"四人份", 16800, 12900, 3000}, {"八人份礼盒", 29800, 23900, 1500}},
		},
		{
			title: "黄河盐碱地大米", subtitle: "真空 5 公斤", category: "粮油", origin: "内蒙古鄂尔多斯杭锦旗", licence: "SC10115060000000(演示)", picture: "saline-rice.jpg",
			description: "黄河南岸盐碱地改良稻田。演示商品。",
			points:      []string{"盐碱地种出来的米", "真空小包，开一包吃一周", "当年新米"}, banned: []string{"富硒治病", "最好"},
			skus: []sku{{"5 公斤", 6900, 5900, 6000}, {"10 公斤", 12900, 10900, 3000}},
		},
		{
			title: "草原奶豆腐", subtitle: "冷链 · 500 克", category: "乳品", origin: "内蒙古鄂尔多斯", licence: "SC10515060000000(演示)", picture: "milk-tofu.jpg", fresh: true,
			description: "传统奶食，冷链发货。生鲜商品，不适用七天无理由退货。演示商品。",
			points:      []string{"早上做，下午发", "煎着吃、泡奶茶都行", "生鲜，请当天收货"}, banned: []string{"最好"},
			skus: []sku{{"原味 500 克", 4900, 3900, 4000}, {"微甜 500 克", 4900, 3900, 3000}},
		},
		{
			title: "风干牛肉干", subtitle: "独立小包 · 454 克", category: "肉品", origin: "内蒙古鄂尔多斯", licence: "SC10415060000000(演示)", picture: "beef-jerky.jpg",
			description: "三斤鲜肉一斤干。演示商品。",
			points:      []string{"牛后腿肉，风干不油炸", "独立小包，开车路上吃", "咬劲足，牙口好的来"}, banned: []string{"最好", "第一"},
			skus: []sku{{"原味", 14900, 11900, 3500}, {"微辣", 14900, 11900, 3500}},
		},
		{
			title: "牧场酸奶桶", subtitle: "冷链 · 1 公斤 × 2 桶", category: "乳品", origin: "内蒙古鄂尔多斯", licence: "SC10515060000001(演示)", picture: "yogurt.jpg", fresh: true,
			description: "老酸奶，稠得立得住勺。生鲜商品，不适用七天无理由退货。演示商品。",
			points:      []string{"只用生牛乳和菌种", "两桶起发，冷链到家", "撒炒米更香"}, banned: []string{"治病", "最好"},
			skus: []sku{{"原味 2 桶", 7900, 6900, 3000}, {"0 蔗糖 2 桶", 8900, 7900, 2000}},
		},
	}
}

// show is one past session of the demo's month.
type show struct {
	title    string
	start    time.Time
	length   time.Duration
	anchors  []string
	gmv      int64   // fen, the sum of paid orders
	online   int     // wished average of viewers online
	douyin   float64 // share of orders that came by Douyin, the rest after Kuaishou in our own room
	kuaishou float64
	breaks   []gap // interruptions, from the start
}

type gap struct{ at, length time.Duration }

// shanghai is the wall clock of the story. China has one zone without summer time.
func shanghai() *time.Location { return time.FixedZone("Asia/Shanghai", 8*3600) }

const (
	monthFen  = 40_000_000 // about 400,000 yuan in the first month (report)
	leaderFen = 15_000_000 // 150,000 yuan on the evening of 8 July 2022 (report)
)

// month gives the sessions of the first month, 14 June to 13 July 2022: the leader session with the report's figures,
// and usual evenings whose amounts are invented so that the month adds up to about 400,000 yuan.
func month() []show {
	themes := []string{"康巴什好物专场", "围巾与锅茶之夜", "沙棘丰收专场", "乳品冷链专场", "盐碱地大米专场", "牛肉干与酸杏干"}
	var shows []show
	first := time.Date(2022, 6, 14, 20, 0, 0, 0, shanghai())
	usual := 0
	for d := range 30 {
		start := first.AddDate(0, 0, d)
		if start.Month() == time.July && start.Day() == 8 {
			shows = append(shows, leader())
			continue
		}
		if start.Weekday() == time.Monday {
			continue // a day off
		}
		anchor := []string{"anchor1", "anchor2", "anchor3", "anchor4", "anchor5"}[d%5]
		s := show{title: themes[d%len(themes)], start: start, length: time.Duration(70+d%4*10) * time.Minute, anchors: []string{anchor}, online: 21 + d*5%9, douyin: .3, kuaishou: .2}
		if d == 0 {
			s.title = "试播：第一次开播"
		}
		if d%7 == 3 { // late enough to cross midnight: still one session
			s.start = s.start.Add(3*time.Hour + 10*time.Minute)
		}
		if d%6 == 2 {
			s.breaks = []gap{{25 * time.Minute, 90 * time.Second}}
		}
		shows = append(shows, s)
		usual++
	}
	left := int64(monthFen - leaderFen)
	for i := range shows {
		if shows[i].gmv != 0 {
			continue
		}
		// Around the mean in whole yuan, rising over the weeks; the last one takes what is left.
		part := (monthFen - leaderFen) / int64(usual) / 100 * int64(80+i*40/len(shows)) / 100 * 100
		if i == len(shows)-1 {
			part = left
		}
		shows[i].gmv = part
		left -= part
	}
	return shows
}

func leader() show {
	return show{
		title: "区领导直播专场：五位副区长推荐康巴什好物", start: time.Date(2022, 7, 8, 19, 0, 0, 0, shanghai()), length: 131 * time.Minute,
		anchors: []string{"anchor1", "anchor2", "anchor3", "anchor4", "anchor5"}, gmv: leaderFen, online: 208, douyin: .59, kuaishou: .41,
		breaks: []gap{{74 * time.Minute, 45 * time.Second}},
	}
}

package main

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"
)

// CLI is every command and flag. Kong reads the DUODUOPIN_* variables named here; nothing else in the repository reads
// the environment.
type CLI struct {
	Settings

	Serve   ServeCmd   `cmd:"" help:"Run the server."`
	Migrate MigrateCmd `cmd:"" help:"Bring the database's schema up to date."`
	Demo    DemoCmd    `cmd:"" help:"Fill an empty database with the demo shop; refuses a filled one."`
	User    struct {
		Add   UserAddCmd   `cmd:"" help:"Add an account and print its password."`
		Token UserTokenCmd `cmd:"" help:"Print one bearer token of an account."`
		Bulk  UserBulkCmd  `cmd:"" help:"Add many accounts; prints \"name token\" a line."`
	} `cmd:"" help:"Accounts: add, token, bulk. Work on the database beside a running server."`
	Load    LoadCmd          `cmd:"" help:"Load generators: media, chat, orders. Print JSON."`
	Verify  VerifyCmd        `cmd:"" help:"Recompute every conservation rule from rows; names each broken one."`
	Records RecordsCmd       `cmd:"" help:"What was said in the rooms: archive, retention, legal holds, forgetting, exports."`
	Health  HealthcheckCmd   `cmd:"" name:"healthcheck" help:"Ask the server on this machine whether it is ready; for container health checks."`
	Version kong.VersionFlag `help:"Print the version."`
}

// Settings are the ones of contract.md, each a flag and an environment variable.
type Settings struct {
	HTTPAddr      string   `name:"http-addr" env:"DUODUOPIN_HTTP_ADDR" default:"127.0.0.1:8080" help:"Address for HTTP and WebSocket."`
	MediaAddr     string   `name:"media-addr" env:"DUODUOPIN_MEDIA_ADDR" default:":8443" help:"UDP address for all WebRTC media; the same TCP port for ICE-TCP."`
	PublicIPs     []string `name:"public-ips" env:"DUODUOPIN_PUBLIC_IPS" sep:"," help:"Addresses put into ICE candidates, with commas; the host's own unless set."`
	TLSCert       string   `name:"tls-cert" env:"DUODUOPIN_TLS_CERT" help:"Certificate file (PEM) for HTTPS."`
	TLSKey        string   `name:"tls-key" env:"DUODUOPIN_TLS_KEY" help:"Key file (PEM) for HTTPS."`
	Domain        string   `name:"domain" env:"DUODUOPIN_DOMAIN" help:"Domain to get a certificate for by ACME; the HTTP address must then be reachable as port 443."`
	TLSLocal      bool     `name:"tls-local" env:"DUODUOPIN_TLS_LOCAL" help:"HTTPS by a self-made authority in the data folder, for a trial in a building's network."`
	DatabaseURL   string   `name:"database-url" env:"DUODUOPIN_DATABASE_URL" default:"sqlite:data/duoduopin.db" help:"sqlite:PATH or postgres://..."`
	NATSURL       string   `name:"nats-url" env:"DUODUOPIN_NATS_URL" help:"External NATS; in process unless set."`
	NATSCopies    int      `name:"nats-copies" env:"DUODUOPIN_NATS_COPIES" default:"0" enum:"0,1,3,5" help:"On how many servers of a NATS cluster a room's log is kept; 0 finds out: 3 in a cluster, else 1."`
	KeepLogDays   int      `name:"keep-log-days" env:"DUODUOPIN_KEEP_LOG_DAYS" default:"7" help:"Days after a session's end until its room's log is put away; the database has it all by then."`
	DataDir       string   `name:"data-dir" env:"DUODUOPIN_DATA_DIR" default:"data" help:"Folder for the database, pictures, recordings and the room log."`
	Recordings    string   `name:"recordings" env:"DUODUOPIN_RECORDINGS" help:"Where finished recordings go: empty for the data folder, s3://KEY:SECRET@HOST/BUCKET[/PREFIX][?region=R][&plain=1], or off for none."`
	Archive       string   `name:"archive" env:"DUODUOPIN_ARCHIVE" help:"Where old months of what was said in the rooms go: empty for the data folder, or s3://... as for recordings."`
	ArchiveMonths int      `name:"archive-months" env:"DUODUOPIN_ARCHIVE_MONTHS" default:"36" help:"Months that what was said stays in the database, where moderators search it, before it goes into files."`
	RecordMonths  int      `name:"record-months" env:"DUODUOPIN_RECORD_MONTHS" default:"36" help:"Months that what was said is kept in all; not less than 36."`
	DemoPass      string   `name:"demo-password" env:"DUODUOPIN_DEMO_PASSWORD" help:"Password of every demo account; random and printed once unless set."`
	Limits        string   `name:"limits" env:"DUODUOPIN_LIMITS" default:"on" enum:"on,off" help:"off lifts the rate limits per person and address, for load tests on loopback only."`
	Proxies       []string `name:"trusted-proxies" env:"DUODUOPIN_TRUSTED_PROXIES" sep:"," help:"Networks (CIDR) of reverse proxies whose X-Forwarded-For and -Proto are believed, with commas; on a loopback HTTP address, loopback is too."`
	EdgeSecret    string   `name:"edge-secret" env:"DUODUOPIN_EDGE_SECRET" help:"Secret shared by an origin and its edges, 16 characters or more; without it the origin takes no edges."`
	EdgeAfter     int      `name:"edge-after" env:"DUODUOPIN_EDGE_AFTER" default:"0" help:"Origin: viewers it serves itself before it sends more to its edges; 0 sends all while an edge has room."`
	EdgeOf        string   `name:"edge-of" env:"DUODUOPIN_EDGE_OF" help:"Be an edge of the origin at this address: no database, no accounts, viewers' picture only."`
	EdgeURL       string   `name:"edge-url" env:"DUODUOPIN_EDGE_URL" help:"Edge: address under which viewers reach it, such as https://edge1.example.org; needed unless it listens on loopback."`
	EdgeCap       int      `name:"edge-capacity" env:"DUODUOPIN_EDGE_CAPACITY" default:"2000" help:"Edge: viewers it is meant for; see docs/scaling.md."`
	HookNets      []string `name:"webhook-networks" env:"DUODUOPIN_WEBHOOK_NETWORKS" sep:"," help:"Private networks (CIDR) that webhooks may go to, also by plain HTTP, with commas; none unless set."`
	PublicURL     string   `name:"public-url" env:"DUODUOPIN_PUBLIC_URL" help:"Address under which buyers and payment providers reach the shop, such as https://shop.example.org; from the domain unless set. Needed by WeChat Pay and Alipay."`
	SandboxPay    string   `name:"sandbox-pay" env:"DUODUOPIN_SANDBOX_PAY" default:"auto" enum:"auto,on,off" help:"Payment with play money: auto has it as long as no real provider is set up."`
	MetricsTok    string   `name:"metrics-token" env:"DUODUOPIN_METRICS_TOKEN" help:"Bearer token that may read /metrics from anywhere; without it, loopback only."`

	WeChat WeChatSettings `embed:"" prefix:"wechat-" group:"WeChat Pay"`
	Alipay AlipaySettings `embed:"" prefix:"alipay-" group:"Alipay"`
}

// WeChatSettings are a merchant's account at WeChat Pay; with none of them set, the provider is off.
type WeChatSettings struct {
	AppID       string   `name:"app-id" env:"DUODUOPIN_WECHAT_APP_ID" help:"App of the merchant, wx..."`
	MerchantID  string   `name:"mch-id" env:"DUODUOPIN_WECHAT_MCH_ID" help:"Number of the merchant."`
	APIv3Key    string   `name:"apiv3-key" env:"DUODUOPIN_WECHAT_APIV3_KEY" help:"APIv3 key: 32 characters. Better in the environment than on the command line."`
	Key         string   `name:"key" env:"DUODUOPIN_WECHAT_KEY" help:"File with the merchant's private key: apiclient_key.pem."`
	Cert        string   `name:"cert" env:"DUODUOPIN_WECHAT_CERT" help:"File with the merchant's certificate: apiclient_cert.pem."`
	PublicKeyID string   `name:"public-key-id" env:"DUODUOPIN_WECHAT_PUBLIC_KEY_ID" help:"ID of WeChat Pay's public key, PUB_KEY_ID_...; without it platform certificates are fetched."`
	PublicKey   string   `name:"public-key" env:"DUODUOPIN_WECHAT_PUBLIC_KEY" help:"File with WeChat Pay's public key: pub_key.pem."`
	Both        bool     `name:"certificates-too" env:"DUODUOPIN_WECHAT_CERTIFICATES_TOO" help:"Believe platform certificates beside the public key, while WeChat changes over."`
	Kinds       []string `name:"kinds" env:"DUODUOPIN_WECHAT_KINDS" sep:"," default:"jsapi,h5,native" help:"Products that the merchant has, with commas."`
	BaseURL     string   `name:"base-url" env:"DUODUOPIN_WECHAT_BASE_URL" help:"Address of WeChat Pay; for tests."`
}

// AlipaySettings are an app's account at Alipay; with none of them set, the provider is off.
type AlipaySettings struct {
	AppID     string   `name:"app-id" env:"DUODUOPIN_ALIPAY_APP_ID" help:"Number of the app."`
	SellerID  string   `name:"seller-id" env:"DUODUOPIN_ALIPAY_SELLER_ID" help:"Number of the merchant, 2088..."`
	Key       string   `name:"key" env:"DUODUOPIN_ALIPAY_KEY" help:"File with the app's private key."`
	PublicKey string   `name:"public-key" env:"DUODUOPIN_ALIPAY_PUBLIC_KEY" help:"File with Alipay's public key; or the three certificates instead."`
	AppCert   string   `name:"app-cert" env:"DUODUOPIN_ALIPAY_APP_CERT" help:"File with the app's certificate: appCertPublicKey_....crt."`
	Cert      string   `name:"cert" env:"DUODUOPIN_ALIPAY_CERT" help:"File with Alipay's certificate: alipayCertPublicKey_RSA2.crt."`
	RootCert  string   `name:"root-cert" env:"DUODUOPIN_ALIPAY_ROOT_CERT" help:"File with Alipay's root certificates: alipayRootCert.crt."`
	Kinds     []string `name:"kinds" env:"DUODUOPIN_ALIPAY_KINDS" sep:"," default:"wap,page,qr" help:"Products that the merchant has, with commas."`
	BaseURL   string   `name:"base-url" env:"DUODUOPIN_ALIPAY_BASE_URL" help:"Gateway of Alipay; for its sandbox and for tests."`
}

// database gives the database's URL; the default SQLite file (also for an empty value) follows the data folder.
func (s *Settings) database() string {
	if s.DatabaseURL == "" || s.DatabaseURL == "sqlite:data/duoduopin.db" {
		return "sqlite:" + filepath.Join(s.DataDir, "duoduopin.db")
	}
	return s.DatabaseURL
}

// limited reports whether limits per person and address are in force.
func (s *Settings) limited() bool { return s.Limits != "off" }

// check finds settings that contradict each other, before anything is opened.
func (s *Settings) check() error {
	if (s.TLSCert == "") != (s.TLSKey == "") {
		return errors.New("DUODUOPIN_TLS_CERT and DUODUOPIN_TLS_KEY go together: set both or none")
	}
	ways := 0
	for _, set := range []bool{s.TLSCert != "", s.Domain != "", s.TLSLocal} {
		if set {
			ways++
		}
	}
	if ways > 1 {
		return errors.New("choose one way to HTTPS: certificate files, DUODUOPIN_DOMAIN or DUODUOPIN_TLS_LOCAL")
	}
	if err := s.checkRecordings(); err != nil {
		return err
	}
	for _, ip := range s.PublicIPs {
		if net.ParseIP(strings.TrimSpace(ip)) == nil {
			return fmt.Errorf("DUODUOPIN_PUBLIC_IPS: %q is not an IP address", ip)
		}
	}
	for _, p := range s.Proxies {
		if _, _, err := net.ParseCIDR(strings.TrimSpace(p)); err != nil {
			return fmt.Errorf("DUODUOPIN_TRUSTED_PROXIES: %q is not a network such as 172.16.0.0/12", p)
		}
	}
	if _, err := s.hookNetworks(); err != nil {
		return err
	}
	if err := s.checkEdge(); err != nil {
		return err
	}
	if err := s.checkRecords(); err != nil {
		return err
	}
	if err := s.checkPayments(); err != nil {
		return err
	}
	if !s.limited() && !loopback(s.HTTPAddr) {
		return fmt.Errorf("DUODUOPIN_LIMITS=off is for load tests and needs an HTTP address on loopback, not %s", s.HTTPAddr)
	}
	return nil
}

// checkEdge looks at what belongs to edges.
func (s *Settings) checkEdge() error {
	switch {
	case s.EdgeSecret != "" && len(s.EdgeSecret) < 16:
		return errors.New("DUODUOPIN_EDGE_SECRET is too short: 16 characters or more, such as `openssl rand -hex 16` prints")
	case s.EdgeAfter < 0:
		return errors.New("DUODUOPIN_EDGE_AFTER is a number of viewers")
	case s.EdgeOf == "":
		return nil
	case s.EdgeSecret == "":
		return errors.New("an edge needs the origin's DUODUOPIN_EDGE_SECRET")
	case s.EdgeCap < 1:
		return errors.New("DUODUOPIN_EDGE_CAPACITY is a number of viewers, 1 or more")
	case s.EdgeURL == "" && s.Domain == "" && !loopback(s.HTTPAddr):
		return errors.New("an edge needs DUODUOPIN_EDGE_URL: the address under which viewers reach it")
	}
	return nil
}

// proxies gives the networks of trusted proxies; check has refused what is none.
func (s *Settings) proxies() []*net.IPNet {
	var all []*net.IPNet
	for _, p := range s.Proxies {
		if _, n, err := net.ParseCIDR(strings.TrimSpace(p)); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// trusts reports whether a direct peer is a trusted proxy.
func (s *Settings) trusts(ip net.IP) bool {
	if ip != nil && ip.IsLoopback() && loopback(s.HTTPAddr) {
		return true
	}
	for _, n := range s.proxies() {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}

// https reports whether the server speaks TLS itself.
func (s *Settings) https() bool { return s.TLSCert != "" || s.Domain != "" || s.TLSLocal }

// loopback reports whether addr listens on loopback only.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

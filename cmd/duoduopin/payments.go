package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/orders"
	"github.com/duoduopin/duoduopin/payments"
	"github.com/duoduopin/duoduopin/payments/alipay"
	"github.com/duoduopin/duoduopin/payments/dial"
	"github.com/duoduopin/duoduopin/payments/wechat"
)

// collecting gives orders the ways to pay that the settings ask for.
func (s *Settings) collecting(c *orders.Config, at clock.Clock) error {
	var err error
	if c.Providers, err = s.providers(at); err != nil {
		return err
	}
	c.PublicURL = s.public()
	c.NoSandbox = s.SandboxPay == "off" || s.SandboxPay != "on" && len(c.Providers) > 0
	switch {
	case c.NoSandbox:
	case len(c.Providers) > 0:
		slog.Warn("payment with play money is on beside real providers: orders can be had without paying")
	case !loopback(s.HTTPAddr):
		slog.Warn("no payment provider is set up: orders are paid with play money")
	}
	return nil
}

// newPayments holds the books against the bills of the real providers.
func newPayments(sh *shop, c orders.Config, at clock.Clock, reg prometheus.Registerer) (*payments.Service, error) {
	billers := make([]payments.Biller, len(c.Providers))
	for i, p := range c.Providers {
		billers[i] = p
	}
	return payments.New(payments.Config{DB: sh.db, Clock: at, Registerer: reg, Worker: rand.Text()}, sh.orders, billers, sh.accounts)
}

// public is where buyers and providers reach the shop; empty if it is not said.
func (s *Settings) public() string {
	if s.PublicURL == "" && s.Domain != "" {
		return "https://" + s.Domain
	}
	return strings.TrimRight(s.PublicURL, "/")
}

func (s *Settings) notifyURL(provider string) string {
	return s.public() + "/api/v1/payments/" + provider + "/callback"
}

// providers builds the real ones.
func (s *Settings) providers(at clock.Clock) ([]pay.Provider, error) {
	var all []pay.Provider
	if s.WeChat.on() {
		p, err := s.weChat(at)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	if s.Alipay.on() {
		p, err := s.alipay(at)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// checkPayments finds what is wrong with the settings of payment, files included, before anything is opened. No error of
// it holds a secret.
func (s *Settings) checkPayments() error {
	if s.PublicURL != "" {
		if _, err := dial.Base(s.PublicURL); err != nil {
			return fmt.Errorf("DUODUOPIN_PUBLIC_URL: %w", err)
		}
	}
	if s.EdgeOf != "" {
		return nil // an edge sells nothing
	}
	_, err := s.providers(clock.System{})
	return err
}

func (w WeChatSettings) on() bool {
	return w.AppID+w.MerchantID+w.APIv3Key+w.Key+w.Cert+w.PublicKeyID+w.PublicKey+w.BaseURL != ""
}

func (a AlipaySettings) on() bool {
	return a.AppID+a.SellerID+a.Key+a.PublicKey+a.AppCert+a.Cert+a.RootCert+a.BaseURL != ""
}

// setting is one value with the name under which people know it.
type setting struct{ name, value, remedy string }

// needed names the first setting that is missing.
func needed(why string, all ...setting) error {
	for _, x := range all {
		if x.value == "" {
			return fmt.Errorf("%s is not set, but %s needs it: %s", x.name, why, x.remedy)
		}
	}
	return nil
}

// first gives the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func fits(x setting, pattern string) error {
	if !regexp.MustCompile(pattern).MatchString(x.value) {
		return fmt.Errorf("%s: %q does not look right: %s", x.name, x.value, x.remedy)
	}
	return nil
}

func kindsOf(x setting, given []string, all ...pay.Kind) ([]pay.Kind, error) {
	var out []pay.Kind
	for _, g := range given {
		k := pay.Kind(strings.TrimSpace(g))
		if !slices.Contains(all, k) {
			return nil, fmt.Errorf("%s: %q is none of %v", x.name, g, all)
		}
		out = append(out, k)
	}
	return out, nil
}

// weChat builds WeChat Pay from its settings.
func (s *Settings) weChat(at clock.Clock) (*wechat.Provider, error) {
	w := s.WeChat
	app := setting{"DUODUOPIN_WECHAT_APP_ID", w.AppID, "the app bound to the merchant, such as wx0123456789abcdef"}
	merchant := setting{"DUODUOPIN_WECHAT_MCH_ID", w.MerchantID, "the merchant's number, 8 to 10 digits"}
	key := setting{"DUODUOPIN_WECHAT_KEY", w.Key, "the path of apiclient_key.pem, from the merchant platform under account, API security"}
	cert := setting{"DUODUOPIN_WECHAT_CERT", w.Cert, "the path of apiclient_cert.pem, which came with the key"}
	v3 := setting{"DUODUOPIN_WECHAT_APIV3_KEY", w.APIv3Key, "the 32 characters that you set in the merchant platform under account, API security, APIv3 key"}
	err := first(
		needed("WeChat Pay", app, merchant, v3, key, cert, setting{"DUODUOPIN_PUBLIC_URL", s.public(), "the shop's address on the Internet, where WeChat calls back"}),
		fits(app, `^wx[0-9a-zA-Z]{6,30}$`), fits(merchant, `^[0-9]{8,10}$`))
	if err != nil {
		return nil, err
	}
	if n := len(w.APIv3Key); n != 32 {
		return nil, fmt.Errorf("%s has %d bytes instead of 32: set %s", v3.name, n, v3.remedy)
	}
	c := wechat.Config{
		AppID: w.AppID, MerchantID: w.MerchantID, APIv3Key: w.APIv3Key, PublicKeyID: w.PublicKeyID, Both: w.Both, BaseURL: w.BaseURL,
		NotifyURL: s.notifyURL(pay.WeChat), Clock: at,
	}
	if c.Kinds, err = kindsOf(setting{name: "DUODUOPIN_WECHAT_KINDS"}, w.Kinds, pay.JSAPI, pay.H5, pay.Native); err != nil {
		return nil, err
	}
	if c.PrivateKey, err = privateKey(key); err != nil {
		return nil, err
	}
	own, err := certificateOf(cert, at, c.PrivateKey)
	if err != nil {
		return nil, err
	}
	c.SerialNo = fmt.Sprintf("%X", own.SerialNumber.Bytes())
	if c.PublicKey, err = s.weChatPublicKey(); err != nil {
		return nil, err
	}
	p, err := wechat.New(c)
	if err != nil {
		return nil, fmt.Errorf("DUODUOPIN_WECHAT_...: %w", err)
	}
	return p, nil
}

// weChatPublicKey reads WeChat Pay's public key, nil where platform certificates are used.
func (s *Settings) weChatPublicKey() (*rsa.PublicKey, error) {
	w := s.WeChat
	file := setting{"DUODUOPIN_WECHAT_PUBLIC_KEY", w.PublicKey, "the path of pub_key.pem, from the merchant platform under account, API security"}
	switch {
	case w.PublicKey == "" && w.PublicKeyID == "":
		return nil, nil //nolint:nilnil // without one is no error
	case w.PublicKey == "" || w.PublicKeyID == "":
		return nil, errors.New("DUODUOPIN_WECHAT_PUBLIC_KEY and DUODUOPIN_WECHAT_PUBLIC_KEY_ID go together: set both, or none to use platform certificates")
	case !strings.HasPrefix(w.PublicKeyID, "PUB_KEY_ID_"):
		return nil, errors.New("DUODUOPIN_WECHAT_PUBLIC_KEY_ID: it begins with PUB_KEY_ID_; the merchant platform shows it beside the key")
	}
	der, err := decode(file, "PUBLIC KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKIXPublicKey(der)
	public, ok := key.(*rsa.PublicKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s: %s holds no RSA public key: set %s", file.name, file.value, file.remedy)
	}
	return public, nil
}

// alipay builds Alipay from its settings.
func (s *Settings) alipay(at clock.Clock) (*alipay.Provider, error) {
	a := s.Alipay
	app := setting{"DUODUOPIN_ALIPAY_APP_ID", a.AppID, "the app's number on the open platform, 16 digits"}
	seller := setting{"DUODUOPIN_ALIPAY_SELLER_ID", a.SellerID, "the merchant's number, 16 digits that begin with 2088"}
	key := setting{"DUODUOPIN_ALIPAY_KEY", a.Key, "the path of the app's private key"}
	err := first(
		needed("Alipay", app, seller, key, setting{"DUODUOPIN_PUBLIC_URL", s.public(), "the shop's address on the Internet, where Alipay calls back"}),
		fits(app, `^[0-9]{16}$`), fits(seller, `^2088[0-9]{12}$`))
	if err != nil {
		return nil, err
	}
	c := alipay.Config{AppID: a.AppID, SellerID: a.SellerID, BaseURL: a.BaseURL, NotifyURL: s.notifyURL(pay.Alipay), Clock: at}
	if c.Kinds, err = kindsOf(setting{name: "DUODUOPIN_ALIPAY_KINDS"}, a.Kinds, pay.WAP, pay.Page, pay.QR); err != nil {
		return nil, err
	}
	own, err := privateKey(key)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key.name, err)
	}
	c.PrivateKey = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err := a.trust(&c, at, own); err != nil {
		return nil, err
	}
	p, err := alipay.New(c)
	if err != nil {
		return nil, fmt.Errorf("DUODUOPIN_ALIPAY_...: %w", err)
	}
	return p, nil
}

// trust reads by what Alipay proves itself: its public key, or certificates.
func (a AlipaySettings) trust(c *alipay.Config, at clock.Clock, own *rsa.PrivateKey) error {
	certs := []setting{
		{"DUODUOPIN_ALIPAY_APP_CERT", a.AppCert, "the path of appCertPublicKey_....crt"},
		{"DUODUOPIN_ALIPAY_CERT", a.Cert, "the path of alipayCertPublicKey_RSA2.crt"},
		{"DUODUOPIN_ALIPAY_ROOT_CERT", a.RootCert, "the path of alipayRootCert.crt"},
	}
	if a.PublicKey != "" {
		if a.AppCert+a.Cert+a.RootCert != "" {
			return errors.New("DUODUOPIN_ALIPAY_PUBLIC_KEY and the certificates exclude each other: set the one way that the app uses on the open platform")
		}
		text, err := readFile(setting{"DUODUOPIN_ALIPAY_PUBLIC_KEY", a.PublicKey, "the path of a file with Alipay's public key"})
		c.PublicKey = strings.TrimSpace(string(text))
		return err
	}
	if a.AppCert+a.Cert+a.RootCert == "" {
		return errors.New("DUODUOPIN_ALIPAY_PUBLIC_KEY is not set, but Alipay needs it: the path of a file with Alipay's public key, or set the three certificates DUODUOPIN_ALIPAY_APP_CERT, _CERT and _ROOT_CERT instead")
	}
	if err := needed("Alipay with certificates", certs...); err != nil {
		return err
	}
	if _, err := certificateOf(certs[0], at, own); err != nil {
		return err
	}
	for i, into := range []*string{&c.AppCert, &c.AlipayCert, &c.RootCert} {
		text, err := readFile(certs[i])
		if err != nil {
			return err
		}
		*into = string(text)
	}
	return nil
}

// maxKeyFile is the largest file of a key or certificate in bytes.
const maxKeyFile = 256 << 10

func readFile(x setting) ([]byte, error) {
	info, err := os.Stat(x.value)
	if err == nil && info.Size() > maxKeyFile {
		err = errors.New("too large")
	}
	if err == nil {
		var text []byte
		if text, err = os.ReadFile(x.value); err == nil {
			return text, nil
		}
	}
	return nil, fmt.Errorf("%s: %w: set %s", x.name, err, x.remedy)
}

// decode reads the first PEM block of a file, or bare base64, as Alipay's tools write it.
func decode(x setting, kinds ...string) ([]byte, error) {
	text, err := readFile(x)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(text); block != nil {
		if !slices.Contains(kinds, block.Type) {
			return nil, fmt.Errorf("%s: %s holds a %s instead of a %s: set %s", x.name, x.value, strings.ToLower(block.Type), strings.ToLower(kinds[0]), x.remedy)
		}
		return block.Bytes, nil
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil || len(der) == 0 {
		return nil, fmt.Errorf("%s: %s is neither PEM nor base64: set %s", x.name, x.value, x.remedy)
	}
	return der, nil
}

func privateKey(x setting) (*rsa.PrivateKey, error) {
	der, err := decode(x, "PRIVATE KEY", "RSA PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS1PrivateKey(der)
	if err != nil {
		any8, err8 := x509.ParsePKCS8PrivateKey(der)
		var ok bool
		if key, ok = any8.(*rsa.PrivateKey); err8 != nil || !ok {
			return nil, fmt.Errorf("%s: %s holds no RSA private key: set %s", x.name, x.value, x.remedy)
		}
	}
	if key.N.BitLen() < 2048 {
		return nil, fmt.Errorf("%s: the key has %d bits; 2048 are needed", x.name, key.N.BitLen())
	}
	if info, err := os.Stat(x.value); err == nil && info.Mode().Perm()&0o077 != 0 {
		slog.Warn("a private key can be read by others on this machine; chmod 600 it", "setting", x.name)
	}
	return key, nil
}

// certificateOf reads a certificate, which must be of key and valid now.
func certificateOf(x setting, at clock.Clock, key *rsa.PrivateKey) (*x509.Certificate, error) {
	der, err := decode(x, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %s holds no certificate: set %s", x.name, x.value, x.remedy)
	case !key.PublicKey.Equal(c.PublicKey):
		return nil, fmt.Errorf("%s: the certificate is not of the private key: take both from the same download", x.name)
	case at.Now().After(c.NotAfter):
		return nil, fmt.Errorf("%s: the certificate ran out on %s: get a new one at the provider", x.name, c.NotAfter.Format(time.DateOnly))
	case at.Now().Before(c.NotBefore):
		return nil, fmt.Errorf("%s: the certificate is valid from %s on: is this machine's clock right?", x.name, c.NotBefore.Format(time.DateOnly))
	}
	return c, nil
}

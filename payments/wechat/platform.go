package wechat

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/wechatpay-apiv3/wechatpay-go/core"
	"github.com/wechatpay-apiv3/wechatpay-go/core/auth/validators"
	"github.com/wechatpay-apiv3/wechatpay-go/core/auth/verifiers"
	"github.com/wechatpay-apiv3/wechatpay-go/utils"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/payments/dial"
)

// When platform certificates are fetched: twice a day, and when an unknown one signs, but not more than once a minute.
const (
	fetchEvery = 12 * time.Hour
	fetchLeast = time.Minute
	fetchTime  = 10 * time.Second
)

// platform keeps WeChat's platform certificates; it satisfies core.CertificateGetter.
type platform struct {
	client *core.Client // does not verify: the first certificates come before anything to verify with
	key    string
	clock  clock.Clock

	mu      sync.Mutex
	certs   map[string]*x509.Certificate
	fetched time.Time
	tried   time.Time
}

// Get gives a certificate that is valid now, fetching anew if it is unknown or the others are old.
func (p *platform) Get(ctx context.Context, serial string) (*x509.Certificate, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	if c := p.certs[serial]; c == nil || now.Sub(p.fetched) > fetchEvery {
		p.refresh(ctx, now)
	}
	c := p.certs[serial]
	if c == nil || now.Before(c.NotBefore) || now.After(c.NotAfter) {
		return nil, false
	}
	return c, true
}

// GetAll gives all that are known.
func (p *platform) GetAll(context.Context) map[string]*x509.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.certs
}

// GetNewestSerial names the one that was made last; empty before the first fetch.
func (p *platform) GetNewestSerial(context.Context) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	newest, when := "", time.Time{}
	for serial, c := range p.certs {
		if c.NotBefore.After(when) {
			newest, when = serial, c.NotBefore
		}
	}
	return newest
}

// refresh fetches; what can't be fetched leaves what there is.
func (p *platform) refresh(ctx context.Context, now time.Time) {
	if !p.tried.IsZero() && now.Sub(p.tried) < fetchLeast {
		return
	}
	p.tried = now
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
	defer cancel()
	if certs, err := p.fetch(ctx); err == nil {
		p.certs, p.fetched = certs, now
	}
}

var errCerts = errors.New("wechat: the platform certificates do not prove themselves")

// fetch opens the certificates with the APIv3 key, which nobody else has, and then holds the answer's signature against them.
func (p *platform) fetch(ctx context.Context) (map[string]*x509.Certificate, error) {
	got, err := p.client.Get(ctx, DefaultBase+"/v3/certificates")
	if err != nil {
		return nil, dial.Plain(err)
	}
	defer got.Response.Body.Close()
	var list struct {
		Data []struct {
			SerialNo string `json:"serial_no"`
			Sealed   sealed `json:"encrypt_certificate"`
		} `json:"data"`
	}
	if err := core.UnMarshalResponse(got.Response, &list); err != nil {
		return nil, err
	}
	certs := map[string]*x509.Certificate{}
	for _, d := range list.Data {
		plain, err := d.Sealed.open(p.key)
		if err != nil {
			return nil, err
		}
		c, err := utils.LoadCertificate(string(plain))
		if err != nil {
			return nil, err
		}
		if _, ok := c.PublicKey.(*rsa.PublicKey); !ok || utils.GetCertificateSerialNumber(*c) != d.SerialNo {
			return nil, errCerts
		}
		certs[d.SerialNo] = c
	}
	return certs, proves(ctx, certs, got.Response)
}

func proves(ctx context.Context, certs map[string]*x509.Certificate, res *http.Response) error {
	v := validators.NewWechatPayResponseValidator(verifiers.NewSHA256WithRSAVerifier(core.NewCertificateMap(certs)))
	if err := v.Validate(ctx, res); err != nil {
		return fmt.Errorf("%w: %w", errCerts, err)
	}
	_, err := io.Copy(io.Discard, res.Body)
	return err
}

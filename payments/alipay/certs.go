package alipay

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // how Alipay names its certificates
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	sdk "github.com/smartwalle/alipay/v3"
)

// learnLeast is how often at most an unknown certificate is asked for: anybody may send us a name of one.
const learnLeast = time.Minute

// certs are the certificates of Alipay that have proved themselves, by Alipay's name for them.
type certs struct {
	roots *x509.CertPool

	mu    sync.Mutex
	known map[string]bool
	tried time.Time
}

type learningKey struct{}

// learn fetches a certificate that signs for the first time and takes it if the root proves it. It changes nothing else:
// what is signed by a certificate that is still unknown is then refused.
func (p *Provider) learn(ctx context.Context, sn string) {
	if sn == "" || len(sn) > 64 || ctx.Value(learningKey{}) != nil {
		return
	}
	now := p.cfg.Clock.Now()
	p.certs.mu.Lock()
	skip := p.certs.known[sn] || !p.certs.tried.IsZero() && now.Sub(p.certs.tried) < learnLeast
	if !skip {
		p.certs.tried = now
	}
	p.certs.mu.Unlock()
	if skip {
		return
	}
	got, err := p.sdk.CertDownload(context.WithValue(ctx, learningKey{}, true), sdk.CertDownload{AliPayCertSN: sn})
	if err != nil || got.IsFailure() {
		return
	}
	if text, err := base64.StdEncoding.DecodeString(got.AliPayCertContent); err == nil {
		_ = p.accept(string(text)) // one that does not prove itself stays unknown
	}
}

// accept takes a certificate that the root proves: the first of text, with the others between it and the root.
func (p *Provider) accept(text string) error {
	var leaf *x509.Certificate
	between := x509.NewCertPool()
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		switch {
		case err != nil:
			return fmt.Errorf("alipay: certificate: %w", err)
		case leaf == nil:
			leaf = c
		default:
			between.AddCert(c)
		}
	}
	if leaf == nil {
		return errors.New("alipay: certificate: none in it")
	}
	if _, ok := leaf.PublicKey.(*rsa.PublicKey); !ok {
		return errors.New("alipay: certificate: not of an RSA key")
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: p.certs.roots, Intermediates: between, CurrentTime: p.cfg.Clock.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return fmt.Errorf("alipay: certificate: %w", err)
	}
	if err := p.sdk.LoadAlipayCertPublicKey(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}))); err != nil {
		return err
	}
	p.certs.mu.Lock()
	p.certs.known[Number(leaf)] = true
	p.certs.mu.Unlock()
	return nil
}

// Number is Alipay's name for a certificate.
func Number(c *x509.Certificate) string {
	sum := md5.Sum([]byte(c.Issuer.String() + c.SerialNumber.String())) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])
}

// learning looks which certificate signed an answer before the library does, which only knows those it has.
type learning struct {
	next     http.RoundTripper
	provider *Provider
}

// RoundTrip passes r on and learns from the answer.
func (l *learning) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	var signed struct {
		Number string `json:"alipay_cert_sn"`
	}
	if json.Unmarshal(body, &signed) == nil {
		l.provider.learn(r.Context(), signed.Number)
	}
	return res, nil
}

// Package pay holds the plain values that orders and the payment providers exchange, and the interface between them:
// orders decides what money means, a provider (payments/wechat, payments/alipay, orders' sandbox) only speaks its protocol.
// Amounts are integer fen, times UTC.
package pay

import (
	"context"
	"net/http"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// Names of the providers that move money through us. A payment under any other name was taken by another platform.
const (
	Sandbox = "sandbox"
	WeChat  = "wechat"
	Alipay  = "alipay"
)

// Ours reports whether a provider's money moves through us, whether it is switched on at this moment or not.
func Ours(provider string) bool {
	return provider == Sandbox || provider == WeChat || provider == Alipay
}

// Currency is the only one the shop takes.
const Currency = "CNY"

// Window is how old, or how far in the future, a callback's timestamp may be.
const Window = 5 * time.Minute

// Faults of providers.
var (
	ErrForged  = fault.New(fault.Forbidden, "bad-signature", "the signature does not fit")
	ErrStale   = fault.New(fault.Forbidden, "stale-callback", "the timestamp is more than five minutes off")
	ErrBad     = fault.New(fault.BadRequest, "bad-callback", "this is not a callback of that provider")
	ErrDown    = fault.New(fault.Unavailable, "provider-unavailable", "the payment provider does not answer; try again").RetryAfter(3 * time.Second)
	ErrRefused = fault.New(fault.Conflict, "provider-refused", "the payment provider refused")
	ErrNoBill  = fault.New(fault.NotFound, "no-bill", "the provider has no bill for this day")
	ErrNotYet  = fault.New(fault.Unavailable, "bill-not-ready", "the provider's bill for this day is not ready yet").RetryAfter(10 * time.Minute)
)

// Kind is one of a provider's products: how the buyer is brought to pay.
type Kind string

// The kinds.
const (
	JSAPI  Kind = "jsapi"  // WeChat, inside WeChat's own browser
	H5     Kind = "h5"     // WeChat, from another browser on a phone
	Native Kind = "native" // WeChat, by a QR code
	WAP    Kind = "wap"    // Alipay, on a phone
	Page   Kind = "page"   // Alipay on a desk; the sandbox's page
	QR     Kind = "qr"     // Alipay, by a QR code
)

// What the page does with a Start.
const (
	Redirect = "redirect" // open URL
	ShowQR   = "qr"       // show Code as a QR code
	CallJS   = "jsapi"    // call WeixinJSBridge's getBrandWCPayRequest with JSAPI
)

// Payment is what a provider is told of an attempt to pay.
type Payment struct {
	ID         string // ours; the merchant's number at the provider
	OrderID    string
	ProviderID string // the provider's, once it is known
	Kind       Kind
	AmountFen  int64
	Title      string    // what the buyer reads at the provider
	ExpiresAt  time.Time // nobody can pay after it
	ClientIP   string    // of the buyer; H5 needs it
	OpenID     string    // of the buyer at WeChat; JSAPI needs it
	ReturnURL  string    // where the provider's page sends the buyer back to
}

// Start is where the buyer goes to pay.
type Start struct {
	Action string            `json:"action"`
	URL    string            `json:"url,omitempty"`
	Code   string            `json:"qr,omitempty"`
	JSAPI  map[string]string `json:"jsapi,omitempty"`
}

// Status is what a provider says of a payment or a refund.
type Status string

// The statuses. Of payments: Waiting, Success, Closed, Unknown. Of refunds: Waiting, Success, Failed, Unknown.
const (
	Waiting Status = "waiting"
	Success Status = "success"
	Closed  Status = "closed"  // can't be paid any more
	Failed  Status = "failed"  // will never come
	Unknown Status = "unknown" // the provider has never heard of it
)

// Notice is a provider's word about a payment or a refund, authenticated.
type Notice struct {
	Status     Status    `json:"status"` // Success; of refunds also Failed; Closed is only taken note of
	ProviderID string    `json:"provider_id"`
	PaymentID  string    `json:"payment_id"`
	OrderID    string    `json:"order_id"`
	AmountFen  int64     `json:"amount_fen"` // of the payment, or of the refund
	Currency   string    `json:"currency"`
	At         time.Time `json:"at"`
	RefundID   string    `json:"refund_id,omitempty"` // ours; empty: about the payment
	Reason     string    `json:"reason,omitempty"`    // why a refund failed
}

// Refund is money to send back.
type Refund struct {
	ID        string
	AmountFen int64
	Reason    string
}

// RefundResult is what a provider says of a refund.
type RefundResult struct {
	Status     Status
	ProviderID string // the provider's number of the refund
	Code       string // why it failed
}

// Provider is a way to pay. Its errors are the faults above: ErrDown may be repeated, ErrRefused not.
type Provider interface {
	Name() string
	// Kinds are its products in this shop.
	Kinds() []Kind
	// Start begins a payment and says where the buyer goes. Repeated with the same payment it starts nothing new.
	Start(ctx context.Context, p Payment) (Start, error)
	// ParseCallback authenticates and reads what the provider sent: the signature over the raw bytes, its timestamp, merchant
	// and app. ErrStale comes with the notice when only its age is wrong.
	ParseCallback(ctx context.Context, header http.Header, raw []byte) (Notice, error)
	// Answer is the reply to a callback: nil says that it was taken and must not be repeated.
	Answer(err error) Reply
	// Query asks what became of a payment; the Notice is filled when the status is Success.
	Query(ctx context.Context, p Payment) (Status, Notice, error)
	// Close makes that p can't be paid any more. ErrRefused: it has been paid.
	Close(ctx context.Context, p Payment) error
	// Refund sends money back; repeated with the same refund it sends nothing more.
	Refund(ctx context.Context, p Payment, r Refund) (RefundResult, error)
	// QueryRefund asks what became of a refund.
	QueryRefund(ctx context.Context, p Payment, r Refund) (RefundResult, error)
	// Bill gives all payments and refunds of one day as the provider has them: the day of t in China.
	Bill(ctx context.Context, day time.Time) ([]Line, error)
}

// Reply is an HTTP answer; the zero Reply leaves it to our own form.
type Reply struct {
	Status int
	Type   string
	Body   string
}

// Line is one line of a provider's bill.
type Line struct {
	PaymentID  string // ours
	ProviderID string // the provider's number of the payment
	RefundID   string // ours; empty: a payment
	AmountFen  int64  // of the payment or the refund, never negative
	Status     Status // of payments Success; of refunds Success, Waiting or Failed
	At         time.Time
}

// Booking is one payment or refund as our books have it, to be held against a bill.
type Booking struct {
	PaymentID  string
	OrderID    string
	ProviderID string
	RefundID   string // empty: a payment
	AmountFen  int64
	State      string    // of payments pending, settled, returned; of refunds requested, succeeded, failed
	At         time.Time // when it counts for a bill: the payment's success, the refund's acceptance; zero: it does not yet
}

// China is the time zone in which providers write their times and close their days.
func China() *time.Location { return time.FixedZone("UTC+8", 8*60*60) }

// Day gives the start of the Chinese day of t, in UTC.
func Day(t time.Time) time.Time {
	c := t.In(China())
	return time.Date(c.Year(), c.Month(), c.Day(), 0, 0, 0, 0, China()).UTC()
}

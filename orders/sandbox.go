package orders

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/pay"
)

// SandboxName is the sandbox provider's name in routes and rows.
const SandboxName = pay.Sandbox

// The sandbox speaks as real providers do: a JSON body, signed with a shared key over TIMESTAMP "\n" NONCE "\n" BODY "\n".
const (
	sandboxMerchant  = "duoduopin-sandbox"
	sandboxTimestamp = "Sandbox-Timestamp" // Unix seconds of sending
	sandboxNonce     = "Sandbox-Nonce"
	sandboxSignature = "Sandbox-Signature" // HMAC-SHA256 in hex
)

// sandbox is a provider without a bank: money comes when a person says so on its page, or when it is asked to.
type sandbox struct {
	secret func(context.Context) ([]byte, error)
	clock  clock.Clock
	store  store
}

// sandboxBody is the body of the sandbox's callback.
type sandboxBody struct {
	ID        string    `json:"id"` // of the transaction, the provider's own
	Merchant  string    `json:"merchant"`
	PaymentID string    `json:"payment_id"`
	OrderID   string    `json:"order_id"`
	AmountFen int64     `json:"amount_fen"`
	Currency  string    `json:"currency"`
	SettledAt time.Time `json:"settled_at"`
}

// Name is SandboxName.
func (sandbox) Name() string { return SandboxName }

// Kinds is its page.
func (sandbox) Kinds() []pay.Kind { return []pay.Kind{pay.Page} }

// Start sends the buyer to the page on which a person chooses what happens.
func (sandbox) Start(_ context.Context, p pay.Payment) (pay.Start, error) {
	return pay.Start{Action: pay.Redirect, URL: "/api/v1/payments/sandbox/" + p.ID + "/page"}, nil
}

// Answer is ours: the outcome as JSON, or a problem.
func (sandbox) Answer(error) pay.Reply { return pay.Reply{} }

// Query knows what was chosen on the page.
func (b sandbox) Query(ctx context.Context, p pay.Payment) (pay.Status, Callback, error) {
	all, err := b.store.trades(ctx, p.ID, b.clock.Now())
	if err != nil || len(all) == 0 {
		return pay.Waiting, Callback{}, err
	}
	return pay.Success, Callback{
		Status: pay.Success, ProviderID: all[0].ID, PaymentID: p.ID, OrderID: p.OrderID, AmountFen: all[0].AmountFen, Currency: Currency, At: db.Time(all[0].PaidMs),
	}, nil
}

// Close refuses what has been paid.
func (b sandbox) Close(ctx context.Context, p pay.Payment) error {
	all, err := b.store.trades(ctx, p.ID, b.clock.Now())
	if err == nil && len(all) > 0 {
		return pay.ErrRefused
	}
	return err
}

// Refund always succeeds.
func (sandbox) Refund(context.Context, pay.Payment, pay.Refund) (pay.RefundResult, error) {
	return pay.RefundResult{Status: pay.Success}, nil
}

// QueryRefund always finds it done.
func (sandbox) QueryRefund(context.Context, pay.Payment, pay.Refund) (pay.RefundResult, error) {
	return pay.RefundResult{Status: pay.Success}, nil
}

// Bill is none: play money is not reconciled.
func (sandbox) Bill(context.Context, time.Time) ([]pay.Line, error) { return nil, pay.ErrNoBill }

// ParseCallback accepts what carries our key's signature and was sent within five minutes.
func (b sandbox) ParseCallback(ctx context.Context, header http.Header, raw []byte) (Callback, error) {
	key, err := b.secret(ctx)
	if err != nil {
		return Callback{}, err
	}
	stamp, nonce := header.Get(sandboxTimestamp), header.Get(sandboxNonce)
	given, err := hex.DecodeString(header.Get(sandboxSignature))
	if err != nil || nonce == "" || len(nonce) > 64 || !hmac.Equal(given, sign(key, stamp, nonce, raw)) {
		return Callback{}, pay.ErrForged
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return Callback{}, pay.ErrForged
	}
	if off := b.clock.Now().Sub(time.Unix(seconds, 0)); off > pay.Window || off < -pay.Window {
		return Callback{}, pay.ErrStale
	}
	return readSandbox(raw)
}

// readSandbox reads a callback that is known to be authentic.
func readSandbox(raw []byte) (Callback, error) {
	var body sandboxBody
	if err := json.Unmarshal(raw, &body); err != nil {
		return Callback{}, pay.ErrBad.Because(err)
	}
	if body.ID == "" || len(body.ID) > 64 || body.Merchant != sandboxMerchant || body.SettledAt.IsZero() {
		return Callback{}, pay.ErrBad
	}
	return Callback{
		Status: pay.Success, ProviderID: body.ID, PaymentID: body.PaymentID, OrderID: body.OrderID, AmountFen: body.AmountFen,
		Currency: body.Currency, At: body.SettledAt,
	}, nil
}

// settle makes the callback that a provider would send when the buyer has paid p in full at the given time.
func (b sandbox) settle(ctx context.Context, p Payment, at time.Time) (http.Header, []byte, error) {
	return b.callback(ctx, sandboxBody{
		ID: "sb_" + p.ID, Merchant: sandboxMerchant, PaymentID: p.ID, OrderID: p.OrderID,
		AmountFen: p.AmountFen, Currency: Currency, SettledAt: at.UTC(),
	})
}

// callback signs a body as sent now.
func (b sandbox) callback(ctx context.Context, body sandboxBody) (http.Header, []byte, error) {
	key, err := b.secret(ctx)
	if err != nil {
		return nil, nil, err
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, nil, err
	}
	stamp, nonce := strconv.FormatInt(b.clock.Now().Unix(), 10), rand.Text()
	header := http.Header{}
	header.Set(sandboxTimestamp, stamp)
	header.Set(sandboxNonce, nonce)
	header.Set(sandboxSignature, hex.EncodeToString(sign(key, stamp, nonce, raw)))
	return header, raw, nil
}

func sign(key []byte, stamp, nonce string, raw []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(stamp + "\n" + nonce + "\n"))
	mac.Write(raw)
	mac.Write([]byte("\n"))
	return mac.Sum(nil)
}

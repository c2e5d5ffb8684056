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
)

// SandboxName is the sandbox provider's name in routes and rows.
const SandboxName = "sandbox"

// The sandbox speaks as real providers do: a JSON body, signed with a shared key over TIMESTAMP "\n" NONCE "\n" BODY "\n".
const (
	sandboxMerchant  = "duoduopin-sandbox"
	sandboxTimestamp = "Sandbox-Timestamp" // Unix seconds of sending
	sandboxNonce     = "Sandbox-Nonce"
	sandboxSignature = "Sandbox-Signature" // HMAC-SHA256 in hex
	callbackWindow   = 5 * time.Minute
)

// sandbox is a provider without a bank: money comes when it is asked to.
type sandbox struct {
	secret func(context.Context) ([]byte, error)
	clock  clock.Clock
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

// Start has nobody to tell.
func (sandbox) Start(context.Context, Payment) (StartResult, error) { return StartResult{}, nil }

// Query knows nothing: the sandbox keeps no books, its callback is all there is.
func (sandbox) Query(context.Context, Payment) (Callback, bool, error) {
	return Callback{}, false, nil
}

// Refund always succeeds.
func (sandbox) Refund(context.Context, Payment, Refund) error { return nil }

// ParseCallback accepts what carries our key's signature and was sent within five minutes.
func (b sandbox) ParseCallback(ctx context.Context, header http.Header, raw []byte) (Callback, error) {
	key, err := b.secret(ctx)
	if err != nil {
		return Callback{}, err
	}
	stamp, nonce := header.Get(sandboxTimestamp), header.Get(sandboxNonce)
	given, err := hex.DecodeString(header.Get(sandboxSignature))
	if err != nil || nonce == "" || len(nonce) > 64 || !hmac.Equal(given, sign(key, stamp, nonce, raw)) {
		return Callback{}, ErrForged
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return Callback{}, ErrForged
	}
	if off := b.clock.Now().Sub(time.Unix(seconds, 0)); off > callbackWindow || off < -callbackWindow {
		return Callback{}, ErrStale
	}
	return readSandbox(raw)
}

// readSandbox reads a callback that is known to be authentic.
func readSandbox(raw []byte) (Callback, error) {
	var body sandboxBody
	if err := json.Unmarshal(raw, &body); err != nil {
		return Callback{}, ErrBadCallback.Because(err)
	}
	if body.ID == "" || len(body.ID) > 64 || body.Merchant != sandboxMerchant || body.SettledAt.IsZero() {
		return Callback{}, ErrBadCallback
	}
	return Callback{
		ProviderID: body.ID, PaymentID: body.PaymentID, OrderID: body.OrderID, AmountFen: body.AmountFen,
		Currency: body.Currency, SettledAt: body.SettledAt,
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

package edge

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// signed is the header with which an edge signs a request to the origin: Unix seconds, a dot and the HMAC-SHA256
// (RFC 2104) over time, method, path with query, and body, in hex. The secret itself never travels.
const signed = "Duoduopin-Edge"

// drift is how far a request's time may be off: clocks of two machines.
const drift = 2 * time.Minute

// SignRequest signs a request of an edge, whose body is body.
func SignRequest(r *http.Request, secret string, body []byte, now time.Time) {
	at := strconv.FormatInt(now.Unix(), 10)
	r.Header.Set(signed, at+"."+hex.EncodeToString(mac(secret, at, r, body)))
}

func mac(secret, at string, r *http.Request, body []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(h, "%s\n%s\n%s\n", at, r.Method, r.URL.RequestURI())
	h.Write(body)
	return h.Sum(nil)
}

// CheckRequest gives the body of a request that an edge signed, at most limit bytes, and leaves it readable for the next
// handler. The error is ErrOff without a secret, else ErrSecret.
func CheckRequest(r *http.Request, secret string, limit int64, now time.Time) ([]byte, error) {
	if secret == "" {
		return nil, ErrOff
	}
	at, sum, ok := strings.Cut(r.Header.Get(signed), ".")
	given, err := hex.DecodeString(sum)
	seconds, wrong := strconv.ParseInt(at, 10, 64)
	if !ok || err != nil || wrong != nil || now.Sub(time.Unix(seconds, 0)).Abs() > drift {
		return nil, ErrSecret
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil || int64(len(body)) > limit {
		return nil, ErrSecret.Because(err)
	}
	if !hmac.Equal(given, mac(secret, at, r, body)) {
		return nil, ErrSecret
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

package dial_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/duoduopin/duoduopin/payments/dial"
)

func TestBase(t *testing.T) {
	for text, ok := range map[string]bool{
		"https://api.mch.weixin.qq.com": true, "http://127.0.0.1:9": true, "http://localhost:9/gateway.do": true, "https://[::1]/": true,
		"http://api.mch.weixin.qq.com": false, "ftp://127.0.0.1": false, "": false, "api": false, "https://u:p@x": false, "https://x?a=b": false,
	} {
		if _, err := dial.Base(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func get(t *testing.T, c *http.Client, address string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.Status + " " + string(body), err
}

func TestClientGoesToOnePlaceOnly(t *testing.T) {
	var asked string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Host + r.URL.String()
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "http://192.0.2.1/secret", http.StatusFound)
		case "/large":
			_, _ = io.WriteString(w, strings.Repeat("x", 201))
		case "/exact":
			_, _ = io.WriteString(w, strings.Repeat("x", 200))
		}
	}))
	defer s.Close()
	base, err := dial.Base(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := dial.Client(base, 200)
	if got, err := get(t, c, "https://api.mch.weixin.qq.com/exact?a=b"); err != nil || got != "200 OK "+strings.Repeat("x", 200) || asked != base.Host+"/exact?a=b" {
		t.Errorf("%q, %v, asked %s", got, err, asked)
	}
	if _, err := get(t, c, "https://x/large"); !errors.Is(err, dial.ErrLarge) {
		t.Errorf("large: %v", err)
	}
	if got, err := get(t, c, "https://x/away"); err != nil || !strings.HasPrefix(got, "302") {
		t.Errorf("a redirect was followed: %q, %v", got, err)
	}
	free := dial.Free(func(u *url.URL) bool { return u.Host == base.Host }, 200)
	if _, err := get(t, free, s.URL+"/exact"); err != nil {
		t.Error(err)
	}
	_, err = get(t, free, "http://192.0.2.1/?sign=secret")
	if err == nil || strings.Contains(dial.Plain(err).Error(), "secret") {
		t.Errorf("%v", err)
	}
}

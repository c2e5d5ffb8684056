// Command room is a client of Duoduopin's rooms (docs/protocol.md). It prints each event as a line of JSON, oldest first, without
// gaps or repetitions over reconnections, and says each line of its input; what was said and has not appeared is said again.
//
//	go run ./docs/samples/room http://localhost:8080/api/v1/sessions/7 TOKEN
package main

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

type event struct {
	Type, Epoch, ID string
	Seq             int64
	Resumed         bool
	You, User       struct{ ID string }
}

type message struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	Text string `json:"text"`
}

// client is one person in one room. Only its loop touches it.
type client struct {
	session, token, epoch, you string
	after                      int64
	unsure                     []message // said, and not seen in the room yet
	says                       chan string
}

func main() {
	c := &client{session: os.Args[1], says: make(chan string)}
	if len(os.Args) > 2 {
		c.token = os.Args[2]
	}
	go func() { // ends with the input
		defer close(c.says)
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			c.says <- lines.Text()
		}
	}()
	for wait := 500 * time.Millisecond; ; {
		greeted, err := c.talk()
		var closed *websocket.CloseError
		retry := 0
		switch {
		case err == nil:
			return
		case errors.As(err, &closed) && (closed.Code == websocket.CloseMessageTooBig || closed.Code >= 4000 && closed.Code < 4500):
			fmt.Fprintln(os.Stderr, closed)
			os.Exit(1)
		case greeted:
			wait = 500 * time.Millisecond
		}
		if closed != nil {
			_, _ = fmt.Sscanf(closed.Text, "retry_ms=%d", &retry)
		}
		if retry > 0 {
			time.Sleep(time.Duration(retry) * time.Millisecond)
			continue
		}
		half, _ := rand.Int(rand.Reader, big.NewInt(int64(wait)))
		time.Sleep(wait/2 + time.Duration(half.Int64()))
		wait = min(2*wait, 15*time.Second)
	}
}

// talk is one connection: whether it got as far as hello, and why it ended; nil when the input has ended.
func (c *client) talk() (greeted bool, err error) {
	query := url.Values{}
	if c.after > 0 {
		query = url.Values{"after": {fmt.Sprint(c.after)}, "epoch": {c.epoch}}
	}
	conn, res, err := websocket.DefaultDialer.Dial(strings.Replace(c.session, "http", "ws", 1)+"/ws?"+query.Encode(), http.Header{"Authorization": {"Bearer " + c.token}})
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	defer func() { _ = conn.Close() }()
	frames, failed := make(chan []json.RawMessage), make(chan error, 1)
	stop := make(chan struct{})
	defer close(stop)
	go func() { // ends with the connection
		for {
			_ = conn.SetReadDeadline(time.Now().Add(35 * time.Second)) // the server says something every 25 s
			var frame []json.RawMessage
			if err := conn.ReadJSON(&frame); err != nil {
				failed <- err
				return
			}
			select {
			case frames <- frame:
			case <-stop:
				return
			}
		}
	}()
	for {
		select {
		case err := <-failed:
			return greeted, err
		case frame := <-frames:
			greeted = true
			for _, raw := range frame {
				c.take(conn, raw)
			}
		case text, open := <-c.says:
			if !open {
				return greeted, nil
			}
			m := message{"chat", rand.Text(), text}
			c.unsure = append(c.unsure, m)
			_ = conn.WriteJSON(m) // when it fails, reading does too
		}
	}
}

// take is one event.
func (c *client) take(conn *websocket.Conn, raw []byte) {
	var e event
	if json.Unmarshal(raw, &e) != nil {
		return
	}
	switch {
	case e.Type == "hello":
		c.you, c.epoch = e.You.ID, e.Epoch
		if !e.Resumed {
			c.after = 0 // what comes now is not what followed: show it anew
		}
		for _, m := range c.unsure {
			_ = conn.WriteJSON(m)
		}
	case e.Seq > 0:
		c.after = e.Seq
	}
	if e.Type == "refused" || e.Type == "chat" && e.User.ID == c.you {
		for i, m := range c.unsure {
			if m.ID == e.ID {
				c.unsure = append(c.unsure[:i], c.unsure[i+1:]...)
				break
			}
		}
	}
	fmt.Fprintln(os.Stdout, string(raw))
}

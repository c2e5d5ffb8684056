package main

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/duoduopin/duoduopin/cmd/duoduopin/load"
)

// LoadCmd are the load generators.
type LoadCmd struct {
	Media  LoadMediaCmd  `cmd:"" help:"Publish a picture and have viewers receive it: CPU seconds per million packets forwarded."`
	Floor  LoadFloorCmd  `cmd:"" hidden:"" help:"What load media compares with: seal and send, and nothing else."`
	Chat   LoadChatCmd   `cmd:"" help:"Fill a room with sockets and speak: CPU seconds per million events delivered."`
	Bare   LoadBareCmd   `cmd:"" name:"chat-floor" hidden:"" help:"What load chat compares with: socket writes, and nothing else."`
	Orders LoadOrdersCmd `cmd:"" help:"Place orders as fast as they are answered: orders per second and p99."`
}

// loadTarget says which server is loaded: one of its own, or a given one.
type loadTarget struct {
	URL      string `help:"Server to load; without it a server of its own is started on free loopback ports, with a fresh shop."`
	Session  int64  `help:"Session on air there (with --url)."`
	SKU      int64  `name:"sku" help:"SKU on its shelf (with --url)."`
	Anchor   string `help:"Bearer token of the session's anchor (with --url)."`
	Tokens   string `help:"File with \"name token\" lines of buyers, as user bulk prints them (with --url)." type:"existingfile"`
	PID      int    `help:"Process id of that server on this machine, to read its CPU time (with --url)."`
	Database string `help:"Database of the own server; SQLite in a temporary folder unless set."`
	Seconds  int    `default:"15" help:"How long to measure."`
}

func (t *loadTarget) open(env *environment, buyers, skus int) (*load.Target, error) {
	if t.URL == "" {
		return load.Own(env.ctx, t.Database, buyers, max(1, skus), env.stderr)
	}
	target := &load.Target{URL: strings.TrimSuffix(t.URL, "/"), Session: t.Session, SKU: t.SKU, Anchor: t.Anchor, PID: t.PID}
	target.Goods = []load.Good{{Session: t.Session, SKU: t.SKU}}
	if t.Session == 0 || t.PID == 0 {
		return nil, errors.New("--url needs --session and --pid")
	}
	if t.Tokens == "" {
		return target, nil
	}
	raw, err := os.ReadFile(t.Tokens)
	if err != nil {
		return nil, err
	}
	for _, l := range strings.Split(strings.TrimSpace(string(raw)), "\n") {
		if _, token, ok := strings.Cut(strings.TrimSpace(l), " "); ok {
			target.Buyers = append(target.Buyers, token)
		}
	}
	return target, nil
}

func (t *loadTarget) time() time.Duration { return time.Duration(t.Seconds) * time.Second }

// loading opens the target, runs, prints the result and closes.
func loading[R any](env *environment, t *loadTarget, buyers, skus int, run func(*load.Target) (R, error)) error {
	target, err := t.open(env, buyers, skus)
	if err != nil {
		return err
	}
	result, err := run(target)
	if err := errors.Join(err, target.Close()); err != nil {
		return err
	}
	out := json.NewEncoder(env.stdout)
	out.SetIndent("", "  ")
	return out.Encode(result)
}

// LoadMediaCmd loads the forwarding of media.
type LoadMediaCmd struct {
	loadTarget
	Viewers int   `default:"150" help:"Viewers."`
	Bitrate int   `default:"2500000" help:"bit/s of the picture."`
	Growth  []int `help:"Numbers of viewers, ascending, to see how the cost grows: 50,100,200,400."`
}

// Run prints a JSON result. A server of our own gets one CPU, the generator another.
func (c *LoadMediaCmd) Run(env *environment) error {
	o := load.MediaOptions{Viewers: c.Viewers, Bitrate: c.Bitrate, Time: c.time(), Growth: c.Growth, Calm: 3 * time.Second}
	if c.URL == "" {
		var err error
		if o.Pinned, err = load.PinServer(); err != nil {
			return err
		}
	}
	return loading(env, &c.loadTarget, 1, 1, func(t *load.Target) (load.MediaResult, error) {
		return load.Media(env.ctx, t, o)
	})
}

// LoadFloorCmd is one floor of LoadMediaCmd, in a process of its own.
type LoadFloorCmd struct {
	Way   string        `enum:"write,mmsg,gso" default:"write" help:"write, mmsg or gso."`
	Group int           `default:"3" help:"Packets to one viewer in a row."`
	Rate  float64       `default:"10000" help:"Packets a second, over all viewers."`
	Time  time.Duration `default:"2s" help:"How long."`
	CPU   int           `name:"cpu" default:"-1" help:"CPU to run on; -1: any."`
	Ports []int         `required:"" help:"The viewers' UDP ports on 127.0.0.1."`
}

// Run prints a JSON result.
func (c *LoadFloorCmd) Run(env *environment) error {
	r, err := load.Floor(load.FloorOptions{Way: c.Way, Group: c.Group, Rate: c.Rate, Time: c.Time, CPU: c.CPU, Ports: c.Ports})
	if err != nil {
		return err
	}
	return json.NewEncoder(env.stdout).Encode(r)
}

// LoadChatCmd loads the room.
type LoadChatCmd struct {
	loadTarget
	Sockets  int           `default:"5000" help:"Sockets that listen, beside a bare loop and a floor."`
	Speakers int           `default:"20" help:"Buyers who speak."`
	Rate     []int         `default:"20,100" help:"Messages a second, over all speakers; several are measured one after the other."`
	Growth   []int         `help:"Numbers of sockets, ascending, to see how the cost grows: 150,1000,5000,10000,20000. Those of --sockets are among them, or only those are measured."`
	Idle     time.Duration `help:"Leave the sockets alone for so long at the end, and measure that: 30s."`
}

// Run prints a JSON result. A server of our own gets one CPU, the generator another.
func (c *LoadChatCmd) Run(env *environment) error {
	o := load.ChatOptions{Sockets: c.Sockets, Rates: c.Rate, Growth: c.Growth, Idle: c.Idle, Time: c.time()}
	load.RaiseFiles(slices.Max(append(c.Growth, c.Sockets)) + c.Sockets + 2000)
	if c.URL == "" {
		var err error
		if o.Pinned, err = load.PinServer(); err != nil {
			return err
		}
	}
	return loading(env, &c.loadTarget, c.Speakers, 1, func(t *load.Target) (load.ChatResult, error) {
		if len(t.Buyers) == 0 {
			return load.ChatResult{}, errors.New("--tokens: nobody to speak")
		}
		return load.Chat(env.ctx, t, o)
	})
}

// LoadBareCmd is the bare loop or the floor of LoadChatCmd, in a process of its own.
type LoadBareCmd struct {
	Sockets int           `default:"1000" help:"Sockets to wait for."`
	Rate    int           `default:"20" help:"Messages a second."`
	Size    int           `default:"330" help:"Bytes of one."`
	Window  time.Duration `help:"Write what came within so long as one frame; 0: each message alone."`
	Time    time.Duration `default:"3s" help:"How long."`
	CPU     int           `name:"cpu" default:"-1" help:"CPU to run on; -1: any."`
}

// Run prints the address to connect to, then a JSON result.
func (c *LoadBareCmd) Run(env *environment) error {
	return load.ChatFloor(env.ctx, load.ChatFloorOptions{Sockets: c.Sockets, Rate: c.Rate, Size: c.Size, Window: c.Window, Time: c.Time, CPU: c.CPU}, env.stdout)
}

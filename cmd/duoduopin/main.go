// Command duoduopin is the whole shop in one process: the live picture, the room, the catalogue, orders and reports.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the build (-ldflags "-X main.version=...").
var version = "dev" //nolint:gochecknoglobals // set by the linker

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process around it, so that tests can start commands.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	slog.SetDefault(slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelInfo})))
	var cli CLI
	exited := -1
	parser, err := kong.New(&cli, kong.Name("duoduopin"), kong.Writers(stdout, stderr), kong.Vars{"version": version},
		kong.Description("Live-commerce streaming and ordering. Settings are flags or DUODUOPIN_* variables of the same name."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Exit(func(code int) { exited = code }))
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // --help, --version
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "duoduopin: %v\n", err)
		return 2
	}
	env := &environment{ctx: ctx, stdout: stdout, stderr: stderr}
	if err := parsed.Run(env, &cli.Settings); err != nil {
		fmt.Fprintf(stderr, "duoduopin: %v\n", err)
		return 1
	}
	return 0
}

// environment is what a command may use of the world outside of its settings.
type environment struct {
	ctx            context.Context //nolint:containedctx // lives as long as the command
	stdout, stderr io.Writer
}

package stream

import (
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// quiet sends what pion logs to slog's debug level: peers' mistakes are not an operator's business, and the text may hold
// addresses and SDP.
type quiet struct{}

// NewLogger implements logging.LoggerFactory.
func (quiet) NewLogger(scope string) logging.LeveledLogger { return quietLogger{scope} }

type quietLogger struct{ scope string }

func (l quietLogger) say(text string) { slog.Debug("pion", "scope", l.scope, "text", text) }

func (quietLogger) Trace(string)          {}
func (quietLogger) Tracef(string, ...any) {}
func (quietLogger) Debug(string)          {}
func (quietLogger) Debugf(string, ...any) {}
func (quietLogger) Info(string)           {}
func (quietLogger) Infof(string, ...any)  {}

func (l quietLogger) Warn(m string)            { l.say(m) }
func (l quietLogger) Warnf(f string, a ...any) { l.say(fmt.Sprintf(f, a...)) }
func (l quietLogger) Error(m string)           { l.say(m) }

func (l quietLogger) Errorf(f string, a ...any) { l.say(fmt.Sprintf(f, a...)) }

package config

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// Modules are the parts whose log levels can be set one by one.
var Modules = []string{
	"raft", "election", "replication", "heartbeat", "applier", "snapshotter", "persister", "remote", "demo",
}

// Levels say how much each module logs. The zero Levels is info for all.
type Levels struct {
	base    slog.Level
	modules map[string]slog.Level
}

// ParseLevels reads a specification like "info,election=debug,remote=error": a level for all modules and exceptions, in any order.
// It reports every fault at once. Empty: info.
func ParseLevels(spec string) (Levels, error) {
	l := Levels{modules: map[string]slog.Level{}}
	var faults []error
	for part := range strings.SplitSeq(spec, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		module, word, single := strings.Cut(part, "=")
		if !single {
			module, word = "", part
		}
		level, ok := levelNames[strings.ToLower(strings.TrimSpace(word))]
		module = strings.TrimSpace(module)
		switch {
		case !ok:
			faults = append(faults, fmt.Errorf("%q is no level: debug, info, warn, error or off", word))
		case !single:
			l.base = level
		case !slices.Contains(Modules, module):
			faults = append(faults, fmt.Errorf("%q is no module: %s", module, strings.Join(Modules, ", ")))
		default:
			l.modules[module] = level
		}
	}
	return l, errors.Join(faults...)
}

const levelOff = slog.Level(100) // above anything that is logged

var levelNames = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError, "off": levelOff,
}

// Of is the lowest level that a module logs.
func (l Levels) Of(module string) slog.Level {
	if level, ok := l.modules[module]; ok {
		return level
	}
	return l.base
}

// Min is the lowest level that any module logs.
func (l Levels) Min() slog.Level {
	lowest := l.base
	for _, level := range l.modules {
		lowest = min(lowest, level)
	}
	return lowest
}

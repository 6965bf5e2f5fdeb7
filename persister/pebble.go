package persister

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
)

// options tunes Pebble for a log: appended in order, read at its end, dropped from the front by ranges.
func (s *Store) options(fs vfs.FS) *pebble.Options {
	o := &pebble.Options{
		FS:                          fs,
		Logger:                      pebbleLog{s},
		FormatMajorVersion:          pebble.FormatNewest,
		CacheSize:                   s.cfg.CacheBytes,
		MaxOpenFiles:                s.cfg.MaxOpenFiles,
		MemTableSize:                s.cfg.MemTableBytes,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       16, // most of a log is deleted before it would sink: merging it early is work for nothing
		L0StopWritesThreshold:       64,
		LBaseMaxBytes:               256 << 20,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { s.fail(fmt.Errorf("in the background: %w", err)) },
			DataCorruption:  func(i pebble.DataCorruptionInfo) { s.fail(fmt.Errorf("damaged %s: %w", i.Path, i.Details)) },
			DiskSlow:        func(i pebble.DiskSlowInfo) { s.log.Warn("disk is slow", "operation", i.String()) },
			WriteStallBegin: func(i pebble.WriteStallBeginInfo) { s.log.Warn("writes wait for the disk", "reason", i.Reason) },
			WriteStallEnd:   func() { s.log.Info("writes go on") },
		},
	}
	for i := range o.Levels {
		o.Levels[i].BlockSize = 16 << 10
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
		o.TargetFileSizes[i] = 32 << 20
	}
	// What lives long enough to sink to the last level is worth compressing.
	o.Levels[len(o.Levels)-1].Compression = func() *sstable.CompressionProfile { return sstable.FastestCompression }
	return o
}

// openDatabase opens dir, which must not exist yet or, when ready, must.
func (s *Store) openDatabase(fs vfs.FS, dir string, ready bool) (db *pebble.DB, err error) {
	o := s.options(fs)
	o.ErrorIfExists, o.ErrorIfNotExists = !ready, ready
	defer func() {
		if r := recover(); r != nil {
			err = panicked(r)
		}
		if e := s.Failed(); e != nil {
			err = e // what Pebble says of a frozen disk means nothing
		}
		if err == nil {
			return
		}
		if db != nil {
			err = errors.Join(err, db.Close())
		}
		kind := err
		if pebble.IsCorruptionError(err) || ready && s.Failed() == nil && damage(err) {
			kind = errors.Join(ErrDamaged, err)
		}
		db, err = nil, refuse(dir, kind, "cannot be opened: %s", oneLine(err))
	}()
	return pebble.Open(dir, o)
}

// damage reports whether a database did not open for what is in its folder, and not for what the system said, as of a disk that cannot be
// read. Of some of its files Pebble does not say itself that they are damaged.
func damage(err error) bool {
	var system syscall.Errno
	return oserror.IsNotExist(err) || !errors.As(err, &system) && !errors.Is(err, errPanic)
}

var errPanic = errors.New("panic")

// panicked is the error of a panic inside Pebble, which makes one of some errors of the disk.
func panicked(reason any) error {
	if err, ok := reason.(error); ok {
		return fmt.Errorf("%w: %w", errPanic, err)
	}
	return fmt.Errorf("%w: %v", errPanic, reason)
}

// inspect refuses a database with damage that Pebble would take for a torn end, or for an empty store. It returns
// the name of the newest log.
func inspect(h *home, m *manifests) (newest string, err error) {
	if newest, err = h.newestLog(); err != nil {
		return "", err
	}
	fs, dir := h.fs, h.path(databaseName)
	if err := checkFormat(fs, dir); err != nil {
		return "", err
	}
	desc, err := pebble.Peek(dir, fs)
	switch {
	case oserror.IsNotExist(err):
		return "", refuse(dir, errors.Join(ErrDamaged, err), "is missing, but the store has been in use")
	case err != nil:
		return "", refuse(dir, errors.Join(ErrDamaged, err), "cannot be understood: %s", oneLine(errors.New(cause(dir, err))))
	case !desc.Exists:
		return "", refuse(dir, ErrDamaged, "has no manifest, but the store has been in use")
	}
	synced, err := m.inspect(desc.ManifestFilename)
	if err != nil {
		return "", err
	}
	edits, err := scan(fs, desc.ManifestFilename, false, 0, synced)
	if err == nil && edits == 0 {
		err = &errRotten{0, "nothing is in it"}
	}
	if err != nil {
		return "", rotten(desc.ManifestFilename, err)
	}
	names, err := fs.List(dir)
	if err != nil {
		return "", failed(dir, "cannot be read", err)
	}
	if newest != "" && !slices.Contains(names, newest) {
		return "", refuse(fs.PathJoin(dir, newest), ErrDamaged, "is missing: it is the newest log")
	}
	if slices.Contains(h.id.Logs, m.ended()) {
		for _, l := range h.id.Logs {
			if !slices.Contains(names, l.Name) {
				return "", refuse(fs.PathJoin(dir, l.Name), ErrDamaged, "is missing: the store ended with it")
			}
		}
	}
	for _, name := range names {
		stem, isLog := strings.CutSuffix(name, ".log")
		number, err := strconv.ParseUint(stem, 10, 64)
		if !isLog || err != nil {
			continue
		}
		path, synced := fs.PathJoin(dir, name), int64(0)
		if i := slices.IndexFunc(h.id.Logs, func(l closedLog) bool { return l.Name == name }); i >= 0 {
			synced = h.id.Logs[i].Size
			if err := (length{name, synced}).lacksNothing(fs, path); err != nil {
				return "", err
			}
		}
		if _, err := scan(fs, path, true, number, synced); err != nil {
			return "", rotten(path, err)
		}
	}
	return newest, nil
}

// formatMarker names the marker in which Pebble has the number of a database's format.
const formatMarker = "format-version"

// checkFormat refuses a database in a format that this release's Pebble does not read. To Pebble that is an error as any other.
func checkFormat(fs vfs.FS, dir string) error {
	text, err := atomicfs.ReadMarker(fs, dir, formatMarker)
	if err != nil || text == "" {
		return nil // what is wrong with it Peek tells
	}
	format, err := strconv.ParseUint(text, 10, 64)
	oldest, newest := uint64(pebble.FormatMinSupported), uint64(pebble.FormatNewest)
	const reason = "has database format %d, and this release of Troupe reads %d to %d: "
	switch {
	case err != nil:
		return nil // likewise
	case format > newest:
		return refuse(dir, ErrRelease, reason+"a later one wrote it; %s", format, oldest, newest, upgrade)
	case format < oldest:
		return refuse(dir, ErrRelease, reason+"an earlier one wrote it; start a release in between on it first, which reads both. Nothing was changed", format, oldest, newest)
	}
	return nil
}

func rotten(path string, err error) error {
	var r *errRotten
	if errors.As(err, &r) {
		return refuse(path, errors.Join(ErrDamaged, err), "%v", r)
	}
	return failed(path, "cannot be read", err)
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// pebbleLog is Pebble's logger. Fatalf returns: the store has failed by then, and nothing is written any more.
type pebbleLog struct{ s *Store }

func (l pebbleLog) Infof(format string, args ...any) { l.print(slog.LevelDebug, format, args) }

func (l pebbleLog) Errorf(format string, args ...any) { l.print(slog.LevelWarn, format, args) }

func (l pebbleLog) Fatalf(format string, args ...any) { l.s.fail(fmt.Errorf(format, args...)) }

func (l pebbleLog) print(level slog.Level, format string, args []any) {
	if ctx := context.Background(); l.s.log.Enabled(ctx, level) {
		l.s.log.Log(ctx, level, fmt.Sprintf(format, args...))
	}
}

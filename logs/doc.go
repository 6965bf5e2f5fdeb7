// Package logs keeps a slog.Handler that blocks from blocking those who log. A pipe that nobody reads, a disk that stalls or a collector
// that is slow would otherwise hold up whatever wrote the line, which in a program of actors is an actor's turn.
//
// A Queue takes lines for any number of handlers and writes them on a goroutine of its own, in the order in which they came. What waits is
// bounded: the oldest line is dropped, and a line in its place says how many are missing.
//
//	queue := logs.NewQueue(0)
//	log := slog.New(queue.Handler(slog.NewTextHandler(os.Stderr, nil)))
//	defer queue.Flush(ctx)
//
// A Host wraps the loggers of its own actors by itself. The logger of the actor system is the program's: give it one of these, since
// protoactor-go logs dead letters and panics on the turn of the actor concerned.
package logs

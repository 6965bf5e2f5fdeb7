package applier

import (
	"bytes"
	"runtime"
	"strconv"
	"sync/atomic"
)

// An Inside knows on which goroutine the user's state machine is being called at the moment, so that a call from there, which would have to
// wait for the state machine, can be told from all others. Its methods are safe for concurrent use.
type Inside struct {
	goroutine atomic.Uint64 // 0: on none
}

// Here says whether the caller was called by the state machine's applier. Unless the state machine is at work it costs one load.
func (i *Inside) Here() bool {
	at := i.goroutine.Load()
	return at != 0 && at == goroutine()
}

// goroutine is the number of this goroutine. Only a stack tells it, about a microsecond's work: the applier looks once a turn.
func goroutine() uint64 {
	var head [64]byte
	words := bytes.Fields(head[:runtime.Stack(head[:], false)]) // goroutine 12 [running]:
	if len(words) < 2 {
		return 0
	}
	n, _ := strconv.ParseUint(string(words[1]), 10, 64) // 0 is nobody's
	return n
}

// enter notes that the user's code is called from here on, on this goroutine.
func (a *applier) enter() {
	if a.Inside == nil {
		return
	}
	if a.here == 0 {
		a.here = goroutine()
	}
	a.Inside.goroutine.Store(a.here)
}

func (a *applier) exit() {
	if a.Inside != nil {
		a.Inside.goroutine.Store(0)
	}
}

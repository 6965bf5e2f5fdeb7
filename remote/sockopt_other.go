//go:build !linux

package remote

import (
	"net"
	"time"
)

// limitUnacknowledged does nothing where the kernel offers no such limit: there a peer that vanished is
// noticed when the socket's buffer is full and WriteTimeout has passed, or by TCP's own retransmission limit.
func limitUnacknowledged(net.Conn, time.Duration) error { return nil }

// limitUnsent does nothing where the kernel offers no such limit: there a slow connection's socket buffer fills.
func limitUnsent(net.Conn, int) error { return nil }

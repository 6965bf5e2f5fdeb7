package remote

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// limitUnacknowledged has the kernel give up a connection whose peer acknowledges nothing for so long. Else a
// peer that vanished without a word would be written to for a quarter of an hour, and one that was cut off
// would hear nothing for minutes after the network healed.
func limitUnacknowledged(conn net.Conn, timeout time.Duration) error {
	return setOption(conn, unix.TCP_USER_TIMEOUT, int(max(timeout.Milliseconds(), 1)))
}

// limitUnsent has the kernel take no more than it sends soon: the rest waits where it can be put in order.
func limitUnsent(conn net.Conn, bytes int) error {
	return setOption(conn, unix.TCP_NOTSENT_LOWAT, bytes)
}

func setOption(conn net.Conn, option, value int) error {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	var fault error
	err = raw.Control(func(fd uintptr) { fault = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, option, value) })
	if err != nil {
		return err
	}
	return fault
}

package remote

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
)

// A line in the log names the address once.
func TestAddressesAreToldOnce(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7001}
	dial := &net.OpError{Op: "dial", Net: "tcp", Addr: at, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	read := &net.OpError{Op: "read", Net: "tcp", Source: at, Addr: at, Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for want, err := range map[string]error{
		"dial: connect: connection refused":    fmt.Errorf("remote: %w", dial),
		"TLS: read: connection reset by peer":  fmt.Errorf("remote: TLS: %w", read),
		"the peer closed the connection (EOF)": fmt.Errorf("%w (EOF)", errHungUp),
	} {
		if got := withoutAddress(err); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

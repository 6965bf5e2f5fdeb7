package remote

import (
	"errors"
	"fmt"
	"net"
	"strconv"
)

// CheckAddr says why nobody can be reached at addr, or nil: it must be host:port, with a host that is one on other machines too, and a port.
func CheckAddr(addr string) error {
	if addr == "" {
		return errors.New("there is no address")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q has no port from 1 to 65535", addr)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("nobody is reached at %q: name the host as others know it; to listen on all interfaces set Listen to it, and Advertise to that name", addr)
	}
	return nil
}

package api

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// ReadAddress splits an address at which other nodes and clients are to find a node, host:port. The error says what is wrong with it, and what to
// write instead. Port 0, which takes any free one, is the caller's to judge.
func ReadAddress(addr string) (host string, port uint16, err error) {
	if addr == "" {
		return "", 0, errors.New("no address: write one like 127.0.0.1:7001")
	}
	if scheme, _, found := strings.Cut(addr, "://"); found {
		return "", 0, fmt.Errorf("%q is not host:port: leave out %s://", addr, scheme)
	}
	host, text, err := net.SplitHostPort(addr)
	if err != nil && strings.Count(addr, ":") > 1 && !strings.Contains(addr, "[") {
		return "", 0, fmt.Errorf("%q is not host:port: an IPv6 address stands in brackets, like [::1]:7001", addr)
	}
	if err != nil {
		return "", 0, fmt.Errorf("%q is not host:port, like 127.0.0.1:7001", addr)
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, NoPort(addr)
	}
	if host == "" {
		return "", 0, fmt.Errorf("%q names no host: name the address or host at which other nodes reach it", addr)
	}
	return host, uint16(number), checkHost(addr, host)
}

// CheckAddress is ReadAddress for an address whose port must be known.
func CheckAddress(addr string) error {
	_, port, err := ReadAddress(addr)
	if err == nil && port == 0 {
		return NoPort(addr)
	}
	return err
}

// NoPort says that an address has no port, or 0, where one must be named.
func NoPort(addr string) error { return fmt.Errorf("%q has no port from 1 to 65535", addr) }

var (
	hostName  = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?$`)
	allDigits = regexp.MustCompile(`(^|\.)[0-9]+\.?$`) // the last part of a name: it was meant to be an IP address
)

// checkHost refuses hosts that no other machine finds: those that mean every address of this one, or several machines, and what is no host at all.
func checkHost(addr, host string) error {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		if !hostName.MatchString(host) || allDigits.MatchString(host) {
			return fmt.Errorf("%q: %q is no IP address and no name of a host", addr, host)
		}
		return nil
	}
	if ip = ip.Unmap(); ip.IsUnspecified() || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return fmt.Errorf("other nodes cannot reach %s: name the address or host at which they do", bracketed(host))
	}
	return nil
}

func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

package remote

import (
	"strings"
	"testing"
)

func TestCheckAddr(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:7001": "", "[::1]:7001": "", "node.example:1": "", "h:65535": "",
		"": "no address", "h": "not host:port", "h:0": "no port", "h:99999": "no port", "h:": "no port", "h:http": "no port", ":7001": "nobody is reached",
		"0.0.0.0:7001": "Advertise", "[::]:7001": "Advertise", "a:b:c": "not host:port",
	} {
		err := CheckAddr(addr)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", addr, err, want)
		}
	}
}

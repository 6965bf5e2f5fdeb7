package actors_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/actors"
)

// A host refuses a TLS that admits anybody before it opens anything, unless told to take it.
func TestHostRefusesUnverifiedTLS(t *testing.T) {
	cfg := actors.HostConfig{Node: 1, Listen: "127.0.0.1:0", Dir: t.TempDir(), TLS: &tls.Config{Certificates: make([]tls.Certificate, 1)}}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "TLS.ClientAuth is NoClientCert") {
		t.Errorf("validated with %v", err)
	}
	if cfg.TLSAllowUnverified = true; cfg.Validate() != nil {
		t.Error(cfg.Validate())
	}
}

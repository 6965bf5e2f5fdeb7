package remote

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-raft/troupe/raft"
)

// ValidateTLS reports every fault of TLS at once, or nil: above all what would let somebody without a certificate of the cluster's
// authorities take part. Validate includes it.
func (c Config) ValidateTLS() error {
	t := c.TLS
	if t == nil {
		if c.TLSNow != nil {
			return errors.New("remote: TLSNow is set and TLS is not")
		}
		return nil
	}
	var faults []error
	if len(t.Certificates) == 0 && t.GetCertificate == nil && t.GetConfigForClient == nil {
		faults = append(faults, errors.New("remote: TLS has no certificate"))
	}
	if c.TLSAllowUnverified {
		return errors.Join(faults...)
	}
	const otherwise = "or TLSAllowUnverified, if whoever reaches the port may speak as any node"
	if t.GetConfigForClient == nil { // what it returns is seen in the handshake
		if t.ClientAuth != tls.RequireAndVerifyClientCert {
			faults = append(faults, fmt.Errorf("remote: TLS.ClientAuth is %v: set tls.RequireAndVerifyClientCert, %s", t.ClientAuth, otherwise))
		}
		if t.ClientCAs == nil {
			faults = append(faults, fmt.Errorf("remote: TLS.ClientCAs is missing, so that every public authority counts: set it, %s", otherwise))
		}
	}
	if t.InsecureSkipVerify {
		faults = append(faults, fmt.Errorf("remote: TLS.InsecureSkipVerify takes any node for the one that was called: clear it, %s", otherwise))
	}
	return errors.Join(faults...)
}

// certified checks the certificate of the other side against the node that it claims to be. DNS names of the form node-N limit a
// certificate to these nodes. One without any speaks for none, or, with TLSAnyName, for all.
func (c *Config) certified(state *tls.ConnectionState, node raft.NodeID) error {
	if c.TLS == nil {
		return nil
	}
	if len(state.VerifiedChains) == 0 && !c.TLSAllowUnverified {
		return errors.New("the other side has no certificate that was verified")
	}
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	var nodes []raft.NodeID
	for _, name := range state.PeerCertificates[0].DNSNames {
		if number, ok := strings.CutPrefix(name, "node-"); ok {
			if id, err := strconv.ParseUint(number, 10, 64); err == nil {
				nodes = append(nodes, raft.NodeID(id))
			}
		}
	}
	switch {
	case slices.Contains(nodes, node):
		return nil
	case len(nodes) > 0:
		return fmt.Errorf("the certificate is for nodes %v, not for node %d", nodes, node)
	case c.TLSAnyName:
		return nil
	}
	return fmt.Errorf("the certificate names no node: give it the DNS name node-%d, or set TLSAnyName where every certificate may speak for any node", node)
}

// tlsNow is the configuration for the next handshake. What it demands of the other side is seen in the handshake, as what GetConfigForClient returns is.
func (c *Config) tlsNow() *tls.Config {
	if c.TLSNow != nil {
		if now := c.TLSNow(); now != nil {
			return now
		}
	}
	return c.TLS
}

func (c *Config) clientTLS(addr string) *tls.Config {
	cfg := c.tlsNow().Clone()
	if host, _, err := net.SplitHostPort(addr); err == nil && cfg.ServerName == "" {
		cfg.ServerName = host
	}
	return cfg
}

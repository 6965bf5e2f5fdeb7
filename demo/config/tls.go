package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// TLS names PEM files. CA, Cert and Key go together and turn on mutual TLS between nodes; HTTPCert and HTTPKey turn on HTTPS.
type TLS struct {
	CA, Cert, Key     string
	HTTPCert, HTTPKey string
}

func (t TLS) check(f *faults) {
	if set := count(t.CA, t.Cert, t.Key); set != 0 && set != 3 {
		f.add("tls: ca, cert and key go together")
	} else if _, err := t.Peer(); err != nil {
		f.add("tls: %w", err)
	}
	if count(t.HTTPCert, t.HTTPKey) == 1 {
		f.add("tls: http_cert and http_key go together")
	} else if _, err := t.Server(); err != nil {
		f.add("tls: %w", err)
	}
}

func count(values ...string) (n int) {
	for _, v := range values {
		if v != "" {
			n++
		}
	}
	return n
}

// Peer is mutual TLS between nodes: whoever has no certificate of the CA is turned away, in both directions. Nil when not configured.
func (t TLS) Peer() (*tls.Config, error) { return t.peer(os.ReadFile) }

// Server is for the HTTP listener. Nil when not configured.
func (t TLS) Server() (*tls.Config, error) { return t.server(os.ReadFile) }

// Client is for nodes that forward to each other's HTTP listeners: they trust the system's authorities, the CA and, for
// self-signed ones, the certificate that they show themselves. Nil when HTTPS is not configured.
func (t TLS) Client() (*tls.Config, error) { return t.client(os.ReadFile) }

// A reader returns what a file holds.
type reader func(file string) ([]byte, error)

func (t TLS) peer(read reader) (*tls.Config, error) {
	if t.CA == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if err := read.add(pool, t.CA); err != nil {
		return nil, err
	}
	pair, err := read.pair(t.Cert, t.Key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair}, RootCAs: pool, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	}, nil
}

func (t TLS) server(read reader) (*tls.Config, error) {
	if t.HTTPCert == "" {
		return nil, nil
	}
	pair, err := read.pair(t.HTTPCert, t.HTTPKey)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

func (t TLS) client(read reader) (*tls.Config, error) {
	if t.HTTPCert == "" {
		return nil, nil
	}
	return read.trust(t.CA, t.HTTPCert)
}

// Trust is a client's configuration that trusts the system's authorities and the certificates in files. Empty names are skipped.
func Trust(files ...string) (*tls.Config, error) { return reader(os.ReadFile).trust(files...) }

func (read reader) trust(files ...string) (*tls.Config, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a system without authorities: the files are all there is
	}
	for _, file := range files {
		if file == "" {
			continue
		}
		if err := read.add(pool, file); err != nil {
			return nil, err
		}
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

func (read reader) add(pool *x509.CertPool, file string) error {
	pem, err := read(file)
	if err != nil {
		return err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate", file)
	}
	return nil
}

// pair is tls.LoadX509KeyPair.
func (read reader) pair(cert, key string) (tls.Certificate, error) {
	public, err := read(cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	private, err := read(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(public, private)
	if err != nil {
		return pair, fmt.Errorf("%s and %s: %w", cert, key, err)
	}
	return pair, nil
}

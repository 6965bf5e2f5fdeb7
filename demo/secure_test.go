package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certify writes a certificate authority and a certificate of it for this machine.
func certify(t *testing.T, dir string) (ca, cert, key string) {
	t.Helper()
	ca, cert, key = filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	make1 := func(serial int64, authority bool, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IsCA: authority, BasicConstraintsValid: true,
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		}
		if parent == nil {
			parent, by = template, private
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &private.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		template.Raw = der
		return template, private
	}
	write := func(file, kind string, der []byte) {
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	authority, signer := make1(1, true, nil, nil)
	leaf, private := make1(2, false, authority, signer)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write(ca, "CERTIFICATE", authority.Raw)
	write(cert, "CERTIFICATE", leaf.Raw)
	write(key, "PRIVATE KEY", secret)
	return ca, cert, key
}

// TestSecure runs a cluster with mutual TLS between the nodes, HTTPS and a token, and writes through every node.
func TestSecure(t *testing.T) {
	dir := t.TempDir()
	ca, cert, key := certify(t, dir)
	free := ports(t, 6)
	text := fmt.Sprintf("data = %q\ntoken = \"open sesame\"\n[tls]\nca = %q\ncert = %q\nkey = %q\nhttp_cert = %q\nhttp_key = %q\n",
		filepath.Join(dir, "data"), ca, cert, key, cert, key)
	for i := range 3 {
		text += fmt.Sprintf("[[node]]\nid = %d\nraft = %q\nhttp = %q\n", i+1, free[i], free[3+i])
	}
	file := filepath.Join(dir, "secure.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := launch(t, "cluster", "--config", file)
	for i := range 3 {
		if line := p.line("ready"); !strings.Contains(line, "http=https://"+free[3+i]) {
			t.Errorf("ready line %q", line)
		}
	}
	ctl := func(node int, words ...string) (int, string) {
		var out, errors bytes.Buffer
		args := append([]string{"ctl", "--addr", "https://" + free[3+node], "--ca", ca, "--timeout", patience.String()}, words...)
		return run(args, &out, &errors), out.String() + errors.String()
	}
	for i := range 3 {
		if status, said := ctl(i, "--token", "open sesame", "append", "k", fmt.Sprint(i)); status != 0 {
			t.Errorf("node %d: %s", i+1, said)
		}
		if status, said := ctl(i, "put", "k", "v"); status != 1 || !strings.Contains(said, "Authorization") {
			t.Errorf("node %d without the token: %d, %s", i+1, status, said)
		}
	}
	for _, words := range [][]string{{"status"}, {"log", "1", "9"}} {
		if status, said := ctl(0, words...); status != 1 || !strings.Contains(said, "give --token") {
			t.Errorf("%s without the token: %d, %s", words, status, said)
		}
		if status, said := ctl(0, append([]string{"--token", "open sesame"}, words...)...); status != 0 {
			t.Errorf("%s: %d, %s", words, status, said)
		}
	}
	for i := range 3 {
		if status, said := ctl(i, "get", "k"); status != 0 || said != "012\n" {
			t.Errorf("node %d: %d, %s", i+1, status, said)
		}
	}
	var out, errors bytes.Buffer
	if status := run([]string{"ctl", "--addr", "https://" + free[3], "--timeout", "1s", "get", "k"}, &out, &errors); status != 1 || !strings.Contains(errors.String(), "certificate") {
		t.Errorf("a stranger's certificate: %d, %s", status, &errors)
	}
	p.terminate(graceful)
}

// TestCertificatesAreRenewed puts certificates of another authority into the files of a running cluster, and starts one node again after the other: each
// finds the others, which were not started again, and is forwarded to by them.
func TestCertificatesAreRenewed(t *testing.T) {
	dir := t.TempDir()
	ca, cert, key := certify(t, dir)
	s := newSite(t, 3, 3, fmt.Sprintf("cluster = \"secure\"\n[tls]\nca = %q\ncert = %q\nkey = %q\nhttp_cert = %q\nhttp_key = %q\n", ca, cert, key, cert, key))
	s.start(0, 1, 2)
	put := func(i int, value string) {
		t.Helper()
		var out, errs bytes.Buffer
		eventually(t, fmt.Sprintf("node %d takes a write", i+1), func() bool {
			out.Reset()
			errs.Reset()
			return run([]string{"ctl", "--addr", "https://" + s.http[i], "--ca", ca, "--timeout", "5s", "put", "k", value}, &out, &errs) == exitOK
		})
	}
	put(0, "before")
	certify(t, dir)
	for i := range 3 {
		put(i, fmt.Sprint("after ", i)) // the client trusts the new authority alone
		s.nodes[i].terminate(graceful)
		s.start(i)
		put(i, fmt.Sprint("again ", i))
	}
	if words := s.nodes[0].stderr.String(); !strings.Contains(words, "certificate runs out soon") || !strings.Contains(words, "expires=") {
		t.Errorf("when they run out is not told:\n%s", words)
	}
}

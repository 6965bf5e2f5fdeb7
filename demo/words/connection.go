package words

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
)

// Connection is what became of a request, without what its maker knows: whom it asked. Empty: nothing.
func Connection(err error) string {
	if asked := (*url.Error)(nil); errors.As(err, &asked) {
		err = asked.Err
	}
	var op *net.OpError
	var name *net.DNSError
	var timeout net.Error
	var number syscall.Errno
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.Canceled):
		return "it was given up"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &name):
		return "there is no host " + name.Name
	case untrusted(err) != "":
		return untrusted(err)
	case errors.As(err, &number):
		return number.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), strings.Contains(err.Error(), "server closed idle connection"):
		return "the connection was closed"
	// The second is net/http's word, as it is, for who talks before being asked.
	case strings.Contains(err.Error(), "malformed HTTP"), strings.Contains(err.Error(), "readLoopPeekFailLocked: %!w(<nil>)"):
		return "what answers there speaks no HTTP: is it the node's http address?"
	case errors.Is(err, http.ErrSchemeMismatch), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "it serves http://, not https://"
	case errors.As(err, &op) && op.Err != nil:
		err = op.Err // without addresses
	}
	return libraries.Replace(err.Error())
}

// libraries are what Go's own begin with.
var libraries = strings.NewReplacer("net/http: ", "", "http: ", "", "HTTP/1.x transport connection broken: ", "", "tls: ", "", "x509: ", "", "remote error: ", "it said: ")

// untrusted says what is wrong with a certificate; empty: nothing.
func untrusted(err error) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case !Unverified(err):
		return ""
	case errors.As(err, &authority):
		return "its certificate is of an authority that is not trusted here"
	case errors.As(err, &name):
		return "its certificate is not for this address: " + libraries.Replace(name.Error())
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has run out, or is not valid yet: " + invalid.Detail
	default:
		return "its certificate is not valid: " + libraries.Replace(errors.Unwrap(certificate(err)).Error())
	}
}

func certificate(err error) (wrong *tls.CertificateVerificationError) {
	errors.As(err, &wrong)
	return wrong
}

// Unverified reports whether a connection was given up for the other side's certificate, before a request was sent.
func Unverified(err error) bool { return certificate(err) != nil }

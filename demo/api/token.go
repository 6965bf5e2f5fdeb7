package api

import (
	"errors"
	"strings"
)

// CheckToken refuses what cannot be sent as it is in a header of every client: it would be a token that nobody can show. The error does not tell the token.
func CheckToken(token string) error {
	for _, c := range []byte(token) {
		if c < ' ' || c > '~' {
			return errors.New("it cannot be sent in a header: take printable ASCII characters only, in one line")
		}
	}
	if strings.TrimSpace(token) != token {
		return errors.New("it begins or ends with a space, which a header loses: take it away")
	}
	return nil
}

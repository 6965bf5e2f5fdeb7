package actors

import (
	"fmt"
	"go/token"
	"reflect"
	"strings"
)

// pointer gives a public message that was sent by value the shape that the others have.
func pointer(message any) any {
	switch m := message.(type) {
	case Propose:
		return &m
	case OpenSession:
		return &m
	case CloseSession:
		return &m
	case Read:
		return &m
	case GetStatus:
		return &m
	case ChangeMembers:
		return &m
	case TransferLeadership:
		return &m
	case TakeSnapshot:
		return &m
	case StepDown:
		return &m
	}
	return message
}

// home is the module's path, with a slash at its end.
var home = strings.TrimSuffix(reflect.TypeFor[inbound]().PkgPath(), "actors")

// ours says whether a message is one of those that the host's actors and the transport send to a group, which may come when it is of no use.
func ours(message any) bool {
	t := reflect.TypeOf(message)
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || !strings.HasPrefix(t.PkgPath(), home) {
		return false
	}
	return t.PkgPath() != home+"actors" || !token.IsExported(t.Name())
}

// unknown answers a message that no group knows, and says so: whoever sent it has made a mistake.
func (r *replica) unknown(message any) {
	r.log.Warn("unexpected message", "type", fmt.Sprintf("%T", message))
	if r.ctx.Sender() != nil {
		r.ctx.Respond(&Refused{Err: fmt.Errorf("%w: %T", ErrUnknownMessage, message)})
	}
}

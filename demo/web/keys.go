package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"unicode/utf8"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/raft"
)

// Limits of one page of a list.
const (
	defaultItems = 100
	maxItems     = 1000
	maxPage      = 8 << 20 // bytes of keys and values
)

func (s *Server) keyRoutes() {
	s.guarded("GET /v1/kv", s.list, "prefix", "limit", "after", "read")
	s.open("GET /v1/kv/{key}", s.get, "read")
	s.guarded("PUT /v1/kv/{key}", s.put)
	s.guarded("POST /v1/kv/{key}/append", s.append)
	s.guarded("POST /v1/kv/{key}/cas", s.cas)
	s.guarded("DELETE /v1/kv/{key}", s.delete)
	s.guarded("POST /v1/session", s.openSession)
	s.guarded("DELETE /v1/session", s.closeSession)
}

// read serves a read here or by the leader, as the query's read says.
func (s *Server) read(r *http.Request, query url.Values, look func(ctx context.Context, index raft.Index) (reply, error)) reply {
	var point func(context.Context) (raft.Index, error)
	switch mode := query.Get("read"); mode {
	case "", "linearizable":
		point = s.Group.Read
	case "lease":
		point = s.Group.LeaseRead
	case "stale":
		ctx, cancel, err := within(r)
		if err != nil {
			return s.refusal(err)
		}
		defer cancel()
		status := s.Group.Status()
		if err := readable(status); err != nil {
			return s.refusal(err)
		}
		answer, err := look(ctx, status.Applied)
		if err != nil {
			return s.refusal(err)
		}
		return answer
	default:
		return s.refusal(malformed("read: %.*q is none of linearizable, lease and stale", maxQuoted, mode))
	}
	return s.lead(s.request(r, nil, func(ctx context.Context) (any, error) {
		index, err := point(ctx)
		if err != nil {
			return nil, err
		}
		return look(ctx, index)
	}).reads())
}

// readable says why there is nothing to be read here: what is in the store while the replica does not run, or has no state, is of no moment of the log.
func readable(st actors.Status) error {
	lost := (*actors.StateLostError)(nil)
	switch {
	case errors.As(st.Trouble, &lost):
		return &fault{status: http.StatusServiceUnavailable, words: lost.Error()}
	case !st.Stopped:
		return nil
	case st.Err != nil:
		return errors.Join(actors.ErrStopped, st.Err)
	}
	return actors.ErrStopped
}

func (s *Server) get(r *http.Request) reply {
	key, err := pathKey(r)
	if err != nil {
		return s.refusal(err)
	}
	return s.read(r, r.URL.Query(), func(ctx context.Context, index raft.Index) (reply, error) {
		return s.value(ctx, key, index)
	})
}

// value is the answer to a read of one key.
func (s *Server) value(ctx context.Context, key string, index raft.Index) (reply, error) {
	value, ok := s.Store.Get(key)
	if !ok {
		return reply{}, errNoKey
	}
	if !utf8.Valid(value) {
		return reply{}, errBinary
	}
	return s.render(ctx, len(value), func(b *buffer) error {
		return b.json(api.Value{Key: key, Value: string(value), Index: uint64(index)})
	})
}

func (s *Server) list(r *http.Request) reply {
	query := r.URL.Query()
	limit, err := strconv.ParseUint(cmp.Or(query.Get("limit"), strconv.Itoa(defaultItems)), 10, 64)
	if err != nil || limit < 1 {
		return s.refusal(malformed("limit: %.*q is not a whole number from 1 on", maxQuoted, query.Get("limit")))
	}
	page := kv.Page{Prefix: query.Get("prefix"), After: query.Get("after"), Limit: int(min(limit, maxItems)), Bytes: maxPage}
	return s.read(r, query, func(ctx context.Context, _ raft.Index) (reply, error) {
		return s.render(ctx, maxPage, func(b *buffer) error {
			found, more := s.Store.List(page)
			return cmp.Or(
				b.text(`{"items":`),
				b.array(len(found), func(i int) any { return item(found[i]) }),
				b.text(fmt.Sprintf(`,"more":%t}`, more)),
			)
		})
	})
}

func item(found kv.Item) api.Item {
	out := api.Item{Key: found.Key}
	if !utf8.ValidString(found.Key) {
		out.Key, out.KeyBase64 = "", []byte(found.Key)
	}
	out.Value, out.ValueBase64 = api.Text(found.Value)
	return out
}

func (s *Server) put(r *http.Request) reply {
	var in api.Write
	return s.change(r, &in, []string{"value"}, func() kv.Command {
		return kv.Command{Op: kv.Put, Value: []byte(in.Value)}
	}, func(index raft.Index, _ kv.Result) any { return api.Index{Index: uint64(index)} })
}

func (s *Server) append(r *http.Request) reply {
	var in api.Write
	return s.change(r, &in, []string{"value"}, func() kv.Command {
		return kv.Command{Op: kv.Append, Value: []byte(in.Value), Whole: true}
	}, func(index raft.Index, out kv.Result) any {
		answer := api.Appended{Index: uint64(index)}
		answer.Value, answer.ValueBase64 = api.Text(out.Value)
		return answer
	})
}

func (s *Server) cas(r *http.Request) reply {
	var in api.Swap
	return s.change(r, &in, []string{"expect", "value"}, func() kv.Command {
		c := kv.Command{Op: kv.CAS, Value: []byte(in.Value)}
		if in.Expect != nil {
			c.Expect = []byte(*in.Expect)
		}
		return c
	}, func(index raft.Index, out kv.Result) any {
		answer := api.Swapped{Index: uint64(index), Swapped: out.Done}
		if out.Value != nil {
			answer.Value, answer.ValueBase64 = api.Text(out.Value)
		}
		return answer
	})
}

func (s *Server) delete(r *http.Request) reply {
	return s.change(r, nil, nil, func() kv.Command { return kv.Command{Op: kv.Delete} },
		func(index raft.Index, out kv.Result) any {
			return api.Deleted{Index: uint64(index), Deleted: out.Done}
		})
}

// change proposes the command that a request means for the key in its path. With into nil the request has no body.
func (s *Server) change(r *http.Request, into any, fields []string, command func() kv.Command, answer func(raft.Index, kv.Result) any) reply {
	key, err := pathKey(r)
	if err != nil {
		return s.refusal(err)
	}
	var text []byte
	if into != nil {
		if text, err = body(r, maxBody); err == nil {
			err = s.parse(r, text, func() error { return decodeValue(text, into, fields) })
		}
		if err != nil {
			return s.refusal(err)
		}
	}
	c := command()
	c.Key = key
	return s.propose(r, text, c, answer)
}

// decodeValue is decode for bodies whose value must not be null.
func decodeValue(text []byte, into any, fields []string) error {
	found, err := object(text, fields)
	if err != nil {
		return err
	}
	if err := decodeFields(text, found, into, fields, nil); err != nil {
		return err
	}
	if isNull(found["value"]) {
		return malformed("value: want text, got null")
	}
	return nil
}

// propose has a command replicated and applied, within the session that the request's headers name.
func (s *Server) propose(r *http.Request, text []byte, c kv.Command, answer func(raft.Index, kv.Result) any) reply {
	if err := cmp.Or(checkKey(c.Key), tooLong("value", len(c.Value), kv.MaxValue), tooLong("expect", len(c.Expect), kv.MaxValue)); err != nil {
		return s.refusal(err)
	}
	session, seq, err := sessionOf(r)
	if err != nil {
		return s.refusal(err)
	}
	data := c.Encode()
	call := s.request(r, text, func(ctx context.Context) (any, error) {
		applied, err := s.Group.ProposeIn(ctx, session, seq, data)
		if err != nil {
			return nil, err
		}
		out, err := kv.DecodeResult(applied.Data)
		switch {
		case err != nil:
			return nil, err
		case out.Fault == kv.TooLarge:
			return nil, errGrown
		case out.Fault != kv.OK:
			return nil, errCommand
		}
		said := answer(applied.Index, out)
		if ready, ok := said.(reply); ok {
			return ready, nil
		}
		rendered, err := s.render(ctx, len(applied.Data), func(b *buffer) error { return b.json(said) })
		if err != nil {
			return nil, errUnread // no refusal: the write happened
		}
		return rendered, nil
	})
	call.repeat = session != 0
	return s.lead(call)
}

func pathKey(r *http.Request) (string, error) {
	key := r.PathValue("key")
	return key, checkKey(key)
}

// sessionOf reads the session headers; zeros when there are none.
func sessionOf(r *http.Request) (session, seq uint64, err error) {
	id, number := r.Header.Get(api.HeaderSession), r.Header.Get(api.HeaderSeq)
	if id == "" && number == "" {
		return 0, 0, nil
	}
	if session, err = positive(api.HeaderSession, id); err != nil {
		return 0, 0, err
	}
	seq, err = positive(api.HeaderSeq, number)
	return session, seq, err
}

func positive(name, text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 {
		return 0, malformed("%s: %q is not a number from 1 on", name, text)
	}
	return n, nil
}

func (s *Server) openSession(r *http.Request) reply {
	return s.lead(s.request(r, nil, func(ctx context.Context) (any, error) {
		id, err := s.Group.OpenSession(ctx)
		return api.Session{Session: strconv.FormatUint(id, 10)}, err
	}))
}

// closeSession forgets the session that the Troupe-Session header names.
func (s *Server) closeSession(r *http.Request) reply {
	id, err := positive(api.HeaderSession, r.Header.Get(api.HeaderSession))
	if err != nil {
		return s.refusal(err)
	}
	call := s.request(r, nil, func(ctx context.Context) (any, error) {
		return struct{}{}, s.Group.CloseSession(ctx, id)
	})
	call.repeat = true // closing twice is closing
	return s.lead(call)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/client"
)

// add adds a node as a learner and gives it a vote once it has caught up. One that is a learner already is given a vote, so that an add
// that was broken off can be repeated.
func (k *ctl) add(ctx context.Context, a []string) error {
	m, err := newMember(a)
	if err != nil {
		return &usageError{err}
	}
	id := m.ID
	m.Learner = k.learner || !k.force
	if k.learner || k.force {
		return k.change(ctx, api.Change{Add: m, Force: k.force})
	}
	began := time.Now()
	within, cancel := context.WithDeadline(ctx, began.Add(k.timeout))
	defer cancel()
	if _, err := k.ChangeMembers(within, api.Change{Add: m}); err != nil && !k.learns(within, *m) {
		return hinted(err)
	}
	return k.members(k.promoted(ctx, id, began))
}

// newMember reads N RAFT_ADDR HTTP_ADDR, or finds every fault in them.
func newMember(a []string) (*api.NewMember, error) {
	id, wrong := node("N", a[0])
	faults := []error{wrong}
	m := &api.NewMember{ID: id, Raft: a[1], HTTP: strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(a[2], "http://"), "https://"), "/")}
	for _, addr := range []struct{ name, text string }{{"RAFT_ADDR", m.Raft}, {"HTTP_ADDR", m.HTTP}} {
		if err := api.CheckAddress(addr.text); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", addr.name, err))
		}
	}
	if m.Raft == m.HTTP {
		faults = append(faults, fmt.Errorf("RAFT_ADDR and HTTP_ADDR are both %s: a node listens at two", m.Raft))
	}
	return m, errors.Join(faults...)
}

// setAddr says where a member is reached from now on.
func (k *ctl) setAddr(ctx context.Context, a []string) error {
	m, err := newMember(a)
	if err != nil {
		return &usageError{err}
	}
	return k.change(ctx, api.Change{Address: &api.Address{ID: m.ID, Raft: m.Raft, HTTP: m.HTTP}, Force: k.force})
}

// learns reports whether a member is a learner by the addresses given.
func (k *ctl) learns(ctx context.Context, wanted api.NewMember) bool {
	s, err := k.leader(ctx)
	m := memberOf(s, wanted.ID)
	return err == nil && m != nil && !m.Voter && m.Raft == wanted.Raft && m.HTTP == wanted.HTTP
}

// Pauses of somebody who waits for a learner.
const (
	addPoll  = 100 * time.Millisecond
	addRetry = time.Second // of a promotion that was refused although the learner seemed to have all
	lastAsk  = time.Second // is left of the time, or half of it, to ask why there is no progress
)

// promoted waits until a learner has caught up, and promotes it. It gives up when for as long as the operation may take, since it began, the learner
// has made no progress; then the learner stays what it is, and the error is the cluster's last word.
func (k *ctl) promoted(ctx context.Context, id uint64, began time.Time) (out api.Membership, err error) {
	show := newProgress(k.notes, id)
	defer show.end()
	match, asked := uint64(0), time.Time{}
	end := began.Add(k.timeout)
	refused := errors.New("it does not catch up")
	for {
		s, seen := k.leaderBy(ctx, end)
		m := memberOf(s, id)
		if seen == nil && m != nil {
			show.at(m.Match, s.Last)
			if m.Match > match {
				match, end = m.Match, time.Now().Add(k.timeout)
			}
		}
		complete := seen == nil && m != nil && m.Match >= s.Commit
		left := time.Until(end)
		stands := left <= min(k.timeout/2, lastAsk)
		if (complete || seen != nil || stands) && left > 0 && time.Since(asked) >= addRetry { // who stands still asks for the reason
			asked = time.Now()
			out, err := k.promoteBy(ctx, id, end)
			if !conflicts(err) {
				return out, err
			}
			refused = err
		} else if left <= 0 && seen != nil {
			refused = seen
		}
		if stands {
			return out, fmt.Errorf("node %d was added as a learner and stays one: %w; once it runs repeat the command, or take it out with ctl remove %d", id, refused, id)
		}
		select {
		case <-time.After(addPoll):
		case <-ctx.Done():
			return out, ctx.Err()
		}
	}
}

func (k *ctl) leaderBy(ctx context.Context, end time.Time) (api.Status, error) {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	return k.leader(ctx)
}

func (k *ctl) promoteBy(ctx context.Context, id uint64, end time.Time) (api.Membership, error) {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	return k.ChangeMembers(ctx, api.Change{Promote: &id})
}

// conflicts says whether the cluster refused what it may take later.
func conflicts(err error) bool {
	var answer *client.Error
	return errors.As(err, &answer) && answer.Status == http.StatusConflict
}

// leader asks the leader how it sees the cluster: it alone knows how far the others are.
func (k *ctl) leader(ctx context.Context) (api.Status, error) {
	s, err := k.Status(ctx)
	if err != nil || s.Node == s.Leader {
		return s, err
	}
	at := memberOf(s, s.Leader)
	if at == nil || at.HTTP == "" {
		return s, errors.New("no leader is known")
	}
	scheme := "http://"
	if strings.HasPrefix(k.addr, "https://") {
		scheme = "https://"
	}
	c, err := k.dial(scheme + at.HTTP)
	if err != nil {
		return s, err
	}
	s, err = c.Status(ctx)
	if err == nil && s.Node != s.Leader {
		err = errors.New("the leader has changed")
	}
	return s, errors.Join(err, c.Close(ctx))
}

func memberOf(s api.Status, id uint64) *api.Member {
	for i := range s.Members {
		if s.Members[i].ID == id {
			return &s.Members[i]
		}
	}
	return nil
}

// A progress shows how far a learner is: a bar on a terminal, else now and then a line.
type progress struct {
	notes io.Writer
	id    uint64
	bar   *progressbar.ProgressBar
	told  time.Time
}

// noteEvery is between two lines of progress where there is no terminal.
const noteEvery = 2 * time.Second

func newProgress(notes io.Writer, id uint64) *progress {
	p := &progress{notes: notes, id: id, told: time.Now()}
	if f, ok := notes.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions64(1, progressbar.OptionSetWriter(notes), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetDescription(fmt.Sprintf("node %d catches up", id)), progressbar.OptionShowCount(),
			progressbar.OptionShowIts(), progressbar.OptionSetItsString("entries"), progressbar.OptionThrottle(addPoll))
	}
	return p
}

func (p *progress) at(match, last uint64) {
	switch {
	case p.bar != nil:
		p.bar.ChangeMax64(int64(max(last, 1)))
		_ = p.bar.Set64(int64(min(match, last))) // a bar that cannot be drawn stops nothing
	case time.Since(p.told) >= noteEvery:
		p.told = time.Now()
		fmt.Fprintf(p.notes, "node %d has %d of %d entries\n", p.id, match, last)
	}
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

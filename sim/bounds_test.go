package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/applier"
)

// TestBoundsAreFound puts too much into each place that may not pile up, and expects the run to say so.
func TestBoundsAreFound(t *testing.T) {
	busy := true
	for what, spoil := range map[string]func(*Sim){
		"messages wait in mailboxes": func(s *Sim) {
			for _, n := range s.nodes {
				s.flood(n.life, &actors.GetStatus{}, (s.limits.messages+2*perLink)/3+perNode+1)
			}
		},
		"messages wait for one actor": func(s *Sim) { // beside what clients have asked for, which may wait in the group itself
			l := s.leader().life
			s.flood(l, &actors.GetStatus{}, s.limits.messages+2*perLink+len(l.open)+perNode)
		},
		"orders wait for one applier": func(s *Sim) { s.flood(s.leader().life, &applier.Committed{}, 2*s.limits.orders+1) },
		"messages on the network":     func(s *Sim) { s.net.inFlight += 5_000 },
		"bytes on the network":        func(s *Sim) { s.net.inFlightBytes += 2 << 20 },
		"messages on one link":        func(s *Sim) { s.net.onLink[Link{1, 2}] += mostPaces*s.limits.messages + perLink },
		"uncommitted proposals": func(s *Sim) { // with nothing before the disk
			s.net.general = Weather{Cut: true}
			s.until(func() bool { return s.clock.Now() > 900*time.Millisecond })
			s.limits.entries = 1
		},
		"bytes of uncommitted proposals": func(s *Sim) { s.limits.bytes = 1 },
		"entries not on the disk":        func(s *Sim) { s.limits.entries = -2 },
		"syncs before the disk": func(s *Sim) {
			d := s.nodes[1].disk.life
			for range s.limits.flights + outOfTurn + 1 {
				d.flights = append(d.flights, &simFlight{done: func(error) {}})
			}
		},
		"bytes asked of the log": func(s *Sim) { s.check.boundRead(1, s.limits.read+1) },
	} {
		t.Run(what, func(t *testing.T) {
			s := New(Config{Seed: 7, Nodes: 3, Spares: -1, Quiet: true, Bursty: &busy, Length: 2 * time.Second})
			s.until(func() bool { return s.leader() != nil && s.clock.Now() > 800*time.Millisecond })
			s.bounded()
			if s.check.first != nil {
				t.Fatal(s.check.first)
			}
			spoil(s)
			s.until(func() bool {
				s.bounded()
				return s.clock.Now() > s.cfg.Length
			})
			if v := s.check.first; v == nil || v.Property != "bounded memory" || !strings.Contains(v.Detail, what) {
				t.Errorf("violated: %v", v)
			}
		})
	}
}

// flood sends one message many times to an actor that has no time for it.
func (s *Sim) flood(l *life, message any, times int) {
	for range times {
		l.system.Root.Send(l.group.PID(), message)
	}
	s.bounded()
}

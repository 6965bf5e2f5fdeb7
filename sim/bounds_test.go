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
				s.flood(n.life, &actors.GetStatus{}, (paceMessages+2*perLink)/3+perNode+1)
			}
		},
		"messages wait for one actor": func(s *Sim) { s.flood(s.leader().life, &actors.GetStatus{}, paceMessages+2*perLink+1) },
		"orders wait for one applier": func(s *Sim) { s.flood(s.leader().life, &applier.Committed{}, 2*appliersOrders+1) },
		"messages on the network":     func(s *Sim) { s.net.inFlight += 5_000 },
		"bytes on the network":        func(s *Sim) { s.net.inFlightBytes += 2 << 20 },
		"messages on one link":        func(s *Sim) { s.net.onLink[Link{1, 2}] += paceMessages + perLink },
		"uncommitted proposals": func(s *Sim) { // with nothing before the disk
			s.net.general = Weather{Cut: true}
			s.until(func() bool { return s.clock.Now() > 900*time.Millisecond })
			s.tighten(func(g *actors.GroupConfig) { g.MaxInflightEntries = 1 })
		},
		"bytes of uncommitted proposals": func(s *Sim) { s.tighten(func(g *actors.GroupConfig) { g.MaxInflightBytes = 1 }) },
		"entries not on the disk": func(s *Sim) {
			s.tighten(func(g *actors.GroupConfig) { g.MaxInflightEntries = -2 })
		},
		"syncs before the disk": func(s *Sim) {
			d := s.nodes[1].disk.life
			for range syncsInFlight + outOfTurn + 1 {
				d.flights = append(d.flights, &simFlight{done: func(error) {}})
			}
		},
		"bytes asked of the log": func(s *Sim) { s.check.boundRead(1, readBytes+1) },
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

// tighten makes the checker believe in other limits than the groups have.
func (s *Sim) tighten(limit func(*actors.GroupConfig)) {
	for _, n := range s.nodes {
		limit(&n.life.limits)
	}
}

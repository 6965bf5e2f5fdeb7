package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// anyPort has the system choose where a voter listens.
const anyPort = "127.0.0.1:0"

// A voter is one member of a cluster. It is opened, joins, is halted and closed; one that comes back is another on the same folder.
type voter interface {
	// address is where it listens.
	address() string
	// join starts it. addresses are all voters', by place.
	join(addresses []string) error
	// leads says whether it leads and can take proposals and reads.
	leads() bool
	// propose and read are those of cluster, at this voter. They end with an error if it does not lead.
	propose(data []byte) error
	read(lease bool) (count uint64, err error)
	// snapshot takes a snapshot and lets go of the log before it. It is for clusters started with settings.keep.
	snapshot() error
	// state is its state machine.
	state() *machine
	// halt closes its sockets without a word to the others, and has the rest end.
	halt()
	// close waits until a halted voter has ended, and says what failed while it ran.
	close() error
}

// A voterSet is a cluster whose voters are opened and halted one by one. Its methods are for one goroutine, but for those of cluster.
type voterSet interface {
	cluster
	// reserve finds an address for a voter that is opened later.
	reserve(place int) error
	// open opens voters at once and has them join; those that were open before get the same folder and address.
	open(places ...int) error
	// elect waits for a voter that leads.
	elect(ctx context.Context) error
	// leads is the place of the voter that elect found.
	leads() int
	// at is the voter that was last opened at a place.
	at(place int) voter
	// halt ends one voter as voter.halt does; stop closes it.
	halt(place int)
}

// votersOf is the voterSet of a library whose voters are Vs.
type votersOf[V voter] struct {
	dir    string
	listen func(place int, dir, address string) (V, error) // opens a voter
	nodes  []V                                             // by place
	leader int                                             // whom all proposals and reads go to: a round in which another takes over is a failed one

	addresses [voters]string
	halted    map[int]bool // places whose voter is halted or was never open
}

// launch opens all voters of a fresh cluster and waits for its leader.
func launch(c voterSet) (cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := c.open(0, 1, 2); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	if err := c.elect(ctx); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

// reserve leaves the port free for whoever asks: the next who does should be the voter.
func (c *votersOf[V]) reserve(place int) error {
	l, err := net.Listen("tcp", anyPort)
	if err != nil {
		return err
	}
	c.addresses[place] = l.Addr().String()
	return l.Close()
}

func (c *votersOf[V]) open(places ...int) error {
	opened, faults := make([]V, len(places)), make([]error, len(places))
	var all sync.WaitGroup
	for i, place := range places {
		address := c.addresses[place]
		if address == "" {
			address = anyPort
		}
		all.Go(func() { opened[i], faults[i] = c.listen(place, filepath.Join(c.dir, strconv.Itoa(place+1)), address) })
	}
	all.Wait()
	for i, place := range places {
		if faults[i] == nil {
			c.put(place, opened[i])
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	for i := range places {
		all.Go(func() { faults[i] = opened[i].join(c.addresses[:]) })
	}
	all.Wait()
	return errors.Join(faults...)
}

func (c *votersOf[V]) put(place int, v V) {
	if c.halted == nil {
		c.halted = map[int]bool{}
	}
	for len(c.nodes) <= place {
		var none V
		c.halted[len(c.nodes)] = true
		c.nodes = append(c.nodes, none)
	}
	c.nodes[place], c.addresses[place] = v, v.address()
	delete(c.halted, place)
}

func (c *votersOf[V]) elect(ctx context.Context) error {
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for {
		for i, n := range c.nodes {
			if !c.halted[i] && n.leads() {
				c.leader = i
				return nil
			}
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return errNoLeader
		}
	}
}

func (c *votersOf[V]) leads() int                          { return c.leader }
func (c *votersOf[V]) at(place int) voter                  { return c.nodes[place] }
func (c *votersOf[V]) propose(data []byte) error           { return c.nodes[c.leader].propose(data) }
func (c *votersOf[V]) read(lease bool) (n uint64, e error) { return c.nodes[c.leader].read(lease) }

func (c *votersOf[V]) machines() (out []*machine) {
	if !c.halted[c.leader] {
		out = append(out, c.nodes[c.leader].state())
	}
	for i, n := range c.nodes {
		if i != c.leader && !c.halted[i] {
			out = append(out, n.state())
		}
	}
	return out
}

// halt keeps the voter in c.nodes, for stop to close.
func (c *votersOf[V]) halt(place int) {
	if c.halted == nil {
		c.halted = map[int]bool{}
	}
	c.halted[place] = true
	c.nodes[place].halt()
}

// stop halts all at once, so that none is elected meanwhile. The voters can be opened again then.
func (c *votersOf[V]) stop() (err error) {
	for i, n := range c.nodes {
		if !c.halted[i] {
			n.halt()
		}
	}
	var none V
	for _, n := range c.nodes {
		if voter(n) != voter(none) { // else it was never open
			err = errors.Join(err, n.close())
		}
	}
	c.nodes, c.halted = nil, nil
	return err
}

package sim

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// A Config is one run: the same one is the same run. Zero values are the defaults named.
type Config struct {
	Seed    uint64
	Salt    uint64        // another order of messages, other losses and delays, under the same plan of faults
	Nodes   int           // founders; default drawn from the seed: 1 to 5, mostly 3
	Spares  int           // further nodes that may be added; default drawn: 0 to 2. Negative: none
	Clients int           // default 4; negative: none
	Keys    int           // default 4
	Length  time.Duration // of the disturbed part, in virtual time; default drawn: 1s to 6s
	Every   time.Duration // faults begin this far apart on average; default drawn: 20ms to 500ms
	Think   time.Duration // clients wait up to this between operations; default drawn: 1ms to 100ms
	// Hasty has an operator change the membership the moment that somebody leads or another change is in force, Ambush has faults strike
	// there. Defaults drawn.
	Hasty, Ambush *bool
	// Bursty has further clients propose hundreds of writes at once, where they believe that somebody leads. Default drawn.
	Bursty *bool
	Rot    bool // some bits of one node's disk flip
	// Liveness ends the faults after Length: from then on there must soon be one leader, all nodes must become equal and all
	// clients must finish. Otherwise the run ends after Length.
	Liveness bool
	Quiet    bool          // no faults but those of Faults
	Faults   []Fault       // instead of those drawn from the seed
	Only     []int         // faults that happen, by place in the plan, spontaneous ones after it; nil: all
	Broken   []Link        // these are cut from the first moment to the last, in the calm too
	Until    time.Duration // a run that is repeated may end here, within Length; 0: no
	Out      io.Writer     `json:"-"` // for every step; nil: none
}

// Limits of a run.
const (
	defaultClients = 4
)

// withDefaults fills in what is zero. What it filled in it leaves alone the next time, so that a report's Config is the run's.
func (c Config) withDefaults() Config {
	r := rand.New(rand.NewPCG(c.Seed, 0xc0f1))
	if nodes := []int{1, 2, 3, 3, 3, 3, 4, 4, 4, 5}[r.IntN(10)]; c.Nodes == 0 {
		c.Nodes = nodes
	}
	if spares := r.IntN(3); c.Spares == 0 {
		c.Spares = spares
	}
	if every := time.Duration(float64(20*time.Millisecond) * math.Pow(25, r.Float64())); c.Every == 0 { // the magnitudes alike
		c.Every = every
	}
	if length := time.Second + time.Duration(r.Int64N(int64(5*time.Second))); c.Length == 0 {
		c.Length = length
	}
	if think := time.Millisecond << r.IntN(7); c.Think == 0 {
		c.Think = think
	}
	hasty := r.IntN(2) == 0
	ambush := hasty == (r.IntN(4) != 0) // mostly together: a change is in danger when its leader is
	if hasty = hasty && !c.Quiet; c.Hasty == nil {
		c.Hasty = &hasty
	}
	if ambush = ambush && !c.Quiet; c.Ambush == nil {
		c.Ambush = &ambush
	}
	if bursty := r.IntN(3) == 0 && !c.Quiet && c.Clients >= 0; c.Bursty == nil {
		c.Bursty = &bursty
	}
	if c.Clients == 0 {
		c.Clients = defaultClients
	}
	if c.Keys == 0 {
		c.Keys = 4
	}
	return c
}

func (c Config) ids() (ids []raft.NodeID) {
	for i := range c.Nodes + max(c.Spares, 0) {
		ids = append(ids, raft.NodeID(i+1))
	}
	return ids
}

// A Sim is a cluster in one goroutine.
type Sim struct {
	cfg      Config
	story    *setting     // of a scenario, whose nodes are as it says; nil: as cfg says
	turns    *stage.Turns // that all nodes share; nil: none do
	stage    *stage.Seeded
	system   *actor.ActorSystem // of all nodes: making one takes as long as thousands of messages
	clock    stage.Clock        // the true one
	net      *network
	ids      []raft.NodeID
	founders []raft.NodeID
	nodes    map[raft.NodeID]*node
	clients  []*client
	bursters []*burster

	neighbours []*neighbour
	foreign    map[string]bool // the actors of their replicas
	check      *checker
	record     *record
	trace      *trace
	pace       pace

	chat   *rand.Rand // of callbacks that call back
	leases *rand.Rand // of who reads by the lease
	called int        // proposals that they made

	paced     func(id raft.NodeID, life int) pacing
	rng       *rand.Rand // of faults that the plan leaves open
	calm      bool       // the faults are over
	settled   bool       // and what they left behind, too: every client's question must be answered
	lull      Calm
	finished  bool        // clients begin nothing new
	lurking   []Fault     // rot that strikes whoever is the next to lead
	rotting   raft.NodeID // whose disk rots, 0: nobody's so far
	folders   bool        // nodes greet with who they are
	returned  *returned   // whoever was put back and does not know it, nil: nobody
	decays    bool        // a snapshot rots when it is to be sent in the calm
	handled   any         // the message of this step
	handler   string      // the actor that gets it
	turning   actor.Actor // the same as a value
	jumped    bool        // somebody forged a term that is too high
	bombs     []*bomb
	hangs     []*lurkingHang
	armed     *armed      // for the handler that runs
	handling  bool        // a handler runs, no timer
	ledBefore raft.NodeID // whoever last had a hasty operator
	planned   int         // faults of the plan, left out or not
	sprung    int         // spontaneous faults, left out or not
	struck    []Struck

	misled bool // some replica was started by mistake

	most   Heights
	limits limits

	tripwire func(Fault) // of a test: called at every fault
	counts   map[string]int
}

// New builds the cluster and starts its nodes. Faults and clients are scheduled; Run lets it all happen.
func New(cfg Config) *Sim { return newPaced(cfg, nil) }

// newPaced is New with a pacing instead of what is drawn.
func newPaced(cfg Config, paced func(id raft.NodeID, life int) pacing) *Sim {
	cfg = cfg.withDefaults()
	if paced == nil {
		paced = cfg.pacing
	}
	s := &Sim{cfg: cfg, paced: paced, stage: stage.NewSeeded(mix(cfg.Seed, cfg.Salt)), nodes: map[raft.NodeID]*node{}, counts: map[string]int{}, foreign: map[string]bool{}, trace: newTrace(cfg.Out)}
	s.clock = s.stage.Clock()
	quiet := slog.New(&ear{sim: s})
	s.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }))
	s.system.EventStream.Subscribe(s.event)
	s.system.EventStream.Subscribe(s.subscriber)
	s.stage.SetCost(4 * time.Microsecond)
	s.stage.Observe(func(d stage.Delivery) {
		s.armed, s.handling = nil, d.Actor != ""
		s.handled, s.handler, s.turning = d.Message, d.Actor, d.To
		switch s.trace.name(d.Message) {
		case "applier.granted":
			s.count(waitsTurn)
			s.goesOn(d)
		case "applier.goOn":
			s.goesOn(d)
		}
		if len(s.hangs) > 0 {
			s.lurks(d)
		}
		s.decay(&d)
		s.trace.delivery(&d)
		s.pace.step(s.check, &d)
		s.watchReturned()
	})
	s.check, s.record = newChecker(s), newRecord(s)
	s.net, s.rng, s.chat, s.leases = newNetwork(s, s.rand("network")), s.rand("nemesis"), s.rand("callbacks"), s.rand("leases")
	s.decays = s.rand("decay").IntN(2) == 0
	s.ids = cfg.ids()
	s.founders = s.ids[:cfg.Nodes]
	s.check.found(s.founders)
	for i, id := range s.ids {
		s.nodes[id] = &node{sim: s, id: id, founder: i < cfg.Nodes, disk: newDisk(id, s.rand(fmt.Sprintf("disk %d", id)), s.check)}
	}
	if s.folders = cfg.folders(); s.folders {
		for _, id := range s.ids {
			n := s.nodes[id]
			n.disk.folder = n.disk.newFolder()
		}
	}
	s.know()
	for i := range cfg.neighbours() {
		s.neighbours = append(s.neighbours, s.newNeighbour(i))
	}
	s.guarded(s.begin)
	return s
}

// begin starts all that acts.
func (s *Sim) begin() {
	for _, id := range s.ids {
		s.nodes[id].start()
	}
	for i := range s.cfg.Clients {
		c := s.newClient(i)
		s.clients = append(s.clients, c)
		c.pause(time.Duration(i) * time.Millisecond)
	}
	for _, g := range s.neighbours {
		g.pause()
	}
	if s.cfg.watchesLeases() {
		s.readByLease()
	}
	if *s.cfg.Bursty {
		for i := range bursters {
			b := s.newBurster(i)
			s.bursters = append(s.bursters, b)
			b.pause()
		}
	}
	s.schedule()
	if s.cfg.hostile() {
		s.harass()
	}
	if s.cfg.benched() {
		s.playBenches()
	}
}

func (s *Sim) rand(name string) *rand.Rand { return s.stage.Rand(name) }

func (s *Sim) count(what string) { s.counts[what]++ }

// schedule plants the faults.
func (s *Sim) schedule() {
	plan := s.cfg.plan()
	s.planned = len(plan)
	for i, f := range plan {
		if s.cfg.spares(i) {
			continue
		}
		s.clock.AfterFunc(f.At, func() {
			if !s.calm {
				s.strike(i, f)
			}
		})
	}
	s.stage.Sabotage(func(d stage.Delivery) any {
		if len(s.bombs) == 0 {
			return nil
		}
		return s.sabotage(d)
	})
}

// plan is the whole plan, of which Only may leave out some.
func (c Config) plan() []Fault {
	if c.Faults == nil && !c.Quiet {
		return c.Plan()
	}
	return c.Faults
}

// spares reports whether the fault of this number is left out.
func (c Config) spares(number int) bool { return c.Only != nil && !slices.Contains(c.Only, number) }

// after runs f later, unless the calm has come by then.
func (s *Sim) after(d time.Duration, f func()) {
	s.clock.AfterFunc(d, func() {
		if !s.calm {
			f()
		}
	})
}

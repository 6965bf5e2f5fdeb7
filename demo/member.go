package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/config"
	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/demo/web"
	"github.com/troupe-raft/troupe/raft"
)

// The demo replicates one group.
const theGroup raft.GroupID = 1

// Limits of the HTTP server. What a request may wait for is bounded by its own deadline.
const (
	headerTimeout = 5 * time.Second
	bodyTimeout   = 30 * time.Second
	idleTimeout   = 2 * time.Minute
)

// A member is one node that runs in this process: its host, its replica and its HTTP server.
type member struct {
	cfg     config.Config
	self    config.Node
	files   fileBudget
	logs    func(module string) *slog.Logger
	secrets *config.Renewal
	host    *actors.Host
	group   *actors.Group
	http    *http.Server
	listen  net.Listener
	conns   *web.Conns
	cancel  context.CancelFunc // of the requests under way
	served  chan error
}

// openMember takes the node's addresses and opens its data.
func openMember(cfg config.Config, self config.Node, files fileBudget, logs func(string) *slog.Logger) (*member, error) {
	m := &member{cfg: cfg, self: self, files: files, conns: web.NewConns(files.conns, logs("demo")), logs: logs, served: make(chan error, 1)}
	listen, err := net.Listen("tcp", self.HTTP)
	if err != nil {
		return nil, cannotListen(self.ID, "http", self.HTTP, err)
	}
	m.listen, m.self.HTTP = m.conns.Listen(listen), bound(self.HTTP, listen.Addr().String())
	if m.secrets, err = cfg.TLS.Renew(config.SystemClock{}, logs("demo")); err != nil {
		return nil, errors.Join(err, listen.Close())
	}
	if err := m.openHost(); err != nil {
		m.secrets.Stop()
		return nil, errors.Join(err, listen.Close())
	}
	return m, nil
}

// cannotListen says for which key of a node's an address cannot be listened at, and what to do. One that is in use main has words for.
func cannotListen(node raft.NodeID, key, addr string, err error) error {
	var name *net.DNSError
	switch {
	case errors.As(err, &name):
		return fmt.Errorf("node %d: %s = %q: there is no host %s: name an address of this machine", node, key, addr, name.Name)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("node %d: %s = %q is no address of this machine: name one that is", node, key, addr)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("node %d: %s = %q: this process may not listen there: name a port from 1024 on", node, key, addr)
	}
	return fmt.Errorf("node %d: %s = %q: %w", node, key, addr, err)
}

// bound is an address with the port that was taken for it, if it left the choice open.
func bound(asked, got string) string {
	host, port, _ := net.SplitHostPort(asked)
	if port != "0" {
		return asked
	}
	_, port, _ = net.SplitHostPort(got)
	return net.JoinHostPort(host, port)
}

func (m *member) openHost() error {
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return warnings(m.logs("raft").With("source", "protoactor"))
	}))
	peers := map[raft.NodeID]string{}
	for _, n := range m.cfg.Nodes {
		if n.ID != m.self.ID && !m.cfg.AnyPort {
			peers[n.ID] = n.Raft
		}
	}
	secure, renewed := m.secrets.Peer(), m.secrets.Peer
	if secure == nil {
		renewed = nil
	}
	var err error
	m.host, err = actors.StartHost(system, actors.HostConfig{
		Node: m.self.ID, Cluster: m.cfg.ClusterName(), KeepCluster: m.cfg.Cluster == "", Founders: m.founders(), Listen: m.self.Raft, Peers: peers,
		TLS: secure, TLSAnyName: true, // the nodes of a file share one certificate
		Dir:            filepath.Join(m.cfg.Data, strconv.FormatUint(uint64(m.self.ID), 10)),
		ForceAddresses: m.cfg.ForceAddresses, KeepAddresses: !m.cfg.FollowAddresses,
		HeartbeatInterval: m.cfg.Heartbeat, Log: m.logs("demo"), Loggers: m.logs,
		Tuning: actors.HostTuning{Connections: m.files.links, OpenTables: m.files.tables},
		TLSNow: renewed,
	})
	if at := (*net.OpError)(nil); errors.As(err, &at) && at.Op == "listen" {
		return cannotListen(m.self.ID, "raft", m.self.Raft, err)
	}
	if err != nil {
		return err
	}
	m.self.Raft = bound(m.self.Raft, m.host.Addr())
	if made, kept := m.cfg.ClusterName(), m.host.Cluster(); made != kept {
		m.logs("demo").Warn(fmt.Sprintf("the folder's cluster has another name than is made of the file's founders, whose addresses or number have changed: the folder's "+
			"counts; keep it for nodes with new folders, too, by the line cluster = %q in the file", kept), "folder", kept, "file", made)
	}
	return nil
}

// founders are the nodes that the cluster is founded with, as far as this one is one of them.
func (m *member) founders() []raft.NodeID {
	if m.self.Join {
		return nil
	}
	return m.cfg.Founders()
}

// start runs the replica and serves. nodes are all nodes, with the addresses that they really have.
func (m *member) start(ctx context.Context, nodes []config.Node) error {
	store := kv.NewStore()
	group := actors.GroupConfig{
		Group: theGroup, Addrs: map[raft.NodeID]string{}, Tags: map[raft.NodeID]string{},
		Apply: func(c actors.Command) []byte { return store.Apply(c.Data) }, Snapshot: store.Snapshot, Restore: store.Restore,
		ElectionTimeout: m.cfg.ElectionTimeout, SnapshotEvery: cmp.Or(m.cfg.SnapshotEvery, actors.NoSnapshots), Tuning: actors.Tuning{LogBytes: web.LogPiece},
	}
	group.Members, group.Tag = m.founders(), m.self.HTTP
	peers := map[raft.NodeID]string{}
	for _, n := range nodes {
		group.Addrs[n.ID], group.Tags[n.ID], peers[n.ID] = n.Raft, n.HTTP, n.HTTP
		if n.ID != m.self.ID {
			m.host.SetPeer(n.ID, n.Raft)
		}
	}
	var err error
	if m.group, err = actors.StartGroup(m.host, group); err != nil {
		return err
	}
	if err := m.loaded(ctx); err != nil {
		return err
	}
	m.compareAddresses(nodes)
	return m.serve(store, peers)
}

// compareAddresses says where the log and the file have a node elsewhere. The log's word counts, once it is found to be wrong the node's own.
func (m *member) compareAddresses(nodes []config.Node) {
	for _, n := range nodes {
		for _, known := range m.group.Status().Members {
			if known.ID != n.ID || known.Addr == n.Raft && known.Tag == n.HTTP || known.Addr == "" {
				continue
			}
			what := "the log has a node at other addresses than the file: "
			switch {
			case m.cfg.ForceAddresses:
				what += "the file's count, by --force-addresses"
			case m.cfg.FollowAddresses:
				what += "once it is found where it says itself, the log is corrected; if no leader is found, start the nodes with --force-addresses"
			default:
				what += "the log's count; correct the file, or the log by ctl set-addr, or, if no leader is found, start the nodes with --force-addresses"
			}
			m.logs("demo").Warn(what, "peer", uint64(n.ID), "raft", known.Addr, "http", known.Tag, "file_raft", n.Raft, "file_http", n.HTTP)
		}
	}
}

// startTimeout bounds the reading of the log and the snapshot at start. startPoll is between looks at how far it is.
const (
	startTimeout = 10 * time.Minute
	startPoll    = 2 * time.Millisecond
)

// loaded waits until the replica has read its disk, or ctx ends. A disk that it cannot use is an error.
func (m *member) loaded(ctx context.Context) error {
	timeout := time.After(startTimeout)
	poll := time.NewTicker(startPoll)
	defer poll.Stop()
	for {
		switch s := m.group.Status(); {
		case s.Phase == actors.Failed:
			return s.Err
		case !s.Stopped:
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout:
			return fmt.Errorf("node %d has not read its log within %v", m.self.ID, startTimeout)
		}
	}
}

// downPoll is between looks at whether the replica is still there.
const downPoll = 100 * time.Millisecond

// awaitDown returns once the replica is down for good, or ctx ends.
func (m *member) awaitDown(ctx context.Context) {
	poll := time.NewTicker(downPoll)
	defer poll.Stop()
	for m.down() == nil {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return
		}
	}
}

// down is why the replica does not come back by itself, or nil.
func (m *member) down() error {
	if m.group == nil {
		return nil
	}
	if s := m.group.Status(); s.Phase == actors.Failed {
		return fmt.Errorf("the replica is down for good: %w", s.Err)
	}
	return nil
}

func (m *member) serve(store *kv.Store, peers map[raft.NodeID]string) error {
	server := m.secrets.Server()
	transport := web.NewTransport(m.secrets.Client)
	// While leadership moves there are connections to two nodes.
	transport.MaxConnsPerHost, transport.MaxIdleConns = m.files.conns/2, m.files.conns/4
	cfg := web.Config{
		Node: m.self.ID, Group: m.group, Store: store, Peers: peers, PeersFirst: m.cfg.ForceAddresses, Token: m.cfg.Token,
		AnswerBytes: int64(m.cfg.MaxAnswerBytes), Transport: transport, Log: m.logs("demo"), Scheme: m.scheme(),
	}
	if m.cfg.Chaos {
		cfg.Chaos = m.host.SetChaos
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	m.http = &http.Server{
		Handler: web.New(cfg), TLSConfig: server, BaseContext: func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(m.logs("demo").Handler(), slog.LevelDebug),
	}
	go func() { m.served <- m.conns.Serve(m.http, m.listen) }()
	return nil
}

func (m *member) scheme() string {
	if m.cfg.TLS.HTTPCert != "" {
		return "https"
	}
	return "http"
}

// ready is the line that tells the world where the node serves.
func (m *member) ready() string {
	return fmt.Sprintf("ready node=%d http=%s://%s resp=%s raft=%s", m.self.ID, m.scheme(), m.self.HTTP, "-", m.self.Raft)
}

// Parts of the time that a graceful stop has.
const (
	handOver = time.Second            // to pass leadership on
	finish   = 500 * time.Millisecond // for requests under way to end by themselves, then again once they are told to
)

// stop ends the node: leadership goes to another one if handOff, requests end, then the replica and the host.
// What was still waiting is answered as refused or unknown.
func (m *member) stop(ctx context.Context, handOff bool) error {
	if handOff {
		m.passOn(ctx)
	}
	if m.http != nil {
		for range 2 {
			part, cancel := context.WithTimeout(ctx, finish)
			err := m.http.Shutdown(part)
			cancel()
			m.cancel()
			if err == nil {
				break
			}
		}
		_ = m.http.Close() // whoever is still connected was told all there is to tell
	} else {
		_ = m.listen.Close()
	}
	m.secrets.Stop()
	down := m.down()
	if err := m.host.Stop(ctx); down == nil || ctx.Err() != nil {
		return err
	}
	return down // of which Stop has nothing but more words
}

// passOn spares the others an election timeout. It may fail: they elect a leader by themselves. One that has just stopped, too, is not known to have yet: the
// next is asked then.
func (m *member) passOn(ctx context.Context) {
	if m.group == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, handOver)
	defer cancel()
	asked := map[raft.NodeID]bool{}
	var failed error
	for ctx.Err() == nil {
		to := m.heir(asked)
		if to == raft.None {
			break
		}
		if failed = m.group.Transfer(ctx, to); failed == nil {
			return
		}
		asked[to] = true
	}
	if left := m.heir(nil); failed != nil && left != raft.None { // else there is nobody whom it matters to
		m.logs("demo").Info("leadership was not passed on: the others elect a leader by themselves", "err", failed)
	}
}

// heir is the voter, of those not asked yet, that has most of the log of those that answer; none if this node does not lead.
func (m *member) heir(asked map[raft.NodeID]bool) raft.NodeID {
	s := m.group.Status()
	if s.Role != raft.Leader || s.Stopped {
		return raft.None
	}
	var to actors.MemberStatus
	for _, other := range s.Members {
		if other.ID != m.self.ID && other.Voter && other.Active && !asked[other.ID] && (to.ID == raft.None || other.Match > to.Match) {
			to = other
		}
	}
	return to.ID
}

package actors_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// A counter is a state machine: a replicated sum.
type counter struct{ sum uint64 }

func (c *counter) Apply(cmd actors.Command) []byte {
	c.sum += uint64(len(cmd.Data))
	return binary.BigEndian.AppendUint64(nil, c.sum)
}

func (c *counter) Snapshot() (func(io.Writer) error, error) {
	sum := c.sum // captured now, written later
	return func(w io.Writer) error { return binary.Write(w, binary.BigEndian, sum) }, nil
}

func (c *counter) Restore(r io.Reader) error {
	c.sum = 0
	if r == nil {
		return nil
	}
	return binary.Read(r, binary.BigEndian, &c.sum)
}

// exampleGroup starts a cluster of one node, which leads at once.
func exampleGroup() (*actors.Group, func()) {
	system := actor.NewActorSystem()
	dir, err := os.MkdirTemp("", "troupe-example-")
	if err != nil {
		panic(err)
	}
	host, err := actors.StartHost(system, actors.HostConfig{
		Node: 1, Listen: "127.0.0.1:0", Dir: filepath.Join(dir, "1"), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	group, err := actors.StartGroup(host, actors.GroupConfig{
		Group: 1, Members: []raft.NodeID{1},
		StateMachine: func() actors.StateMachine { return new(counter) },
	})
	if err != nil {
		panic(err)
	}
	return group, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := host.Stop(ctx); err != nil {
			panic(err)
		}
		os.RemoveAll(dir)
	}
}

// propose retries what was refused; a refusal means that it did not happen.
func propose(ctx context.Context, g *actors.Group, data string) actors.Result {
	for {
		r, err := g.Propose(ctx, []byte(data))
		if err == nil {
			return r
		}
		if !errors.Is(err, actors.ErrNotLeader) {
			panic(err)
		}
		select {
		case <-ctx.Done():
			panic(ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func ExampleGroup_Propose() {
	group, stop := exampleGroup()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(binary.BigEndian.Uint64(propose(ctx, group, "five!").Data))
	fmt.Println(binary.BigEndian.Uint64(propose(ctx, group, "more").Data))
	// Output:
	// 5
	// 9
}

func ExampleGroup_ProposeIn() {
	group, stop := exampleGroup()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	propose(ctx, group, "x")
	session, err := group.OpenSession(ctx)
	if err != nil {
		panic(err)
	}
	for range 3 { // as after a timeout: the same number, applied once
		r, err := group.ProposeIn(ctx, session, 1, []byte("once"))
		fmt.Println(binary.BigEndian.Uint64(r.Data), err)
	}
	// Output:
	// 5 <nil>
	// 5 <nil>
	// 5 <nil>
}

func ExampleGroup_Read() {
	group, stop := exampleGroup()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	written := propose(ctx, group, "x").Index
	read, err := group.Read(ctx) // now the local state machine may be looked at
	fmt.Println(read >= written, err)
	// Output: true <nil>
}

func ExampleGroup_Status() {
	group, stop := exampleGroup()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	propose(ctx, group, "x")
	s := group.Status()
	fmt.Println(s.RoleName(), s.Leader, s.Term, len(s.Members))
	// Output: leader 1 1 1
}

func ExampleGroup_ChangeMembers() {
	group, stop := exampleGroup()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	propose(ctx, group, "x")
	m, err := group.ChangeMembers(ctx, actors.Change{AddLearners: []raft.Member{{ID: 2, Addr: "127.0.0.1:7002"}}})
	fmt.Println(m.Voters, m.Learners, err)
	// Output: [1] [2] <nil>
}

func ExampleGroup_Transfer() {
	group, stop := exampleGroup()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	propose(ctx, group, "x")
	fmt.Println(group.Transfer(ctx, 1)) // it leads already
	// Output: <nil>
}

func ExampleGroup_StepDown() {
	group, stop := exampleGroup()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	propose(ctx, group, "x")
	term := group.Status().Term
	fmt.Println(group.StepDown(ctx))
	propose(ctx, group, "y") // refused until there is a leader again: here the same, since nobody else can be
	fmt.Println(group.Status().Term > term)
	// Output:
	// <nil>
	// true
}

func ExampleGroup_Snapshot() {
	group, stop := exampleGroup()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	at := propose(ctx, group, "x").Index
	index, err := group.Snapshot(ctx)
	fmt.Println(index == at, err)
	// Output: true <nil>
}

func ExampleGroup_Log() {
	group, stop := exampleGroup()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	propose(ctx, group, "x")
	log, err := group.Log(ctx, 1, 100)
	for _, e := range log.Entries {
		fmt.Printf("%d %v %q\n", e.Index, e.Kind, e.Data)
	}
	fmt.Println(err)
	// Output:
	// 1 noop ""
	// 2 command "x"
	// <nil>
}

func ExampleGroup_Stop() {
	group, stop := exampleGroup()
	defer stop() // the host goes on without the group
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	propose(ctx, group, "x")
	fmt.Println(group.Stop(ctx))
	_, err := group.Propose(ctx, []byte("y"))
	fmt.Println(errors.Is(err, actors.ErrStopped))
	// Output:
	// <nil>
	// true
}

// A RaftGroup is an ordinary actor: here a program's actor has one as its child.
func ExampleRaftGroup() {
	system := actor.NewActorSystem()
	dir, err := os.MkdirTemp("", "troupe-example-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	host, err := actors.StartHost(system, actors.HostConfig{
		Node: 1, Listen: "127.0.0.1:0", Dir: filepath.Join(dir, "1"), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	answers := make(chan any, 1)
	led := system.EventStream.Subscribe(func(event any) {
		if r, ok := event.(*actors.RoleChanged); ok && r.Role == raft.Leader {
			answers <- r.Term
		}
	})
	program := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started:
			ctx.Spawn(actors.RaftGroup(host, actors.GroupConfig{
				Group: 1, Members: []raft.NodeID{1},
				Apply:   func(c actors.Command) []byte { return append([]byte("applied "), c.Data...) },
				Restore: func(io.Reader) error { return nil }, // there is no state
			}))
		case *actors.Propose:
			ctx.Request(ctx.Children()[0], m)
		case *actors.Proposed:
			answers <- string(m.Result)
		case *actors.Refused:
			answers <- m.Err
		}
	}))
	fmt.Println("leads in term", <-answers)
	system.EventStream.Unsubscribe(led)
	system.Root.Send(program, &actors.Propose{Data: []byte("hello")})
	fmt.Println(<-answers)
	if err := system.Root.StopFuture(program).Wait(); err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(host.Stop(ctx))
	// Output:
	// leads in term 1
	// applied hello
	// <nil>
}

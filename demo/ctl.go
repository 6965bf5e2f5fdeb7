package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/client"
	"github.com/troupe-raft/troupe/demo/config"
)

// A ctl is one invocation of demo ctl: its flags, and the client made of them.
type ctl struct {
	addr    string
	token   string
	ca      string
	timeout time.Duration
	read    string
	missing bool
	learner bool

	*client.Client
	out io.Writer
}

func ctlCommand() *cobra.Command {
	var k ctl
	root := &cobra.Command{
		Use: "ctl", Short: "Talk to a running cluster over HTTP",
		RunE: func(c *cobra.Command, given []string) error {
			if len(given) == 0 {
				return usage("%s wants a command: status, get, put, append, cas, del, log, transfer, add, remove or snapshot", c.CommandPath())
			}
			return usage("%s: unknown command %q", c.CommandPath(), given[0])
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&k.addr, "addr", "http://127.0.0.1:8001,http://127.0.0.1:8002,http://127.0.0.1:8003", "URLs of nodes; the next is tried when one cannot be reached")
	flags.StringVar(&k.token, "token", os.Getenv("TROUPE_TOKEN"), "the cluster's token (default $TROUPE_TOKEN)")
	flags.Lookup("token").DefValue = "" // help must not print a secret
	flags.StringVar(&k.ca, "ca", "", "PEM file with a certificate to trust, for https addresses")
	flags.DurationVar(&k.timeout, "timeout", 10*time.Second, "of the operation with all its retries")

	get := k.command("get", "Print a key's value", k.get, "K")
	get.Flags().StringVar(&k.read, "read", "linearizable", "linearizable, lease or stale")
	cas := k.command("cas", "Set a key to NEW if it holds OLD", k.cas)
	cas.Use, cas.Args = "cas K OLD NEW | --missing K NEW", nil
	cas.Flags().BoolVar(&k.missing, "missing", false, "set the key if there is no such key")
	add := k.command("add", "Add a node as a voter", k.add, "N", "RAFT_ADDR", "HTTP_ADDR")
	add.Flags().BoolVar(&k.learner, "learner", false, "as a learner, which has no vote")
	root.AddCommand(get, cas, add,
		k.command("status", "Print how one node sees the cluster", k.status),
		k.command("put", "Set a key", k.put, "K", "V"),
		k.command("append", "Add to a key's value", k.append, "K", "V"),
		k.command("del", "Remove a key", k.del, "K"),
		k.command("log", "Print one node's log", k.log, "FROM", "TO"),
		k.command("transfer", "Hand leadership to a node", k.transfer, "N"),
		k.command("promote", "Give a learner a vote", k.promote, "N"),
		k.command("remove", "Remove a node", k.remove, "N"),
		k.command("snapshot", "Make one node take a snapshot", k.snapshot),
	)
	return root
}

// command makes one subcommand with the named arguments.
func (k *ctl) command(name, short string, do func(context.Context, []string) error, names ...string) *cobra.Command {
	return &cobra.Command{
		Use: strings.Join(append([]string{name}, names...), " "), Short: short, Args: args(names...),
		RunE: func(c *cobra.Command, given []string) error {
			if err := k.connect(c); err != nil {
				return &usageError{err}
			}
			defer k.disconnect()
			return do(c.Context(), given)
		},
	}
}

func (k *ctl) connect(c *cobra.Command) (err error) {
	k.out = c.OutOrStdout()
	cfg := client.Config{Addrs: strings.Split(k.addr, ","), Token: k.token, Timeout: k.timeout}
	if k.timeout <= 0 {
		return fmt.Errorf("--timeout %v is not positive", k.timeout)
	}
	if cfg.TLS, err = config.Trust(k.ca); err != nil {
		return err
	}
	k.Client, err = client.New(cfg)
	return err
}

// closing is how long the end of the session may take. It would expire by itself.
const closing = time.Second

func (k *ctl) disconnect() {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	_ = k.Close(ctx) // the operation is over, whatever becomes of its session
}

func (k *ctl) say(err error, format string, args ...any) error {
	if err == nil {
		_, err = fmt.Fprintf(k.out, format, args...)
	}
	return err
}

func (k *ctl) get(ctx context.Context, a []string) error {
	out, err := k.Get(ctx, a[0], k.read)
	return k.say(err, "%s\n", out.Value)
}

func (k *ctl) put(ctx context.Context, a []string) error {
	_, err := k.Put(ctx, a[0], a[1])
	return k.say(err, "OK\n")
}

func (k *ctl) append(ctx context.Context, a []string) error {
	_, err := k.Append(ctx, a[0], a[1])
	return k.say(err, "OK\n")
}

func (k *ctl) cas(ctx context.Context, a []string) error {
	want := 3
	if k.missing {
		want = 2
	}
	if len(a) != want {
		return usage("demo ctl cas wants K OLD NEW, or --missing K NEW")
	}
	var expect *string
	if !k.missing {
		expect = &a[1]
	}
	out, err := k.CAS(ctx, a[0], expect, a[want-1])
	if err == nil && out.Value != nil {
		return k.say(nil, "swapped %t\n%s\n", out.Swapped, *out.Value)
	}
	return k.say(err, "swapped %t\n", out.Swapped)
}

func (k *ctl) del(ctx context.Context, a []string) error {
	out, err := k.Delete(ctx, a[0])
	return k.say(err, "deleted %t\n", out.Deleted)
}

func (k *ctl) log(ctx context.Context, a []string) error {
	from, err := number("FROM", a[0])
	to, err2 := number("TO", a[1])
	if err = errors.Join(err, err2); err != nil {
		return &usageError{err}
	}
	out, err := k.Log(ctx, from, to)
	if err != nil {
		return err
	}
	for _, e := range out.Entries {
		line := fmt.Sprintf("%d %d %s %s", e.Index, e.Term, e.Kind, e.Data)
		if err := k.say(nil, "%s\n", strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

func (k *ctl) transfer(ctx context.Context, a []string) error {
	to, err := number("N", a[0])
	if err != nil {
		return &usageError{err}
	}
	return k.say(k.Transfer(ctx, to), "leader %d\n", to)
}

func (k *ctl) add(ctx context.Context, a []string) error {
	id, err := number("N", a[0])
	if err != nil {
		return &usageError{err}
	}
	return k.change(ctx, api.Change{Add: &api.NewMember{ID: id, Raft: a[1], HTTP: strings.TrimPrefix(a[2], "http://"), Learner: k.learner}})
}

func (k *ctl) remove(ctx context.Context, a []string) error {
	id, err := number("N", a[0])
	if err != nil {
		return &usageError{err}
	}
	return k.change(ctx, api.Change{Remove: &id})
}

func (k *ctl) promote(ctx context.Context, a []string) error {
	id, err := number("N", a[0])
	if err != nil {
		return &usageError{err}
	}
	return k.change(ctx, api.Change{Promote: &id})
}

func (k *ctl) change(ctx context.Context, change api.Change) error {
	out, err := k.ChangeMembers(ctx, change)
	var voters, learners []string
	for _, m := range out.Members {
		id := strconv.FormatUint(m.ID, 10)
		if m.Voter {
			voters = append(voters, id)
		} else {
			learners = append(learners, id)
		}
	}
	words := "voters " + strings.Join(voters, " ")
	if len(learners) > 0 {
		words += ", learners " + strings.Join(learners, " ")
	}
	return k.say(err, "%s\n", words)
}

func (k *ctl) snapshot(ctx context.Context, _ []string) error {
	out, err := k.Snapshot(ctx)
	return k.say(err, "snapshot %d\n", out.Index)
}

func (k *ctl) status(ctx context.Context, _ []string) error {
	s, err := k.Status(ctx)
	if err != nil {
		return err
	}
	leader := "none"
	if s.Leader != 0 {
		leader = strconv.FormatUint(s.Leader, 10)
	}
	if err := k.say(nil, "node %d: %s in term %d, leader %s\n", s.Node, s.Role, s.Term, leader); err != nil {
		return err
	}
	if s.Error != "" {
		if err := k.say(nil, "error: %s\n", s.Error); err != nil {
			return err
		}
	}
	if err := k.say(nil, "log %d to %d, committed %d, applied %d, snapshot %d\n\n", s.First, s.Last, s.Commit, s.Applied, s.Snapshot); err != nil {
		return err
	}
	table := tabwriter.NewWriter(k.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MEMBER\tKIND\tMATCH\tACTIVE\tHTTP\tRAFT")
	for _, m := range s.Members {
		kind, match, active := "learner", "-", "-"
		if m.Voter {
			kind = "voter"
		}
		if s.Role == "leader" { // nobody else knows
			match, active = strconv.FormatUint(m.Match, 10), strconv.FormatBool(m.Active)
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\n", m.ID, kind, match, active, m.HTTP, m.Raft)
	}
	return table.Flush()
}

func number(name, text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a whole number from 0 on", name, text)
	}
	return n, nil
}

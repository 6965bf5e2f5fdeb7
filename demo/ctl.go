package main

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"slices"
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
	force   bool

	*client.Client
	end        time.Time // of the operation, for what it is to do besides
	out, notes io.Writer // answers, and what is told meanwhile
}

func ctlCommand() *cobra.Command {
	var k ctl
	root := &cobra.Command{
		Use: "ctl", Short: "Talk to a running cluster over HTTP",
		RunE: func(c *cobra.Command, given []string) error {
			if len(given) == 0 {
				return usage("%s wants a command: %s", where(c), commands(c))
			}
			return unknown(c, given[0])
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
	cas := k.command("cas", "Set a key to NEW if it holds OLD", k.cas, "K", "OLD", "NEW")
	cas.Use = "cas K OLD NEW | --missing K NEW"
	cas.Flags().BoolVar(&k.missing, "missing", false, "set the key if there is no such key")
	add := k.command("add", "Add a node: as a learner, which is given a vote once it has caught up", k.add, "N", "RAFT_ADDR", "HTTP_ADDR")
	add.Flags().BoolVar(&k.learner, "learner", false, "leave it a learner, which has no vote")
	promote := k.command("promote", "Give a learner a vote", k.promote, "N")
	remove := k.command("remove", "Remove a node", k.remove, "N")
	move := k.command("set-addr", "Say where a node is that has moved", k.setAddr, "N", "RAFT_ADDR", "HTTP_ADDR")
	for c, what := range map[*cobra.Command]string{
		move:    "though it answers from where it is, or the others are not known to be alive",
		add:     "give it a vote at once, though it is not known to be alive and has none of the log",
		promote: "though it is not known to be alive and to have caught up",
		remove:  "though those who are left are not known to be alive",
	} {
		c.Flags().BoolVar(&k.force, "force", false, what)
	}
	del := k.command("del", "Remove a key", k.del, "K")
	del.SuggestFor = []string{"delete", "rm", "unset"}
	put := k.command("put", "Set a key", k.put, "K", "V")
	put.SuggestFor = []string{"set", "write"}
	root.AddCommand(get, cas, add, promote, remove, move,
		k.command("readmit", "Let a node that lost its folder back in: as a learner, to be promoted once it has caught up", k.readmit, "N"),
		k.command("status", "Print how one node sees the cluster", k.status),
		put,
		k.command("append", "Add to a key's value", k.append, "K", "V"),
		del,
		k.command("log", "Print one node's log", k.log, "FROM", "TO"),
		k.command("transfer", "Hand leadership to a node", k.transfer, "N"),
		k.command("snapshot", "Make one node take a snapshot", k.snapshot),
	)
	return root
}

// command makes one subcommand with the named arguments.
func (k *ctl) command(name, short string, do func(context.Context, []string) error, names ...string) *cobra.Command {
	c := &cobra.Command{
		Use: strings.Join(append([]string{name}, names...), " "), Short: short, Args: cobra.ArbitraryArgs, // RunE judges them
		RunE: func(c *cobra.Command, given []string) error {
			names := names
			if k.missing {
				names = missingNames
			}
			given, err := arguments(c, given, names)
			if err != nil {
				return err
			}
			if err := k.connect(c); err != nil {
				return &usageError{err}
			}
			defer k.disconnect()
			return k.advised(do(c.Context(), given))
		},
	}
	c.Flags().SetInterspersed(false)
	return c
}

func (k *ctl) connect(c *cobra.Command) (err error) {
	k.out, k.notes = c.OutOrStdout(), c.ErrOrStderr()
	if k.timeout <= 0 {
		return fmt.Errorf("--timeout %v is not positive", k.timeout)
	}
	if err := api.CheckToken(k.token); err != nil && !c.Flags().Changed("token") {
		return fmt.Errorf("TROUPE_TOKEN: %w", err)
	} else if err != nil {
		return fmt.Errorf("--token: %w", err)
	}
	k.end = time.Now().Add(k.timeout)
	k.Client, err = k.dial(strings.Split(k.addr, ",")...)
	return err
}

func (k *ctl) dial(addrs ...string) (*client.Client, error) {
	secure, err := config.Trust(k.ca)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	c, err := client.New(client.Config{Addrs: addrs, Token: k.token, Timeout: k.timeout, TLS: secure})
	var faults []error
	for _, fault := range config.Faults(err) {
		faults = append(faults, fmt.Errorf("--addr: %w", fault))
	}
	return c, errors.Join(faults...)
}

// closing is how long the end of the session may take, if there is as much time left. It would expire by itself.
const closing = time.Second

func (k *ctl) disconnect() {
	ctx, cancel := context.WithTimeout(context.Background(), min(closing, time.Until(k.end)))
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
	if !slices.Contains([]string{"linearizable", "lease", "stale"}, k.read) {
		return usage("--read: %q is none of linearizable, lease and stale", k.read)
	}
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
	var expect *string
	if !k.missing {
		expect = &a[1]
	}
	out, err := k.CAS(ctx, a[0], expect, a[len(a)-1])
	if err == nil && out.Value != nil {
		return k.say(nil, "swapped %t\n%s\n", out.Swapped, *out.Value)
	}
	if err == nil && out.ValueBase64 != nil {
		return k.say(nil, "swapped %t\nnot UTF-8, in base64: %s\n", out.Swapped, base64.StdEncoding.EncodeToString(out.ValueBase64))
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
	if from > to {
		return usage("FROM %d is after TO %d", from, to)
	}
	for from <= to {
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
		if len(out.Entries) == 0 || out.Last < from || out.Last == math.MaxUint64 {
			break // the log goes no further
		}
		from = out.Last + 1
	}
	return nil
}

func (k *ctl) transfer(ctx context.Context, a []string) error {
	to, err := node("N", a[0])
	if err != nil {
		return &usageError{err}
	}
	return k.say(hinted(k.Transfer(ctx, to)), "leader %d\n", to)
}

func (k *ctl) remove(ctx context.Context, a []string) error {
	id, err := node("N", a[0])
	if err != nil {
		return &usageError{err}
	}
	return k.change(ctx, api.Change{Remove: &id, Force: k.force})
}

func (k *ctl) promote(ctx context.Context, a []string) error {
	id, err := node("N", a[0])
	if err != nil {
		return &usageError{err}
	}
	return k.change(ctx, api.Change{Promote: &id, Force: k.force})
}

func (k *ctl) readmit(ctx context.Context, a []string) error {
	id, err := node("N", a[0])
	if err != nil {
		return &usageError{err}
	}
	return k.change(ctx, api.Change{Readmit: &id})
}

func (k *ctl) change(ctx context.Context, change api.Change) error {
	out, err := k.ChangeMembers(ctx, change)
	return k.members(out, hinted(err))
}

// advised says what to do about a refusal that every command may get.
func (k *ctl) advised(err error) error {
	var answer *client.Error
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &answer) && answer.Status == http.StatusUnauthorized && k.token != "":
		return fmt.Errorf("%w: look at --token, or TROUPE_TOKEN", err)
	case errors.As(err, &answer) && answer.Status == http.StatusUnauthorized:
		return fmt.Errorf("%w: give --token, or set TROUPE_TOKEN", err)
	case errors.As(err, &authority) && k.ca != "":
		return fmt.Errorf("%w: --ca %s is another one's", err, k.ca)
	case errors.As(err, &authority):
		return fmt.Errorf("%w: name the PEM file of its certificate, or of who signed it, with --ca FILE", err)
	}
	return err
}

// hinted says where to look when a node was named that is not there, or is something else.
func hinted(err error) error {
	var answer *client.Error
	if errors.As(err, &answer) && answer.Status == http.StatusBadRequest {
		return fmt.Errorf("%w; ctl status lists the members", err)
	}
	return err
}

// members prints a membership that came into force.
func (k *ctl) members(out api.Membership, err error) error {
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
		what := "error"
		if s.Phase == "restarting" {
			what = "crashed, and starts again by itself"
		}
		if err := k.say(nil, "%s: %s\n", what, s.Error); err != nil {
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
		if m.Doubt {
			kind += ", in doubt"
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\n", m.ID, kind, match, active, m.HTTP, m.Raft)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, m := range s.Members {
		if m.Trouble != "" {
			if err := k.say(nil, "member %d: %s\n", m.ID, m.Trouble); err != nil {
				return err
			}
		}
	}
	return nil
}

package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/config"
	"github.com/troupe-raft/troupe/raft"
)

// clusterFlags are the flags of demo cluster.
type clusterFlags struct {
	nodes            int
	data, file       string
	http, resp, raft string
	chaos            bool
}

func clusterCommand() *cobra.Command {
	var f clusterFlags
	c := &cobra.Command{
		Use: "cluster", Short: "Run a whole cluster in one process", Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := f.config(c.Flags())
			if err != nil {
				return &usageError{err}
			}
			if f.data == "" && f.file == "" {
				return runFresh(cfg, c.OutOrStdout(), c.ErrOrStderr())
			}
			if cfg.Data, err = f.folder(cfg); err != nil {
				return err
			}
			return runCluster(cfg, "", c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	flags := c.Flags()
	flags.IntVar(&f.nodes, "nodes", 3, "how many")
	flags.StringVar(&f.data, "data", "", "folder of the nodes' folders (default a fresh temporary one)")
	flags.StringVar(&f.http, "http", "127.0.0.1:8001", "HTTP address of node 1; each further node takes the next port; port 0: any free ones")
	flags.StringVar(&f.resp, "resp", "127.0.0.1:6381", "RESP address of node 1, likewise")
	flags.StringVar(&f.raft, "raft", "127.0.0.1:7001", "Raft address of node 1, likewise")
	flags.StringVar(&f.file, "config", "", "TOML file with settings; if it lists nodes, they are the cluster")
	flags.BoolVar(&f.chaos, "chaos", false, "serve POST /v1/chaos, which disturbs a node's Raft traffic")
	return c
}

// config is what the flags and the file say together, or every fault in it.
func (f *clusterFlags) config(given *pflag.FlagSet) (cfg config.Config, err error) {
	if f.file != "" {
		cfg, err = load(f.file)
	} else {
		cfg, err = config.Parse(nil, os.Getenv("TROUPE_LOG"))
	}
	faults := config.Faults(err)
	if f.data != "" {
		cfg.Data = f.data
	}
	cfg.Chaos = cfg.Chaos || f.chaos
	if len(cfg.Nodes) > 0 {
		for _, name := range []string{"nodes", "http", "resp", "raft"} {
			if given.Changed(name) {
				faults = append(faults, fmt.Errorf("--%s: %s lists the nodes", name, f.file))
			}
		}
		return cfg, errors.Join(faults...)
	}
	if f.nodes < 1 || f.nodes > raft.MaxVoters {
		faults = append(faults, fmt.Errorf("--nodes %d is not from 1 to %d", f.nodes, raft.MaxVoters))
	} else if wrong := f.list(&cfg); len(wrong) > 0 {
		faults = append(faults, wrong...)
	} else if err == nil { // what the file says was found fault with already
		faults = append(faults, config.Faults(cfg.Validate())...)
	}
	return cfg, errors.Join(faults...)
}

// list makes the nodes that the flags describe.
func (f *clusterFlags) list(cfg *config.Config) (faults []error) {
	wrong := map[string]bool{} // flags that were found fault with
	for i := range f.nodes {
		n := config.Node{ID: raft.NodeID(i + 1)}
		for _, a := range []struct {
			flag, base string
			into       *string
		}{{"http", f.http, &n.HTTP}, {"resp", f.resp, &n.RESP}, {"raft", f.raft, &n.Raft}} {
			if a.base == "" && a.flag == "resp" {
				continue
			}
			addr, err := nth(a.base, i, f.nodes)
			if err != nil && !wrong[a.flag] {
				wrong[a.flag] = true
				faults = append(faults, fmt.Errorf("--%s: %w", a.flag, err))
			}
			*a.into = addr
			_, port, _ := net.SplitHostPort(addr)
			cfg.AnyPort = cfg.AnyPort || port == "0"
		}
		cfg.Nodes = append(cfg.Nodes, n)
	}
	return faults
}

// nth is an address with its port raised by i, of so many; port 0 stays.
func nth(base string, i, of int) (string, error) {
	host, port, err := api.ReadAddress(base)
	if err != nil {
		return "", err
	}
	if port == 0 {
		return net.JoinHostPort(host, "0"), nil
	}
	n := int(port) + i
	if n > 65535 {
		return "", fmt.Errorf("node %d of %d would have port %d, which is above 65535: begin lower", i+1, of, n)
	}
	return net.JoinHostPort(host, strconv.Itoa(n)), nil
}

// runFresh runs a cluster in a temporary folder, which goes with it. It stays when nodes failed while they ran: what is in it may say why.
func runFresh(cfg config.Config, stdout, stderr io.Writer) (err error) {
	if cfg.Data, err = os.MkdirTemp("", "troupe-"); err != nil {
		return err
	}
	err = runCluster(cfg, "data "+cfg.Data, stdout, stderr)
	var unstarted *startError
	if err == nil || errors.As(err, &unstarted) {
		err = errors.Join(err, os.RemoveAll(cfg.Data))
	}
	return err
}

func runCluster(cfg config.Config, title string, stdout, stderr io.Writer) error {
	if cfg.AnyPort && cfg.Cluster == "" {
		// The addresses, of which the name is made otherwise, are not known yet.
		cfg.Cluster = fmt.Sprintf("demo-%x", sha256.Sum256([]byte(cfg.Data)))
	}
	return runMembers(cfg, cfg.Nodes, title, stdout, stderr)
}

// folder is where the data goes that is to stay. Nodes that take any port find each other by addresses that hold for this run only, so
// such a cluster cannot be started again.
func (f *clusterFlags) folder(cfg config.Config) (string, error) {
	dir, err := filepath.Abs(cfg.Data)
	if err != nil || !cfg.AnyPort {
		return dir, err
	}
	if found, err := os.ReadDir(dir); err == nil && len(found) > 0 {
		return "", usage("%s holds data already, and its nodes could not find each other again: give --http, --resp and --raft ports", dir)
	}
	return dir, nil
}

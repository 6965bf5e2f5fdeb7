package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/troupe-raft/troupe/demo/config"
	"github.com/troupe-raft/troupe/raft"
)

func nodeCommand() *cobra.Command {
	var file string
	var id uint64
	var force bool
	c := &cobra.Command{
		Use: "node --config FILE --id N [--force-addresses]", Short: "Run one node of the cluster that FILE describes", Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			if file == "" {
				return usage("node wants --config FILE and --id N")
			}
			cfg, err := load(file)
			if err != nil {
				return &usageError{err}
			}
			if id == 0 {
				return usage("node wants --id N: %s lists the nodes %s", file, numbers(cfg))
			}
			self, ok := cfg.Node(raft.NodeID(id))
			if !ok && len(cfg.Nodes) == 1 {
				return usage("--id: %s lists no node %d: there is %s", file, id, numbers(cfg))
			}
			if !ok {
				return usage("--id: %s lists no node %d: there are %s", file, id, cmp.Or(numbers(cfg), "none"))
			}
			cfg.ForceAddresses = force
			return runMembers(cfg, []config.Node{self}, "", c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&file, "config", "", "TOML file, the same for all nodes")
	c.Flags().Uint64Var(&id, "id", 0, "which of its nodes to run")
	c.Flags().BoolVar(&force, "force-addresses", false, "look for the others where FILE says, not where the log does, when so many have moved that no leader is found")
	return c
}

// load reads the file that --config names.
func load(file string) (config.Config, error) {
	cfg, err := config.Load(file, os.Getenv("TROUPE_LOG"))
	var unread *fs.PathError
	if errors.As(err, &unread) && unread.Path == file {
		err = fmt.Errorf("--config: %w", err)
	}
	return cfg, err
}

// numbers lists the nodes of a configuration.
func numbers(cfg config.Config) string {
	var ids []string
	for _, n := range cfg.Nodes {
		ids = append(ids, strconv.FormatUint(uint64(n.ID), 10))
	}
	return strings.Join(ids, ", ")
}

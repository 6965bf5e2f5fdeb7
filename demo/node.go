package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/troupe-raft/troupe/demo/config"
	"github.com/troupe-raft/troupe/raft"
)

func nodeCommand() *cobra.Command {
	var file string
	var id uint64
	c := &cobra.Command{
		Use: "node --config FILE --id N", Short: "Run one node of the cluster that FILE describes", Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			if file == "" || id == 0 {
				return usage("demo node wants --config FILE and --id N")
			}
			cfg, err := config.Load(file, os.Getenv("TROUPE_LOG"))
			if err != nil {
				return &usageError{err}
			}
			self, ok := cfg.Node(raft.NodeID(id))
			if !ok {
				return usage("%s: there is no node %d", file, id)
			}
			return runMembers(cfg, []config.Node{self}, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&file, "config", "", "TOML file, the same for all nodes")
	c.Flags().Uint64Var(&id, "id", 0, "which of its nodes to run")
	return c
}

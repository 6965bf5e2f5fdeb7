package persister

import (
	"errors"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/internal/private"
	"github.com/troupe-raft/troupe/raft"
)

// Config says where a host's store is and how much memory it may use.
type Config struct {
	Dir     string // the store's folder, made when missing; no two stores share one
	FS      vfs.FS // default vfs.Default, the machine's, on which files are their user's alone (0600, folders 0700)
	Cluster string // the cluster's id: a store opens for no other
	// KeepCluster: Cluster names the cluster of a new folder alone; an old one keeps what it has: Store.Cluster.
	KeepCluster bool
	Node        raft.NodeID // the host's id: a store opens for no other
	// Founders is a checksum of the cluster's founding members, or 0. A new folder keeps it; an old one keeps what it has: Store.Founders.
	Founders uint32
	Log      *slog.Logger

	CacheBytes    int64         // for reads from disk; default 8 MiB
	MemTableBytes uint64        // what is gathered in memory before it is sorted to disk; allocated as needed; default 128 MiB: what a snapshot makes obsolete before it is full never reaches a table
	MaxOpenFiles  int           // default 512
	ReserveBytes  int64         // what the disk must have free to run with, or the store does not open: NoRoomError; default 8 MiB; negative: none
	SlowDisk      time.Duration // a disk operation that takes this long is logged; default 5 s
	CloseWithin   time.Duration // how long Close waits for a disk that does not answer; default 10 s
}

func (c Config) withDefaults() Config {
	if c.FS == nil {
		c.FS = vfs.Default
	}
	c.FS = private.Files(c.FS)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 8 << 20
	}
	if c.MemTableBytes == 0 {
		c.MemTableBytes = 128 << 20
	}
	if c.MaxOpenFiles == 0 {
		c.MaxOpenFiles = 512
	}
	if c.ReserveBytes == 0 {
		c.ReserveBytes = 8 << 20
	}
	if c.SlowDisk == 0 {
		c.SlowDisk = 5 * time.Second
	}
	if c.CloseWithin == 0 {
		c.CloseWithin = 10 * time.Second
	}
	return c
}

// Validate reports every fault at once, or nil. Zero values are defaults, except for Dir and Node.
func (c Config) Validate() (err error) {
	fault := func(bad bool, what string) {
		if bad {
			err = errors.Join(err, errors.New("persister: "+what))
		}
	}
	fault(c.Dir == "", "Dir is empty")
	fault(c.Node == raft.None, "Node is 0")
	fault(c.CacheBytes < 0, "CacheBytes is negative")
	fault(c.MemTableBytes > 1<<31, "MemTableBytes is above 2 GiB")
	fault(c.MaxOpenFiles < 0, "MaxOpenFiles is negative")
	fault(c.SlowDisk < 0, "SlowDisk is negative")
	fault(c.CloseWithin < 0, "CloseWithin is negative")
	return err
}

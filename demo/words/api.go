// Package words turns errors of the libraries below into words for those who run a node and know ctl and the configuration file, not Go. It has no state.
package words

import (
	"regexp"
	"strings"
)

// packages are those that errors begin with.
var packages = regexp.MustCompile(`(^|[:;] )(?:(?:raft|actors|persister|remote|snapshotter|entry|kv): )+`)

// remedies are what programs do by the API, and users by ctl and the file.
var remedies = strings.NewReplacer(
	", actors.Change.Readmit)", ")",
	", actors.Change.Addresses)", ")",
	", HostConfig.Cluster)", ")",
	"says that its tag is", "says that its HTTP address is",
	"give it in HostConfig.Peers, GroupConfig.Addrs, the change that adds it, or by Host.SetPeer", "say where it is (ctl set-addr)",
	"name it in GroupConfig.Members", "list it in the file without join",
	"give GroupConfig.Members the same on every founder, leave it empty on a node", "list the same nodes without join in the file of every founder, and give join = true to a node",
	"longer than GroupConfig.ApplyStall", "longer than it may take",
	"larger than GroupConfig.MaxEntryBytes", "larger than it may be",
	"which GroupConfig.NoRestart makes final", "which is final here",
	"GroupConfig.Snapshot is not set", "this state machine takes no snapshots",
	"GroupConfig.Restore is not set", "this state machine takes no snapshots",
)

// Ours is what a text of this module's libraries says, without packages and their API.
func Ours(text string) string {
	return onceOnly(remedies.Replace(packages.ReplaceAllString(text, "$1")))
}

// onceOnly takes away what an error says of a file and its cause says again: "write F: write F: no space".
func onceOnly(text string) string {
	parts := strings.Split(text, ": ")
	kept := parts[:1]
	for _, part := range parts[1:] {
		if part != kept[len(kept)-1] || !strings.ContainsAny(part, `/\`) {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, ": ")
}

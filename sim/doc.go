// Package sim runs whole clusters of the production actors in one goroutine: group, daemons, persister, sessions and the
// demo's state machine, on a seeded stage, a simulated network and simulated disks, in virtual time. Messages are delivered
// one at a time in an order drawn from a seed, while a plan of faults, drawn from it too, crashes nodes, cuts links, breaks
// disks, bends clocks and makes daemons panic. After every step of every replica's rules the checker compares what all nodes did with the
// properties of the paper's Figure 3 and with what the clients were told.
//
// A run is a function of its Config: the same one gives the same trace, to the byte. Run executes one, Shrink finds a
// smaller plan that breaks the same property, and Config.Command is how to see it again.
package sim

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"time"
)

const failoverHeader = "| peer | rounds | median s | min–max s | ratio to better peer |\n|---|--:|--:|--:|--:|\n"

// failoverWrites come before the leader is halted, so that all voters are in step.
const failoverWrites = 100

// runFailover is `bench failover`: how long no write is acknowledged when the leader is gone without a word.
func runFailover(ctx context.Context, args []string, known []peer, stdout, stderr io.Writer) error {
	var o trialOptions
	if err := o.parse(o.flags("failover", 11, known, stderr), args, known); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "GOMAXPROCS %d, three voters in this process, election timeouts %v to %v, signs of life every %v\n\n"+failoverHeader,
		runtime.GOMAXPROCS(0), o.election, 2*o.election, o.election/10)
	results, err := try(ctx, o, "failover", settings{election: o.election}, o.failover, stderr)
	if results == nil {
		return err
	}
	itself := func(d time.Duration) time.Duration { return d }
	_, _ = io.WriteString(stdout, trialRows(o.peers, results, 3, itself, func(times []time.Duration) string {
		return fmt.Sprintf("%d | %s", len(times), spread(times, itself))
	}))
	return err
}

func (o trialOptions) failover(ctx context.Context, c voterSet) (took time.Duration, err error) {
	if err := open(ctx, c, 0, 1, 2); err != nil {
		return 0, err
	}
	data := make([]byte, 128)
	if err := fill(ctx, c, failoverWrites, 1, data); err != nil {
		return 0, err
	}
	if err := verify(ctx, c.machines(), failoverWrites, convergeTimeout); err != nil {
		return 0, err
	}
	// Not always as long after the last sign of life: it comes every tenth of the timeout.
	if err := pause(ctx, rand.N(o.election/10)); err != nil {
		return 0, err
	}
	var left []int
	for place := range voters {
		if place != c.leads() {
			left = append(left, place)
		}
	}
	start := time.Now()
	c.halt(c.leads())
	when, err := firstWrite(ctx, c, data, left...)
	if err != nil {
		return 0, err
	}
	return when.Sub(start), verify(ctx, c.machines(), failoverWrites+1, convergeTimeout)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// reference is the peer whose ratios are taken against the better of the others.
const reference = "troupe"

const header = "| peer | size | clients | ops/s | p50 | p99 | CPU-s/100k | allocs/op | ratio to better peer |\n" +
	"|---|--:|--:|--:|--:|--:|--:|--:|--:|\n"

// benchmark runs all cells and prints their rows. A failed round is reported on stderr and left out of the medians;
// the error says how many there were. It ends early with the context's error.
func benchmark(ctx context.Context, o options, stdout, stderr io.Writer) error {
	if _, err := io.WriteString(stdout, header); err != nil {
		return err
	}
	failures := 0
	for _, size := range o.sizes {
		for _, clients := range o.clients {
			c := cell{size: size, clients: clients}
			samples, failed, err := rounds(ctx, c, o, stderr)
			if err != nil {
				return err
			}
			failures += failed
			if _, err := io.WriteString(stdout, rows(c, o.peers, samples)); err != nil {
				return err
			}
		}
	}
	if failures > 0 {
		return fmt.Errorf("bench: %d rounds failed", failures)
	}
	return nil
}

// rounds runs the rounds of one cell, interleaved: all peers take their first round, then all their second, so that
// a machine that slows down or speeds up does so for all.
func rounds(ctx context.Context, c cell, o options, stderr io.Writer) (samples [][]sample, failed int, err error) {
	samples = make([][]sample, len(o.peers))
	for r := range o.rounds {
		for i := range o.peers {
			at := (i + r) % len(o.peers) // none is always the first after another's disk load
			s, err := measure(ctx, o.peers[at], c, o)
			if ctx.Err() != nil {
				return nil, failed, errors.Join(ctx.Err(), err)
			}
			if err != nil {
				failed++
				fmt.Fprintf(stderr, "bench: %s size=%d clients=%d round=%d: %v\n", o.peers[at].name(), c.size, c.clients, r+1, err)
				continue
			}
			samples[at] = append(samples[at], s)
		}
	}
	return samples, failed, nil
}

// rows formats one row per peer.
func rows(c cell, peers []peer, samples [][]sample) string {
	medians := make([]sample, len(peers))
	better := 0.0 // ops/s of the better peer that is not the reference
	for i, p := range peers {
		medians[i] = summary(samples[i])
		if p.name() != reference {
			better = max(better, medians[i].ops)
		}
	}
	var out []byte
	for i, p := range peers {
		out = fmt.Appendf(out, "| %s | %d | %d ", p.name(), c.size, c.clients)
		m := medians[i]
		if len(samples[i]) == 0 {
			out = append(out, "| failed | | | | | |\n"...)
			continue
		}
		ratio := "-"
		if better > 0 {
			ratio = fmt.Sprintf("%.2f", m.ops/better)
		}
		out = fmt.Appendf(out, "| %.0f | %s | %s | %.2f | %.1f | %s |\n", m.ops, millis(m.p50), millis(m.p99), m.cpu, m.allocs, ratio)
	}
	return string(out)
}

// millis formats a latency in milliseconds to microseconds.
func millis(d time.Duration) string {
	return fmt.Sprintf("%.3fms", float64(d.Microseconds())/1e3)
}

// summary takes the median of each figure on its own.
func summary(samples []sample) sample {
	return sample{
		ops:    median(samples, func(s sample) float64 { return s.ops }),
		p50:    time.Duration(median(samples, func(s sample) float64 { return float64(s.p50) })),
		p99:    time.Duration(median(samples, func(s sample) float64 { return float64(s.p99) })),
		cpu:    median(samples, func(s sample) float64 { return s.cpu }),
		allocs: median(samples, func(s sample) float64 { return s.allocs }),
	}
}

// median is the middle value, or the mean of the two in the middle; 0 without samples.
func median(samples []sample, figure func(sample) float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = figure(s)
	}
	slices.Sort(values)
	mid := len(values) / 2
	if len(values)%2 == 1 {
		return values[mid]
	}
	return (values[mid-1] + values[mid]) / 2
}

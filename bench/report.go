package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// reference is the peer whose ratios are taken against the better of the others.
const reference = "troupe"

const header = "| peer | size | clients | ops/s | p50 | p99 | CPU-s/100k | allocs/op | ratio to better peer | " +
	"work | ops/s min–max | others' CPU | disk B/B | syncs/op | heap MB | RSS MB |\n" +
	"|---|--:|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|--:|--:|\n"

// benchmark runs all cells and prints their rows. A failed round is reported on stderr and left out of the medians;
// the error says how many there were. It ends early with the context's error.
func benchmark(ctx context.Context, o options, stdout, stderr io.Writer) error {
	if _, err := io.WriteString(stdout, header); err != nil {
		return err
	}
	failures := 0
	for _, c := range o.cells() {
		samples, failed, err := rounds(ctx, c, o, stderr)
		if err != nil {
			return err
		}
		failures += failed
		if _, err := io.WriteString(stdout, rows(c, o.peers, samples)); err != nil {
			return err
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
			if !o.peers[at].offers(c.work) {
				continue
			}
			s, err := measure(ctx, o.peers[at], c, o)
			if ctx.Err() != nil {
				return nil, failed, errors.Join(ctx.Err(), err)
			}
			if err != nil {
				failed++
				fmt.Fprintf(stderr, "bench: %s size=%d clients=%d%s round=%d: %v\n", o.peers[at].name(), c.size, c.clients, c.work.note(), r+1, err)
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
	size := fmt.Sprint(c.size)
	if c.work == read || c.work == lease {
		size = "-"
	}
	var out []byte
	for i, p := range peers {
		out = fmt.Appendf(out, "| %s | %s | %d ", p.name(), size, c.clients)
		m := medians[i]
		switch {
		case !p.offers(c.work):
			out = fmt.Appendf(out, "| - | - | - | - | - | - | %v | - | - | - | - | - | - |\n", c.work)
			continue
		case len(samples[i]) == 0:
			out = fmt.Appendf(out, "| failed | | | | | | %v | | | | | | |\n", c.work)
			continue
		}
		out = fmt.Appendf(out, "| %.0f | %s | %s | %.2f | %.1f | %s ", m.ops, millis(m.p50), millis(m.p99), m.cpu, m.allocs, ratio(m.ops, better))
		out = fmt.Appendf(out, "| %v | %.0f–%.0f | %s | %s | %s | %s | %s |\n", c.work, m.low, m.high,
			figure("%.2f", m.others), figure("%.2f", m.written), figure("%.3f", m.syncs), figure("%.0f", m.heap/1e6), figure("%.0f", m.rss/1e6))
	}
	return string(out)
}

// ratio formats how many times b is in a.
func ratio(a, b float64) string {
	if b <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", a/b)
}

// figure formats what may be unknown.
func figure(format string, f float64) string {
	if math.IsNaN(f) {
		return "-"
	}
	return fmt.Sprintf(format, f)
}

// millis formats a latency in milliseconds to microseconds.
func millis(d time.Duration) string {
	return fmt.Sprintf("%.3fms", float64(d.Microseconds())/1e3)
}

// summary takes the median of each figure on its own.
func summary(samples []sample) (m sample) {
	m = sample{
		ops:     median(samples, func(s sample) float64 { return s.ops }),
		p50:     time.Duration(median(samples, func(s sample) float64 { return float64(s.p50) })),
		p99:     time.Duration(median(samples, func(s sample) float64 { return float64(s.p99) })),
		cpu:     median(samples, func(s sample) float64 { return s.cpu }),
		allocs:  median(samples, func(s sample) float64 { return s.allocs }),
		others:  median(samples, func(s sample) float64 { return s.others }),
		written: median(samples, func(s sample) float64 { return s.written }),
		syncs:   median(samples, func(s sample) float64 { return s.syncs }),
		heap:    median(samples, func(s sample) float64 { return s.heap }),
		rss:     median(samples, func(s sample) float64 { return s.rss }),
	}
	m.low, m.high = span(samples, func(s sample) float64 { return s.ops })
	return m
}

// median is the middle value, or the mean of the two in the middle; 0 without samples, unknown if it is so in one.
func median[S any](samples []S, figure func(S) float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	values := make([]float64, len(samples))
	for i, s := range samples {
		if values[i] = figure(s); math.IsNaN(values[i]) {
			return unknown
		}
	}
	slices.Sort(values)
	mid := len(values) / 2
	if len(values)%2 == 1 {
		return values[mid]
	}
	return (values[mid-1] + values[mid]) / 2
}

// span is the least and the greatest value; 0 without samples.
func span[S any](samples []S, figure func(S) float64) (low, high float64) {
	for i, s := range samples {
		if f := figure(s); i == 0 {
			low, high = f, f
		} else {
			low, high = min(low, f), max(high, f)
		}
	}
	return low, high
}

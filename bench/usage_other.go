//go:build !linux

package main

// Other systems are not asked: what the tables have from there is unknown.

func machineCPU() (busy, cores float64) { return unknown, unknown }

func resident() float64 { return unknown }

func diskOf(string) diskUse { return diskUse{unknown, unknown} }

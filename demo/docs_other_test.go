//go:build unix && !linux

package main

import "errors"

func ownNetwork() error { return errors.New("that is for Linux") }

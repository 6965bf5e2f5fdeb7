package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// writeOverlay puts b's mutated files into folder and the overlay that makes the go command see them into file.
func writeOverlay(root string, b Bug, folder, file string) error {
	texts := map[string]string{}
	for _, e := range b.Edits {
		text, read := texts[e.Path]
		if !read {
			raw, err := os.ReadFile(filepath.Join(root, e.Path))
			if err != nil {
				return fmt.Errorf("bug %d mutates a file that cannot be read: %w", b.Number, err)
			}
			text = string(raw)
		}
		mutated, err := e.apply(text)
		if err != nil {
			return fmt.Errorf("bug %d: %w", b.Number, err)
		}
		texts[e.Path] = mutated
	}
	replace := map[string]string{}
	for path, text := range texts {
		to := filepath.Join(folder, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			return err
		}
		replace[filepath.Join(root, filepath.FromSlash(path))] = to
	}
	raw, err := json.MarshalIndent(map[string]any{"Replace": replace}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644)
}

// folders are the packages whose tests catch b, each once, in the order given.
func (b Bug) folders() []string {
	var out []string
	for _, c := range b.Catches {
		if !slices.Contains(out, c.Folder) {
			out = append(out, c.Folder)
		}
	}
	return out
}

// tests are the tests of folder that catch b.
func (b Bug) tests(folder string) []string {
	var out []string
	for _, c := range b.Catches {
		if c.Folder == folder {
			out = append(out, c.Test)
		}
	}
	return out
}

// moduleRoot is the folder of the nearest go.mod at or above the working directory.
func moduleRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("there is no go.mod at or above %s: run this inside a checkout of Troupe", start)
		}
	}
}

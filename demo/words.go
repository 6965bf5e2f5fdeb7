package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The command line of ctl. What stands where a command wants an argument is one, whatever it looks like: a value may begin with a dash. Flags go before
// the arguments, or after the last; -- ends them.

// dashed puts -- before the first argument of a ctl command that has one dash: there is no such flag but -h.
func dashed(root *cobra.Command, words []string) []string {
	c, _, err := root.Find(words)
	if err != nil || c.Parent() == nil || c.Parent().Name() != "ctl" {
		return words
	}
	names := 2 // ctl, and the command's own
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch {
		case word == "--":
			return words
		case strings.HasPrefix(word, "--"):
			name, _, withValue := strings.Cut(word[2:], "=")
			if f := c.Flag(name); f != nil && f.NoOptDefVal == "" && !withValue {
				i++ // what follows is its value
			}
		case len(word) > 1 && word[0] == '-' && word != "-h" && names == 0:
			return slices.Insert(slices.Clone(words), i, "--")
		case len(word) > 1 && word[0] == '-':
		case names == 0:
			return words
		default:
			names--
		}
	}
	return words
}

// arguments are the words that a ctl command was given for its arguments, of these names.
func arguments(c *cobra.Command, given []string, names []string) ([]string, error) {
	ended := c.Flags().ArgsLenAtDash() >= 0 // by --
	if i := slices.Index(given, "--"); i >= 0 && !ended {
		given, ended = slices.Delete(slices.Clone(given), i, i+1), true
	}
	if !ended && slices.Contains(given, "--help") {
		return nil, pflag.ErrHelp
	}
	if c.Flags().Lookup("missing") != nil && !ended && slices.Contains(given, "--missing") {
		return nil, usage("%s: --missing goes before K; to mean the value --missing, write -- before K", where(c))
	}
	if n := len(names); !ended && len(given) > n && strings.HasPrefix(given[n], "-") {
		if err := c.ParseFlags(given[n:]); err != nil {
			return nil, c.FlagErrorFunc()(c, err)
		}
		if help, err := c.Flags().GetBool("help"); help && err == nil {
			return nil, pflag.ErrHelp
		}
		given = append(given[:n:n], c.Flags().Args()...)
	}
	if err := counted(c, given, names); err != nil {
		return nil, err
	}
	var faults []error
	for i, name := range names {
		switch name {
		case "K", "V", "OLD", "NEW":
			if !utf8.ValidString(given[i]) {
				faults = append(faults, fmt.Errorf("%s: not UTF-8: HTTP carries text only", name))
			}
			if name == "K" && given[i] == "" {
				faults = append(faults, fmt.Errorf("%s: empty: a key has one byte at least", name))
			}
		}
	}
	if len(faults) > 0 {
		return nil, &usageError{errors.Join(faults...)}
	}
	return given, nil
}

// counted wants as many arguments as there are names.
func counted(c *cobra.Command, given, names []string) error {
	if len(given) == len(names) {
		return nil
	}
	wants := strings.Join(names, " ")
	switch {
	case len(names) == 0:
		return usage("%s wants no arguments, got %d: the first is %q", where(c), len(given), given[0])
	case slices.Equal(names, missingNames):
		wants = "--missing " + wants
	}
	if len(given) > len(names) && slices.ContainsFunc(names, func(name string) bool { return name == "V" || name == "NEW" }) {
		wants += " (a value with spaces in quotes)"
	}
	if len(given) == 1 {
		return usage("%s wants %s, got 1 argument", where(c), wants)
	}
	return usage("%s wants %s, got %d arguments", where(c), wants, len(given))
}

// missingNames are the arguments of cas --missing.
var missingNames = []string{"K", "NEW"}

// where names a command by the words after demo.
func where(c *cobra.Command) string {
	return strings.TrimPrefix(strings.TrimPrefix(c.CommandPath(), c.Root().Name()), " ")
}

// flagFault is what is said of flags that are wrong.
func flagFault(c *cobra.Command, err error) error {
	in := ""
	if where(c) != "" {
		in = where(c) + ": "
	}
	var none *pflag.NotExistError
	var empty *pflag.ValueRequiredError
	var wrong *pflag.InvalidValueError
	switch {
	case errors.As(err, &none):
		more := ""
		if strings.HasPrefix(c.Use, "get ") || strings.HasPrefix(c.Use, "put ") || strings.HasPrefix(c.Use, "append ") || strings.HasPrefix(c.Use, "cas ") || strings.HasPrefix(c.Use, "del ") {
			more = "; write -- before a key that begins so"
		}
		return usage("%s%w: there are %s%s", in, err, flags(c), more)
	case errors.As(err, &empty):
		return usage("%s--%s wants a value after it", in, empty.GetFlag().Name)
	case errors.As(err, &wrong):
		return usage("%s--%s: %q is not %s", in, wrong.GetFlag().Name, wrong.GetValue(), flagWants(wrong.GetFlag()))
	}
	return usage("%s%w", in, err)
}

// flagWants says what a flag's value is.
func flagWants(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return "true or false"
	case "duration":
		return "a duration like 10s or 500ms"
	default:
		return "a whole number"
	}
}

// flags lists the flags of a command.
func flags(c *cobra.Command) string {
	var names []string
	see := func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, "--"+f.Name)
		}
	}
	c.LocalFlags().VisitAll(see)
	c.InheritedFlags().VisitAll(see)
	return strings.Join(names, ", ")
}

// unknown says that there is no such command, and which one may have been meant.
func unknown(c *cobra.Command, word string) error {
	c.SuggestionsMinimumDistance = 2 // as cobra has it where it suggests by itself
	meant := c.SuggestionsFor(word)
	if ctl, _, err := c.Find([]string{"ctl"}); err == nil && ctl != c {
		if found, _, err := ctl.Find([]string{word}); err == nil && found != ctl {
			meant = []string{"ctl " + word}
		}
	}
	of := "command"
	if where(c) != "" {
		of = "command of " + where(c)
	}
	if len(meant) > 0 {
		slices.Sort(meant)
		return usage("unknown %s %q: did you mean %s?", of, word, strings.Join(meant, " or "))
	}
	return usage("unknown %s %q: there are %s", of, word, commands(c))
}

// commands lists the commands of one.
func commands(c *cobra.Command) string {
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			names = append(names, sub.Name())
		}
	}
	return strings.Join(names, ", ")
}

// node reads a node's number.
func node(name, text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%s: %q is not a node's number, from 1 on", name, text)
	}
	return n, nil
}

func number(name, text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a whole number from 0 on", name, text)
	}
	return n, nil
}

package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMistakesAreNamed gives a file one mistake at a time, each of which used to be taken, or told in the words of what stumbled over it later: the
// fault names the field and what to write instead.
func TestMistakesAreNamed(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"a heartbeat that does nothing else", `heartbeat_interval = "1ns"`, "heartbeat_interval: 1ns is not from 1ms to"},
		{"timeouts that nobody can keep", `election_timeout = ["1ns", "2ns"]` + "\n" + `heartbeat_interval = "1ms"`, "heartbeat_interval 1ms is more than a third of the shortest election timeout 1ns: lower it, or raise election_timeout"},
		{"timeouts of weeks", `election_timeout = ["1000h", "2000h"]`, "election_timeout: 2000h0m0s is more than 1h0m0s"},
		{"timeouts in the wrong order", `election_timeout = ["300ms", "150ms"]`, "election_timeout: 150ms is not above 300ms: write the shorter one first"},
		{"a token of two lines", `token = "a\nb"`, "token: "},
		{"a token that is not ASCII", `token = "пароль"`, "token: "},
		{"a token that loses its end on the way", `token = "secret "`, "token: "},
		{"a byte order mark", "\ufeffdata = \"d\"", "line 1: the file begins with a byte order mark: save it as UTF-8 without one"},
		{"UTF-16", "\xff\xfed\x00a\x00", "the file is not UTF-8 but UTF-16: save it as UTF-8"},
		{"another encoding", "data = \"d\"\ntoken = \"m\xfcde\"", "line 2: the file is not UTF-8: save it as UTF-8"},
		{"a token and its file", `token = "a"` + "\n" + `token_file = "b"`, "token and token_file are both set: keep one"},
		{"a token file that is not there", `token_file = "/nowhere/token"`, "token_file: open /nowhere/token"},
		{"a folder with a zero byte", `data = "a\u0000b"`, "data: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse([]byte(test.text), "")
			faults := Faults(err)
			if len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), test.want) {
				t.Errorf("got  %v\nwant %s…", err, test.want)
			}
		})
	}
}

func TestTokenFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	for text, want := range map[string]string{"secret": "secret", "secret\n": "secret", "secret\r\n": "secret", "two words\n": "two words"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := Parse(fmt.Appendf(nil, "token_file = %q", file), ""); err != nil || c.Token != want {
			t.Errorf("%q: token %q, %v", text, c.Token, err)
		}
	}
	for text, want := range map[string]string{"": "is empty", "\n": "is empty", "a\nb\n": "token_file: ", " a\n": "token_file: ", strings.Repeat("a", 5000): "token_file: "} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(fmt.Appendf(nil, "token_file = %q", file), ""); err == nil || len(Faults(err)) != 1 || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "a\nb") {
			t.Errorf("%.20q: %v, want %s", text, err, want)
		}
	}
}

// TestAddressesThatNobodyReaches: an address of the file is where others find the node.
func TestAddressesThatNobodyReaches(t *testing.T) {
	const remedy = "other nodes cannot reach"
	for _, test := range []struct{ addr, want string }{
		{"0.0.0.0:7001", `other nodes cannot reach 0.0.0.0: name the address or host at which they do`},
		{"[::]:7001", `other nodes cannot reach [::]: name the address or host at which they do`},
		{"[::ffff:0.0.0.0]:7001", remedy},
		{"[::0]:7001", remedy},
		{":7001", `":7001" names no host: name the address or host at which other nodes reach it`},
		{"127.0.0.1:99999", `"127.0.0.1:99999" has no port from 1 to 65535`},
		{"127.0.0.1:0", `"127.0.0.1:0" has no port from 1 to 65535`},
		{"127.0.0.1:-1", "has no port"},
		{"127.0.0.1:http", "has no port"},
		{"127.0.0.1:", "has no port"},
		{"127.0.0.1", `"127.0.0.1" is not host:port`},
		{"localhost", "is not host:port"},
		{"no port", "is not host:port"},
		{"::1:7001", "is not host:port: an IPv6 address stands in brackets, like [::1]:7001"},
		{"http://127.0.0.1:7001", "is not host:port: leave out http://"},
		{"224.0.0.1:7001", remedy},
		{"255.255.255.255:7001", remedy},
		{"127.0.0:7001", "is no IP address and no name of a host"},
		{"256.0.0.1:7001", "is no IP address and no name of a host"},
		{"a b:7001", "is no IP address and no name of a host"},
		{"a/b:7001", "is no IP address and no name of a host"},
		{"", "no address"},
	} {
		for _, kind := range []string{"raft", "http", "resp"} {
			if test.addr == "" && kind == "resp" {
				continue // none is served
			}
			text := map[string]string{"raft": "127.0.0.1:1", "http": "127.0.0.1:2", "resp": "127.0.0.1:3"}
			text[kind] = test.addr
			_, err := Parse(fmt.Appendf(nil, "[[node]]\nid = 1\nraft = %q\nhttp = %q\nresp = %q\n", text["raft"], text["http"], text["resp"]), "")
			if len(Faults(err)) != 1 || !strings.HasPrefix(err.Error(), "node 1: "+kind+": ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s = %q: got %v, want %s", kind, test.addr, err, test.want)
			}
		}
	}
	for _, good := range []string{"127.0.0.1:7001", "[::1]:7001", "[fe80::1%eth0]:7001", "localhost:7001", "node-1.example.com:7001", "my_host:65535", "xn--bcher-kva:1", "h:08001", "10.1.2.3.example:1", "host.:1"} {
		if _, err := Parse(fmt.Appendf(nil, "[[node]]\nid = 1\nraft = %q\nhttp = \"127.0.0.1:2\"\n", good), ""); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	// Every fault is named at once.
	_, err := Parse([]byte("[[node]]\nid = 1\nraft = \"0.0.0.0:1\"\nhttp = \"[::]:2\"\nresp = \":3\"\n[[node]]\nid = 2\nraft = \"h:99999\"\nhttp = \"h\"\n"), "")
	if n := len(Faults(err)); n != 5 {
		t.Errorf("%d faults: %v", n, err)
	}
}

// TestWrongIDs: a node is called by what stands in the file, and one fault is told once.
func TestWrongIDs(t *testing.T) {
	for _, id := range []string{"-1", `"2"`, "1.5", "0"} {
		_, err := Parse([]byte("[[node]]\nid = 1\nraft = \"h:1\"\nhttp = \"h:2\"\n[[node]]\nid = "+id+"\nraft = \"h:1\"\nhttp = \"h:0\"\n"), "")
		want := []string{
			"node " + id + " (entry 2 of the file): its id is not a whole number from 1 on",
			"node " + id + " (entry 2 of the file) raft: address h:1 is also that of node 1 raft",
			"node " + id + " (entry 2 of the file): http: \"h:0\" has no port from 1 to 65535",
		}
		var got []string
		for _, fault := range Faults(err) {
			got = append(got, fault.Error())
		}
		if len(got) != len(want) {
			t.Errorf("id %s: %q", id, got)
			continue
		}
		for i := range want {
			if !strings.HasPrefix(got[i], want[i]) {
				t.Errorf("id %s: %q, want %q", id, got[i], want[i])
			}
		}
	}
}

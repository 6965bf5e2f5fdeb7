// Package api is the JSON of the demo's HTTP interface, shared by its server and its client.
package api

import "unicode/utf8"

// Headers of requests.
const (
	HeaderSession = "Troupe-Session" // with HeaderSeq: the write is applied once however often it is sent
	HeaderSeq     = "Troupe-Seq"     // 1, 2, 3… within the session
	HeaderTimeout = "Troupe-Timeout" // how long the request may wait, as a Go duration
	// HeaderForwarded names the node that passed a request on. Such a request is never passed on again.
	HeaderForwarded = "Troupe-Forwarded"
	HeaderNode      = "Troupe-Node" // of every answer: the number of the node that gave it
)

// Outcomes in an Error.
const (
	Refused = "refused" // it did not and will not happen
	Unknown = "unknown" // it may or may not take effect
	Applied = "applied" // a session's write that happened, once, and whose answer is not remembered any more
)

// An Error is the body of every answer but 200.
type Error struct {
	Error   string `json:"error"`
	Outcome string `json:"outcome"`
	Leader  uint64 `json:"leader"` // 0: none known
}

// A Value answers GET /v1/kv/{key}.
type Value struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Index uint64 `json:"index"`
}

// A Write is the body of a put or an append.
type Write struct {
	Value string `json:"value"`
}

// A Swap is the body of a cas. Expect null: the key must be missing.
type Swap struct {
	Expect *string `json:"expect"`
	Value  string  `json:"value"`
}

// An Index answers a put or a snapshot.
type Index struct {
	Index uint64 `json:"index"`
}

// An Appended answers an append. Of Value and ValueBase64 one is there.
type Appended struct {
	Index       uint64  `json:"index"`
	Value       *string `json:"value,omitempty"`
	ValueBase64 []byte  `json:"value_base64,omitempty"` // of what is not UTF-8
}

// A Swapped answers a cas. Value is the current one, null when the key is missing or, with ValueBase64, not UTF-8.
type Swapped struct {
	Index       uint64  `json:"index"`
	Swapped     bool    `json:"swapped"`
	Value       *string `json:"value"`
	ValueBase64 []byte  `json:"value_base64,omitempty"`
}

// A Deleted answers a delete.
type Deleted struct {
	Index   uint64 `json:"index"`
	Deleted bool   `json:"deleted"`
}

// An Item is one key with its value. What is not UTF-8 is in base64 instead.
type Item struct {
	Key         string  `json:"key,omitempty"`
	KeyBase64   []byte  `json:"key_base64,omitempty"`
	Value       *string `json:"value,omitempty"`
	ValueBase64 []byte  `json:"value_base64,omitempty"`
}

// Text is a value as JSON carries it: as it is or, when it is not UTF-8, to be carried in base64.
func Text(value []byte) (text *string, base64 []byte) {
	if !utf8.Valid(value) {
		return nil, value
	}
	s := string(value)
	return &s, nil
}

// A List answers GET /v1/kv.
type List struct {
	Items []Item `json:"items"`
	More  bool   `json:"more"`
}

// A Session answers POST /v1/session.
type Session struct {
	Session string `json:"session"`
}

// A Status answers GET /v1/status.
type Status struct {
	Node     uint64   `json:"node"`
	Role     string   `json:"role"`
	Term     uint64   `json:"term"`
	Leader   uint64   `json:"leader"` // 0: none known
	Commit   uint64   `json:"commit"`
	Applied  uint64   `json:"applied"`
	First    uint64   `json:"first"`
	Last     uint64   `json:"last"`
	Snapshot uint64   `json:"snapshot"`
	Members  []Member `json:"members"`
	Error    string   `json:"error"` // why the replica crashed or failed; Phase says whether that is its end
	// Phase is not there while the replica runs; else it is starting, restarting (after a crash, by itself), failed or left.
	Phase string `json:"phase,omitempty"`
}

// A Member is one server of the cluster. Match and Active are known to the leader only.
type Member struct {
	ID     uint64 `json:"id"`
	Raft   string `json:"raft"`
	HTTP   string `json:"http"`
	Voter  bool   `json:"voter"`
	Match  uint64 `json:"match"`
	Active bool   `json:"active"`
	Doubt  bool   `json:"doubt,omitempty"` // its disk lacks what it held once: it has no vote and does not count
	// Trouble is what keeps it and the node that was asked from working together, in words; not there when nothing does.
	Trouble string `json:"trouble,omitempty"`
}

// A Log answers GET /v1/log. It is cut where the log changes while it is read, cannot be read, or is long: whoever wants the rest asks from Last+1 on, until
// there are no entries.
type Log struct {
	First   uint64  `json:"first"` // of Entries; last < first: none
	Last    uint64  `json:"last"`  // of Entries
	Entries []Entry `json:"entries"`
}

// An Entry is one position of the log. Data is in words for people; DataBase64 is the entry's own bytes, where a key or a value in it is not UTF-8.
type Entry struct {
	Index      uint64 `json:"index"`
	Term       uint64 `json:"term"`
	Kind       string `json:"kind"`
	Data       string `json:"data"`
	DataBase64 []byte `json:"data_base64,omitempty"`
}

// A Transfer is the body of POST /v1/transfer.
type Transfer struct {
	To uint64 `json:"to"`
}

// A Leader answers a transfer.
type Leader struct {
	Leader uint64 `json:"leader"`
}

// A Change is the body of POST /v1/members: exactly one of the first six fields is set.
type Change struct {
	Add     *NewMember `json:"add,omitempty"`
	Remove  *uint64    `json:"remove,omitempty"`
	Promote *uint64    `json:"promote,omitempty"`
	Change  *Members   `json:"change,omitempty"`
	Address *Address   `json:"address,omitempty"` // a member is elsewhere
	Readmit *uint64    `json:"readmit,omitempty"` // a member that runs on another folder than before comes back as a learner
	// Force takes a change whose new voters are not known to be alive and to have caught up.
	Force bool `json:"force,omitempty"`
	// BasedOn refuses the change if the members were changed after this index: the commit of a Status, say. 0, which is not sent: any.
	BasedOn uint64 `json:"based_on,omitempty"`
}

// A NewMember says where a node to be added is reached.
type NewMember struct {
	ID      uint64 `json:"id"`
	Raft    string `json:"raft"`
	HTTP    string `json:"http"`
	Learner bool   `json:"learner,omitempty"`
}

// An Address says where a member is reached from now on.
type Address struct {
	ID   uint64 `json:"id"`
	Raft string `json:"raft"`
	HTTP string `json:"http"`
}

// Members names a whole membership: ids of nodes that are known, or objects like NewMember.
type Members struct {
	Voters   []Seat `json:"voters"`
	Learners []Seat `json:"learners"`
}

// A Membership answers POST /v1/members.
type Membership struct {
	Members []Seated `json:"members"`
}

// A Seated is one member of a committed membership.
type Seated struct {
	ID    uint64 `json:"id"`
	Raft  string `json:"raft"`
	HTTP  string `json:"http"`
	Voter bool   `json:"voter"`
}

// A Chaos is the body of POST /v1/chaos, and its answer. The empty one heals.
type Chaos struct {
	Drop  float64  `json:"drop"`  // share of messages lost, 0 to 1
	Delay string   `json:"delay"` // a Go duration; empty: none
	Block []uint64 `json:"block"` // nodes that neither hear this one nor are heard by it
}

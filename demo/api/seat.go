package api

import (
	"bytes"
	"encoding/json"
)

// A Seat is a member named in a Members: an id alone in JSON when nothing else is said of it.
type Seat struct {
	ID   uint64
	Raft string
	HTTP string
}

type seat struct {
	ID   uint64 `json:"id"`
	Raft string `json:"raft"`
	HTTP string `json:"http"`
}

// MarshalJSON writes a number or an object.
func (s Seat) MarshalJSON() ([]byte, error) {
	if s.Raft == "" && s.HTTP == "" {
		return json.Marshal(s.ID)
	}
	return json.Marshal(seat(s))
}

// UnmarshalJSON reads a number or an object.
func (s *Seat) UnmarshalJSON(b []byte) error {
	if len(b) == 0 || b[0] != '{' {
		return json.Unmarshal(b, &s.ID)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode((*seat)(s))
}

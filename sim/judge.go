package sim

// judge holds the clients' history against one copy of the state machine (linearizability), once all is over.
func (s *Sim) judge() {
}

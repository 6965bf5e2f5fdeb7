package election

// Orders travel by value, as Elapsed does; OnDuty as a pointer.

// OnDuty tells the parent that the timer runs, or runs again after a restart, and waits for
// orders: it holds no deadline until the next Arm.
type OnDuty struct{}

// Arm draws a new timeout and waits it from now, whatever was waited for before.
// Seq names the order; the parent never reuses one.
type Arm struct{ Seq uint64 }

// Disarm stops waiting. Seq names the order, as in Arm.
type Disarm struct{ Seq uint64 }

// Elapsed answers the Arm of the same Seq when no later Arm or Disarm came. Timer → parent, which drops
// it unless Seq is the last it sent: a timeout may be on its way while its cancellation is in flight.
type Elapsed struct{ Seq uint64 }

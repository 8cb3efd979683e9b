package sshpool

import "time"

// HostStats counts what happened on one host since the pool was made. The
// first group only grows; the second is the present state, the third the present
// connection, and the fourth why there is none.
type HostStats struct {
	Established  int64 // connections opened
	Reused       int64 // commands that found their connection open
	Dials        int64 // connections tried
	DialFailures int64 // of those, failed
	Commands     int64 // Run calls that ended, whatever their outcome
	Waits        int64 // commands that waited for a session slot
	Refusals     int64 // sessions that the server refused for want of a slot
	Retries      int64 // commands tried again because the first try provably did not start
	SparesUsed   int64 // commands that found a session open, and took one round trip
	SparesLost   int64 // spare sessions that the server closed
	Kills        int64 // commands that were sent a signal to end them
	Timeouts     int64 // commands that ran into one of their three clocks
	Unknown      int64 // commands whose outcome is unknown

	OpenConnections int // open now
	SessionsInUse   int // session slots taken now by commands, abandoned ones included
	SpareSessions   int // sessions open now that no command uses yet
	Waiting         int // commands waiting now, for a slot or a connection
	SessionLimit    int // the learned number of sessions per connection

	// ConnectedSince is when the oldest open connection was opened, HostKey the
	// fingerprint of the key that its server showed, as ssh-keygen -l prints it:
	// "SHA256:…". Zero without a connection, and on a local host.
	ConnectedSince time.Time
	HostKey        string
	// RoundTrip is how long the last keepalive of that connection took to be
	// answered; before the first, how long its transport took to be opened, the
	// look-up of the name included. 0: not known.
	RoundTrip time.Duration

	// Failures counts the dials that failed in a row, LastFailure is the newest
	// one's error and FailureKind its kind. NextDial is until when the host is left
	// alone after it; a time in the past means that the next command dials at once.
	// Zero once a dial succeeds.
	Failures    int
	FailureKind ErrorKind
	LastFailure string
	NextDial    time.Time
}

package sshpool

// HostStats counts what happened on one host since the pool was made. The
// first group only grows; the second is the present state.
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
}

// Package store keeps alerts, incidents, commands and events in one database,
// SQLite or Postgres, in which the workflow engine keeps its own tables too.
//
//	s, err := store.Open(ctx, "sqlite:lifeline.db", store.Options{OnEvent: hub.Publish})
//
// Every exported method that writes is one transaction; it is on disk when the
// method returns. Alerts, events and commands are only ever added to: triggers
// in the database refuse to change or delete them, but for the one result that
// a command gets.
//
// On Postgres several processes are nodes of one database (Join): what a node
// writes is refused, in the same transaction, once another took over from it.
package store

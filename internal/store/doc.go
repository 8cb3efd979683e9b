// Package store keeps alerts, incidents, commands and events in one SQLite
// database, in which the workflow engine keeps its own tables too.
//
//	s, err := store.Open(ctx, "sqlite:lifeline.db", store.Options{OnEvent: hub.Publish})
//
// Every exported method that writes is one transaction; it is on disk when the
// method returns. Alerts, events and commands are only ever added to: triggers
// in the database refuse to change or delete them, but for the one result that
// a command gets.
package store

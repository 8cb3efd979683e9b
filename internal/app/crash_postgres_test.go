package app

import "testing"

func newPostgresDatabase(t *testing.T, server string) string {
	t.Helper()
	t.Fatalf("%s: no", server)
	return ""
}

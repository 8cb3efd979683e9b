package config_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline/internal/config"
)

var write = flag.Bool("write", false, "write docs/configuration.md and docs/lifeline.schema.json")

// The reference and the schema are made from types.go and committed, so that
// they can be read without building anything.
func TestDocsAreGenerated(t *testing.T) {
	for name, want := range map[string][]byte{
		"configuration.md":     config.Reference(),
		"lifeline.schema.json": config.Schema(),
	} {
		path := filepath.Join("..", "..", "docs", name)
		if *write {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v: make generate", err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("docs/%s is not what types.go says: make generate (-want +got):\n%s", name, diff)
		}
	}
}

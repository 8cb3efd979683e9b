package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var write = flag.Bool("write", false, "write docs/openapi.json")

// The document is made from the types and committed, so that it can be read, and a
// client generated from it, without anything that runs.
func TestOpenAPIIsDocumented(t *testing.T) {
	text, err := Document("dev")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "..", "docs", "openapi.json")
	if *write {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b.Bytes()) {
		t.Error("docs/openapi.json is not what the types say: go test -run '^TestOpenAPIIsDocumented$' ./internal/api -write")
	}
}

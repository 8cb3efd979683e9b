package lifeline

import (
	"go/ast"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The document about what is promised names tests: each of them exists, and each
// of the promises has one or says where it is coming from.
func TestReliabilityNamesItsTests(t *testing.T) {
	text, err := os.ReadFile("docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, f := range sources(t) {
		for _, decl := range f.syntax.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && f.test {
				known[fn.Name.Name] = true
			}
		}
	}
	names := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`")
	promises := 0
	for line := range strings.Lines(string(text)) {
		found := names.FindAllStringSubmatch(line, -1)
		for _, name := range found {
			if !known[name[1]] {
				t.Errorf("docs/reliability.md names %s, and there is no such test", name[1])
			}
		}
		if row := regexp.MustCompile(`^\| \d+ \|`).FindString(line); row != "" {
			promises++
			if len(found) == 0 && !strings.Contains(line, "| with the ") {
				t.Errorf("docs/reliability.md names no test in %.40q", line)
			}
		}
	}
	if promises != 26 {
		t.Errorf("docs/reliability.md has %d promises, want 26", promises)
	}
}

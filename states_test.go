package lifeline

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var write = flag.Bool("write", false, "write docs/states.md")

// statesDoc is docs/states.md, made from the table of moves.
func statesDoc() string {
	var b strings.Builder
	b.WriteString(`# The states of an incident

Generated from the table of moves in ` + "`incident.go`" + `; do not edit it here:
` + "`go test -run '^TestStatesAreDocumented$' . -write`" + `. The store refuses every move
that is not in the table.

` + "```mermaid\nstateDiagram-v2\n    [*] --> open\n")
	for _, m := range Moves() {
		fmt.Fprintf(&b, "    %s --> %s\n", m.From, m.To)
	}
	ended := map[State]bool{}
	for _, m := range Moves() {
		if m.To.Ended() && !ended[m.To] {
			ended[m.To] = true
			fmt.Fprintf(&b, "    %s --> [*]\n", m.To)
		}
	}
	b.WriteString("```\n\n| from | to | who, and when |\n| --- | --- | --- |\n")
	for _, m := range Moves() {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", m.From, m.To, strings.ReplaceAll(m.By, "|", "\\|"))
	}
	b.WriteString(`
No state is one that only a living process can leave. An incident goes on where it
was when its process comes back. Every minute, and at each start, the janitor looks
for incidents whose work does not go on any more: it failed, the engine gave it up
after too many restarts, it is missing, or another version of Lifeline began it. They
are ` + "`escalated`" + ` with that as their reason, from whichever state they are in.

An incident that a maintenance window holds stays in its state; its reason says until
when and by whom.
`)
	return b.String()
}

// The diagram and the table are made from the code and committed, so that they
// can be read without building anything.
func TestStatesAreDocumented(t *testing.T) {
	path := filepath.Join("docs", "states.md")
	if *write {
		if err := os.WriteFile(path, []byte(statesDoc()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != statesDoc() {
		t.Error("docs/states.md is not what incident.go says: go test -run '^TestStatesAreDocumented$' . -write")
	}
}

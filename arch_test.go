package lifeline

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mayImport lists, for each package of the module, which other packages of the
// module it may import. A new package is a new row: a decision.
var mayImport = map[string][]string{
	".":                        {},
	"sshpool":                  {},
	"sshpool/sshtest":          {},
	"shellpolicy":              {},
	"runbooks":                 {},
	"internal/escape":          {},
	"internal/redact":          {"internal/escape"},
	"internal/llm":             {"internal/escape"},
	"internal/llm/httpapi":     {"internal/llm"},
	"internal/llm/anthropic":   {"internal/llm", "internal/llm/httpapi"},
	"internal/llm/openai":      {"internal/llm", "internal/llm/httpapi"},
	"internal/llm/llmtest":     {"internal/llm"},
	"internal/jsonpath":        {},
	"internal/intake":          {".", "internal/jsonpath"},
	"internal/pattern":         {},
	"internal/triage":          {".", "internal/pattern"},
	"internal/store":           {"."},
	"internal/store/storetest": {".", "internal/store"},
	"internal/timeline":        {".", "internal/escape"},
	"internal/check":           {".", "internal/escape", "internal/pattern"},
	"internal/probe":           {"."},
	"internal/alertmanager":    {"."},
	"internal/config":          {".", "internal/escape", "internal/jsonpath", "internal/check", "internal/pattern"},
	"internal/agent":           {".", "internal/llm", "internal/escape"},
	"internal/tool":            {".", "internal/llm", "internal/escape"},
	"internal/runbook":         {".", "internal/llm", "internal/escape", "internal/check", "internal/pattern"},
	"internal/guard":           {".", "shellpolicy", "sshpool", "internal/redact"},
	"internal/respond":         {".", "internal/agent", "internal/runbook", "internal/tool", "internal/llm"},
	"internal/notify":          {".", "internal/escape"},
	"internal/web":             {".", "internal/escape", "internal/timeline"},
	"internal/web/webtest":     {"."},
	"internal/access":          {".", "internal/escape"},
	"internal/api":             {".", "internal/escape"},
	"internal/api/client":      {"."},
	"internal/lab":             {".", "sshpool/sshtest"},
	"internal/app":             {"*"}, // everything except internal/cli and cmd
	"internal/cli":             {".", "internal/app", "internal/api/client", "internal/config", "internal/lab", "shellpolicy", "internal/escape"},
	"cmd/lifeline":             {"internal/cli"},
}

// inTestsToo lists what the tests of a package may import besides: fakes, and
// the stages of the walk that a test runs through.
var inTestsToo = map[string][]string{
	"internal/cli":           {"internal/llm/llmtest"},
	"sshpool":                {"sshpool/sshtest"},
	"internal/llm/anthropic": {"internal/llm/llmtest"},
	"internal/llm/openai":    {"internal/llm/llmtest"},
	"internal/runbook":       {"runbooks"},
	"internal/agent":         {"internal/llm/llmtest", "internal/tool", "internal/llm/anthropic", "internal/llm/openai"},
	"internal/store":         {"internal/store/storetest"},
	"internal/access":        {"internal/store"},
	"internal/triage":        {"internal/store"},
	"internal/guard":         {"sshpool/sshtest", "internal/store"},
	"internal/api":           {"internal/api/client"},
	"internal/respond":       {"internal/store", "internal/llm/llmtest", "internal/triage", "internal/timeline"},
	"internal/web":           {"internal/web/webtest"},
}

// anything marks packages that exist to hold stories over the whole product.
var anything = []string{"e2e", "bench"}

const module = "lifeline"

// onlyGuardReachesHosts is the rule that has no exception, not even in tests:
// nothing else can reach a host around the policy.
var onlyGuardReachesHosts = []string{"internal/guard", "internal/app", "e2e", "bench"}

type sourceFile struct {
	dir, name string // dir relative to the module's root
	test      bool
	syntax    *ast.File
}

// sources parses every Go file of the module. It reads files: asking the go
// tool would be cached and could report a stale result.
func sources(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := d.Name()
			if name != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules" || base == "bin") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && name != "." {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, sourceFile{
			dir: filepath.ToSlash(filepath.Dir(name)), name: filepath.ToSlash(name),
			test: strings.HasSuffix(name, "_test.go"), syntax: syntax,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d Go files found: the walk is broken", len(files))
	}
	return files
}

// ours gives the module's packages that a file imports, relative to its root.
func ours(f sourceFile) []string {
	var found []string
	for _, spec := range f.syntax.Imports {
		p := strings.Trim(spec.Path.Value, `"`)
		if p == module {
			found = append(found, ".")
		} else if rest, ok := strings.CutPrefix(p, module+"/"); ok {
			found = append(found, rest)
		}
	}
	return found
}

func isAnything(dir string) bool {
	first, _, _ := strings.Cut(dir, "/")
	return slices.Contains(anything, first)
}

func TestImportsFollowTheDesign(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range sources(t) {
		if isAnything(f.dir) {
			continue
		}
		allowed, known := mayImport[f.dir]
		if !known {
			t.Errorf("%s: package %s has no row in arch_test.go", f.name, f.dir)
			continue
		}
		seen[f.dir] = true
		for _, p := range ours(f) {
			switch {
			case p == f.dir: // an external test package of the same folder
			case slices.Contains(allowed, "*") && p != "internal/cli" && !strings.HasPrefix(p, "cmd/"):
			case slices.Contains(allowed, p):
			case f.test && slices.Contains(inTestsToo[f.dir], p):
			default:
				t.Errorf("%s imports %s: the design does not allow it", f.name, path.Join(module, p))
			}
		}
	}
	for dir := range mayImport {
		if !seen[dir] {
			t.Errorf("arch_test.go has a row for %s, which has no Go file", dir)
		}
	}
}

func TestOnlyGuardReachesHosts(t *testing.T) {
	checked := 0
	for _, f := range sources(t) {
		first, _, _ := strings.Cut(f.dir, "/")
		if f.dir == "sshpool" || strings.HasPrefix(f.dir, "sshpool/") {
			continue
		}
		for _, spec := range f.syntax.Imports {
			p := strings.Trim(spec.Path.Value, `"`)
			if p != module+"/sshpool" && p != "golang.org/x/crypto/ssh" && p != "os/exec" {
				continue
			}
			checked++
			may := slices.Contains(onlyGuardReachesHosts, f.dir) || slices.Contains(onlyGuardReachesHosts, first)
			// The lab and its demo are SSH servers of ours, never clients of a host.
			labServer := p == "golang.org/x/crypto/ssh" && (f.dir == "internal/lab" || f.dir == "internal/cli" && f.test)
			// A test may start a shell or our own binary beside the product.
			ownProcess := p == "os/exec" && f.test
			if !may && !labServer && !ownProcess {
				t.Errorf("%s imports %s: only internal/guard and internal/app may reach hosts", f.name, p)
			}
		}
	}
	if checked == 0 {
		t.Error("no package imports sshpool: the test looks in the wrong place")
	}
}

func TestRootImportsTheStandardLibraryOnly(t *testing.T) {
	for _, f := range sources(t) {
		if f.dir != "." || f.test {
			continue
		}
		for _, spec := range f.syntax.Imports {
			if first, _, _ := strings.Cut(strings.Trim(spec.Path.Value, `"`), "/"); strings.Contains(first, ".") {
				t.Errorf("%s imports %s", f.name, spec.Path.Value)
			}
		}
	}
}

func TestEveryPackageHasADoc(t *testing.T) {
	documented, dirs := map[string]bool{}, map[string]bool{}
	for _, f := range sources(t) {
		if f.test {
			continue
		}
		dirs[f.dir] = true
		if f.syntax.Doc != nil && len(f.syntax.Doc.Text()) > 40 {
			documented[f.dir] = true
		}
	}
	for dir := range dirs {
		if !documented[dir] {
			t.Errorf("package %s has no package comment", dir)
		}
	}
}

func TestNoInitFunctions(t *testing.T) {
	for _, f := range sources(t) {
		for _, decl := range f.syntax.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s has an init function", f.name)
			}
		}
	}
}

func TestNoTestIsSkipped(t *testing.T) {
	for _, f := range sources(t) {
		if !f.test || f.name == "arch_test.go" {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && (sel.Sel.Name == "Skip" || sel.Sel.Name == "Skipf" || sel.Sel.Name == "SkipNow") {
				if x, ok := sel.X.(*ast.Ident); ok && len(x.Name) == 1 {
					t.Errorf("%s skips a test", f.name)
				}
			}
			return true
		})
	}
}

func TestStateMachine(t *testing.T) {
	all := []State{StateOpen, StateInvestigating, StateAwaitingApproval, StateActing, StateVerifying, StateResolved, StateEscalated, StateSuperseded}
	reached := map[State]bool{StateOpen: true}
	for range all {
		for _, m := range Moves() {
			if reached[m.From] {
				reached[m.To] = true
			}
		}
	}
	for _, s := range all {
		if !reached[s] {
			t.Errorf("no way leads to %s", s)
		}
		ended := s == StateResolved || s == StateEscalated || s == StateSuperseded
		if s.Ended() != ended {
			t.Errorf("%s.Ended() = %v", s, s.Ended())
		}
		if !ended && !CanMove(s, StateEscalated) {
			t.Errorf("%s cannot be handed to a person", s)
		}
	}
}

package tool_test

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lifeline"
	"lifeline/internal/llm"
	"lifeline/internal/tool"
)

// door answers every request with the same command, and keeps what was asked.
type door struct {
	mu     sync.Mutex
	answer lifeline.Command
	err    error
	asked  []lifeline.CommandRequest
}

func (d *door) Run(_ context.Context, req lifeline.CommandRequest) (lifeline.Command, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, req)
	cmd := d.answer
	cmd.CommandRequest = req
	return cmd, d.err
}

func exited(status int, stdout, stderr string) lifeline.Command {
	return lifeline.Command{Outcome: lifeline.OutcomeExited, ExitStatus: &status, Class: "read",
		Stdout: []byte(stdout), Stderr: []byte(stderr), Run: 120 * time.Millisecond}
}

func newSet(t testing.TB, d *door) *tool.Set {
	t.Helper()
	s, err := tool.New(d, tool.Config{Hosts: []string{"outpost", "nexus", "nexus"}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func callOf(name, input string) llm.ToolCall {
	return llm.ToolCall{ID: "c1", Name: name, Input: json.RawMessage(input)}
}

func TestNew(t *testing.T) {
	if _, err := tool.New(nil, tool.Config{Hosts: []string{"a"}}); err == nil {
		t.Error("no door: no error")
	}
	for name, hosts := range map[string][]string{"no hosts": nil, "a bad name": {"a b"}, "an empty name": {""}} {
		if _, err := tool.New(&door{}, tool.Config{Hosts: hosts}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if diff := cmp.Diff([]string{"nexus", "outpost"}, newSet(t, &door{}).Hosts()); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
}

func TestDefinitions(t *testing.T) {
	var names []string
	for _, d := range newSet(t, &door{}).Definitions() {
		names = append(names, d.Name)
		var schema struct {
			Type       string `json:"type"`
			Additional *bool  `json:"additionalProperties"`
			Properties map[string]struct {
				Type, Description string
				Enum              []string
			} `json:"properties"`
			Required []string `json:"required"`
		}
		if err := json.Unmarshal(d.InputSchema, &schema); err != nil {
			t.Fatal(err)
		}
		if schema.Type != "object" || schema.Additional == nil || *schema.Additional || len(schema.Required) == 0 || len(d.Description) < 50 {
			t.Errorf("%s: schema %s, description %q", d.Name, d.InputSchema, d.Description)
		}
		for field, p := range schema.Properties {
			if p.Type == "" || p.Description == "" {
				t.Errorf("%s: field %s says too little", d.Name, field)
			}
		}
		if p, has := schema.Properties["host"]; has && !cmp.Equal(p.Enum, []string{"nexus", "outpost"}) {
			t.Errorf("%s: hosts %v", d.Name, p.Enum)
		}
	}
	want := []string{"gather_logs", "check_service_status", "restart_service", "execute_safe_command", "finish"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCommandLines(t *testing.T) {
	const inspect = "docker inspect --type container --format '{{.Name}} {{.Config.Image}} {{.RestartCount}} {{json .State}}' "
	const show = "systemctl show --property=Id,Description,Type,LoadState,ActiveState,SubState,Result,NRestarts,MainPID,ExecMainStatus,ExecMainStartTimestamp,ActiveEnterTimestamp "
	for _, tc := range []struct{ tool, input, want string }{
		{"gather_logs", `{"host":"nexus","container":"scrypted"}`, "docker logs --tail 100 --timestamps scrypted"},
		{"gather_logs", `{"host":"nexus","container":"a.b_c-1","lines":1000,"since":"15m"}`, "docker logs --tail 1000 --timestamps --since 15m a.b_c-1"},
		{"gather_logs", `{"host":"nexus","unit":"nginx.service","lines":1,"since":null}`, "journalctl --unit nginx.service --lines=1 --no-pager"},
		{"gather_logs", `{"host":"nexus","unit":"x.service","container":"","since":"2h"}`, "journalctl --unit x.service --lines=100 --since=-2h --no-pager"},
		{"gather_logs", `{"host":"nexus","unit":"dev-disk\\x2d1.mount"}`, `journalctl --unit 'dev-disk\x2d1.mount' --lines=100 --no-pager`},
		{"check_service_status", `{"host":"nexus","container":"web"}`, inspect + "web"},
		{"check_service_status", `{"host":"nexus","unit":"getty@tty1.service"}`, show + "getty@tty1.service"},
		{"restart_service", `{"host":"nexus","container":"web"}`, "docker restart web"},
		{"restart_service", `{"host":"nexus","unit":"nginx"}`, "systemctl restart nginx"},
		{"execute_safe_command", `{"host":"nexus","command":"df -h | head -5"}`, "df -h | head -5"},
	} {
		d := &door{answer: exited(0, "ok", "")}
		as := lifeline.CommandRequest{ID: "inc_1.a1.t1.c0", IncidentID: "inc_1", Actor: "model:m"}
		result, cmd, err := newSet(t, d).Call(t.Context(), as, callOf(tc.tool, tc.input))
		if err != nil || result.IsError || result.CallID != "c1" {
			t.Errorf("%s %s: %+v, %v", tc.tool, tc.input, result, err)
			continue
		}
		want := lifeline.CommandRequest{ID: as.ID, IncidentID: as.IncidentID, Actor: as.Actor, Host: "nexus", Command: tc.want, Purpose: "tool " + tc.tool}
		if diff := cmp.Diff([]lifeline.CommandRequest{want}, d.asked); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tc.tool, tc.input, diff)
		}
		if cmd.Command != tc.want {
			t.Errorf("%s %s: command %q is given back", tc.tool, tc.input, cmd.Command)
		}
	}
}

// Bad input is a result that says what is wrong and what would be right.
func TestBadInput(t *testing.T) {
	const right = `Right would be: {"host": "nexus"|"outpost", "container": "CONTAINER" (one of container and unit), "unit": "UNIT" (one of container and unit)}`
	for _, tc := range []struct{ tool, input, want string }{
		{"check_service_status", `{"container":"web"}`, "The call was not run: host is missing. " + right},
		{"check_service_status", `{"host":null,"container":"web"}`, "host is missing"},
		{"check_service_status", `{"host":"nexus"}`, "one of container and unit is missing. " + right},
		{"check_service_status", `{"host":"nexus","container":"a","unit":"b"}`, "give only one of container and unit"},
		{"check_service_status", `{"host":"skynet","container":"a"}`, `host: "skynet" is not one of: nexus, outpost`},
		{"check_service_status", `{"host":["nexus"],"container":"a"}`, "host: want a text, got a list"},
		{"check_service_status", `{"host":"nexus","container":{"name":"a"}}`, "container: want a text, got an object"},
		{"check_service_status", `{"host":"nexus","container":7}`, "container: want a text, got the number 7"},
		{"check_service_status", `{"host":"nexus","container":true}`, "container: want a text, got true"},
		{"check_service_status", `{"host":"nexus","container":"a; reboot"}`, `container: "a; reboot" is not a name that a container can have`},
		{"check_service_status", `{"host":"nexus","container":"-rm"}`, "is not a name that a container can have"},
		{"check_service_status", `{"host":"nexus","unit":"--all"}`, "is not a name that a unit can have"},
		{"check_service_status", `{"host":"nexus","unit":"a b"}`, "is not a name that a unit can have"},
		{"check_service_status", `{"host":"nexus","unit":"` + strings.Repeat("u", 300) + `"}`, "is not a name that a unit can have"},
		{"check_service_status", `{"host":"nexus","container":"a","force":true,"colour":1}`, `there is no field "colour"; there is no field "force"`},
		{"check_service_status", `{"host":"nexus","Container":"a"}`, `there is no field "Container"`},
		{"check_service_status", `{"host":"nexus","container":"a","container":"b"}`, `the field "container" is given twice`},
		{"check_service_status", ``, "the input is not a JSON object"},
		{"check_service_status", `null`, "the input is not a JSON object"},
		{"check_service_status", `"nexus"`, "the input is not a JSON object"},
		{"check_service_status", `[]`, "the input is not a JSON object"},
		{"check_service_status", `{"host":"nex`, "the input is not a JSON object"},
		{"check_service_status", `{"host":"nexus","container":"a"} {}`, "there is something after the JSON object"},
		{"gather_logs", `{"host":"nexus","container":"a","lines":"100"}`, `lines: want a whole number, got the text "100"`},
		{"gather_logs", `{"host":"nexus","container":"a","lines":1.5}`, "lines: want a whole number, got the number 1.5"},
		{"gather_logs", `{"host":"nexus","container":"a","lines":0}`, "lines: want a number from 1 to 1000, got 0"},
		{"gather_logs", `{"host":"nexus","container":"a","lines":99999999999999999999}`, "want a whole number"},
		{"gather_logs", `{"host":"nexus","container":"a","since":"yesterday"}`, "since: want a number and one of s, m, h"},
		{"gather_logs", `{"host":"nexus","container":"a","since":"5mm"}`, "since: want"},
		{"gather_logs", `{"host":"nexus","container":"a","since":"-5m"}`, "since: want"},
		{"gather_logs", `{"host":"nexus","container":"a","since":"m"}`, "since: want"},
		{"execute_safe_command", `{"host":"nexus"}`, "command is missing"},
		{"execute_safe_command", `{"host":"nexus","command":"  "}`, "command: is empty"},
		{"execute_safe_command", `{"host":"nexus","command":"a\u0000b"}`, "command: holds a NUL byte"},
		{"execute_safe_command", `{"host":"nexus","command":"` + strings.Repeat("x", 5000) + `"}`, "command: is 5000 bytes long"},
		{"rm_rf", `{}`, `There is no tool "rm_rf". There are: gather_logs, check_service_status, restart_service, execute_safe_command, finish.`},
		{"finish", `{"outcome":"fixed","summary":"x"}`, "finish ends the work and runs nothing"},
	} {
		d := &door{}
		result, cmd, err := newSet(t, d).Call(t.Context(), lifeline.CommandRequest{}, callOf(tc.tool, tc.input))
		if err != nil || !result.IsError || result.CallID != "c1" || !strings.Contains(result.Content, tc.want) {
			t.Errorf("%s %.80s: %+v, %v; want %q", tc.tool, tc.input, result, err, tc.want)
		}
		if len(d.asked) != 0 || cmd.Command != "" {
			t.Errorf("%s %.80s: something was run", tc.tool, tc.input)
		}
	}
}

// Whatever a model sends, what reaches the door is one of the few commands, with
// the name as one word.
func TestNamesAreOneWord(t *testing.T) {
	shape := regexp.MustCompile(`^docker restart [A-Za-z0-9][A-Za-z0-9_.-]*$|^systemctl restart ([A-Za-z0-9:_.@][A-Za-z0-9:_.@-]*|'[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]*')$`)
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]string{"container", "unit"}).Draw(t, "kind")
		name := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z\\@:.'";$ -]{1,12}`)).Draw(t, "name")
		input, err := json.Marshal(map[string]string{"host": "nexus", kind: name})
		if err != nil {
			t.Fatal(err)
		}
		d := &door{answer: exited(0, "", "")}
		s, err := tool.New(d, tool.Config{Hosts: []string{"nexus"}})
		if err != nil {
			t.Fatal(err)
		}
		result, _, err := s.Call(context.Background(), lifeline.CommandRequest{}, callOf("restart_service", string(input)))
		if err != nil {
			t.Fatal(err)
		}
		if result.IsError != (len(d.asked) == 0) {
			t.Fatalf("%q: result %+v, asked %v", name, result, d.asked)
		}
		if len(d.asked) > 0 && !shape.MatchString(d.asked[0].Command) {
			t.Fatalf("%q became %q", name, d.asked[0].Command)
		}
	})
}

func TestResults(t *testing.T) {
	change := func(o lifeline.Outcome) lifeline.Command {
		return lifeline.Command{Outcome: o, Class: "change", Canonical: "docker restart 'web'", Run: 60 * time.Second}
	}
	timedOut := change(lifeline.OutcomeTimedOut)
	timedOut.Kill = "TERM; the process has ended"
	unknown := change(lifeline.OutcomeUnknown)
	unknown.Error = "the connection was lost\x1b[2J"
	signaled := change(lifeline.OutcomeSignaled)
	signaled.Signal = "KILL"
	unknownRead := unknown
	unknownRead.Class = "read"
	both := exited(3, "out\x07\n", "err\n")
	both.Truncated = true
	for name, tc := range map[string]struct {
		cmd     lifeline.Command
		isError bool
		want    []string
		not     []string
	}{
		"exited": {exited(0, "line 1\nline 2\n", ""), false,
			[]string{"Exit status 0 on nexus after 120ms: docker restart web", "data from the host nexus", "[stdout]\nline 1\nline 2\n>>> end"}, []string{"[stderr]", "more than was kept"}},
		"both streams": {both, false, []string{"Exit status 3", "It printed more than was kept.", "[stdout]\nout\\x07\n[stderr]\nerr\n>>> end"}, nil},
		"silent":       {exited(0, "\n", ""), false, []string{"Exit status 0", "It printed nothing."}, []string{"<<<"}},
		"waits for a person": {lifeline.Command{Outcome: lifeline.OutcomeRefused, Cause: lifeline.CodeWaits, Rule: "approval", Reason: "a person is asked"}, true,
			[]string{"Not run yet on nexus", "A person is asked about it now", "Do not ask for it again", "call finish with not_fixed"}, []string{"This is final", "<<<"}},
		"refused": {lifeline.Command{Outcome: lifeline.OutcomeRefused, Rule: "docker rm", Reason: "it loses data"}, true,
			[]string{"Refused on nexus by docker rm: it loses data", "It was not run.", "This is final"}, []string{"<<<"}},
		"not started": {lifeline.Command{Outcome: lifeline.OutcomeNotStarted, Error: "dial tcp: refused"}, true,
			[]string{"Not run: it did not start on nexus", "[error]\ndial tcp: refused\n>>> end"}, nil},
		"timed out":    {timedOut, true, []string{"Its time was over on nexus after 1m0s: docker restart 'web'", "TERM; the process has ended", "look at the state, and do not repeat it"}, nil},
		"unknown":      {unknown, true, []string{"The outcome is unknown on nexus: docker restart 'web'", "It may have run", "look at the state, and do not repeat it", `[error]` + "\n" + `the connection was lost\x1b[2J`}, nil},
		"unknown read": {unknownRead, true, []string{"The outcome is unknown", "you may ask again"}, []string{"do not repeat"}},
		"signaled":     {signaled, true, []string{"Ended by signal KILL", "do not repeat it"}, nil},
		"no outcome":   {change(""), true, []string{"The outcome is unknown", "do not repeat it"}, nil},
	} {
		d := &door{answer: tc.cmd}
		result, _, err := newSet(t, d).Call(t.Context(), lifeline.CommandRequest{}, callOf("restart_service", `{"host":"nexus","container":"web"}`))
		if err != nil || result.IsError != tc.isError {
			t.Errorf("%s: is_error %v, %v", name, result.IsError, err)
		}
		for _, want := range tc.want {
			if !strings.Contains(result.Content, want) {
				t.Errorf("%s: %q is not in:\n%s", name, want, result.Content)
			}
		}
		for _, not := range append(tc.not, "\x1b", "\x07") {
			if strings.Contains(result.Content, not) {
				t.Errorf("%s: %q is in:\n%s", name, not, result.Content)
			}
		}
	}
}

// The newest lines are seen whole, the size is bounded whatever the bytes are,
// and each result has a fence of its own.
func TestResultsAreBoundedAndFenced(t *testing.T) {
	marker := regexp.MustCompile(`<<< begin (\S+)\n`)
	seen := map[string]bool{}
	for _, unit := range []string{"a line of a log\n", "\x00", "\u202e", "\xff", "漢", "x"} {
		out := strings.Repeat(unit, 40_000) + "\nthe newest line"
		d := &door{answer: exited(0, out, out)}
		result, _, err := newSet(t, d).Call(t.Context(), lifeline.CommandRequest{}, callOf("gather_logs", `{"host":"nexus","container":"web"}`))
		if err != nil {
			t.Fatal(err)
		}
		if len(result.Content) > 17<<10 {
			t.Errorf("%q: %d bytes", unit, len(result.Content))
		}
		if strings.Count(result.Content, "\nthe newest line\n") != 2 || strings.Count(result.Content, "bytes left out") != 2 {
			t.Errorf("%q: the end or the mark is missing:\n…%s", unit, result.Content[len(result.Content)-300:])
		}
		m := marker.FindStringSubmatch(result.Content)
		if m == nil || seen[m[1]] || len(m[1]) < 20 || !strings.HasSuffix(result.Content, ">>> end "+m[1]) {
			t.Errorf("%q: marker %q", unit, m)
			continue
		}
		seen[m[1]] = true
	}
}

func TestErrorsOfTheRecord(t *testing.T) {
	full := errors.New("disk full")
	for name, cause := range map[string]error{
		"with its code": &lifeline.Error{Code: lifeline.CodeStore, Message: "write", Err: full}, "without": full,
	} {
		d := &door{err: cause}
		_, _, err := newSet(t, d).Call(t.Context(), lifeline.CommandRequest{}, callOf("restart_service", `{"host":"nexus","unit":"x"}`))
		if lifeline.CodeOf(err) != lifeline.CodeStore || !errors.Is(err, full) {
			t.Errorf("%s: Call: %v", name, err)
		}
		_, err = tool.Status(t.Context(), d, tool.Probe{Target: lifeline.Target{Host: "nexus", Kind: lifeline.TargetHost}})
		if lifeline.CodeOf(err) != lifeline.CodeStore || !errors.Is(err, full) {
			t.Errorf("%s: Status: %v", name, err)
		}
	}
}

func TestFinish(t *testing.T) {
	s := newSet(t, &door{})
	if !s.Finishes("finish") || s.Finishes("gather_logs") {
		t.Error("finish is not the tool that ends the work")
	}
	report, err := s.Finish(callOf("finish", `{"outcome":"not_fixed","summary":"  It is\n\nbroken\u001b[2J. ","next":"Look."}`))
	want := lifeline.Report{Claim: lifeline.ClaimNotFixed, Summary: `It is broken\x1b[2J.`, Next: "Look."}
	if diff := cmp.Diff(want, report); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for input, says := range map[string]string{
		`{}`: "outcome is missing; summary is missing", `{"outcome":"great","summary":"x"}`: `"great" is not one of: fixed, healthy, not_fixed`,
		`{"outcome":"fixed","summary":" "}`: "summary: is empty", `7`: "not a JSON object",
	} {
		if _, err := s.Finish(callOf("finish", input)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", input, err, says)
		}
	}
}

package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"lifeline"
	"lifeline/internal/lab"
	"lifeline/internal/llm/llmtest"
)

// hostile is what a log line or an alert can hold to deceive whoever reads it:
// it clears the screen, sets the window's title, turns the reading direction,
// hides letters as tags, and goes back over what was written.
const hostile = "HOSTILE\x1b[2J\x1b]0;owned\x07\u202etxt\u202c\U000e0041\U000e0042\u200b\u009b31m\u0085\x08\x08\x7f\u2028END"

// obeyed finds the first character that a terminal, a browser or a model would
// take for more than a letter.
func obeyed(text string) string {
	for i, r := range text {
		switch {
		case r == '\n' || r == '\t' || r == ' ':
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			return fmt.Sprintf("a byte that is not UTF-8 at %.40q", text[max(0, i-20):])
		case unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) || unicode.Is(unicode.Variation_Selector, r):
			return fmt.Sprintf("%U at %.60q", r, text[max(0, i-20):])
		}
	}
	return ""
}

// The same hostile text comes from a container's log, from an alert and from a
// model. Every surface shows it, and none passes it on to be obeyed.
func TestHostileTextIsShownNotObeyed(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) { testHostileText(t, format) })
	}
}

func testHostileText(t *testing.T, format string) {
	world := func(w *lab.World) {
		w.AddContainer(lab.ContainerSpec{Name: "web", Image: "shop:1", StartLog: []string{hostile + "\xff\xfe", "Error: " + hostile}})
	}
	last := make(chan struct{})
	s := startService(t, world, format, "",
		llmtest.Say(llmtest.Text(hostile), llmtest.Call("gather_logs", map[string]any{"host": "nexus", "container": "web"}),
			llmtest.Call("execute_safe_command", map[string]any{"host": "nexus", "command": "echo " + hostile}),
			llmtest.Call(hostile, map[string]any{"host": hostile})),
		llmtest.Say(llmtest.Call("restart_service", map[string]any{"host": "nexus", "container": "web"})),
		func(r *llmtest.Request) llmtest.Reply {
			close(last)
			return llmtest.Say(llmtest.Call("finish", map[string]any{"outcome": "fixed", "summary": hostile, "next": hostile}))(r)
		},
	)
	if err := s.host.Break("container-exited", "web"); err != nil {
		t.Fatal(err)
	}
	labels, annotations := map[string]string{"job": hostile, "severity": hostile}, map[string]string{"summary": hostile}
	s.post(t, lifeline.AlertFiring, labels, annotations)
	<-last
	s.post(t, lifeline.AlertResolved, labels, annotations)
	s.log.until(t, `incident_ended`)
	shown := map[string]string{
		"incidents":                 s.command(t, "incidents"),
		"incidents --json":          s.command(t, "incidents", "--json"),
		"incidents show":            s.command(t, "incidents", "show", "inc_"),
		"incidents show --json":     s.command(t, "incidents", "show", "inc_", "--json"),
		"incidents show --markdown": s.command(t, "incidents", "show", "inc_", "--markdown"),
		"policy explain":            s.command(t, "policy", "explain", "--", "docker logs "+hostile),
		"policy explain --json":     s.command(t, "policy", "explain", "--json", "--", "docker logs "+hostile),
		"policy check":              checked(t, s, false),
		"policy check --json":       checked(t, s, true),
		"exec --json":               s.command(t, "exec", "--json", "nexus", "--", "docker logs web"),
		"exec, refused":             s.command(t, "exec", "nexus", "--", "frobnicate "+hostile),
		"exec at a terminal":        atTerminal(t, s, "exec", "nexus", "--", "docker logs web"),
		"an error":                  s.command(t, "incidents", "show", hostile),
	}
	var screen bytes.Buffer
	demo := &demoScreen{out: &screen, start: time.Now()}
	for _, e := range s.caseOf(t).Events {
		demo.event(e)
	}
	shown["the screen of the demo"] = screen.String()
	for i, r := range s.model.Requests() {
		for j, m := range r.Messages {
			for k, b := range m.Blocks {
				if m.Role == "user" { // what the model said itself goes back as it was
					shown[fmt.Sprintf("request %d to the model, message %d, block %d", i+1, j, k)] = b.Text
				}
			}
		}
	}
	s.stop()
	log, err := logLine(s, format)
	if err != nil {
		t.Fatal(err)
	}
	shown["the log"] = s.log.String() + log
	seen := 0
	for where, text := range shown {
		if what := obeyed(text); what != "" {
			t.Errorf("%s passes on %s", where, what)
		}
		switch {
		case strings.Contains(text, "HOSTILE"):
			seen++
		case where != "incidents" && where != "exec, refused" && !strings.HasPrefix(where, "request "):
			t.Errorf("%s does not show the text at all:\n%s", where, text)
		}
	}
	if seen < len(shown)-6 {
		t.Errorf("the text is seen in %d of %d places only", seen, len(shown))
	}
}

// checked is what policy check says to the text.
func checked(t *testing.T, s *service, asJSON bool) string {
	t.Helper()
	file := s.dir + "/commands.txt"
	if err := os.WriteFile(file, []byte("docker logs "+strings.ReplaceAll(hostile, "\u2028", "")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if asJSON {
		return s.command(t, "policy", "check", "--json", file)
	}
	return s.command(t, "policy", "check", file)
}

// logLine is what a command of the service's configuration logs about the text.
func logLine(s *service, format string) (string, error) {
	var out bytes.Buffer
	g := &globals{std: IO{Err: &out}, config: s.config}
	cfg, err := g.load()
	if err != nil {
		return "", err
	}
	cfg.Log.Format = format
	log, err := g.logger(cfg)
	if err != nil {
		return "", err
	}
	log.Error("event", "text", hostile, "error", fmt.Errorf("it said %s", hostile), "list", []string{hostile})
	return out.String(), nil
}

// atTerminal runs a command whose output is a terminal, and gives what the
// terminal was sent.
func atTerminal(t *testing.T, s *service, args ...string) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	raw := int(master.Fd())
	if err := unix.IoctlSetPointerInt(raw, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(raw, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan string)
	go func() {
		all, _ := io.ReadAll(master) // ends with an error when the last tty is closed
		read <- string(all)
	}()
	if status := Run(t.Context(), append([]string{"-c", s.config}, args...), IO{In: strings.NewReader(""), Out: tty, Err: tty}); status != 0 {
		t.Errorf("%v at a terminal: status %d", args, status)
	}
	if err := tty.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(<-read, "\r\n", "\n") // the terminal's own line ends
}

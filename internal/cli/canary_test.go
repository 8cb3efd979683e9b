package cli

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/lab"
	"lifeline/internal/llm/llmtest"
)

// forms are a secret as a file may hold it: as it is, in hexadecimal, or within
// base64 at any of its three positions.
func forms(secret string) [][]byte {
	list := [][]byte{[]byte(secret), []byte(hex.EncodeToString([]byte(secret)))}
	for shift := range 3 {
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + secret))
		list = append(list, []byte(encoded[4:len(encoded)-4]))
	}
	return list
}

// Canaries are laid out wherever a host and an alert can hold a secret. A model
// reads all of it, and an owner's rule lets it read more than the policy would.
// None is anywhere afterwards.
func TestSecretsDoNotLeave(t *testing.T) {
	canaries := map[string]string{
		"a password in a container's environment":       "canary1 of four words",
		"a token in a container's environment":          "canary2kQ9xZ7",
		"a database URL in a container's environment":   "canary3!pw",
		"a header in a log":                             "canary4Zx81LmNqPw0",
		"a URL in a log":                                "canary5-cache",
		"a token in a log":                              "gh" + "p_canary6abcdefghijklmnopqrstuvwxyz01",
		"a flag in a log":                               "canary7-flag",
		"a private key in a log":                        "Y2FuYXJ5OGNhbmFyeThjYW5hcnk4Y2FuYXJ5OGNhbmFyeThjYW5hcnk4",
		"a label of an alert":                           "canary9 label",
		"an annotation of an alert":                     "canary10-note",
		"the key of the model, in a log":                ownKey,
		"the webhook's token, in an alert":              ownToken,
		"a link of an alert's annotation":               "canary11link",
		"a JSON line in a log":                          "canary12 json",
		"a secret on the command line of a container":   "canary13-args",
		"a secret in a log line that is printed to err": "canary14-err",
	}
	world := func(w *lab.World) {
		w.AddContainer(lab.ContainerSpec{
			Name: "web", Image: "shop:1", Command: []string{"serve", "--requirepass", canaries["a secret on the command line of a container"]},
			Env: []string{"DB_PASSWORD=" + canaries["a password in a container's environment"], "API_TOKEN=" + canaries["a token in a container's environment"],
				"DATABASE_URL=postgres://app:" + canaries["a database URL in a container's environment"] + "@db:5432/shop"},
			StartLog: []string{
				"> Authorization: Bearer " + canaries["a header in a log"],
				"connecting to redis://:" + canaries["a URL in a log"] + "@cache:6379/0",
				"cloning with " + canaries["a token in a log"] + " now",
				"exec: app --password " + canaries["a flag in a log"] + " --port 80",
				"-----BEGIN PRIVATE" + " KEY-----", canaries["a private key in a log"], "-----END PRIVATE" + " KEY-----",
				"calling the model with " + ownKey,
				`{"level":"info","client_secret":"` + canaries["a JSON line in a log"] + `"}`,
				"Error: login failed, password=" + canaries["a secret in a log line that is printed to err"],
			},
		})
	}
	const ownChat = "password-of-the-chat-1231"
	told := make(chan string, 10)
	chat := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told <- r.Header.Get("Title") + "\n" + string(body)
		io.WriteString(w, "{}")
	}))
	defer chat.Close()
	t.Setenv("LIFELINE_TEST_CHAT", "ntfy://ann:"+ownChat+"@"+strings.TrimPrefix(chat.URL, "http://")+"/topic?scheme=http")
	canaries["the password of a channel, in an alert"] = ownChat
	opened, last := make(chan struct{}), make(chan struct{})
	see := func(command string) llmtest.Block {
		return llmtest.Call("execute_safe_command", map[string]any{"host": "nexus", "command": command})
	}
	s := startServiceWith(t, world, "text", "policy: {rules: [{program: docker, args: [inspect], decision: allow, reason: a test of what it would show},\n"+
		"  {program: docker, args: [restart], decision: ask, reason: a test of what a person is shown}]}\n"+
		"public_url: https://lifeline.example.net\n"+
		"notify: {channels: {chat: {url_env: LIFELINE_TEST_CHAT}}, routes: [{channels: chat, events: [opened, approval, repaired]}]}",
		func(config, _ string) string {
			return strings.Replace(config, "approval_timeout: 2s", "approval_timeout: 5m", 1)
		},
		llmtest.Say(llmtest.Call("gather_logs", map[string]any{"host": "nexus", "container": "web"}), see("docker inspect web"),
			see("docker ps --all --no-trunc"), see("docker top web"), see("docker logs --tail 3 web | head -c 4096")),
		func(r *llmtest.Request) llmtest.Reply {
			<-opened // or one message would say both
			return llmtest.Say(llmtest.Call("restart_service", map[string]any{"host": "nexus", "container": "web"}))(r)
		},
		func(r *llmtest.Request) llmtest.Reply {
			close(last)
			return llmtest.Say(llmtest.Call("finish", map[string]any{"outcome": "fixed", "summary": "restarted"}))(r)
		},
	)
	if err := s.host.Break("container-exited", "web"); err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{"api_token": canaries["a label of an alert"]}
	annotations := map[string]string{
		"summary":     "web is down, its password=" + canaries["an annotation of an alert"] + " was rejected",
		"description": "see https://ops:" + canaries["a link of an alert's annotation"] + "@wiki/x, or post with " + ownToken + " to " + ownChat,
	}
	s.post(t, lifeline.AlertFiring, labels, annotations)
	messages, link := "", regexp.MustCompile(`https://lifeline\.example\.net(/approve/\S+)`)
	messages += <-told
	close(opened)
	for !link.MatchString(messages) {
		messages += <-told
	}
	address := "http://" + s.address + link.FindStringSubmatch(messages)[1]
	question := s.page(t, http.MethodGet, address, "")
	answered := s.page(t, http.MethodPost, address, "decision=approve")
	<-last
	for deadline := time.Now().Add(time.Minute); s.caseOf(t).Incident.State != lifeline.StateVerifying; <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("what was approved has not run:\n%s", s.log)
		}
	}
	s.post(t, lifeline.AlertResolved, labels, annotations)
	s.log.until(t, `incident_ended incident=\S+ state=(\S+)`)
	for !strings.Contains(messages, "Repaired: ContainerDown") {
		messages += <-told
	}

	shown := map[string]string{
		"incidents":                 s.command(t, "incidents"),
		"incidents --json":          s.command(t, "incidents", "--json"),
		"incidents show":            s.command(t, "incidents", "show", "inc_"),
		"incidents show --json":     s.command(t, "incidents", "show", "inc_", "--json"),
		"incidents show --markdown": s.command(t, "incidents", "show", "inc_", "--markdown"),
		"exec":                      s.command(t, "exec", "--yes", "nexus", "--", "docker inspect web; docker logs web"),
		"exec --json":               s.command(t, "exec", "--yes", "--json", "nexus", "--", "docker inspect web; docker logs web"),
	}
	c := s.caseOf(t)
	var screen bytes.Buffer
	demo := &demoScreen{out: &screen, start: time.Now()}
	for _, e := range c.Events {
		demo.event(e)
	}
	shown["the screen of the demo"] = screen.String()
	for i, r := range s.model.Requests() {
		shown["request to the model "+string(rune('1'+i))] = string(r.Body)
	}
	s.stop()
	shown["the log"] = s.log.String()
	shown["the messages"] = messages
	shown["the page of a question"], shown["the page of an answer"] = question, answered
	own := map[string]bool{"model-key": true, "webhook-token": true, "nexus.key": true, "lifeline.yaml": true}
	files, err := filepath.Glob(filepath.Join(s.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !own[filepath.Base(file)] {
			shown["the file "+filepath.Base(file)] = string(data)
		}
	}

	for where, text := range shown {
		for what, canary := range canaries {
			for _, form := range forms(canary) {
				if i := strings.Index(text, string(form)); i >= 0 {
					t.Errorf("%s is in %s: …%.160q…", what, where, text[max(0, i-60):min(len(text), i+60)])
				}
			}
		}
	}
	// The canaries were there to be seen.
	redacted := 0
	for _, cmd := range c.Commands {
		redacted += cmd.Redacted
		if strings.HasPrefix(cmd.Canonical, "docker inspect web") && !strings.Contains(string(cmd.Stdout), "DB_PASSWORD=[redacted: password]") {
			t.Errorf("docker inspect did not show the environment: %s", cmd.Stdout)
		}
	}
	if redacted < 15 || c.Incident.State != lifeline.StateResolved {
		t.Errorf("%d secrets redacted, incident %s: %s", redacted, c.Incident.State, c.Incident.Reason)
	}
	if !strings.Contains(shown["exec"], "taken out of the output, as they look like secrets") || !strings.Contains(shown["exec --json"], `"redacted":`) {
		t.Errorf("exec does not say that its output is not whole:\n%s", shown["exec"])
	}
	for _, where := range []string{"request to the model 2", "the file lifeline.db", "incidents show", "exec --json", "the messages", "the page of a question"} {
		if !strings.Contains(shown[where], "[redacted: ") {
			t.Errorf("nothing was redacted in %s, so it proves nothing", where)
		}
	}
}

// page opens a page of the service, or sends a form to it, and gives its text.
func (s *service) page(t *testing.T, method, address, form string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s, %v\n%s", method, address, resp.Status, err, body)
	}
	return string(body)
}

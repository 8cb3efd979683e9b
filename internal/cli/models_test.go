package cli

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/lab"
	"lifeline/internal/llm/llmtest"
)

// A first model that does not help is followed by the second, both over the
// Chat Completions format, by the same loop and the same policy; what they used
// is on record and shown everywhere.
func TestSecondModelRepairs(t *testing.T) {
	world := func(w *lab.World) {
		w.AddContainer(lab.ContainerSpec{Name: "web", Image: "shop:1"})
		w.AddContainer(lab.ContainerSpec{Name: "ledger", Image: "ledger:1"})
	}
	restart := func(name string) llmtest.Turn {
		return llmtest.Say(llmtest.Call("restart_service", map[string]any{"host": "nexus", "container": name}))
	}
	done := llmtest.Say(llmtest.Call("finish", map[string]any{"outcome": "fixed", "summary": "I restarted it."}))
	s := startServiceWith(t, world, "text", "", func(config, url string) string {
		return strings.NewReplacer(
			`model: {base_url: "`+url+`", api_key_file: model-key}`, `
model:
  provider: openai
  base_url: `+url+`/v1
  api_key_file: model-key
  name: small
  second: {name: large, base_url: `+url+`/v1, api_key_file: model-key}
  prices: {small: {input: 1, output: 2}}
`, "verify_timeout: 20s", "verify_timeout: 100ms").Replace(config)
	},
		llmtest.Say(llmtest.Call("execute_safe_command", map[string]any{"host": "nexus", "command": "nstat --zeros"})),
		restart("ledger"), done,
		restart("web"), done,
	)
	if err := s.host.Break("container-exited", "web"); err != nil {
		t.Fatal(err)
	}
	s.post(t, lifeline.AlertFiring, nil, map[string]string{"summary": "web is down"})
	// The alert goes once the second model has done its part.
	byLarge := func(e lifeline.Event) bool {
		return e.Kind == lifeline.EventResponderEnded && e.Actor == "model:large"
	}
	for c := s.caseOf(t); !slices.ContainsFunc(c.Events, byLarge); c = s.caseOf(t) {
		if c.Incident.State.Ended() {
			t.Fatalf("the incident is %s before the second model worked: %s", c.Incident.State, c.Incident.Reason)
		}
	}
	s.post(t, lifeline.AlertResolved, nil, nil)
	s.log.until(t, `incident_ended incident=\S+ state=(resolved)`)
	c := s.caseOf(t)
	if c.Incident.State != lifeline.StateResolved || c.Incident.Changes != 2 {
		t.Errorf("the incident is %s after %d changes: %s", c.Incident.State, c.Incident.Changes, c.Incident.Reason)
	}
	actors := map[string]string{}
	for _, cmd := range c.Commands {
		if strings.HasPrefix(cmd.Actor, "model:") {
			actors[cmd.Command] = strings.TrimSpace(cmd.Actor + " " + string(cmd.Outcome) + " " + cmd.Class)
		}
	}
	want := map[string]string{"nstat --zeros": "model:small refused unknown", "docker restart ledger": "model:small exited change", "docker restart web": "model:large exited change"}
	if diff := cmp.Diff(want, actors); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	for _, what := range []struct {
		args []string
		want []string
	}{
		{[]string{"incidents", "show", "inc_"}, []string{"\nModels\n  small: ", " in 3 answers (", ", $0.0", "\n  large: ", " in 2 answers (", "price unknown"}},
		{[]string{"incidents", "show", "inc_", "--markdown"}, []string{"\n## Models\n\n- small: "}},
		{[]string{"incidents", "show", "inc_", "--json"}, []string{`"usage": [`, `"model": "small"`, `"micro_usd": `}},
		{[]string{"status"}, []string{"models ", " in 5 answers (", "2 answers of unknown price within 24 hours"}},
		{[]string{"status", "--json"}, []string{`"models_day": {`, `"answers": 5`, `"unpriced": 2`}},
	} {
		out := s.command(t, what.args...)
		for _, part := range what.want {
			if !strings.Contains(out, part) {
				t.Errorf("%q does not show %q:\n%s", what.args, part, out)
			}
		}
	}
	resp, err := http.Get("http://" + s.address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	metrics, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`lifeline_model_tokens_total{kind="input",model="small"}`, `lifeline_model_cost_usd_total{model="small"}`} {
		if !strings.Contains(string(metrics), part) {
			t.Errorf("the metrics do not have %q", part)
		}
	}
	if strings.Contains(string(metrics), `cost_usd_total{model="large"}`) {
		t.Error("a cost that nobody knows is shown as one")
	}
	if v := s.model.Violations(); len(v) > 0 {
		t.Errorf("violations %q", v)
	}
}

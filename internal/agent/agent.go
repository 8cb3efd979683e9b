// Package agent lets a language model work an incident: the model answers, its
// tool calls run at the same time, the results go back in order, until it
// finishes or a budget is spent.
//
//	a, err := agent.New(agent.Config{Model: model, Tools: tools, Timeline: store, Ledger: store})
//	report, err := a.Work(ctx, steps, attempt)
//
// Guaranteed: the model is asked and each tool is called in durable steps, and
// whatever the work decides on comes from their results, so that a workflow
// that runs again after a crash takes the same way; a command's request ID
// depends on nothing but the incident, the attempt, the turn and the place of
// the call. Turns, tokens, time and money are bounded, for one attempt, for all
// attempts at an incident and for a day. A model's failure is not the incident's: it is a report that a person is needed, with what was found out
// so far.
//
// What the model claims is a claim. Nothing it says raises what it may do: that
// is the policy's, behind the tools.
package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lifeline"
	"lifeline/internal/llm"
)

// Tools is what the model may call. *tool.Set is one.
type Tools interface {
	// Hosts that the tools reach.
	Hosts() []string
	Definitions() []llm.Tool
	// Call does what a call asks for; as says who asks. The result is for the
	// model; the command is what ran, zero if nothing could. The error is one of
	// the record: the work must stop.
	Call(ctx context.Context, as lifeline.CommandRequest, call llm.ToolCall) (llm.ToolResult, lifeline.Command, error)
	// Finishes reports whether a tool ends the work; Finish reads its call. The
	// error is a text for the model.
	Finishes(name string) bool
	Finish(call llm.ToolCall) (lifeline.Report, error)
}

// Timeline is where the work says what it does.
type Timeline interface {
	AppendEvent(ctx context.Context, e lifeline.Event) error
}

// Config of an Agent. All but Budget and Price is required.
type Config struct {
	Model    llm.Model
	Tools    Tools
	Timeline Timeline
	Ledger   Ledger
	Budget   Budget
	// Price of the model; nil: nobody knows it, and a budget in money cannot be
	// kept.
	Price *llm.Price
}

// Agent works incidents with one model. It is safe for concurrent use.
type Agent struct{ cfg Config }

// New checks the configuration.
func New(cfg Config) (*Agent, error) {
	switch {
	case cfg.Model == nil:
		return nil, errors.New("agent: Config.Model is not set")
	case cfg.Tools == nil:
		return nil, errors.New("agent: Config.Tools is not set")
	case cfg.Timeline == nil:
		return nil, errors.New("agent: Config.Timeline is not set")
	case cfg.Ledger == nil:
		return nil, errors.New("agent: Config.Ledger is not set")
	case cfg.Price == nil && (cfg.Budget.Incident.MicroUSD > 0 || cfg.Budget.Day.MicroUSD > 0):
		return nil, fmt.Errorf("agent: Config.Budget has a bound in money, and the price of %s is not known", cfg.Model.Name())
	case cfg.Budget.Incident.Tokens < 0 || cfg.Budget.Incident.MicroUSD < 0 || cfg.Budget.Day.Tokens < 0 || cfg.Budget.Day.MicroUSD < 0:
		return nil, fmt.Errorf("agent: Config.Budget %+v: want no number below 0", cfg.Budget)
	case cfg.Budget.Turns < 0 || cfg.Budget.Tokens < 0 || cfg.Budget.Time < 0:
		return nil, fmt.Errorf("agent: Config.Budget %+v: want no number below 0", cfg.Budget)
	}
	cfg.Budget.Turns = cmp.Or(cfg.Budget.Turns, 20)
	cfg.Budget.Tokens = cmp.Or(cfg.Budget.Tokens, 200_000)
	cfg.Budget.Time = cmp.Or(cfg.Budget.Time, 10*time.Minute)
	return &Agent{cfg: cfg}, nil
}

// Work makes one attempt at the case. The report is the model's claim, or says
// why there is none. The error is one of the record or of the workflow.
func (a *Agent) Work(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
	w := &work{Config: a.cfg, steps: steps, c: c, actor: "model:" + a.cfg.Model.Name()}
	return w.run(ctx)
}

// work is one attempt. Everything in it follows from the case and from the
// results of steps.
type work struct {
	Config
	steps lifeline.Steps
	c     lifeline.Case
	actor string

	messages []llm.Message
	used     llm.Usage
	spent    time.Duration
	facts    []string
	nudged   bool
	ids      map[string]bool // of all calls so far
	history  history
}

// run is the loop: ask, call, answer.
func (w *work) run(ctx context.Context) (lifeline.Report, error) {
	b, err := do(ctx, w, "begin", func(context.Context) (begun, error) { return begun{Marker: llm.NewMarker()}, nil })
	if err != nil {
		return lifeline.Report{}, err
	}
	w.ids = map[string]bool{}
	w.messages = []llm.Message{llm.Text(llm.User, w.casePrompt(b.Marker))}
	for turn := 1; ; turn++ {
		if why := w.exhausted(turn); why != "" {
			return w.giveUp("The budget of this attempt is used up: "+why, "If such incidents need more, raise model.budget."), nil
		}
		answer, err := w.ask(ctx, turn)
		if err != nil {
			return lifeline.Report{}, err
		}
		if answer.spent != "" {
			return w.giveUp(answer.spent, "For the model: wait, or raise the budget if such incidents need more."), nil
		}
		if f := answer.Failure; f != nil {
			return w.giveUp("The model could not be asked: "+f.Error(), hint(f.Class)), nil
		}
		if why := noUse(answer.Response); why != "" {
			return w.giveUp(why, ""), nil
		}
		calls := w.readCalls(turn, answer.Response)
		w.remember(answer.Response, calls)
		if len(calls) == 0 {
			if w.nudged {
				return w.giveUp("The model stopped without a conclusion. Its last words: "+llm.Line(orNothing(answer.Response.Text()), 600), ""), nil
			}
			w.nudged = true
			w.say(turn, nil, nudge(answer.Response.Stop))
			continue
		}
		w.nudged = false
		results, report, err := w.call(ctx, turn, calls)
		switch {
		case err != nil:
			return lifeline.Report{}, err
		case report != nil:
			report.Responder = w.actor
			return *report, nil
		case w.history.circling():
			return w.giveUp("The model went in circles: it asked for the same again and again", ""), nil
		}
		w.say(turn, results, "")
	}
}

// begun is the kept result of the first step.
type begun struct {
	// Marker fences the alert in the prompt; the same after a crash.
	Marker string `json:"marker"`
}

// exhausted says which budget is used up before a turn; "" for none.
func (w *work) exhausted(turn int) string {
	switch {
	case turn > w.Budget.Turns:
		return fmt.Sprintf("the model was asked %d times", w.Budget.Turns)
	case w.used.Total() >= w.Budget.Tokens:
		return fmt.Sprintf("%d of %d tokens", w.used.Total(), w.Budget.Tokens)
	case w.spent >= w.Budget.Time:
		return fmt.Sprintf("%s of %s", w.spent.Round(time.Second), w.Budget.Time)
	}
	return ""
}

// noUse says why nothing can follow on an answer; "" if something can.
func noUse(r llm.Response) string {
	switch r.Stop {
	case llm.StopRefused:
		return "The model declined to go on. Its words: " + llm.Line(orNothing(r.Text()), 600)
	case llm.StopContext:
		return "The conversation has become too long for the model"
	}
	return ""
}

// remember puts the model's answer into the conversation, with the calls as
// they were read. Providers refuse a message that says nothing.
func (w *work) remember(r llm.Response, calls []call) {
	var parts []llm.Part
	said, next := false, 0
	for _, p := range r.Parts {
		switch {
		case p.Call != nil:
			p.Call = &calls[next].ToolCall
			next++
			said = true
		case strings.TrimSpace(p.Text) != "":
			said = true
		case len(p.Opaque) == 0:
			continue
		}
		parts = append(parts, p)
	}
	if said {
		w.messages = append(w.messages, llm.Message{Role: llm.Assistant, Parts: parts})
	}
}

// say puts our side into the conversation: results, then texts. An answer
// without anything leaves two messages of ours in a row: they become one.
func (w *work) say(turn int, results []llm.ToolResult, text string) {
	var parts []llm.Part
	for _, r := range results {
		parts = append(parts, llm.Part{Result: &r})
	}
	if note := w.nearEnd(turn + 1); note != "" {
		text = cmp.Or(text, "Note:") + " " + note
	}
	if text != "" {
		parts = append(parts, llm.Part{Text: text})
	}
	if last := &w.messages[len(w.messages)-1]; last.Role == llm.User {
		last.Parts = append(last.Parts, parts...)
		return
	}
	w.messages = append(w.messages, llm.Message{Role: llm.User, Parts: parts})
}

// nearEnd warns the model, so that it can still say what it found.
func (w *work) nearEnd(turn int) string {
	switch {
	case turn == w.Budget.Turns:
		return "this is the last answer that you can give: call finish now."
	case w.used.Total() >= w.Budget.Tokens/10*8, w.spent >= w.Budget.Time/10*8:
		return "the budget of this attempt is almost used up: come to a conclusion and call finish."
	}
	return ""
}

func nudge(stop llm.Stop) string {
	if stop == llm.StopMaxTokens {
		return "Your answer was cut off because it was too long. Say less, and call a tool."
	}
	return "You called no tool. Go on with the tools, or call finish with your conclusion. Text alone ends nothing."
}

// giveUp is the report of an attempt that the model did not end itself.
func (w *work) giveUp(why, hint string) lifeline.Report {
	return lifeline.Report{
		Responder: w.actor, Claim: lifeline.ClaimNotFixed,
		Summary: strings.TrimRight(why, ".") + ". " + w.factsSoFar(), Next: hint,
	}
}

// hint is the way out of a model's failure, as a sentence.
func hint(c llm.Class) string {
	if h := c.Hint(); h != "" {
		return "For the model: " + h + "."
	}
	return ""
}

func orNothing(s string) string { return cmp.Or(s, "(nothing)") }

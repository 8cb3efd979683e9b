// Package tool is what a model may ask for: one file per tool. A tool checks
// its input, builds one command line and sends it through the door; it never
// decides whether the command may run.
//
//	tools, err := tool.New(door, tool.Config{Hosts: []string{"nexus"}})
//	result, cmd, err := tools.Call(ctx, lifeline.CommandRequest{ID: id, IncidentID: inc, Actor: actor}, call)
//
// Guaranteed: whatever the model sends, the answer is a result that it can
// read, which says what was wrong and what would be right; every command goes
// through the door that New was given; a name is checked for what it names and
// is one word to the shell; what a host says is bounded, fenced as data, and
// its control characters are shown. The error is one of the record only.
//
// Status is the same look at a thing for the service itself: is it well?
package tool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"lifeline"
	"lifeline/internal/llm"
)

// Config of a Set.
type Config struct {
	// Hosts that a tool may name: the configured ones.
	Hosts []string
}

// Set is the tools for one door. It is safe for concurrent use.
type Set struct {
	door  Runner
	hosts []string
	tools []definition
}

// definition is one tool that runs a command.
type definition struct {
	name, description string
	params            []param
	// oneOf names the parameters of which exactly one must be given.
	oneOf []string
	// command builds the command line for an input that was checked.
	command func(input) string
}

// New returns the tools for the hosts behind a door.
func New(door Runner, cfg Config) (*Set, error) {
	if door == nil {
		return nil, errors.New("tool: New needs a door")
	}
	hosts := slices.Compact(slices.Sorted(slices.Values(cfg.Hosts)))
	if len(hosts) == 0 {
		return nil, errors.New("tool: Config.Hosts is empty: without a host there is nothing to ask for")
	}
	for _, h := range hosts {
		if err := lifeline.TargetHost.CheckName(h); err != nil {
			return nil, fmt.Errorf("tool: Config.Hosts: %w", err)
		}
	}
	s := &Set{door: door, hosts: hosts}
	host := param{name: "host", kind: "string", required: true, choices: hosts, about: "The host, by its configured name."}
	s.tools = []definition{gatherLogs(host), checkServiceStatus(host), restartService(host), executeSafeCommand(host), finish()}
	return s, nil
}

// Hosts are the hosts that the tools reach, in order.
func (s *Set) Hosts() []string { return slices.Clone(s.hosts) }

// Definitions are the tools as a model is told about them.
func (s *Set) Definitions() []llm.Tool {
	out := make([]llm.Tool, len(s.tools))
	for i, d := range s.tools {
		out[i] = llm.Tool{Name: d.name, Description: d.description, InputSchema: schema(d.params)}
	}
	return out
}

func (s *Set) find(name string) (definition, bool) {
	i := slices.IndexFunc(s.tools, func(d definition) bool { return d.name == name })
	if i < 0 {
		return definition{}, false
	}
	return s.tools[i], true
}

// Call does what one tool call asks for. as says who asks: its ID, IncidentID,
// Actor and Timeout are those of the command.
//
// The result is for the model, and the command is the record of what ran; the
// zero Command if the call was not one that can run. The error is always one of
// the record (lifeline.CodeStore): the work must stop.
func (s *Set) Call(ctx context.Context, as lifeline.CommandRequest, call llm.ToolCall) (llm.ToolResult, lifeline.Command, error) {
	no := func(text string) (llm.ToolResult, lifeline.Command, error) {
		return llm.ToolResult{CallID: call.ID, Content: text, IsError: true}, lifeline.Command{}, nil
	}
	d, ok := s.find(call.Name)
	if !ok {
		return no(fmt.Sprintf("There is no tool %q. %s", llm.Line(call.Name, 60), s.names()))
	}
	if d.command == nil {
		return no(d.name + " ends the work and runs nothing: call it alone, when you are done.")
	}
	in, err := readInput(d, call.Input)
	if err != nil {
		return no("The call was not run: " + err.Error())
	}
	as.Host, as.Command = in.text("host"), d.command(in)
	as.Purpose = cmp.Or(as.Purpose, "tool "+d.name)
	cmd, err := run(ctx, s.door, as)
	if err != nil {
		return llm.ToolResult{}, cmd, err
	}
	return render(call.ID, cmd), cmd, nil
}

func (s *Set) names() string {
	text := "There are:"
	for i, d := range s.tools {
		if i > 0 {
			text += ","
		}
		text += " " + d.name
	}
	return text + "."
}

// run goes through the door. An error of the door is one of the record,
// whatever the door's author called it.
func run(ctx context.Context, door Runner, req lifeline.CommandRequest) (lifeline.Command, error) {
	cmd, err := door.Run(ctx, req)
	if err != nil && lifeline.CodeOf(err) != lifeline.CodeStore {
		err = &lifeline.Error{Code: lifeline.CodeStore, Message: fmt.Sprintf("run a command on %s", req.Host), Err: err,
			Hint: "look at the database that store.url names, and at the room on its disk"}
	}
	return cmd, err
}

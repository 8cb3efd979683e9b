package tool

import (
	"lifeline"
	"lifeline/internal/llm"
)

// finishName is the tool that ends the work.
const finishName = "finish"

// The most that is kept of what a model says at the end, in characters.
const (
	longestSummary = 4000
	longestNext    = 2000
)

func finish() definition {
	return definition{
		name: finishName,
		description: "Ends your work on this incident with your conclusion. Call it alone, after you have seen the results of everything else. " +
			"What you claim is checked afterwards by Lifeline itself.",
		params: []param{
			{name: "outcome", kind: "string", required: true,
				choices: []string{string(lifeline.ClaimFixed), string(lifeline.ClaimHealthy), string(lifeline.ClaimNotFixed)},
				about:   "fixed: you made a change and it should be well now. healthy: nothing was wrong any more. not_fixed: a person is needed."},
			{name: "summary", kind: "string", required: true,
				about: "For the person who reads the case: what was wrong, what you saw that shows it, what you did. A few sentences."},
			{name: "next", kind: "string", about: "What a person should look at or decide next, if anything."},
		},
	}
}

// Finishes reports whether a tool is the one that ends the work.
func (s *Set) Finishes(name string) bool { return name == finishName }

// Finish reads a call of the tool that ends the work. The error is a text for
// the model: what was wrong and what would be right.
func (s *Set) Finish(call llm.ToolCall) (lifeline.Report, error) {
	in, err := readInput(finish(), call.Input)
	if err != nil {
		return lifeline.Report{}, err
	}
	return lifeline.Report{
		Claim:   lifeline.Claim(in.text("outcome")),
		Summary: llm.Line(in.text("summary"), longestSummary),
		Next:    llm.Line(in.text("next"), longestNext),
	}, nil
}

package tool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"lifeline/internal/llm"
)

// param is one field of a tool's input. The schema that the model sees and the
// check of what it sends both come from it.
type param struct {
	name     string
	kind     string // string or integer
	required bool
	about    string
	choices  []string
	min, max int
	// check refuses a text that has the right type and cannot be right.
	check func(string) error
}

// schema is the JSON schema of an input.
func schema(params []param) json.RawMessage {
	properties := map[string]any{}
	required := []string{}
	for _, p := range params {
		field := map[string]any{"type": p.kind, "description": p.about}
		if p.choices != nil {
			field["enum"] = p.choices
		}
		if p.kind == "integer" {
			field["minimum"], field["maximum"] = p.min, p.max
		}
		properties[p.name] = field
		if p.required {
			required = append(required, p.name)
		}
	}
	raw, err := json.Marshal(map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false})
	if err != nil {
		panic(fmt.Sprintf("tool: a schema of our own cannot be written: %v", err))
	}
	return raw
}

// input is a checked input. A field that was not given is "" or 0.
type input struct {
	texts   map[string]string
	numbers map[string]int
}

func (in input) text(name string) string { return in.texts[name] }

// number is a field of type integer, or what it is when it was not given.
func (in input) number(name string, otherwise int) int {
	if n, given := in.numbers[name]; given {
		return n
	}
	return otherwise
}

// readInput checks what a model sent. The error names everything that is wrong
// and shows what would be right; it is a text for the model.
func readInput(d definition, raw json.RawMessage) (input, error) {
	in := input{texts: map[string]string{}, numbers: map[string]int{}}
	fields, err := readFields(raw)
	if err != nil {
		return in, fmt.Errorf("%w. Right would be: %s", err, usage(d))
	}
	var wrong []string
	known := map[string]bool{}
	for _, p := range d.params {
		known[p.name] = true
		value, given := fields[p.name]
		if !given || string(value) == "null" { // null is how some say "not given"
			if p.required {
				wrong = append(wrong, p.name+" is missing")
			}
			continue
		}
		if err := in.take(p, value); err != nil {
			wrong = append(wrong, p.name+": "+err.Error())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !known[name] {
			wrong = append(wrong, fmt.Sprintf("there is no field %q", llm.Line(name, 40)))
		}
	}
	if wrong == nil {
		wrong = checkOneOf(d, in)
	}
	if wrong != nil {
		return in, fmt.Errorf("%s. Right would be: %s", strings.Join(wrong, "; "), usage(d))
	}
	return in, nil
}

// readFields takes one JSON object apart. A field that is given twice is an
// error: which of the two was meant is not for us to guess.
func readFields(raw json.RawMessage) (map[string]json.RawMessage, error) {
	notObject := fmt.Errorf("the input is not a JSON object: %s", llm.Line(string(raw[:min(len(raw), 200)]), 60))
	dec := json.NewDecoder(bytes.NewReader(raw))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return nil, notObject
	}
	fields := map[string]json.RawMessage{}
	for dec.More() {
		key, err := dec.Token()
		name, isText := key.(string)
		if err != nil || !isText {
			return nil, notObject
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, notObject
		}
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("the field %q is given twice", llm.Line(name, 40))
		}
		fields[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, notObject
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("there is something after the JSON object")
	}
	return fields, nil
}

// take checks and keeps one field.
func (in input) take(p param, value json.RawMessage) error {
	if p.kind == "integer" {
		n, err := strconv.Atoi(string(value))
		switch {
		case err != nil:
			return fmt.Errorf("want a whole number, got %s", kindOf(value))
		case n < p.min || n > p.max:
			return fmt.Errorf("want a number from %d to %d, got %d", p.min, p.max, n)
		}
		in.numbers[p.name] = n
		return nil
	}
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return fmt.Errorf("want a text, got %s", kindOf(value))
	}
	switch {
	case strings.TrimSpace(text) == "":
		if p.required {
			return errors.New("is empty")
		}
		return nil // as if it had not been given
	case p.choices != nil && !slices.Contains(p.choices, text):
		return fmt.Errorf("%q is not one of: %s", llm.Line(text, 60), strings.Join(p.choices, ", "))
	case p.check != nil:
		if err := p.check(text); err != nil {
			return err
		}
	}
	in.texts[p.name] = text
	return nil
}

// kindOf says what a JSON value is, for the model that sent it.
func kindOf(value json.RawMessage) string {
	shown := llm.Line(string(value[:min(len(value), 200)]), 40)
	switch value[0] {
	case '"':
		return "the text " + shown
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f':
		return shown
	}
	return "the number " + shown
}

func checkOneOf(d definition, in input) []string {
	given := slices.DeleteFunc(slices.Clone(d.oneOf), func(name string) bool { return in.text(name) == "" })
	switch {
	case d.oneOf == nil || len(given) == 1:
		return nil
	case len(given) == 0:
		return []string{"one of " + strings.Join(d.oneOf, " and ") + " is missing"}
	}
	return []string{"give only one of " + strings.Join(given, " and ")}
}

// usage shows the fields of a tool: {"host": "nexus", "container": "NAME"}.
func usage(d definition) string {
	var fields []string
	for _, p := range d.params {
		example := `"` + strings.ToUpper(p.name) + `"`
		switch {
		case p.choices != nil:
			example = `"` + strings.Join(p.choices, `"|"`) + `"`
		case p.kind == "integer":
			example = "NUMBER"
		}
		note := ""
		switch {
		case slices.Contains(d.oneOf, p.name):
			note = " (one of " + strings.Join(d.oneOf, " and ") + ")"
		case !p.required:
			note = " (optional)"
		}
		fields = append(fields, fmt.Sprintf("%q: %s%s", p.name, example, note))
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

package config

import (
	"fmt"
	"reflect"
	"strings"

	"lifeline"
)

// Reference is docs/configuration.md: every key with its type, its default and
// its meaning, made from the types.
func Reference() []byte {
	var b strings.Builder
	b.WriteString(preamble)
	c := readComments()
	for _, s := range sections() {
		title := s.path
		if title == "" {
			title = "The file"
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", code(title, s.path != ""), c[s.typ.Name()])
		b.WriteString("| key | value | default | meaning |\n|---|---|---|---|\n")
		standard := standardOf(s)
		for _, k := range keysOf(s.typ) {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.name, kindOf(k), defaultOf(k, standard.Field(k.index)), cell(c.describe(s.typ, k)))
		}
	}
	return []byte(b.String())
}

const preamble = `# Configuration

<!-- Made from internal/config/types.go. After a change there: make generate -->

Lifeline reads one YAML file. It is looked up in this order: ` + "`--config FILE`, `$LIFELINE_CONFIG`, `./lifeline.yaml`, `lifeline/lifeline.yaml` in the user's configuration directory (`~/.config` on Linux), `/etc/lifeline/lifeline.yaml`" + `.

` + "```yaml" + `
` + Example + "```" + `

- An unknown key, a key given twice or a value that cannot work is an error with the line, the column and what was probably meant; the exit status is 2. All problems are reported at once.
- A relative path is relative to the folder of the file. ` + "`~` is `$HOME`" + `.
- Secrets stand in files of their own, readable by their owner only (` + "`chmod 600`" + `), or in the environment; never in this file.
- A value that can be a list may be written as one text.
- Anchors, aliases and ` + "`<<`" + ` work, so that hosts can share what they have in common.
- Editors complete and check the file by [lifeline.schema.json](lifeline.schema.json): write ` + "`# yaml-language-server: $schema=PATH/lifeline.schema.json`" + ` on its first line.
`

// Example is a configuration that uses the commonest keys.
const Example = `hosts:
  nexus:   {address: 192.168.0.11, user: lifeline, identity: ~/.ssh/id_ed25519, mode: auto}
  outpost: {ssh_config: outpost, mode: suggest}   # everything from ~/.ssh/config
  skynet:  {local: true, mode: observe}           # this machine, without SSH
model:  {provider: anthropic, name: claude-haiku-5-5}   # key from $ANTHROPIC_API_KEY; absent: runbooks only
store:  {url: "sqlite:lifeline.db"}
listen: 127.0.0.1:8674                                  # another address needs access.users, and the webhook's password or token
`

// standardOf is the default of a section.
func standardOf(s section) reflect.Value {
	if own := unwritten(s.typ); !own.IsZero() {
		return own
	}
	v := reflect.ValueOf(Default())
	for name := range strings.SplitSeq(s.path, ".") {
		if s.path == "" {
			break
		}
		if strings.HasSuffix(name, "[]") || v.Kind() == reflect.Map {
			return unwritten(s.typ)
		}
		if name == "NAME" { // of a channel: hosts are a section of their own, above
			v = reflect.ValueOf(defaultChannel())
			continue
		}
		keys := keysOf(v.Type())
		v = v.Field(keys[indexOf(keys, name)].index)
	}
	return v
}

// kindOf says what a key's value looks like.
func kindOf(k key) string {
	switch {
	case len(k.enum) == 1:
		return code(k.enum[0], true)
	case len(k.enum) > 1:
		return "`" + strings.Join(k.enum, "`, `") + "`"
	}
	switch k.typ {
	case reflect.TypeFor[Duration]():
		return "duration"
	case reflect.TypeFor[List]():
		if k.is == "path" {
			return "path or list of paths"
		}
		return "text or list of texts"
	case reflect.TypeFor[lifeline.Mode]():
		return "mode"
	}
	switch k.typ.Kind() {
	case reflect.Bool:
		return "`true`, `false`"
	case reflect.Int, reflect.Float64:
		return "number"
	case reflect.Struct:
		return "keys, see below"
	case reflect.Map:
		if k.typ.Elem().Kind() == reflect.Struct {
			return "names with keys, see below"
		}
		return "text by text"
	case reflect.Slice:
		return "list, see below"
	}
	switch k.is {
	case "path":
		return "path"
	case "url":
		return "URL"
	}
	return "text"
}

// defaultOf is a key's default as it would be written.
func defaultOf(k key, v reflect.Value) string {
	if d, ok := v.Interface().(Duration); ok && d != 0 {
		return code(d.String(), true)
	}
	switch v.Kind() {
	case reflect.Struct:
		return ""
	case reflect.String:
		if v.String() != "" {
			return code(v.String(), true)
		}
	case reflect.Bool:
		return code(fmt.Sprint(v.Bool()), true)
	case reflect.Int:
		return code(fmt.Sprint(v.Int()), true)
	case reflect.Float64:
		return code(fmt.Sprint(v.Float()), true)
	}
	if k.name == "decision" || k.name == "program" || k.name == "hosts" && k.typ.Elem().Kind() == reflect.Struct {
		return "required"
	}
	return "empty"
}

func code(s string, yes bool) string {
	if !yes {
		return s
	}
	return "`" + s + "`"
}

// cell is a text that can stand in a Markdown table.
func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

package lab

import (
	"fmt"
	"slices"
	"strings"
)

// options are parsed arguments.
type options struct {
	given    map[string][]string // by the first name of the option
	operands []string
}

func (o options) has(name string) bool { return len(o.given[name]) > 0 }

// value is the last value given, or otherwise.
func (o options) value(name, otherwise string) string {
	if v := o.given[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return otherwise
}

// getopt parses arguments. Each spec lists the names of one option, the shortest
// first, separated by spaces; a "=" at its end means that it takes a value:
// "n lines=". Options and operands may be mixed, one-letter options may be
// clustered, and everything behind "--" is an operand. A first spec of "+" makes
// everything behind the first operand an operand, as sh, env and sudo want it.
func getopt(args []string, specs ...string) (options, error) {
	o := options{given: map[string][]string{}}
	find := func(name string) (key string, valued, ok bool) {
		for _, s := range specs {
			names, valued := strings.CutSuffix(s, "=")
			if all := strings.Fields(names); slices.Contains(all, name) {
				return all[0], valued, true
			}
		}
		return "", false, false
	}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			o.operands = append(o.operands, args[i+1:]...)
			return o, nil
		case strings.HasPrefix(arg, "--"):
			name, value, inline := strings.Cut(arg[2:], "=")
			key, valued, ok := find(name)
			switch {
			case !ok:
				return o, fmt.Errorf("unknown flag: --%s", name)
			case !valued && inline:
				return o, fmt.Errorf("flag --%s takes no value", name)
			case valued && !inline:
				if i++; i == len(args) {
					return o, fmt.Errorf("flag needs an argument: --%s", name)
				}
				value = args[i]
			}
			o.given[key] = append(o.given[key], value)
		case len(arg) > 1 && arg[0] == '-':
			for j := 1; j < len(arg); j++ {
				key, valued, ok := find(arg[j : j+1])
				if !ok {
					return o, fmt.Errorf("unknown shorthand flag: '%c' in %s", arg[j], arg)
				}
				value := ""
				if valued {
					if value = strings.TrimPrefix(arg[j+1:], "="); arg[j+1:] == "" {
						if i++; i == len(args) {
							return o, fmt.Errorf("flag needs an argument: '%c' in %s", arg[j], arg)
						}
						value = args[i]
					}
				}
				o.given[key] = append(o.given[key], value)
				if valued {
					break
				}
			}
		case len(specs) > 0 && specs[0] == "+":
			o.operands = append(o.operands, args[i:]...)
			return o, nil
		default:
			o.operands = append(o.operands, arg)
		}
	}
	return o, nil
}

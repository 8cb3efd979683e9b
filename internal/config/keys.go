package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// key is one key of a section, as types.go declares it.
type key struct {
	name  string // in the file
	field string // in Go
	is    string // the tag "is"
	index int
	typ   reflect.Type
	enum  []string
}

// keysOf lists the keys of a section in the order of types.go.
func keysOf(t reflect.Type) []key {
	var keys []key
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("yaml")
		if !f.IsExported() || name == "" {
			continue
		}
		k := key{name: name, field: f.Name, is: f.Tag.Get("is"), index: i, typ: f.Type}
		for part := range strings.SplitSeq(f.Tag.Get("jsonschema"), ",") {
			if v, ok := strings.CutPrefix(part, "enum="); ok && v != "" {
				k.enum = append(k.enum, v)
			}
		}
		keys = append(keys, k)
	}
	return keys
}

func indexOf(keys []key, name string) int {
	return slices.IndexFunc(keys, func(k key) bool { return k.name == name })
}

// unknownKey says what an unknown key probably means: one of the section's
// keys, or one of the same name in another section.
func unknownKey(keys []key, section, name string) (text, hint string) {
	if name == "url" && strings.HasPrefix(section, "notify.channels.") {
		return "unknown key: a channel's URL has a secret in it, so it stands in a file or in the environment", "want url_file: FILE or url_env: NAME"
	}
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	if meant := nearest(name, names); meant != "" {
		return fmt.Sprintf("unknown key: did you mean %s?", meant), ""
	}
	for _, s := range sections() {
		if s.path != section && indexOf(keysOf(s.typ), name) >= 0 {
			return fmt.Sprintf("unknown key here: did you mean %s?", join(s.path, name)), ""
		}
	}
	where := "a file has"
	if section != "" {
		where = section + " has"
	}
	return "unknown key", where + ": " + strings.Join(names, ", ")
}

// section is a struct of the file with the path at which it stands.
type section struct {
	path string // "" for the file itself, hosts.NAME for a host
	typ  reflect.Type
}

// sections lists every section of the file, in the order of types.go.
func sections() []section {
	var list []section
	var add func(path string, t reflect.Type)
	add = func(path string, t reflect.Type) {
		list = append(list, section{path, t})
		for _, k := range keysOf(t) {
			at := join(path, k.name)
			switch t := k.typ; t.Kind() {
			case reflect.Struct:
				add(at, t)
			case reflect.Map:
				if t.Elem().Kind() == reflect.Struct {
					add(at+".NAME", t.Elem())
				}
			case reflect.Slice:
				if t.Elem().Kind() == reflect.Struct {
					add(at+"[]", t.Elem())
				}
			}
		}
	}
	add("", reflect.TypeFor[Config]())
	return list
}

// nearest is the candidate that a misspelled word was probably meant to be; ""
// if none is near. A word that is the beginning of just one candidate, or the
// other way round, counts as near: password for password_file.
func nearest(word string, candidates []string) string {
	if word == "" {
		return ""
	}
	best, bestDistance := "", max(1, len(word)/3)+1
	lower := strings.ToLower(strings.ReplaceAll(word, "-", "_"))
	for _, c := range candidates {
		if d := distance(lower, strings.ToLower(strings.ReplaceAll(c, "-", "_"))); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	if best != "" || len(word) < 3 {
		return best
	}
	var begins []string
	for _, c := range candidates {
		if strings.HasPrefix(c, lower) || len(c) >= 3 && strings.HasPrefix(lower, c) {
			begins = append(begins, c)
		}
	}
	if len(begins) == 1 {
		return begins[0]
	}
	return ""
}

// distance counts the letters to add, drop, change, or swap with their
// neighbour (optimal string alignment). Words beyond 64 bytes are never near.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

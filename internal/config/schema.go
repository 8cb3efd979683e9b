package config

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/invopop/jsonschema"
)

// Schema is the JSON schema of lifeline.yaml, for editors. Put
//
//	# yaml-language-server: $schema=PATH/docs/lifeline.schema.json
//
// on the first line of the file.
func Schema() []byte {
	c := readComments()
	r := &jsonschema.Reflector{
		Anonymous:                  true,
		FieldNameTag:               "yaml",
		RequiredFromJSONSchemaTags: true,
		ExpandedStruct:             true,
		Mapper:                     schemaOf,
		LookupComment: func(t reflect.Type, field string) string {
			if field == "" {
				return c[t.Name()]
			}
			for _, k := range keysOf(t) {
				if k.field == field {
					return c.describe(t, k)
				}
			}
			return ""
		},
	}
	s := r.Reflect(Config{})
	s.Title = "lifeline.yaml"
	s.Required = []string{"hosts"}
	defaults(s, s, reflect.ValueOf(Default()))
	for name, value := range map[string]reflect.Value{"Host": reflect.ValueOf(defaultHost()), "Check": reflect.ValueOf(defaultCheck())} {
		if d := s.Definitions[name]; d != nil {
			defaults(s, d, value)
		}
	}
	if channel := s.Definitions["NotifyChannel"]; channel != nil {
		defaults(s, channel, reflect.ValueOf(defaultChannel()))
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		panic("config: the schema cannot be written: " + err.Error())
	}
	return b.Bytes()
}

// schemaOf describes the types that have a form of their own in the file.
func schemaOf(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[List]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
			{Type: "string"},
			{Type: "array", Items: &jsonschema.Schema{Type: "string"}},
		}}
	case reflect.TypeFor[Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`, Examples: []any{"30s", "5m", "1h30m"}}
	}
	return nil
}

// defaults writes the default of each key into its schema.
func defaults(root, s *jsonschema.Schema, value reflect.Value) {
	for _, k := range keysOf(value.Type()) {
		property, ok := s.Properties.Get(k.name)
		if !ok {
			panic("config: the schema has no property " + k.name)
		}
		v := value.Field(k.index)
		switch d := v.Interface().(type) {
		case Duration:
			property.Default = d.String()
			continue
		case List:
			continue // empty: what that means is in the description
		}
		switch v.Kind() {
		case reflect.Struct:
			if def := root.Definitions[v.Type().Name()]; def != nil {
				defaults(root, def, v)
			}
		case reflect.String:
			if v.String() != "" {
				property.Default = v.String()
			}
		case reflect.Bool:
			property.Default = v.Bool()
		case reflect.Int:
			property.Default = v.Int()
		case reflect.Float64:
			property.Default = v.Float()
		}
	}
}

package config

import (
	"embed" // the types are their own documentation
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
)

//go:embed types*.go
var typesSource embed.FS

// comments are the comments of types.go and the files beside it that have more
// types: of a type by its name, of a field by Type.Field.
type comments map[string]string

// readComments reads the comments out of the source that was compiled.
func readComments() comments {
	files, err := typesSource.ReadDir(".")
	if err != nil {
		panic("config: what was compiled cannot be listed: " + err.Error())
	}
	c := comments{}
	for _, f := range files {
		source, err := typesSource.ReadFile(f.Name())
		if err != nil {
			panic("config: what was compiled cannot be read: " + err.Error())
		}
		c.read(f.Name(), source)
	}
	return c
}

// read adds the comments of one file.
func (c comments) read(name string, source []byte) {
	file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		panic("config: " + name + " was compiled and does not parse: " + err.Error())
	}
	for _, decl := range file.Decls {
		g, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range g.Specs {
			t, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			c[t.Name.Name] = oneLine(g.Doc.Text())
			s, ok := t.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, f := range s.Fields.List {
				for _, name := range f.Names {
					c[t.Name.Name+"."+name.Name] = oneLine(f.Doc.Text())
				}
			}
		}
	}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// of is the comment of a field.
func (c comments) of(t reflect.Type, k key) string { return c[t.Name()+"."+k.field] }

// describe is the comment of a field in the words of the file: the field's
// name at its beginning is dropped or becomes the key.
func (c comments) describe(t reflect.Type, k key) string {
	text := c.of(t, k)
	rest, ok := strings.CutPrefix(text, k.field+" ")
	if !ok {
		return text
	}
	for _, verb := range []string{"is ", "are "} {
		if after, ok := strings.CutPrefix(rest, verb); ok {
			return strings.ToUpper(after[:1]) + after[1:]
		}
	}
	return strings.ToUpper(rest[:1]) + rest[1:]
}

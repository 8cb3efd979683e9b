package jsonpath

import (
	"errors"
	"strings"
)

// Expr is a path, or a text with paths between {{ and }}. The zero Expr finds
// nothing.
type Expr struct {
	source string
	pieces []piece
}

// piece is a text as it stands, or a path.
type piece struct {
	text string
	path Path
}

// Parse reads an expression.
func Parse(source string) (Expr, error) {
	if !strings.Contains(source, "{{") {
		p, err := ParsePath(source)
		if err != nil {
			return Expr{}, err
		}
		return Expr{source: source, pieces: []piece{{path: p}}}, nil
	}
	e := Expr{source: source}
	for rest := source; rest != ""; {
		before, after, opened := strings.Cut(rest, "{{")
		if before != "" {
			e.pieces = append(e.pieces, piece{text: before})
		}
		if !opened {
			break
		}
		inner, behind, closed := strings.Cut(after, "}}")
		if !closed {
			return Expr{}, errors.New("{{ is not closed: a path in a text is written {{path}}")
		}
		p, err := ParsePath(strings.TrimSpace(inner))
		if err != nil {
			return Expr{}, err
		}
		e.pieces = append(e.pieces, piece{path: p})
		rest = behind
	}
	return e, nil
}

// Set reports whether there is an expression.
func (e Expr) Set() bool { return len(e.pieces) > 0 }

// String is the expression as it was written.
func (e Expr) String() string { return e.source }

// Text is the expression's text for a message, without blanks around it. It is
// found if any of its paths is and something is left of it.
func (e Expr) Text(d *Doc) (string, bool) {
	var b strings.Builder
	found := false
	for _, p := range e.pieces {
		if !p.path.Set() {
			b.WriteString(p.text)
			continue
		}
		text, ok := p.path.Text(d)
		b.WriteString(text)
		found = found || ok && text != ""
	}
	if text := strings.TrimSpace(b.String()); found {
		return text, text != ""
	}
	return "", false
}

// Package runbooks holds the runbooks that Lifeline ships: one Markdown file
// each, in the form that internal/runbook documents. An owner replaces one by
// a runbook of the same name in the folder that the configuration names.
//
//	set, err := runbook.Load(runbooks.FS())
package runbooks

import (
	"embed"
	"io/fs"
)

//go:embed *.md
var files embed.FS

// FS holds the shipped runbooks at its top.
func FS() fs.FS { return files }

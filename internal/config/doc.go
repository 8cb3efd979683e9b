// Package config reads lifeline.yaml.
//
//	path, err := config.Find(flag)
//	cfg, err := config.Load(path)
//
// What it guarantees: an unknown key, a key given twice, a value of the wrong
// kind or one that cannot work is an error that names the field, the line and
// the column, shows the line, and says what was probably meant; all problems
// of a file are reported at once. Relative paths in the file are relative to
// the file's folder, and ~ is $HOME. No secret stands in the file: it names
// files that hold one, and those must be readable by their owner only. The one
// exception, a password inside a URL, is never printed.
//
// The comments of the types in types.go are the documentation: Reference,
// Schema and docs/configuration.md are made from them.
//
// What it does not do: it does not look at the hosts, the keys or the network.
package config

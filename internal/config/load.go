package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"lifeline"
)

// Load reads and validates a configuration file.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, unreadable(path, err)
	}
	cfg, err := Parse(path, data)
	if err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return cfg, nil
}

// unreadable says why a file cannot be read: the path and the cause once each.
func unreadable(path string, err error) error {
	if cause, ok := errors.AsType[*os.PathError](err); ok {
		err = cause.Err
	}
	e := &lifeline.Error{Code: lifeline.CodeConfig, Message: "read the configuration " + path, Err: err,
		Hint: "name another file: --config FILE"}
	if errors.Is(err, os.ErrPermission) {
		e.Hint = "let the account that runs lifeline read it, or name another file: --config FILE"
	}
	return e
}

// Parse reads a configuration from its text. It finds what is wrong with the
// form: unknown keys, keys given twice, values of the wrong kind. Validate
// finds the rest. Relative paths are relative to the folder of name.
func Parse(name string, data []byte) (*Config, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // some editors begin a file with it
	src := newSource(name, data)
	cfg := Default()
	cfg.src = src
	if len(data) > maxFileSize {
		return nil, problems{{File: name, Text: fmt.Sprintf("the file is larger than %d KiB", maxFileSize>>10)}}.err(name)
	}
	if i := invalidUTF8(data); i >= 0 {
		line := strings.Count(string(data[:i]), "\n") + 1
		return nil, problems{{File: name, Line: line, Column: 1, Text: "the line is not UTF-8 text"}}.err(name)
	}
	root, where, err := parseTree(data)
	if err != nil {
		return nil, problems{src.problemAt(where, "", err.Error(), "")}.err(name)
	}
	d := &decoder{src: src, anchors: map[string]ast.Node{}, resolve: resolver(name)}
	if root != nil {
		d.collectAnchors(root)
		d.value(root, reflect.ValueOf(&cfg).Elem(), "", "")
	}
	d.normalise(&cfg)
	if err := d.found.err(name); err != nil {
		return nil, err
	}
	return &cfg, nil
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// normalise makes the database's path absolute.
func (d *decoder) normalise(cfg *Config) {
	file, ok := strings.CutPrefix(cfg.Store.URL, "sqlite:")
	file = strings.TrimPrefix(file, "//") // sqlite://FILE is FILE, as the store reads it
	if ok && badFile(file) == "" {
		full, err := d.resolve(file)
		if err != nil {
			d.found = append(d.found, d.src.problem("store.url", err.Error(), ""))
			return
		}
		cfg.Store.URL = "sqlite:" + full
	}
}

// resolver makes paths absolute: ~ through $HOME, the rest from the folder of
// the configuration file.
func resolver(name string) func(string) (string, error) {
	return func(path string) (string, error) {
		if path == "~" || strings.HasPrefix(path, "~/") {
			home := os.Getenv("HOME")
			if home == "" {
				return "", errors.New("~ cannot be found: HOME is not set")
			}
			return filepath.Join(home, path[1:]), nil
		}
		if strings.HasPrefix(path, "~") {
			return "", errors.New("~USER is not supported: write the whole path")
		}
		if filepath.IsAbs(path) {
			return filepath.Clean(path), nil
		}
		folder, err := filepath.Abs(filepath.Dir(name))
		if err != nil {
			return "", err
		}
		return filepath.Join(folder, path), nil
	}
}

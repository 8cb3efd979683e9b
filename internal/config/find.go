package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lifeline"
)

// EnvPath is the environment variable that names the configuration file.
const EnvPath = "LIFELINE_CONFIG"

// Find is the path of the configuration to use: flag if it is set, then
// $LIFELINE_CONFIG, ./lifeline.yaml, lifeline/lifeline.yaml in the user's
// configuration directory, /etc/lifeline/lifeline.yaml. A file that was named
// and is not there is an error; the next place is not tried instead.
func Find(flag string) (string, error) {
	for _, named := range []struct{ path, by string }{{flag, "--config"}, {os.Getenv(EnvPath), "$" + EnvPath}} {
		if named.path == "" {
			continue
		}
		if err := isFile(named.path); err != nil {
			return "", &lifeline.Error{Code: lifeline.CodeConfig, Message: fmt.Sprintf("configuration %s, named by %s", named.path, named.by), Err: err,
				Hint: "name a file that is there: --config FILE"}
		}
		return named.path, nil
	}
	var looked []string
	for _, path := range places() {
		err := isFile(path)
		if err == nil {
			return path, nil
		}
		looked = append(looked, fmt.Sprintf("  %s: %v", path, err))
	}
	return "", &lifeline.Error{Code: lifeline.CodeConfig, Message: "no configuration was found",
		Hint: "looked for:\n" + strings.Join(looked, "\n") + "\n" +
			"name one with --config FILE or $" + EnvPath + ", or begin a lifeline.yaml here:\n" + indent(FirstHost) +
			"\nwithout any configuration: lifeline demo"}
}

// FirstHost is the smallest useful configuration, shown to whoever has none.
const FirstHost = `hosts:
  nexus: {address: 192.168.0.11, user: lifeline, identity: ~/.ssh/id_ed25519, mode: observe}`

func indent(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }

// places lists where a configuration is looked for when none is named.
func places() []string {
	list := []string{"lifeline.yaml"}
	if dir, err := os.UserConfigDir(); err == nil {
		list = append(list, filepath.Join(dir, "lifeline", "lifeline.yaml"))
	}
	return append(list, "/etc/lifeline/lifeline.yaml")
}

// isFile says in few words why a path is not a file that can be read.
func isFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return errors.New("not there")
	case errors.Is(err, os.ErrPermission):
		return errors.New("permission denied")
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("is a folder")
	}
	return nil
}

package shellpolicy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template/parse"
)

// template judges a Go template for docker's --format. Templates only print,
// so what counts is whether they print what may hold secrets.
func (c *call) template(a arg, kind string) string {
	if a.shape != exact {
		return "a format that is known only when it runs is not judged: write it out"
	}
	text := strings.TrimPrefix(strings.TrimPrefix(a.text, "table "), `table\t`)
	if text == "json" || text == "table" || text == "pretty" || text == "raw" {
		if kind != "template" && text == "json" {
			c.effects[string(Sensitive)] = true
		}
		return ""
	}
	tree := parse.New("format")
	tree.Mode = parse.SkipFuncCheck
	tree, err := tree.Parse(text, "{{", "}}", map[string]*parse.Tree{})
	if err != nil {
		return fmt.Sprintf("the format %q is no template: %v", clip(a.text), err)
	}
	t := &templateReader{kind: kind}
	if tree.Root != nil {
		t.list(tree.Root, true)
	}
	if t.why != "" {
		return fmt.Sprintf("the format %q: %s", clip(a.text), t.why)
	}
	if t.sensitive {
		c.effects[string(Sensitive)] = true
	} else {
		c.effects[plain] = true
	}
	if kind == "pstemplate" && oneName.MatchString(text) {
		c.out = stream{flow: flowNames}
	}
	return ""
}

// oneName is a format that prints one safe name a line.
var oneName = regexp.MustCompile(`\A\{\{ *\.(?:Names?|ID|State|Container) *\}\}\z`)

// templateReader walks a template. top says whether the dot is the whole object
// or something below it that was already judged.
type templateReader struct {
	kind      string
	sensitive bool
	why       string
}

func (t *templateReader) list(l *parse.ListNode, top bool) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		t.node(n, top)
	}
}

func (t *templateReader) node(n parse.Node, top bool) {
	switch n := n.(type) {
	case *parse.TextNode, *parse.StringNode, *parse.NumberNode, *parse.BoolNode, *parse.NilNode, *parse.BreakNode, *parse.ContinueNode:
	case *parse.ActionNode:
		t.node(n.Pipe, top)
	case *parse.IfNode:
		t.node(n.Pipe, top)
		t.list(n.List, top)
		t.list(n.ElseList, top)
	case *parse.RangeNode:
		t.node(n.Pipe, top)
		t.list(n.List, false)
		t.list(n.ElseList, top)
	case *parse.WithNode:
		t.node(n.Pipe, top)
		t.list(n.List, false)
		t.list(n.ElseList, top)
	case *parse.PipeNode:
		for _, cmd := range n.Cmds {
			for _, arg := range cmd.Args {
				t.node(arg, top)
			}
		}
	case *parse.DotNode:
		t.sensitive = t.sensitive || top
	case *parse.FieldNode:
		if top {
			t.field(n.Ident)
		}
	case *parse.ChainNode:
		t.node(n.Node, top)
	case *parse.VariableNode:
		if n.Ident[0] == "$" {
			if len(n.Ident) == 1 {
				t.sensitive = true
			} else {
				t.field(n.Ident[1:])
			}
		}
	case *parse.IdentifierNode:
		if !templateFunction.MatchString(n.Ident) {
			t.why = fmt.Sprintf("the function %q is not known", n.Ident)
		}
	default:
		t.why = fmt.Sprintf("%s is not modelled", n)
	}
}

var templateFunction = regexp.MustCompile(`\A(?:json|join|len|index|slice|eq|ne|lt|le|gt|ge|and|or|not|print|printf|println|upper|lower|title|split|truncate|pad|table|html|js|urlquery)\z`)

// field marks what may hold secrets: labels, environment, arguments. What is
// not listed as harmless counts as that.
func (t *templateReader) field(path []string) {
	switch t.kind {
	case "pstemplate":
		if slices.Contains([]string{"Labels", "Label", "Command"}, path[0]) {
			t.sensitive = true
		}
	case "inspecttemplate":
		if !harmlessField(path) {
			t.sensitive = true
		}
	}
}

func harmlessField(path []string) bool {
	switch path[0] {
	case "State", "Name", "RestartCount", "Id", "ID", "Created", "NetworkSettings", "Mounts", "Image", "Platform", "Driver", "LogPath", "SizeRw",
		"SizeRootFs", "Size", "VirtualSize", "RepoTags", "RepoDigests", "Architecture", "Os", "Scope", "Mountpoint", "CreatedAt", "UsageData", "IPAM",
		"Containers", "Internal", "Attachable", "EnableIPv6", "Status", "GraphDriver", "HostnamePath", "ResolvConfPath", "HostsPath", "AppArmorProfile", "Parent", "Metadata", "RootFS":
		return true
	case "HostConfig":
		return len(path) > 1 && hostConfig.MatchString(path[1]) || len(path) > 2 && path[1] == "LogConfig" && path[2] == "Type"
	case "Config":
		return len(path) > 1 && slices.Contains([]string{"Image", "Hostname", "User", "WorkingDir", "ExposedPorts", "Volumes", "Tty", "StopSignal", "StopTimeout", "Domainname"}, path[1])
	}
	return false
}

var hostConfig = regexp.MustCompile(`\A(?:RestartPolicy|Memory\w*|Cpu\w*|NanoCpus|NetworkMode|Binds|PortBindings|Privileged|PidMode|IpcMode|CapAdd|CapDrop|ShmSize|Ulimits|PidsLimit|Oom\w+|AutoRemove|ReadonlyRootfs|Links|ExtraHosts|Dns\w*|Isolation|Runtime|Devices|BlkioWeight|VolumesFrom|GroupAdd|Tmpfs)\z`)

package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var errIsDir = errors.New("Is a directory") //lint:ignore ST1005 the system's words

// systemWords is an error of a file as programs print it.
func systemWords(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "No such file or directory"
	case errors.Is(err, fs.ErrPermission):
		return "Permission denied"
	case errors.Is(err, errIsDir):
		return "Is a directory"
	}
	return err.Error()
}

// inputs reads the files, or the standard input, one after another. status is
// not 0 if a file could not be read.
func (p *process) inputs(files []string, each func(name string, r io.Reader)) (status int) {
	if len(files) == 0 {
		files = []string{"-"}
	}
	for _, name := range files {
		if name == "-" {
			each("", p.stdin)
			continue
		}
		text, err := p.host.readFile(p.user, p.abs(name))
		if err != nil {
			status = p.failf(1, "%s: %s: %s", p.name, name, systemWords(err))
			continue
		}
		each(name, strings.NewReader(string(text)))
	}
	return status
}

// lines gives the lines of r without their ends, until f says stop.
func lines(r io.Reader, f func(line string) (more bool)) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		if !f(s.Text()) {
			return
		}
	}
}

// allLines reads every line of every input.
func (p *process) allLines(files []string) (all []string, status int) {
	status = p.inputs(files, func(_ string, r io.Reader) {
		lines(r, func(line string) bool { all = append(all, line); return true })
	})
	return all, status
}

// usage is what a GNU tool says about an option that it does not have.
func (p *process) usage(status int, err error) int {
	return p.failf(status, "%s: %v\nTry '%s --help' for more information.", p.name, err, p.name)
}

func runCat(p *process) int {
	opts, err := getopt(p.args, "n number", "u", "v", "A", "s")
	if err != nil {
		return p.usage(1, err)
	}
	n := 0
	return p.inputs(opts.operands, func(_ string, r io.Reader) {
		if !opts.has("n") {
			io.Copy(p.stdout, r)
			return
		}
		lines(r, func(line string) bool { n++; p.printf("%6d\t%s\n", n, line); return !p.gone })
	})
}

// countOption turns head's and tail's old "-20" into "-n 20".
func countOption(args []string) []string {
	var out []string
	for _, a := range args {
		if _, err := strconv.Atoi(strings.TrimPrefix(a, "-")); err == nil && strings.HasPrefix(a, "-") {
			out = append(out, "-n", a[1:])
			continue
		}
		out = append(out, a)
	}
	return out
}

func runHead(p *process) int {
	opts, err := getopt(countOption(p.args), "n lines=", "c bytes=", "q quiet")
	if err != nil {
		return p.usage(1, err)
	}
	n, err := strconv.Atoi(opts.value("n", "10"))
	bytes, err2 := strconv.ParseInt(opts.value("c", "0"), 10, 64)
	if errors.Join(err, err2) != nil || n < 0 {
		return p.failf(1, "head: invalid number: '%s'", opts.value("n", opts.value("c", "")))
	}
	return p.inputs(opts.operands, func(_ string, r io.Reader) {
		if opts.has("c") {
			io.Copy(p.stdout, io.LimitReader(r, bytes))
			return
		}
		left := n
		if left == 0 {
			return
		}
		lines(r, func(line string) bool { left--; p.printf("%s\n", line); return left > 0 && !p.gone })
	})
}

func runTail(p *process) int {
	opts, err := getopt(countOption(p.args), "n lines=", "c bytes=", "f follow", "F", "q quiet")
	if err != nil {
		return p.usage(1, err)
	}
	count := opts.value("n", "10")
	n, err := strconv.Atoi(strings.TrimPrefix(count, "+"))
	if err != nil || n < 0 {
		return p.failf(1, "tail: invalid number of lines: '%s'", count)
	}
	status := p.inputs(opts.operands, func(_ string, r io.Reader) {
		var all []string
		lines(r, func(line string) bool { all = append(all, line); return true })
		from := max(len(all)-n, 0)
		if strings.HasPrefix(count, "+") {
			from = min(max(n-1, 0), len(all))
		}
		for _, line := range all[from:] {
			p.printf("%s\n", line)
		}
	})
	if opts.has("f") || opts.has("F") {
		p.sleep(1000 * time.Hour)
	}
	return status
}

func runGrep(p *process) int {
	opts, err := getopt(p.args, "i ignore-case", "v invert-match", "c count", "q quiet silent", "E extended-regexp", "F fixed-strings", "G",
		"P perl-regexp", "o only-matching", "n line-number", "w word-regexp", "x line-regexp", "e regexp=", "m max-count=", "h no-filename", "H with-filename",
		"l files-with-matches", "s no-messages", "a text", "color=", "A after-context=", "B before-context=", "C context=", "r recursive")
	if err != nil {
		return p.usage(2, err)
	}
	patterns, files := opts.given["e"], opts.operands
	if len(patterns) == 0 {
		if len(files) == 0 {
			return p.failf(2, "Usage: grep [OPTION]... PATTERNS [FILE]...")
		}
		patterns, files = files[:1], files[1:]
	}
	re, err := grepPattern(patterns, opts)
	if err != nil {
		return p.failf(2, "grep: %v", err)
	}
	most, _ := strconv.Atoi(opts.value("m", "0"))
	before, after := contextLines(opts)
	found := false
	status := p.inputs(files, func(name string, r io.Reader) {
		prefix := ""
		if (len(files) > 1 || opts.has("H")) && !opts.has("h") {
			prefix = name + ":"
		}
		count, number, trailing := 0, 0, 0
		var held []string
		lines(r, func(line string) bool {
			number++
			if re.MatchString(line) == opts.has("v") {
				switch {
				case trailing > 0:
					trailing--
					p.printf("%s%s\n", prefix, line)
				case before > 0:
					held = append(held, line)
					held = held[max(len(held)-before, 0):]
				}
				return !p.gone
			}
			found = true
			count++
			if opts.has("q") || opts.has("l") {
				return false
			}
			if opts.has("c") {
				return true
			}
			for _, h := range held {
				p.printf("%s%s\n", prefix, h)
			}
			held, trailing = nil, after
			out := []string{line}
			if opts.has("o") {
				out = re.FindAllString(line, -1)
			}
			for _, text := range out {
				if opts.has("n") {
					text = fmt.Sprintf("%d:%s", number, text)
				}
				p.printf("%s%s\n", prefix, text)
			}
			return (most == 0 || count < most) && !p.gone
		})
		switch {
		case opts.has("q"):
		case opts.has("l") && count > 0:
			p.printf("%s\n", name)
		case opts.has("c"):
			p.printf("%s%d\n", prefix, count)
		}
	})
	switch {
	case status != 0 && !(found && opts.has("q")):
		return 2
	case !found:
		return 1
	}
	return 0
}

func contextLines(opts options) (before, after int) {
	both := opts.value("C", "0")
	before, _ = strconv.Atoi(opts.value("B", both))
	after, _ = strconv.Atoi(opts.value("A", both))
	return before, after
}

// grepPattern is the pattern of grep as a Go expression. Basic expressions are
// turned into extended ones: their escaped operators lose the backslash, and
// plain ones get it.
func grepPattern(patterns []string, opts options) (*regexp.Regexp, error) {
	var all []string
	for _, given := range patterns {
		for one := range strings.SplitSeq(given, "\n") {
			switch {
			case opts.has("F"):
				one = regexp.QuoteMeta(one)
			case !opts.has("E") && !opts.has("P"):
				var b strings.Builder
				for i := 0; i < len(one); i++ {
					switch {
					case one[i] == '\\' && i+1 < len(one) && strings.ContainsRune("|+?(){}", rune(one[i+1])):
						i++
						b.WriteByte(one[i])
					case one[i] == '\\' && i+1 < len(one):
						b.WriteString(one[i : i+2])
						i++
					case strings.ContainsRune("|+?(){}", rune(one[i])):
						b.WriteString(`\` + one[i:i+1])
					default:
						b.WriteByte(one[i])
					}
				}
				one = b.String()
			}
			all = append(all, "(?:"+one+")")
		}
	}
	text := strings.Join(all, "|")
	switch {
	case opts.has("x"):
		text = "^(?:" + text + ")$"
	case opts.has("w"):
		text = `\b(?:` + text + `)\b`
	}
	if opts.has("i") {
		text = "(?i)" + text
	}
	return regexp.Compile(text)
}

func runWc(p *process) int {
	opts, err := getopt(p.args, "l lines", "w words", "c bytes", "m chars")
	if err != nil {
		return p.usage(1, err)
	}
	return p.inputs(opts.operands, func(name string, r io.Reader) {
		text, _ := io.ReadAll(r)
		var cols []string
		all := !opts.has("l") && !opts.has("w") && !opts.has("c") && !opts.has("m")
		for _, c := range []struct {
			key string
			n   int
		}{{"l", strings.Count(string(text), "\n")}, {"w", len(strings.Fields(string(text)))}, {"m", len([]rune(string(text)))}, {"c", len(text)}} {
			if opts.has(c.key) || all && c.key != "m" {
				cols = append(cols, strconv.Itoa(c.n))
			}
		}
		if name != "" {
			cols = append(cols, name)
		}
		p.printf("%s\n", strings.Join(cols, " "))
	})
}

func runSort(p *process) int {
	opts, err := getopt(p.args, "r reverse", "n numeric-sort", "h human-numeric-sort", "u unique", "k key=", "t field-separator=", "f ignore-case", "V")
	if err != nil {
		return p.usage(2, err)
	}
	all, status := p.allLines(opts.operands)
	column, _ := strconv.Atoi(strings.TrimRight(strings.Split(opts.value("k", "1"), ",")[0], "rnhf"))
	key := func(line string) string {
		if !opts.has("k") {
			return line
		}
		fields := strings.Fields(line)
		if opts.has("t") {
			fields = strings.Split(line, opts.value("t", " "))
		}
		if column < 1 || column > len(fields) {
			return ""
		}
		return strings.Join(fields[column-1:], " ")
	}
	human := opts.has("h") || strings.Contains(opts.value("k", ""), "h")
	numeric := opts.has("n") || strings.Contains(opts.value("k", ""), "n")
	slices.SortStableFunc(all, func(a, b string) int {
		ka, kb := key(a), key(b)
		order := strings.Compare(ka, kb)
		switch {
		case human || numeric:
			if d := leadingNumber(ka, human) - leadingNumber(kb, human); d != 0 {
				order = 1
				if d < 0 {
					order = -1
				}
			}
		case opts.has("f"):
			order = strings.Compare(strings.ToLower(ka), strings.ToLower(kb))
		}
		if opts.has("r") || strings.Contains(opts.value("k", ""), "r") {
			return -order
		}
		return order
	})
	if opts.has("u") {
		all = slices.Compact(all)
	}
	for _, line := range all {
		p.printf("%s\n", line)
	}
	return status
}

// leadingNumber is the number that a line begins with, with its unit if human.
func leadingNumber(s string, human bool) float64 {
	s = strings.TrimSpace(s)
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == '.' || end == 0 && s[end] == '-') {
		end++
	}
	n, err := strconv.ParseFloat(s[:end], 64)
	if err != nil {
		return 0
	}
	if human && end < len(s) {
		for i := range strings.IndexByte("KMGTP", s[end]) + 1 {
			_ = i
			n *= 1024
		}
	}
	return n
}

func runUniq(p *process) int {
	opts, err := getopt(p.args, "c count", "d repeated", "u unique", "i ignore-case")
	if err != nil {
		return p.usage(1, err)
	}
	all, status := p.allLines(opts.operands[:min(len(opts.operands), 1)])
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j] == all[i] {
			j++
		}
		switch {
		case opts.has("d") && j-i == 1, opts.has("u") && j-i > 1:
		case opts.has("c"):
			p.printf("%7d %s\n", j-i, all[i])
		default:
			p.printf("%s\n", all[i])
		}
		i = j
	}
	return status
}

func runCut(p *process) int {
	opts, err := getopt(p.args, "d delimiter=", "f fields=", "c characters=")
	if err != nil {
		return p.usage(1, err)
	}
	if opts.has("f") == opts.has("c") {
		return p.failf(1, "cut: you must specify a list of bytes, characters, or fields")
	}
	list, sep := opts.value("f", opts.value("c", "")), opts.value("d", "\t")
	all, status := p.allLines(opts.operands)
	for _, line := range all {
		parts := strings.Split(line, sep)
		if opts.has("c") {
			parts, sep = strings.Split(line, ""), ""
		}
		var out []string
		for r := range strings.SplitSeq(list, ",") {
			from, to, isRange := strings.Cut(r, "-")
			lo, _ := strconv.Atoi(from)
			hi, _ := strconv.Atoi(to)
			if !isRange {
				hi = lo
			}
			if to == "" && isRange {
				hi = len(parts)
			}
			for i := max(lo, 1); i <= min(hi, len(parts)); i++ {
				out = append(out, parts[i-1])
			}
		}
		p.printf("%s\n", strings.Join(out, sep))
	}
	return status
}

func runTr(p *process) int {
	opts, err := getopt(p.args, "d delete", "s squeeze-repeats")
	if err != nil || len(opts.operands) == 0 || !opts.has("d") && !opts.has("s") && len(opts.operands) < 2 {
		return p.failf(1, "tr: missing operand")
	}
	from := trSet(opts.operands[0])
	text, _ := io.ReadAll(p.stdin)
	var b strings.Builder
	last := rune(-1)
	for _, r := range string(text) {
		i := slices.Index(from, r)
		switch {
		case i >= 0 && opts.has("d"):
			continue
		case i >= 0 && opts.has("s") && r == last:
			continue
		case i >= 0 && len(opts.operands) > 1:
			if to := trSet(opts.operands[1]); len(to) > 0 {
				r = to[min(i, len(to)-1)]
			}
		}
		last = r
		b.WriteRune(r)
	}
	p.printf("%s", b.String())
	return 0
}

// trSet is a set of tr: letters, ranges and the escapes for line ends and tabs.
func trSet(s string) []rune {
	s = strings.NewReplacer(`\n`, "\n", `\t`, "\t", "[:upper:]", "A-Z", "[:lower:]", "a-z", "[:space:]", " \n\t").Replace(s)
	in, out := []rune(s), []rune(nil)
	for i := 0; i < len(in); i++ {
		if i+2 < len(in) && in[i+1] == '-' {
			for r := in[i]; r <= in[i+2]; r++ {
				out = append(out, r)
			}
			i += 2
			continue
		}
		out = append(out, in[i])
	}
	return out
}

func runLs(p *process) int {
	opts, err := getopt(p.args, "l", "a all", "A", "h human-readable", "d directory", "1", "t", "r reverse", "S", "R", "color=", "F")
	if err != nil {
		return p.usage(2, err)
	}
	names := opts.operands
	if len(names) == 0 {
		names = []string{"."}
	}
	status := 0
	show := func(i info, as string) {
		if !opts.has("l") {
			p.printf("%s\n", as)
			return
		}
		owner := "root"
		if strings.HasPrefix(i.name, "/home/"+p.host.user+"/") {
			owner = p.host.user
		}
		p.printf("%s 1 %-8s %-8s %8d %s %s\n", i.Mode(), owner, owner, i.size, i.at.Format("Jan _2 15:04"), as)
	}
	for _, name := range names {
		i, err := p.host.lookAt(p.abs(name))
		if err != nil {
			status = p.failf(2, "ls: cannot access '%s': %s", name, systemWords(err))
			continue
		}
		if !i.dir || opts.has("d") {
			show(i, name)
			continue
		}
		if secret(i.name+"/") && p.user != "root" {
			status = p.failf(2, "ls: cannot open directory '%s': Permission denied", name)
			continue
		}
		entries, _ := p.host.readDir(p.ctx, i.name)
		for _, e := range entries {
			if child, err := p.host.lookAt(path.Join(i.name, e.Name())); err == nil && (!strings.HasPrefix(e.Name(), ".") || opts.has("a") || opts.has("A")) {
				show(child, e.Name())
			}
		}
	}
	return status
}

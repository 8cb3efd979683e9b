package lab

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// on finds the filesystem that an absolute path lies on; nil if there is none.
func (w *World) on(name string) *Filesystem {
	var best *Filesystem
	for _, f := range w.filesystems {
		if under(name, f.Mount) && (best == nil || len(f.Mount) > len(best.Mount)) {
			best = f
		}
	}
	return best
}

// under reports whether a path is folder, or lies in it.
func under(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, strings.TrimSuffix(folder, "/")+"/")
}

func runDf(p *process) int {
	opts, err := getopt(p.args, "h human-readable", "H si", "i inodes", "T print-type", "k", "m", "P portability", "a all", "l local", "x exclude-type=", "t type=",
		"B block-size=", "output=", "total")
	if err != nil {
		return p.usage(1, err)
	}
	var shown []Filesystem
	status := 0
	for _, name := range opts.operands {
		if _, err := p.host.lookAt(p.abs(name)); err != nil {
			status = p.failf(1, "df: %s: %s", name, systemWords(err))
			continue
		}
		p.world.lock()
		if f := p.world.on(p.abs(name)); f != nil {
			shown = append(shown, *f)
		}
		p.world.unlock()
	}
	if len(opts.operands) == 0 {
		p.world.lock()
		for _, f := range p.world.filesystems {
			if !slices.Contains(opts.given["x"], f.Type) && (!opts.has("t") || slices.Contains(opts.given["t"], f.Type)) {
				shown = append(shown, *f)
			}
		}
		p.world.unlock()
	}
	if len(shown) == 0 {
		return max(status, 1)
	}
	table := [][]string{dfHeader(opts)}
	for _, f := range shown {
		table = append(table, dfRow(f, opts))
	}
	columns := []string{"source", "fstype", "size", "used", "avail", "pcent", "target"}
	if opts.has("i") {
		columns = []string{"source", "fstype", "itotal", "iused", "iavail", "ipcent", "target"}
	}
	wanted := slices.Clone(columns)
	switch {
	case opts.has("output"):
		wanted = strings.Split(opts.value("output", ""), ",")
	case !opts.has("T"):
		wanted = slices.Delete(wanted, 1, 2)
	}
	for _, c := range wanted {
		if !slices.Contains(columns, c) {
			return p.failf(1, "df: option --output: field '%s' unknown", c)
		}
	}
	p.columns(table, columns, wanted)
	return status
}

// columns prints the wanted columns: texts to the left, numbers to the right.
func (p *process) columns(table [][]string, columns, wanted []string) {
	for _, row := range table {
		var cells []string
		for _, c := range wanted {
			i := slices.Index(columns, c)
			width := 0
			for _, other := range table {
				width = max(width, len(other[i]))
			}
			if c == "source" || c == "fstype" || c == "target" {
				width = -width
			}
			cells = append(cells, fmt.Sprintf("%*s", width, row[i]))
		}
		p.printf("%s\n", strings.TrimRight(strings.Join(cells, " "), " "))
	}
}

func dfHeader(o options) []string {
	switch {
	case o.has("i"):
		return []string{"Filesystem", "Type", "Inodes", "IUsed", "IFree", "IUse%", "Mounted on"}
	case o.has("h") || o.has("H"):
		return []string{"Filesystem", "Type", "Size", "Used", "Avail", "Use%", "Mounted on"}
	case o.has("P"):
		return []string{"Filesystem", "Type", "1024-blocks", "Used", "Available", "Capacity", "Mounted on"}
	case o.has("m"):
		return []string{"Filesystem", "Type", "1M-blocks", "Used", "Available", "Use%", "Mounted on"}
	case o.value("B", "") == "1":
		return []string{"Filesystem", "Type", "1B-blocks", "Used", "Available", "Use%", "Mounted on"}
	}
	return []string{"Filesystem", "Type", "1K-blocks", "Used", "Available", "Use%", "Mounted on"}
}

func dfRow(f Filesystem, o options) []string {
	if o.has("i") {
		show := func(n int64) string { return strconv.FormatInt(n, 10) }
		if o.has("h") {
			show = func(n int64) string { return gnuSize(n, 1024) }
		}
		return []string{f.Device, f.Type, show(f.Inodes), show(f.InodesUsed), show(f.Inodes - f.InodesUsed), percent(f.InodesUsed, f.Inodes), f.Mount}
	}
	unit := int64(1024)
	switch {
	case o.has("m"):
		unit = 1 << 20
	case o.value("B", "") == "1":
		unit = 1
	}
	show := func(n int64) string { return strconv.FormatInt((n+unit-1)/unit, 10) }
	switch {
	case o.has("H"):
		show = func(n int64) string { return gnuSize(n, 1000) }
	case o.has("h"):
		show = func(n int64) string { return gnuSize(n, 1024) }
	}
	return []string{f.Device, f.Type, show(f.Size), show(f.Used), show(f.Size - f.Used), percent(f.Used, f.Size), f.Mount}
}

// percent rounds up, as df does.
func percent(part, whole int64) string {
	if whole <= 0 {
		return "-"
	}
	return strconv.FormatInt((part*100+whole-1)/whole, 10) + "%"
}

// gnuSize is a size as df and du print it for people: rounded up, with one
// decimal below ten.
func gnuSize(n int64, base float64) string {
	units := []string{"", "K", "M", "G", "T"}
	v, i := float64(n), 0
	for v >= base && i < len(units)-1 {
		v /= base
		i++
	}
	if tenth := math.Ceil(v*10) / 10; i > 0 && tenth < 10 {
		return fmt.Sprintf("%.1f%s", tenth, units[i])
	}
	return fmt.Sprintf("%.0f%s", math.Ceil(v), units[i])
}

func runDu(p *process) int {
	opts, err := getopt(p.args, "h human-readable", "s summarize", "x one-file-system", "d max-depth=", "c total", "k", "m", "b bytes", "a all", "exclude=")
	if err != nil {
		return p.usage(1, err)
	}
	depth := math.MaxInt
	if opts.has("d") {
		if depth, err = strconv.Atoi(opts.value("d", "")); err != nil || depth < 0 {
			return p.failf(1, "du: invalid maximum depth '%s'", opts.value("d", ""))
		}
	}
	if opts.has("s") {
		depth = 0
	}
	names := opts.operands
	if len(names) == 0 {
		names = []string{"."}
	}
	status, total := 0, int64(0)
	for _, name := range names {
		i, err := p.host.lookAt(p.abs(name))
		if err != nil {
			status = p.failf(1, "du: cannot access '%s': %s", name, systemWords(err))
			continue
		}
		if !i.dir {
			total += max(i.size, 4096)
			p.printf("%s\t%s\n", duSize(max(i.size, 4096), opts), name)
			continue
		}
		for _, f := range p.world.usage(i.name, opts.has("x")) {
			level := strings.Count(strings.TrimPrefix(f.name, strings.TrimSuffix(i.name, "/")), "/")
			if f.name == i.name {
				level, total = 0, total+f.size
			}
			if level > depth {
				continue
			}
			shown := name
			if f.name != i.name {
				shown = path.Join(name, strings.TrimPrefix(f.name, i.name))
			}
			p.printf("%s\t%s\n", duSize(f.size, opts), shown)
		}
	}
	if opts.has("c") {
		p.printf("%s\ttotal\n", duSize(total, opts))
	}
	return status
}

// used is the size of one folder with all that is in it.
type used struct {
	name string
	size int64
}

// usage sums up the folders at and below top, children before their parents.
// Other filesystems below it count unless oneFilesystem is set.
func (w *World) usage(top string, oneFilesystem bool) []used {
	w.lock()
	defer w.unlock()
	sizes := map[string]int64{top: 4096}
	for _, f := range w.filesystems {
		if oneFilesystem && f != w.on(top) {
			continue
		}
		for folder, size := range f.Folders {
			for at := folder; under(at, top); at = path.Dir(at) {
				sizes[at] += size
				if at == top || at == "/" {
					break
				}
			}
		}
	}
	var all []used
	for name, size := range sizes {
		all = append(all, used{name, size})
	}
	slices.SortFunc(all, func(a, b used) int {
		switch {
		case under(a.name, b.name):
			return -1
		case under(b.name, a.name):
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return all
}

func duSize(n int64, o options) string {
	switch {
	case o.has("h"):
		return gnuSize(n, 1024)
	case o.has("b"):
		return strconv.FormatInt(n, 10)
	case o.has("m"):
		return strconv.FormatInt((n+1<<20-1)>>20, 10)
	}
	return strconv.FormatInt((n+1023)/1024, 10)
}

package lab

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

func dockerStats(p *process) int {
	opts, err := getopt(p.args[1:], "no-stream", "a all", "format=", "no-trunc")
	if err != nil {
		return p.dockerUsage(err)
	}
	type row struct{ ID, Container, Name, CPUPerc, MemUsage, MemPerc, NetIO, BlockIO, PIDs string }
	header := row{"CONTAINER ID", "CONTAINER", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"}
	format := opts.value("format", "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}")
	for {
		var rows []row
		for _, name := range opts.operands {
			p.world.lock()
			c := p.world.containerLocked(name)
			p.world.unlock()
			if c == nil {
				return p.failf(1, "%s", noContainer(name))
			}
		}
		p.world.lock()
		for _, c := range p.world.containers {
			asked := slices.ContainsFunc(opts.operands, func(name string) bool { return p.world.containerLocked(name) == c })
			if len(opts.operands) > 0 && !asked || len(opts.operands) == 0 && c.state != stateRunning && !opts.has("a") {
				continue
			}
			r := row{ID: c.id[:12], Container: c.Name, Name: c.Name, CPUPerc: "0.00%", MemUsage: "0B / 0B", MemPerc: "0.00%", NetIO: "0B / 0B", BlockIO: "0B / 0B", PIDs: "0"}
			if c.state == stateRunning {
				cpu := c.CPUPercent
				if c.health == healthUnhealthy {
					cpu = 99.7
				}
				r.CPUPerc = fmt.Sprintf("%.2f%%", cpu)
				r.MemUsage = binarySize(c.MemoryUsed) + " / " + binarySize(p.world.memory.Total)
				r.MemPerc = fmt.Sprintf("%.2f%%", 100*float64(c.MemoryUsed)/float64(p.world.memory.Total))
				r.NetIO, r.BlockIO, r.PIDs = "1.21GB / 874MB", "312MB / 1.1GB", "23"
			}
			rows = append(rows, r)
		}
		p.world.unlock()
		if !p.sleep(p.host.paced(time.Second)) { // two samples, a second apart
			return 143
		}
		if status := formatRows(p, format, header, rows); status != 0 || opts.has("no-stream") || p.gone {
			return status
		}
		if !p.sleep(time.Second) {
			return 143
		}
	}
}

func dockerTop(p *process) int {
	if len(p.args) < 2 {
		return p.failf(1, "\"docker top\" requires at least 1 argument.")
	}
	p.world.lock()
	defer p.world.unlock()
	c := p.world.containerLocked(p.args[1])
	switch {
	case c == nil:
		return p.failf(1, "%s", noContainer(p.args[1]))
	case c.state != stateRunning:
		return p.failf(1, "Error response from daemon: container %s is not running", c.id)
	}
	p.printf("UID    PID    PPID   C   STIME   TTY   TIME       CMD\nroot   %d   %d   0   %s   ?     00:03:12   %s\n",
		c.pid, c.pid-1, c.startedAt.Format("Jan02"), strings.Join(c.Command, " "))
	return 0
}

func dockerPort(p *process) int {
	if len(p.args) < 2 {
		return p.failf(1, "\"docker port\" requires at least 1 argument.")
	}
	p.world.lock()
	defer p.world.unlock()
	c := p.world.containerLocked(p.args[1])
	if c == nil {
		return p.failf(1, "%s", noContainer(p.args[1]))
	}
	for _, port := range c.Ports {
		if outer, inner, ok := strings.Cut(port, "->"); ok && c.state == stateRunning {
			p.printf("%s -> %s\n", inner, outer)
		}
	}
	return 0
}

// imagesSize and friends are what docker system df knows beside the folders.
const (
	imagesSize  = 9_400_000_000
	volumesSize = 3_200_000_000
)

func dockerSystem(p *process) int {
	if len(p.args) < 2 || p.args[1] != "df" && p.args[1] != "info" {
		return p.failf(1, "docker system: only df and info are simulated")
	}
	if p.args[1] == "info" {
		return dockerInfo(p)
	}
	opts, err := getopt(p.args[2:], "v verbose", "format=")
	if err != nil {
		return p.dockerUsage(err)
	}
	p.world.lock()
	images := int64(imagesSize)
	for _, f := range p.world.filesystems {
		for folder, size := range f.Folders {
			if strings.HasSuffix(folder, "/var/lib/docker/overlay2") {
				images = max(images, size)
			}
		}
	}
	active, total := 0, len(p.world.containers)
	for _, c := range p.world.containers {
		if c.state == stateRunning {
			active++
		}
	}
	p.world.unlock()
	type row struct{ Type, TotalCount, Active, Size, Reclaimable string }
	unused := images / 3
	if images > imagesSize {
		unused = images * 4 / 5
	}
	rows := []row{
		{"Images", "23", fmt.Sprint(total), decimalSize(images), fmt.Sprintf("%s (%d%%)", decimalSize(unused), unused*100/images)},
		{"Containers", fmt.Sprint(total), fmt.Sprint(active), "148.2MB", "0B (0%)"},
		{"Local Volumes", "9", "7", decimalSize(volumesSize), "412MB (12%)"},
		{"Build Cache", "41", "0", "1.84GB", "1.84GB"},
	}
	header := row{"TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"}
	return formatRows(p, opts.value("format", "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"), header, rows)
}

func dockerVersion(p *process) int {
	opts, err := getopt(p.args[1:], "f format=")
	if err != nil {
		return p.dockerUsage(err)
	}
	type side struct{ Version, APIVersion, Os, Arch string }
	type versions struct{ Client, Server side }
	v := versions{side{"26.1.5", "1.45", "linux", "amd64"}, side{"26.1.5", "1.45", "linux", "amd64"}}
	return formatRows(p, opts.value("f", "Client:\n Version:           {{.Client.Version}}\n API version:       {{.Client.APIVersion}}\n\nServer:\n Engine:\n  Version:          {{.Server.Version}}\n  API version:      {{.Server.APIVersion}}"), v, []versions{v})
}

func dockerInfo(p *process) int {
	p.world.lock()
	counts := map[string]int{}
	for _, c := range p.world.containers {
		counts[c.state]++
	}
	total, host, memory := len(p.world.containers), p.world.host, p.world.memory.Total
	p.world.unlock()
	p.printf("Client:\n Version:    26.1.5\n\nServer:\n Containers: %d\n  Running: %d\n  Paused: %d\n  Stopped: %d\n Images: 23\n Server Version: 26.1.5\n Storage Driver: overlay2\n Docker Root Dir: /var/lib/docker\n CPUs: 4\n Total Memory: %s\n Name: %s\n",
		total, counts[stateRunning], counts[statePaused], counts[stateExited], binarySize(memory), host)
	return 0
}

func dockerImages(p *process) int {
	opts, err := getopt(p.args[1:], "a all", "q quiet", "format=", "f filter=", "no-trunc", "digests")
	if err != nil {
		return p.dockerUsage(err)
	}
	type row struct{ Repository, Tag, ID, CreatedSince, Size string }
	var rows []row
	p.world.lock()
	for _, c := range p.world.containers {
		name, tag, _ := strings.Cut(c.Image, ":")
		if i := strings.LastIndexByte(c.Image, ':'); i > strings.LastIndexByte(c.Image, '/') {
			name, tag = c.Image[:i], c.Image[i+1:]
		}
		rows = append(rows, row{name, tag, c.id[20:32], ago(p.world.now().Sub(c.created)) + " ago", "412MB"})
	}
	p.world.unlock()
	format := opts.value("format", "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}")
	if opts.has("q") {
		format = "{{.ID}}"
	}
	return formatRows(p, format, row{"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"}, rows)
}

// dockerImagePrune frees what unused images take: what a person may decide when
// a disk is full.
func dockerImagePrune(p *process) int {
	opts, err := getopt(p.args[1:], "a all", "f force", "filter=")
	if err != nil {
		return p.dockerUsage(err)
	}
	if !opts.has("f") {
		p.printf("WARNING! This will remove all dangling images.\nAre you sure you want to continue? [y/N] ")
		return 0
	}
	freed := int64(0)
	if !p.daemon(phase{900 * time.Millisecond, func() {
		for _, f := range p.world.filesystems {
			for folder, size := range f.Folders {
				if strings.HasSuffix(folder, "/var/lib/docker/overlay2") && size > imagesSize {
					freed += size * 4 / 5
					f.Folders[folder] -= size * 4 / 5
					f.Used -= size * 4 / 5
				}
			}
		}
	}}) {
		return 143
	}
	p.printf("Total reclaimed space: %s\n", decimalSize(freed))
	return 0
}

func dockerCompose(p *process) int {
	args := p.args[1:]
	if len(args) == 0 || args[0] != "ps" && args[0] != "ls" && args[0] != "version" {
		return p.failf(1, "docker compose: only ps, ls and version are simulated")
	}
	switch args[0] {
	case "version":
		p.printf("Docker Compose version 2.26.1\n")
		return 0
	case "ls":
		p.printf("NAME   STATUS   CONFIG FILES\n")
		return 0
	}
	return p.failf(14, "no configuration file provided: not found")
}

// decimalSize is a size as docker prints it, in powers of 1000.
func decimalSize(n int64) string {
	return size(float64(n), 1000, []string{"B", "kB", "MB", "GB", "TB"}, "%.4g%s")
}

// binarySize is a size in powers of 1024.
func binarySize(n int64) string {
	return size(float64(n), 1024, []string{"B", "KiB", "MiB", "GiB", "TiB"}, "%.4g%s")
}

func size(n, base float64, units []string, format string) string {
	i := 0
	for n >= base && i < len(units)-1 {
		n /= base
		i++
	}
	return fmt.Sprintf(format, n, units[i])
}

package app

import (
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"lifeline/internal/config"
	"lifeline/shellpolicy"
)

// self is what this process knows about itself: the things that no change may
// touch, because it would end in the middle of it.
type self struct {
	// units are the systemd units that it runs in, and below it the container
	// runtime's if it runs in a container.
	units []string
	// containers are the names and IDs of the container that it runs in.
	containers []string
	// runtime are the units that its container stands on.
	runtime []string
	// names and addresses are those of the machine, lower case.
	names     []string
	addresses []netip.Addr
}

// containerID is a container's ID as it stands in a cgroup's or a mount's path.
var containerID = regexp.MustCompile(`(?:^|[/:-])([0-9a-f]{64})(?:\.scope|/|$)`)

// podmanName is a line of the file that podman puts into its containers.
var podmanName = regexp.MustCompile(`(?m)^(?:name|id)="([^"]+)"`)

// whoAmI finds out what this process is. root is the file system of the
// machine: os.DirFS("/").
func whoAmI(root fs.FS, hostname string, addresses []net.Addr) self {
	read := func(name string) string {
		data, err := fs.ReadFile(root, name)
		if err != nil { // not Linux, or not in a container: nothing is known
			return ""
		}
		return string(data)
	}
	var s self
	cgroups, mounts := read("proc/self/cgroup"), read("proc/self/mountinfo")
	for line := range strings.Lines(cgroups) {
		// ID:CONTROLLERS:PATH, see cgroups(7).
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		_, name, _ := strings.Cut(rest, ":")
		for part := range strings.SplitSeq(name, "/") {
			if strings.HasSuffix(part, ".service") && !slices.Contains(s.units, part) {
				s.units = append(s.units, part)
			}
		}
		for _, m := range containerID.FindAllStringSubmatch(name, -1) {
			s.containers = append(s.containers, m[1])
		}
	}
	// With a cgroup namespace of its own the path says nothing; docker's mounts
	// of /etc/hostname and the like still do.
	for line := range strings.Lines(mounts) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], "/etc/") {
			for _, m := range containerID.FindAllStringSubmatch(path.Dir(fields[3]), -1) {
				s.containers = append(s.containers, m[1])
			}
		}
	}
	for _, m := range podmanName.FindAllStringSubmatch(read("run/.containerenv"), -1) {
		s.containers = append(s.containers, m[1])
	}
	_, err := fs.Stat(root, ".dockerenv")
	if len(s.containers) > 0 || err == nil {
		// The hostname is the beginning of the ID, or what its owner calls it.
		s.containers = append(s.containers, hostname)
		s.runtime = []string{"docker.service", "docker.socket", "containerd.service", "podman.service", "podman.socket", "crio.service", "k3s.service", "kubelet.service"}
	}
	slices.Sort(s.containers)
	s.containers = slices.DeleteFunc(slices.Compact(s.containers), func(c string) bool { return c == "" })
	if hostname = strings.ToLower(hostname); hostname != "" {
		short, _, _ := strings.Cut(hostname, ".")
		s.names = []string{hostname, short}
	}
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			s.addresses = append(s.addresses, prefix.Addr().Unmap())
		}
	}
	return s
}

// thisProcess is whoAmI of this process.
func thisProcess() self {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = ""
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		addresses = nil // then only loopback is known to be this machine
	}
	return whoAmI(os.DirFS("/"), hostname, addresses)
}

// place says whether a configured host is the machine that Lifeline runs on.
type place int

const (
	here place = iota
	perhaps
	elsewhere
)

// where goes by the address alone. A name may lead anywhere, an alias of
// ssh_config too, and from within a container the machine's own address is not
// seen: what cannot be told apart is perhaps here.
func (s self) where(h config.Host) place {
	if h.Local {
		return here
	}
	address := h.Address
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	address = strings.ToLower(strings.TrimSuffix(address, "."))
	if ip, err := netip.ParseAddr(address); err == nil {
		ip = ip.Unmap().WithZone("")
		switch {
		case ip.IsLoopback() || ip.IsUnspecified() || slices.ContainsFunc(s.addresses, func(a netip.Addr) bool { return a.WithZone("") == ip }):
			return here
		case len(s.containers) > 0:
			return perhaps
		}
		return elsewhere
	}
	short, _, _ := strings.Cut(address, ".")
	if address == "localhost" || short != "" && slices.Contains(s.names, short) {
		return here
	}
	return perhaps
}

// protected is what no change on a host may touch, besides what the policy has
// built in: sshd and the network on every host, and whatever is named lifeline.
func (s self) protected(cfg *config.Config, host string) shellpolicy.Protected {
	p := shellpolicy.Protected{Units: slices.Clone(cfg.Protect.Units), Containers: slices.Clone(cfg.Protect.Containers)}
	switch s.where(cfg.Hosts[host]) {
	case here:
		p.Units = append(p.Units, s.runtime...)
		fallthrough
	case perhaps: // its own names cost nothing where there is nothing of that name
		p.Units = append(p.Units, s.units...)
		p.Containers = append(p.Containers, s.containers...)
	}
	return p
}

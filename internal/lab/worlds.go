package lab

// defaultWorld is the world of the host of that name: nexus, which runs
// containers; outpost, which runs units; and a small one for any other.
func defaultWorld(name string) func(*World) {
	switch name {
	case "nexus":
		return nexus
	case "outpost":
		return outpost
	}
	return small
}

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// base is what every host has.
func base(w *World) {
	for _, u := range []UnitSpec{
		{Name: "ssh.service", Description: "OpenBSD Secure Shell server", ExecStart: "/usr/sbin/sshd -D", Identifier: "sshd",
			StartLog: []string{"Server listening on 0.0.0.0 port 22."}},
		{Name: "cron.service", Description: "Regular background program processing daemon", ExecStart: "/usr/sbin/cron -f", Identifier: "cron",
			StartLog: []string{"(CRON) INFO (pidfile fd = 3)"}},
		{Name: dockerUnit, Description: "Docker Application Container Engine", ExecStart: "/usr/sbin/dockerd -H fd://", Identifier: "dockerd",
			StartLog: []string{`level=info msg="Daemon has completed initialization"`}},
	} {
		w.AddUnit(u)
	}
	w.SetFilesystem(Filesystem{Device: "tmpfs", Type: "tmpfs", Mount: "/run", Size: 1638 * mib, Used: 3 * mib, Inodes: 2_038_000, InodesUsed: 912})
	w.lock()
	defer w.unlock()
	for _, text := range []string{"Linux version 6.12.48+deb13-amd64 (debian-kernel@lists.debian.org)", "EXT4-fs (sda2): mounted filesystem with ordered data mode.",
		"IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready"} {
		w.kernel = append(w.kernel, LogLine{At: w.booted, Text: text})
	}
}

// root is the root filesystem of a host whose containers take docker bytes.
func root(size, docker int64, more map[string]int64) Filesystem {
	f := Filesystem{Device: "/dev/sda2", Type: "ext4", Mount: "/", Size: size, Inodes: 7_864_320, InodesUsed: 412_233,
		Folders: map[string]int64{
			"/usr": 3241 * mib, "/boot": 212 * mib, "/var/cache/apt": 318 * mib, journalFolder: 904 * mib,
			"/var/lib/docker/overlay2": docker, "/var/lib/docker/volumes": 3052 * mib, "/var/backups": 64 * mib,
		}}
	for folder, size := range more {
		f.Folders[folder] = size
	}
	for _, size := range f.Folders {
		f.Used += size
	}
	return f
}

func nexus(w *World) {
	base(w)
	w.SetFilesystem(root(118*gib, imagesSize, map[string]int64{"/home/media": 21 * gib, "/opt/backup": 6 * gib}))
	w.SetFilesystem(Filesystem{Device: "/dev/sdb1", Type: "xfs", Mount: "/data", Size: 1862 * gib, Used: 1104 * gib, Inodes: 976_000_000, InodesUsed: 184_120,
		Folders: map[string]int64{"/data/recordings": 902 * gib, "/data/photos": 202 * gib}})
	for _, c := range []ContainerSpec{
		{Name: "scrypted", Image: "ghcr.io/koush/scrypted:v0.139.0-noble-full", Command: []string{"npm", "--prefix", "/server", "exec", "scrypted-serve"},
			Ports: []string{"0.0.0.0:10443->10443/tcp", "0.0.0.0:11080->11080/tcp"}, Env: []string{"TZ=UTC", "SCRYPTED_INSTALL_ENVIRONMENT=docker"},
			Binds: []string{"/opt/scrypted:/server/volume:rw", "/data/recordings:/recordings:rw"}, RestartPolicy: "unless-stopped",
			StartLog: []string{"Scrypted Server (Local) : https://localhost:10443/", "plugins loaded: 14", "rebroadcast: 6 cameras connected"}, MemoryUsed: 731 * mib, CPUPercent: 11.4},
		{Name: "homeassistant", Image: "ghcr.io/home-assistant/home-assistant:2026.11", Command: []string{"/init"}, Binds: []string{"/opt/homeassistant:/config:rw"},
			RestartPolicy: "unless-stopped", Healthcheck: true, StartLog: []string{"INFO (MainThread) [homeassistant.core] Starting Home Assistant"}, MemoryUsed: 612 * mib, CPUPercent: 2.3},
		{Name: "mosquitto", Image: "eclipse-mosquitto:2.0", Command: []string{"/usr/sbin/mosquitto", "-c", "/mosquitto/config/mosquitto.conf"}, Ports: []string{"0.0.0.0:1883->1883/tcp"},
			RestartPolicy: "unless-stopped", StartLog: []string{"mosquitto version 2.0.22 running", "Opening ipv4 listen socket on port 1883."}, MemoryUsed: 9 * mib, CPUPercent: 0.1},
		{Name: "postgres", Image: "postgres:17", Command: []string{"postgres"}, Env: []string{"POSTGRES_USER=home", "POSTGRES_PASSWORD=made-up-for-the-lab"},
			Binds: []string{"/opt/postgres:/var/lib/postgresql/data:rw"}, RestartPolicy: "unless-stopped", Healthcheck: true,
			StartLog: []string{"LOG:  database system is ready to accept connections"}, MemoryUsed: 184 * mib, CPUPercent: 0.7},
		{Name: "traefik", Image: "traefik:v3.5", Command: []string{"traefik", "--providers.docker"}, Ports: []string{"0.0.0.0:80->80/tcp", "0.0.0.0:443->443/tcp"},
			RestartPolicy: "always", StartLog: []string{"INF Starting provider *docker.Provider"}, MemoryUsed: 71 * mib, CPUPercent: 0.4},
	} {
		w.AddContainer(c)
	}
}

func outpost(w *World) {
	base(w)
	w.SetFilesystem(root(58*gib, imagesSize, map[string]int64{"/var/www": 2 * gib, "/home/deploy": gib}))
	w.SetFilesystem(Filesystem{Device: "/dev/sdb1", Type: "ext4", Mount: "/srv", Size: 196 * gib, Used: 81 * gib, Inodes: 13_107_200, InodesUsed: 61_220,
		Folders: map[string]int64{"/srv/backup": 72 * gib, "/srv/git": 9 * gib}})
	for _, u := range []UnitSpec{
		{Name: "nginx.service", Description: "A high performance web server and a reverse proxy server", ExecStart: "/usr/sbin/nginx -g daemon off;", Identifier: "nginx",
			StartLog: []string{"using the \"epoll\" event method", "start worker processes"}},
		{Name: "postgresql.service", Description: "PostgreSQL RDBMS", ExecStart: "/usr/lib/postgresql/17/bin/postgres -D /var/lib/postgresql/17/main", Identifier: "postgres",
			StartLog: []string{"LOG:  database system is ready to accept connections"}},
		{Name: "backup.service", Description: "Nightly backup", ExecStart: "/usr/bin/restic backup /srv", Identifier: "restic", Oneshot: true,
			StartLog: []string{"snapshot 41ac09e1 saved"}},
	} {
		w.AddUnit(u)
	}
	w.AddContainer(ContainerSpec{Name: "uptime-kuma", Image: "louislam/uptime-kuma:2", Command: []string{"node", "server/server.js"}, Ports: []string{"127.0.0.1:3001->3001/tcp"},
		RestartPolicy: "unless-stopped", Healthcheck: true, StartLog: []string{"[SERVER] INFO: Listening on 3001"}, MemoryUsed: 142 * mib, CPUPercent: 0.9})
}

// small is the world of a host without a name of its own.
func small(w *World) {
	base(w)
	w.SetFilesystem(root(38*gib, imagesSize, nil))
	w.AddUnit(UnitSpec{Name: "nginx.service", Description: "A high performance web server and a reverse proxy server", ExecStart: "/usr/sbin/nginx -g daemon off;", Identifier: "nginx"})
	w.AddContainer(ContainerSpec{Name: "web", Image: "caddy:2", Command: []string{"caddy", "run"}, Ports: []string{"0.0.0.0:8080->80/tcp"}, RestartPolicy: "unless-stopped",
		StartLog: []string{`{"level":"info","msg":"serving initial configuration"}`}, MemoryUsed: 24 * mib, CPUPercent: 0.1})
}

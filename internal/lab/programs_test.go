package lab

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPrograms(t *testing.T) {
	ok := func(out string) said { return said{Stdout: out} }
	tests := []struct {
		host, script string
		want         said
	}{
		// The shell.
		{"nexus", `exec /usr/bin/env LC_ALL=C PATH=/usr/bin:/bin /bin/sh -c 'echo "$LC_ALL $HOME $(pwd)"'`, ok("C /home/lifeline /home/lifeline\n")},
		{"nexus", `exec /bin/sh -c 'echo "$0 $1"' name first`, ok("name first\n")},
		{"nexus", `for i in 1 2 3; do echo $i; done | tail -n 1 && ! false || echo no`, ok("3\n")},
		{"nexus", `if docker inspect nosuch >/dev/null 2>&1; then echo yes; else echo no $?; fi`, ok("no 1\n")},
		{"nexus", `x=$(hostname); echo "on $x"; exit 3`, said{Stdout: "on nexus\n", Status: 3}},
		{"nexus", `echo one > /tmp/f; echo two >> /tmp/f; cat /tmp/f; wc -l < /tmp/f`, ok("one\ntwo\n2\n")},
		{"nexus", `echo x > /etc/motd`, said{Stderr: "open /etc/motd: permission denied\n", Status: 1}},
		{"nexus", `cd /var/log && ls; cd /nowhere`, said{Stdout: "journal\nsyslog\n", Stderr: "cd: no such file or directory: \"/nowhere\"\n", Status: 1}},
		{"nexus", `echo ~ ~root ~nobody $UID; echo /etc/h*`, ok("/home/lifeline /root /home/nobody 1001\n/etc/hostname /etc/hosts\n")},
		{"nexus", `echo 'unclosed`, said{Stderr: "/bin/sh: Syntax error: 1:6: reached EOF without closing quote `'`\n", Status: 2}},
		{"nexus", `rm -rf /`, said{Stderr: "/bin/sh: 1: rm: not found\n", Status: 127}},
		{"nexus", `/tmp/evil/ls; /usr/bin/hostname`, said{Stdout: "nexus\n", Stderr: "/bin/sh: 1: /tmp/evil/ls: not found\n"}},
		{"nexus", `command -v docker nosuch; command . /etc/passwd`, said{Stdout: "/usr/bin/docker\n", Stderr: "/bin/sh: 1: no-such-builtin:.: not found\n", Status: 127}},
		{"nexus", `test -O /etc/hostname || test -d /data && [ -f /etc/hosts ]`, said{}},
		{"nexus", `timeout 0.01 sleep 60; echo $?`, ok("124\n")},
		{"nexus", `sudo -n whoami; sudo cat /etc/shadow; cat /etc/shadow`, said{Stdout: "root\nroot:!:20000:0:99999:7:::\n", Stderr: "cat: /etc/shadow: Permission denied\n", Status: 1}},

		// Text.
		{"nexus", `printf 'b 2\na 10\nb 1\n' | sort -k 2 -n`, ok("b 1\nb 2\na 10\n")},
		{"nexus", `printf '%s\n' 512K 1.5G 20M 3G | sort -rh | head -n 2`, ok("3G\n1.5G\n")},
		{"nexus", `printf 'x\ny\nx\n' | sort | uniq -c`, ok("      2 x\n      1 y\n")},
		{"nexus", `printf 'Error: a\nfine\nERROR b\n' | grep -ci error`, ok("2\n")},
		{"nexus", `printf 'running\n' | grep -qx running && echo well`, ok("well\n")},
		{"nexus", `printf 'restarting\n' | grep -qx running`, said{Status: 1}},
		{"nexus", `printf 'a\nb\nc\nd\n' | grep -n -A 1 b`, ok("2:b\nc\n")},
		{"nexus", `printf 'aa\nab\n' | grep 'a\{2\}'; grep x /nowhere`, said{Stdout: "aa\n", Stderr: "grep: /nowhere: No such file or directory\n", Status: 2}},
		{"nexus", `printf '1\n2\n3\n' | tail -n +2; printf '1\n2\n' | head -1; printf 'a:b' | cut -d : -f 2 | tr a-z A-Z`, ok("2\n3\n1\nB\n")},

		// Docker.
		{"nexus", `docker ps --format '{{.Names}}: {{.Status}}' --filter name=post`, ok("postgres: Up 12 days (healthy)\n")},
		{"nexus", `docker ps -aq | wc -l`, ok("5\n")},
		{"nexus", `docker inspect --format '{{.State.Status}} {{.RestartCount}} {{.HostConfig.RestartPolicy.Name}}' scrypted`, ok("running 0 unless-stopped\n")},
		{"nexus", `docker inspect -f '{{.State.Health.Status}}' scrypted`, said{Status: 1,
			Stderr: "template parsing error: template: :1:8: executing \"\" at <.State.Health.Status>: map has no entry for key \"Health\"\n"}},
		{"nexus", `docker inspect nosuch`, said{Stdout: "[]\n", Stderr: "Error: No such object: nosuch\n", Status: 1}},
		{"nexus", `docker inspect --type container nosuch`, said{Stdout: "[]\n", Stderr: "Error: No such container: nosuch\n", Status: 1}},
		{"nexus", `docker logs --tail 1 scrypted`, ok("rebroadcast: 6 cameras connected\n")},
		{"nexus", `docker logs nosuch`, said{Stderr: "Error response from daemon: No such container: nosuch\n", Status: 1}},
		{"nexus", `docker stop mosquitto; docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' mosquitto; docker start mosquitto; docker inspect -f '{{.State.Status}}' mosquitto`,
			ok("mosquitto\nexited 143\nmosquitto\nrunning\n")},
		{"nexus", `docker pause traefik; docker start traefik; docker unpause traefik`, said{Stdout: "traefik\ntraefik\n",
			Stderr: "Error response from daemon: cannot start a paused container, try unpause instead\nError: failed to start containers: traefik\n"}},
		{"nexus", `docker port scrypted; docker top scrypted | tail -1 | grep -o scrypted-serve`, ok("10443/tcp -> 0.0.0.0:10443\n11080/tcp -> 0.0.0.0:11080\nscrypted-serve\n")},
		{"nexus", `docker stats --no-stream --format '{{.Name}} {{.MemUsage}}' scrypted`, ok("scrypted 731MiB / 16GiB\n")},
		{"nexus", `docker system df --format '{{.Type}}: {{.Size}}' | head -n 1`, ok("Images: 9.4GB\n")},
		{"nexus", `docker exec scrypted sh`, said{Stderr: "docker: 'exec' is not a docker command.\nSee 'docker --help'\n", Status: 1}},
		{"nexus", `docker restart --bogus scrypted`, said{Stderr: "unknown flag: --bogus\nSee 'docker restart --help'.\n", Status: 125}},
		{"nexus", `docker version --format '{{.Server.Version}}'`, ok("26.1.5\n")},

		// systemd.
		{"outpost", `systemctl is-active nginx ssh.service`, ok("active\nactive\n")},
		{"outpost", `systemctl is-active --quiet nginx && echo up`, ok("up\n")},
		{"outpost", `systemctl is-active nosuch; systemctl status nosuch`, said{Stdout: "inactive\n", Stderr: "Unit nosuch.service could not be found.\n", Status: 4}},
		{"outpost", `systemctl restart nosuch`, said{Stderr: "Failed to restart nosuch.service: Unit nosuch.service not found.\n", Status: 5}},
		{"outpost", `systemctl show --property=LoadState,ActiveState,SubState nginx; systemctl show -p LoadState --value nosuch`,
			ok("LoadState=loaded\nActiveState=active\nSubState=running\nnot-found\n")},
		{"outpost", `systemctl stop nginx; systemctl is-active nginx; systemctl start nginx; systemctl is-active nginx`, ok("inactive\nactive\n")},
		{"outpost", `systemctl reload nginx; journalctl -u nginx -n 1 -o cat`, ok("Reloaded nginx.service - A high performance web server and a reverse proxy server.\n")},
		{"outpost", `systemctl list-units --failed --no-legend; systemctl is-system-running`, ok("running\n")},
		{"outpost", `systemctl frobnicate`, said{Stderr: "Unknown command verb 'frobnicate'.\n", Status: 1}},
		{"outpost", `systemctl is-enabled nginx; systemctl is-failed nginx; systemctl cat cron | grep ExecStart`, ok("enabled\nactive\nExecStart=/usr/sbin/cron -f\n")},
		{"outpost", `journalctl --unit nginx --lines 1 --no-pager`, ok("Oct 14 04:48:09 outpost systemd[1]: Started nginx.service - A high performance web server and a reverse proxy server.\n")},
		{"outpost", `journalctl -u nosuch; journalctl --disk-usage`, ok("-- No entries --\nArchived and active journals take up 904.0M in the file system.\n")},
		{"outpost", `journalctl --vacuum-size=100M`, said{Stderr: "Failed to vacuum /var/log/journal: Permission denied\n", Status: 1}},
		{"outpost", `sudo journalctl --vacuum-size=100M; journalctl --disk-usage`, said{Stdout: "Archived and active journals take up 100.0M in the file system.\n",
			Stderr: "Vacuuming done, freed 804.0M of archived journals from /var/log/journal.\n"}},
		{"outpost", `journalctl -k -n 1 -o cat; journalctl -p err --since '1 hour ago' -q`, ok("IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready\n")},
		{"outpost", `journalctl -S nonsense`, said{Stderr: "Failed to parse timestamp: nonsense\n", Status: 1}},
		{"outpost", `dmesg`, said{Stderr: "dmesg: read kernel buffer failed: Operation not permitted\n", Status: 1}},
		{"outpost", `sudo dmesg -T | tail -1`, ok("[Wed Oct 14 04:48:00 2026] IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready\n")},

		// The machine.
		{"nexus", `df -h / /nowhere`, said{Stdout: "Filesystem Size Used Avail Use% Mounted on\n/dev/sda2  118G  44G   75G  37% /\n", Stderr: "df: /nowhere: No such file or directory\n", Status: 1}},
		{"nexus", `df -i /data | tail -1; df --output=pcent,target /data/photos | tail -1`, ok("/dev/sdb1  976000000 184120 975815880    1% /data\n 60% /data\n")},
		{"nexus", `du -xh -d 1 /var | sort -rh; du -sh /data`, ok("13G\t/var\n12G\t/var/lib\n904M\t/var/log\n318M\t/var/cache\n64M\t/var/backups\n1.1T\t/data\n")},
		{"nexus", `free -m | head -2`, ok("              total        used        free      shared  buff/cache   available\nMem:          16384        5461        3754          48        7168       10922\n")},
		{"nexus", `uptime; uptime -p`, ok(" 12:00:00 up 41 days,  7:12,  1 user,  load average: 0.42, 0.51, 0.48\nup 41 days, 7 hours, 12 minutes\n")},
		{"nexus", `ps -eo comm,%mem --sort=-%mem --no-headers | head -n 1; ps -C nosuch -o pid --no-headers`, said{Stdout: "npm      4.5\n", Status: 1}},
		{"nexus", `ss -tln | grep -c LISTEN; id -un; uname -sr; date -u +%F; hostname -I`, ok("6\nlifeline\nLinux 6.12.48+deb13-amd64\n2026-11-24\n10.0.0.7 172.17.0.1\n")},
		{"nexus", `cat /etc/os-release | grep ^ID; cat /proc/loadavg | cut -d ' ' -f 1; nproc`, ok("ID=debian\n0.42\n4\n")},
		{"nexus", `/usr/bin/env -i A=1 B=2 env; env -u HOME printenv HOME; printenv USER`, ok("A=1\nB=2\nlifeline\n")},
		{"nexus", `nice -n 10 /bin/echo -n x; /usr/bin/printf '%s=%d\n' a 1 b 2; echo 'echo "$1"' | sh -s arg; /usr/bin/test -d /tmp && /usr/bin/[ a = a ] && echo yes`,
			ok("xa=1\nb=2\narg\nyes\n")},
		{"nexus", `echo 'echo $0 $1' > /tmp/s; sh /tmp/s one; sh -e -c 'false; echo no'; sh /nowhere`, said{Stdout: "/tmp/s one\n", Stderr: "sh: 0: cannot open /nowhere: No such file\n", Status: 2}},
		{"nexus", `date -u -Iseconds; date -d yesterday +%F; date -s now`, said{Stdout: "2026-11-24T12:00:00+00:00\n2026-11-23\n", Stderr: "date: cannot set date: Operation not permitted\n", Status: 1}},
		{"nexus", `docker inspect --format '{{.Name}} {{.Config.Image}} {{.RestartCount}} {{json .State}}' traefik | cut -d '"' -f 1-4`, ok("/traefik traefik:v3.5 0 {\"Status\":\"running\n")},
		{"nexus", `docker images --format '{{.Repository}}:{{.Tag}}' | head -n 1; docker info | grep -c Running; docker compose ps`,
			said{Stdout: "ghcr.io/koush/scrypted:v0.139.0-noble-full\n1\n", Stderr: "no configuration file provided: not found\n", Status: 14}},
		{"nexus", `docker ps -a --filter status=exited -q; docker kill mosquitto; docker ps -a --filter exited=137 --format '{{.Names}} {{.State}}'`, ok("mosquitto\nmosquitto exited\n")},
		{"nexus", `docker logs --since 13d --until 1h -t mosquitto | wc -l; docker logs --since 1h mosquitto`, ok("2\n")},
		{"nexus", `df -P / | tail -1; df -m --output=size,avail /; df -x tmpfs -x xfs | wc -l`, ok("/dev/sda2    123731968 45469224  78262745      37% /\n1M-blocks Available\n   120832     76429\n2\n")},
		{"nexus", `du -s -k /var/log; du -b /etc/hostname; du -c -m /boot /usr | tail -1; du /nowhere`, said{Stdout: "925700\t/var/log\n4096\t/etc/hostname\n3454\ttotal\n", Stderr: "du: cannot access '/nowhere': No such file or directory\n", Status: 1}},
		{"nexus", `free -h | tail -1; free -gt | tail -1`, ok("Swap:         2.0Gi      64.0Mi       1.9Gi\nTotal:           18           5           5\n")},
		{"nexus", `ps aux | head -n 1 | tr -s ' '; ps -ef | grep -c dockerd; ps -o bogus`, said{Stdout: "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND\n1\n", Stderr: "error: unknown user-defined format specifier \"bogus\"\n", Status: 1}},
		{"nexus", `id; id -Gn; id -u root; id nosuch`, said{Stdout: "uid=1001(lifeline) gid=1001(lifeline) groups=1001(lifeline),4(adm),998(docker)\nlifeline adm docker\n0\n", Stderr: "id: 'nosuch': no such user\n", Status: 1}},
		{"nexus", `hostname -f; hostname other; uname -m; cat -n /etc/hostname; head --bogus`, said{Stdout: "nexus.example.net\nx86_64\n     1\tnexus\n",
			Stderr: "hostname: you must be root to change the host name\nhead: unknown flag: --bogus\nTry 'head --help' for more information.\n", Status: 1}},
		{"outpost", `systemctl list-units --type=service --plain --no-legend 'ng*'; systemctl list-unit-files --no-legend cron; systemctl reset-failed nosuch`,
			said{Stdout: "nginx.service                loaded active   running  A high performance web server and a reverse proxy server\ncron.service                 enabled         enabled\n",
				Stderr: "Failed to reset failed state of unit nosuch.service: Unit nosuch.service not loaded.\n", Status: 1}},
		{"outpost", `systemctl show -p ActiveState,Result backup; systemctl try-restart backup; systemctl reload backup`,
			said{Stdout: "Result=success\nActiveState=inactive\n", Stderr: "Failed to reload backup.service: Unit cannot be reloaded because it is inactive.\n", Status: 1}},
		{"outpost", `journalctl -u nginx -n 1 -o short-iso; journalctl -t nginx -o cat -r | head -n 1; journalctl -g 'snapshot' -o cat; journalctl -u nginx -o nonsense`,
			said{Stdout: "2026-10-14T04:48:09+00:00 outpost systemd[1]: Started nginx.service - A high performance web server and a reverse proxy server.\nstart worker processes\nsnapshot 41ac09e1 saved\n",
				Stderr: "Unknown output format 'nonsense'.\n", Status: 1}},
		{"elsewhere", `docker ps --format '{{.Names}}'; systemctl is-active nginx`, ok("web\nactive\n")},
	}
	for _, tt := range tests {
		t.Run(tt.script, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, run(t.Context(), quick(t, tt.host), tt.script)); diff != "" {
				t.Errorf("on %s (-want +got):\n%s", tt.host, diff)
			}
		})
	}
}

// Whatever a script does, it sees the host and not the machine of the test.
func TestScriptsSeeNothingOfThisMachine(t *testing.T) {
	h := quick(t, "nexus")
	for _, script := range []string{
		`cat lab_test.go`, `cat ./go.mod ../../go.mod`, `ls /proc/self`, `. ./lab_test.go`, `source /etc/profile`, `cat /proc/cpuinfo`,
		`builtin source /etc/profile`, `exec ./lab_test.go`, `cat < lab_test.go`, `cd internal`, `test -e lab_test.go`, `ls *.go`, `pushd /tmp`,
	} {
		if got := run(t.Context(), h, script); got.Status == 0 || strings.Contains(got.Stdout, "package lab") {
			t.Errorf("%s: %+v", script, got)
		}
	}
	for _, script := range []string{`pwd -P`, `pwd`} {
		if diff := cmp.Diff(said{Stdout: "/home/lifeline\n"}, run(t.Context(), h, script)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", script, diff)
		}
	}
}

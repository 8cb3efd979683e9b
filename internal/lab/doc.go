// Package lab simulates hosts behind the real SSH protocol: a shell with its
// own docker, systemctl, journalctl, df and so on, over a small world of
// containers, units, filesystems and logs that can be broken in named ways. It
// needs nothing but the binary: the demo, stories and evaluations run in it.
//
//	nexus := lab.NewHost("nexus", lab.Options{})
//	l, err := lab.Start(ctx, nexus)
//	defer l.Close()
//	err = nexus.Break("container-exited", "scrypted")
//	... connect to nexus.Address() as nexus.User() with nexus.WriteIdentity(file) ...
//	nexus.World().Running("scrypted")
//
// Guaranteed: no process is started, and no file of this machine is read or
// written, whatever a script says; a program that is not simulated is "not
// found", exit status 127. A signal ends the running script promptly. What a
// daemon was told to do (docker, systemd) it finishes even if the client that
// told it is gone, as the real ones do.
//
// Not promised: that outputs equal the real tools' to the letter. They have the
// columns, the exit statuses and the main error texts that scripts and models
// rely on. The shell reads POSIX sh; it traps no signals, and its background
// jobs end with the script. The account may do what docker's group and a polkit
// rule for units allow, and sudo without a password. Pipes between programs are
// pipes of the operating system, so scripts with pipes do not work in synctest
// bubbles.
package lab

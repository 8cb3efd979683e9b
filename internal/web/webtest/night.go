package webtest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"lifeline"
)

// Incidents and questions of Night.
const (
	Asking   = "inc_asking"   // waits for an answer to Question
	Acting   = "inc_acting"   // a command runs
	Handed   = "inc_handed"   // with a person, its alert fires
	Over     = "inc_over"     // with a person, its alert is over
	Repaired = "inc_repaired" // by itself
	Hostile  = "inc_hostile"  // every text in it is from somebody who means harm
	Question = "apr_scrypted"
)

// Evil is a text of somebody who means harm: what a page must show and never
// obey.
const Evil = `"><script>document.title='owned'</script><img src=x onerror=alert(1)>` + "\x1b[31m\u202egpj\x00" + `' onfocus=alert(1) x='` + " {{.}} javascript:alert(1)"

// Night is a service in the middle of a night: incidents in every state, a host
// in trouble, a question that waits.
func Night(now time.Time) *Service {
	s := &Service{}
	for _, id := range []string{Repaired, Over, Handed, Acting, Asking, Hostile} {
		n := &night{s: s, c: &lifeline.CaseFile{}, at: now}
		s.cases = append(s.cases, n.c)
		map[string]func(*night){Asking: asking, Acting: acting, Handed: handed, Over: over, Repaired: repaired, Hostile: hostile}[id](n)
	}
	s.hosts = hosts(now)
	s.status = lifeline.Status{
		Incidents:        map[lifeline.State]int{lifeline.StateAwaitingApproval: 1, lifeline.StateActing: 1, lifeline.StateInvestigating: 1, lifeline.StateEscalated: 2, lifeline.StateResolved: 1},
		ApprovalsWaiting: 1, ChangesDay: lifeline.Used{Used: 3, Most: 50},
		ModelsDay:     lifeline.Spent{Answers: 9, Input: 21_400, Output: 3_120, CacheRead: 64_000, MicroUSD: 84_000},
		Notifications: map[string]lifeline.NotificationCount{"phone": {Waiting: 1}},
		Maintenance:   []lifeline.Maintenance{{ID: "mnt_1", Scope: lifeline.MaintenanceScope{Host: "vault"}, Until: now.Add(2 * time.Hour), Reason: "new disks"}},
	}
	for _, h := range s.hosts {
		s.status.Hosts = append(s.status.Hosts, lifeline.HostStatus{Name: h.Name, Mode: h.Mode, ChangesHour: lifeline.Used{Used: h.ChangesHour, Most: h.ChangesMost}})
	}
	s.figures = lifeline.Statistics{Incidents: map[lifeline.State]int{lifeline.StateResolved: 41, lifeline.StateEscalated: 5, lifeline.StateSuperseded: 7, lifeline.StateActing: 1},
		Alone: 36, RepairMedian: 48 * time.Second, RepairSlowest: 11 * time.Minute, Spent: lifeline.Spent{Answers: 212, Input: 480_000, Output: 61_000, MicroUSD: 1_940_000},
		Causes: []lifeline.Cause{{AlertName: "ContainerDown", Target: target("nexus", lifeline.TargetContainer, "scrypted"), Incidents: 17},
			{AlertName: "DiskFull", Target: target("vault", lifeline.TargetFilesystem, "/srv"), Incidents: 6}}}
	s.audit = lifeline.AuditView{OK: true, Events: int64(len(s.events)), Head: fmt.Sprintf("%d:%s", len(s.events), strings.Repeat("5ea1", 16)), CheckedAt: now.Add(-20 * time.Second)}
	return s
}

// night writes one case. at is the time of what comes next.
type night struct {
	s  *Service
	c  *lifeline.CaseFile
	at time.Time
}

func target(host string, kind lifeline.TargetKind, name string) lifeline.Target {
	return lifeline.Target{Host: host, Kind: kind, Name: name}
}

// open begins the case: ago is how long ago it was opened.
func (n *night) open(id, alert, severity, summary string, t lifeline.Target, ago time.Duration) {
	n.at = n.at.Add(-ago)
	n.c.Incident = lifeline.Incident{ID: id, Key: alert + "|" + t.Host + "|" + t.Name, AlertName: alert, Severity: severity, Summary: summary, Target: t,
		State: lifeline.StateOpen, Alerts: 1, AlertFiring: true, OpenedAt: n.at, UpdatedAt: n.at}
	n.c.Alerts = []lifeline.Alert{{Source: "alertmanager", Status: lifeline.AlertFiring, Name: alert, StartsAt: n.at.Add(-time.Second),
		Labels: map[string]string{"alertname": alert, "host": t.Host}, Annotations: map[string]string{"summary": summary}}}
	n.event(lifeline.EventAlertReceived, "alertmanager", "firing: "+summary, nil)
	n.event(lifeline.EventIncidentOpened, "triage", alert+": "+t.String(), n.c.Incident)
}

func (n *night) event(kind lifeline.EventKind, actor, text string, data any) {
	e := lifeline.Event{IncidentID: n.c.Incident.ID, At: n.at, Kind: kind, Actor: actor, Text: text}
	if data != nil {
		raw, err := json.Marshal(data)
		if err != nil {
			panic(fmt.Sprintf("webtest: a case is not JSON: %v", err))
		}
		e.Data = raw
	}
	n.s.Append(e)
}

func (n *night) after(d time.Duration) { n.at = n.at.Add(d) }

func (n *night) move(to lifeline.State, reason string) {
	from := n.c.Incident.State
	n.c.Incident.State, n.c.Incident.Reason, n.c.Incident.UpdatedAt = to, reason, n.at
	n.event(lifeline.EventStateChanged, "respond", fmt.Sprintf("%s → %s: %s", from, to, reason), map[string]any{"from": from, "to": to, "reason": reason})
}

// says is an answer of a model.
func (n *night) says(words string, calls ...string) {
	n.event(lifeline.EventModelAsked, "model:claude-haiku-5-5", "asks claude-haiku-5-5", map[string]any{"turn": 1})
	n.after(1800 * time.Millisecond)
	text := words
	if len(calls) > 0 {
		text += " → " + strings.Join(calls, ", ")
	}
	usd := int64(9_200)
	n.c.Usage = append(n.c.Usage, lifeline.Usage{IncidentID: n.c.Incident.ID, Attempt: 1, Model: "claude-haiku-5-5", At: n.at, Input: 2_410, Output: 350, CacheRead: 7_000, MicroUSD: &usd})
	n.event(lifeline.EventModelAnswered, "model:claude-haiku-5-5", text, map[string]any{"turn": 1, "text": words, "calls": calls})
}

// run is a command: begun now, with its times and its end.
type run struct {
	text, class, decision, rule, reason, purpose, out string
	exit                                              int
	queue, connect, takes                             time.Duration
	opened, going                                     bool
}

// together runs commands at the same time.
func (n *night) together(runs ...run) {
	first, last := len(n.c.Commands), n.at
	for i, r := range runs {
		c := lifeline.Command{Canonical: r.text, Class: r.class, Decision: r.decision, Rule: r.rule, Reason: r.reason, IntentAt: n.at.Add(time.Duration(i) * 3 * time.Millisecond)}
		c.ID = fmt.Sprintf("%s.c%d", n.c.Incident.ID, first+i)
		c.IncidentID, c.Host, c.Command, c.Actor, c.Purpose = n.c.Incident.ID, n.c.Incident.Target.Host, r.text, "model:claude-haiku-5-5", r.purpose
		n.c.Commands = append(n.c.Commands, c)
		n.event(lifeline.EventCommandStarted, c.Actor, c.Host+": "+c.Canonical, c)
	}
	for i, r := range runs {
		c := &n.c.Commands[first+i]
		if c.Class != "read" {
			n.c.Incident.Changes++
		}
		if r.going {
			continue
		}
		exit := r.exit
		c.Outcome, c.ExitStatus, c.Queue, c.Connect, c.Run, c.Reused = lifeline.OutcomeExited, &exit, r.queue, r.connect, r.takes, !r.opened
		c.FinishedAt = c.IntentAt.Add(r.queue + r.connect + r.takes)
		began := n.at
		n.at = c.FinishedAt
		n.event(lifeline.EventCommandFinished, c.Actor, fmt.Sprintf("%s: %s: exited %d in %s", c.Host, c.Canonical, exit, r.takes), c)
		c.Stdout = []byte(r.out)
		if n.at.After(last) {
			last = n.at
		}
		n.at = began
	}
	n.at = last
}

func read(text, out string, takes time.Duration) run {
	return run{text: text, class: "read", decision: "allow", rule: "catalogue", reason: "it changes nothing", out: out, takes: takes}
}

// ask has the policy ask a person.
func (n *night) ask(id, command, purpose string, valid time.Duration) {
	a := lifeline.Approval{ID: id, Canonical: command, Class: "change", Rule: "docker restart", Reason: "it restarts a container, and this host is in mode suggest",
		State: lifeline.ApprovalPending, CreatedAt: n.at, ExpiresAt: n.at.Add(valid)}
	a.Request = lifeline.CommandRequest{ID: n.c.Incident.ID + ".ask", IncidentID: n.c.Incident.ID, Host: n.c.Incident.Target.Host, Command: command,
		Actor: "model:claude-haiku-5-5", Purpose: purpose}
	n.c.Approvals = append(n.c.Approvals, a)
	n.event(lifeline.EventApprovalRequested, "guard", a.Request.Host+": may this run? "+command, a)
}

// look is the first look at a container that is down: several commands at once.
func look(n *night, name string) {
	n.move(lifeline.StateInvestigating, "attempt 1 begins")
	n.after(200 * time.Millisecond)
	n.says("The container "+name+" is reported down. I look at its state, its log and the room on the disk at the same time.", "check_service_status", "gather_logs", "run_command", "run_command")
	first := read("docker inspect --format '{{.State.Status}} {{.State.ExitCode}}' "+name, "exited 137\n", 310*time.Millisecond)
	first.opened, first.connect = true, 240*time.Millisecond
	logs := read("docker logs --tail 100 "+name, strings.Repeat("[rtsp] frame dropped, buffer full\n", 12)+"fatal: out of memory, killed\n", 620*time.Millisecond)
	logs.queue = 240 * time.Millisecond
	disk := read("df -h /var/lib/docker", "Filesystem      Size  Used Avail Use% Mounted on\n/dev/nvme0n1p2  234G   81G  142G  37% /\n", 90*time.Millisecond)
	disk.queue = 240 * time.Millisecond
	memory := read("free -m", "               total        used        free\nMem:           15898        6120        9212\n", 70*time.Millisecond)
	memory.queue = 330 * time.Millisecond
	n.together(first, logs, disk, memory)
}

func asking(n *night) {
	n.open(Asking, "ContainerDown", "critical", "the container scrypted on nexus is not running", target("nexus", lifeline.TargetContainer, "scrypted"), 95*time.Second)
	look(n, "scrypted")
	n.says("It was killed for lack of memory, and 9 GB are free now: starting it again should bring it back.", "run_command")
	n.ask(Question, "docker restart --time 10 scrypted", "It was killed when memory ran out. Memory is free again, so a restart brings the cameras back.", 15*time.Minute)
	n.move(lifeline.StateAwaitingApproval, "the policy asks a person about a change")
}

func acting(n *night) {
	n.open(Acting, "UnitFailed", "warning", "nginx.service on atlas has failed", target("atlas", lifeline.TargetUnit, "nginx.service"), 40*time.Second)
	n.move(lifeline.StateInvestigating, "attempt 1 begins")
	n.together(read("systemctl status --no-pager nginx.service", "● nginx.service - A high performance web server\n     Active: failed (Result: exit-code)\n", 120*time.Millisecond))
	n.after(2 * time.Second)
	n.move(lifeline.StateActing, "the intent of a change is on record")
	n.together(run{text: "systemctl restart nginx.service", class: "change", decision: "allow", rule: "systemctl restart", reason: "it can be taken back, and this host is in mode auto", going: true})
}

func handed(n *night) {
	n.open(Handed, "DiskFull", "critical", "less than 2 % is free on /srv of vault", target("vault", lifeline.TargetFilesystem, "/srv"), 3*time.Hour)
	n.move(lifeline.StateInvestigating, "attempt 1 begins")
	n.together(read("df -h /srv", "/dev/sdb1  3.6T  3.6T   41G  99% /srv\n", 80*time.Millisecond), read("du -xsh /srv/backup /srv/media", "2.9T /srv/backup\n640G /srv/media\n", 4*time.Second))
	c := lifeline.Command{Class: "destructive", Decision: "deny", Rule: "rm", Reason: "it loses data", Outcome: lifeline.OutcomeRefused, Cause: lifeline.CodeRefused}
	c.ID, c.IncidentID, c.Host, c.Command, c.Actor = n.c.Incident.ID+".refused", n.c.Incident.ID, "vault", "rm -r /srv/backup/2024-01-14", "model:claude-haiku-5-5"
	n.c.Commands = append(n.c.Commands, c)
	n.event(lifeline.EventCommandRefused, c.Actor, "vault: "+c.Command+": refused: it loses data", c)
	h := lifeline.Handover{Reason: "nothing safe is left to try", Next: []string{"Old backups fill /srv: lifeline exec vault -- du -xsh /srv/backup"},
		Seen:    []string{"vault: df -h /srv\n/dev/sdb1  3.6T  3.6T   41G  99% /srv"},
		Reports: []lifeline.Report{{Responder: "model:claude-haiku-5-5", Claim: lifeline.ClaimNotFixed, Summary: "Backups fill the disk, and deleting them is not mine to do."}},
		Past:    []string{"12 days ago: DiskFull, handed to a person"}}
	n.c.Handover = &h
	n.event(lifeline.EventEscalated, "respond", h.Reason, h)
	n.move(lifeline.StateEscalated, h.Reason)
}

func over(n *night) {
	n.open(Over, "HighLoad", "warning", "the load of atlas is above 20", target("atlas", lifeline.TargetHost, ""), 9*time.Hour)
	n.move(lifeline.StateEscalated, "no responder is for it")
	n.c.Incident.AlertFiring = false
}

func repaired(n *night) {
	n.open(Repaired, "ContainerDown", "critical", "the container web on nexus is not running", target("nexus", lifeline.TargetContainer, "web"), 26*time.Hour)
	look(n, "web")
	n.ask("apr_web", "docker restart --time 10 web", "It was killed when memory ran out.", 15*time.Minute)
	n.move(lifeline.StateAwaitingApproval, "the policy asks a person about a change")
	n.after(7 * time.Minute)
	a := &n.c.Approvals[0]
	a.State, a.DecidedAt, a.DecidedBy, a.Decision = lifeline.ApprovalApproved, n.at, "person:ann", "go on"
	n.event(lifeline.EventApprovalDecided, "person:ann", "approved: "+a.Canonical, *a)
	a.State, a.UsedAt = lifeline.ApprovalUsed, n.at
	n.event(lifeline.EventApprovalUsed, "guard", "used: "+a.Canonical, *a)
	n.move(lifeline.StateActing, "approved, the intent is on record")
	n.together(run{text: a.Canonical, class: "change", decision: "ask", rule: "docker restart", reason: a.Reason, out: "web\n", takes: 2400 * time.Millisecond})
	n.move(lifeline.StateVerifying, "the responder finished")
	n.together(read("docker inspect --format '{{.State.Status}}' web", "running\n", 100*time.Millisecond))
	n.after(20 * time.Second)
	n.event(lifeline.EventVerified, "respond", "container web runs since 20 s, and the alert is gone", nil)
	n.move(lifeline.StateResolved, "probe and alert agree")
	n.c.Incident.AlertFiring = false
}

func hostile(n *night) {
	n.open(Hostile, "Evil"+Evil, Evil, "a"+strings.Repeat(" ", 400)+"b"+Evil, target("nexus", lifeline.TargetContainer, "web"), 10*time.Minute)
	n.move(lifeline.StateInvestigating, Evil)
	n.says(Evil, Evil)
	n.together(read("docker logs web"+strings.Repeat(" ", 400)+Evil, Evil+"\n</pre></details>"+Evil+"\n", 90*time.Millisecond))
	n.c.Commands[0].Purpose, n.c.Commands[0].Reason, n.c.Commands[0].Rule = Evil, Evil, Evil
	n.event(lifeline.EventNote, Evil, Evil, nil)
}

func hosts(now time.Time) []lifeline.HostView {
	views := []lifeline.HostView{
		{Name: "atlas", Mode: lifeline.ModeAuto, Address: "192.168.0.12", User: "lifeline", Connected: true, ConnectedSince: now.Add(-9 * time.Hour),
			Fingerprint: "SHA256:Yk1sD0mQhG0bq2h1u0rLxJmZt7mQmJ3cQm0z6d1Rr3o", RoundTrip: 1200 * time.Microsecond, Sessions: 1, SessionMost: 10, Opened: 1, Reused: 96, ChangesHour: 1, ChangesMost: 10, Incidents: 1},
		{Name: "nexus", Mode: lifeline.ModeSuggest, Address: "192.168.0.11", User: "lifeline", Connected: true, ConnectedSince: now.Add(-26 * time.Hour),
			Fingerprint: "SHA256:p3mJt5x0cV1kQ8a9b7Zs2yWfUeRn4Lh6TgKdXoMiB1E", RoundTrip: 3400 * time.Microsecond, Sessions: 0, SessionMost: 10, Opened: 2, Reused: 214, ChangesMost: 10, Incidents: 2},
		{Name: "skynet", Mode: lifeline.ModeObserve, Local: true, SessionMost: 10, ChangesMost: 10},
		{Name: "vault", Mode: lifeline.ModeObserve, Address: "10.9.0.4:2222", User: "lifeline", Trouble: "connection refused: nothing listens on port 2222", TriedAgain: now.Add(40 * time.Second),
			SessionMost: 10, Opened: 3, Reused: 12, Timeouts: 1, ChangesMost: 10},
	}
	exit := 0
	for i, text := range []string{"docker ps", "df -h", "uptime"} {
		c := lifeline.Command{Canonical: text, Class: "read", Decision: "allow", Rule: "catalogue", Reason: "it changes nothing", Outcome: lifeline.OutcomeExited, ExitStatus: &exit,
			IntentAt: now.Add(-time.Duration(i+1) * time.Minute), FinishedAt: now.Add(-time.Duration(i+1)*time.Minute + 90*time.Millisecond), Run: 90 * time.Millisecond, Reused: true}
		c.ID, c.Host, c.Actor, c.Command = fmt.Sprintf("cmd_%d", i), "nexus", "person:ann", text
		views[1].Recent = append(views[1].Recent, c)
	}
	begin := now.Truncate(lifeline.SeriesStep).Add(-(lifeline.SeriesMost - 1) * lifeline.SeriesStep)
	for i := range lifeline.SeriesMost {
		s := lifeline.HostSample{At: begin.Add(time.Duration(i) * lifeline.SeriesStep)}
		if i%5 != 3 {
			s.Commands = 2 + (i*7)%11
			s.Reused = s.Commands
			s.RunMedian = time.Duration(80+(i*13)%70) * time.Millisecond
			s.RunMost = s.RunMedian + time.Duration((i*37)%400)*time.Millisecond
		}
		if i == 8 || i == 40 {
			s.Opened, s.Reused = 1, s.Commands-1
		}
		views[1].Series = append(views[1].Series, s)
	}
	return views
}

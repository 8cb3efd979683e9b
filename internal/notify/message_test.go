package notify

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
)

func at(d time.Duration) time.Time { return time.Date(2026, 5, 6, 7, 0, 0, 0, time.UTC).Add(d) }

func event(kind lifeline.EventKind, data any) lifeline.Event {
	raw, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return lifeline.Event{Seq: 1, IncidentID: "inc_1", At: at(192 * time.Second), Kind: kind, Actor: "person:ann", Text: "the event's text", Data: raw}
}

// texts is a message as a person reads it.
func texts(m lifeline.Notification) string {
	return strings.Join([]string{m.Title, m.Body, m.Code, m.Foot}, "\n--\n")
}

func TestMessages(t *testing.T) {
	inc := &lifeline.Incident{ID: "inc_1", AlertName: "ContainerDown", Severity: "critical", Summary: "web is down", OpenedAt: at(0),
		Target: lifeline.Target{Host: "atlas", Kind: lifeline.TargetContainer, Name: "web"}}
	changes := []lifeline.Command{
		{CommandRequest: lifeline.CommandRequest{Host: "atlas"}, Canonical: "docker ps", Class: "read", IntentAt: at(1)},
		{CommandRequest: lifeline.CommandRequest{Host: "atlas"}, Canonical: "docker start web", Class: "change", IntentAt: at(2)},
	}
	for what, tt := range map[string]struct {
		event lifeline.Event
		kind  lifeline.NotificationKind
		want  string
	}{
		"opened": {event(lifeline.EventIncidentOpened, nil), lifeline.NotifyOpened,
			"Opened: ContainerDown, container web on atlas\n--\nweb is down\nseverity: critical\n--\n\n--\nlifeline incidents show inc_1"},
		"approval": {event(lifeline.EventApprovalRequested, lifeline.Approval{ID: "apr_1", Canonical: "docker restart web", Reason: "it changes something.", ExpiresAt: at(time.Hour),
			Request: lifeline.CommandRequest{Host: "atlas", Actor: "model:m", Purpose: "it hangs"}}), lifeline.NotifyApproval,
			"Approval needed: ContainerDown, container web on atlas\n--\nMay this run on atlas? It is asked because it changes something.\n" +
				"asked by model:m, who says: it hangs\nno answer by 2026-05-06 08:00:00 UTC is a no\n--\ndocker restart web\n--\nlifeline incidents show inc_1"},
		"repaired": {event(lifeline.EventStateChanged, map[string]string{"to": "resolved", "reason": "the probe is well and the alert is gone"}), lifeline.NotifyRepaired,
			"Repaired: ContainerDown, container web on atlas\n--\nAfter 3m12s, with 1 change. Proof: the probe is well and the alert is gone.\n--\natlas: docker start web\n--\nlifeline incidents show inc_1"},
		"escalated": {event(lifeline.EventEscalated, map[string]any{"reason": "nothing is left", "next": []string{"the disk", "the log"}, "refused": []string{"a", "b"}, "unknown": []string{"atlas: docker stop web (lost)"}}), lifeline.NotifyEscalated,
			"A person is needed: ContainerDown, container web on atlas\n--\nnothing is left\ntried: 1 change, 2 commands refused\nOUTCOME UNKNOWN: atlas: docker stop web (lost)\n" +
				"look at: the disk\nlook at: the log\n--\natlas: docker start web\n--\nlifeline incidents show inc_1"},
		"escalated without details": {event(lifeline.EventEscalated, "?"), lifeline.NotifyEscalated,
			"A person is needed: ContainerDown, container web on atlas\n--\nthe event's text\ntried: 1 change\n--\natlas: docker start web\n--\nlifeline incidents show inc_1"},
		"superseded": {event(lifeline.EventStateChanged, map[string]string{"to": "superseded", "reason": "the alert resolved"}), lifeline.NotifySuperseded,
			"Over: ContainerDown, container web on atlas\n--\nNothing was changed: the alert resolved\n--\n\n--\nlifeline incidents show inc_1"},
	} {
		kind, ok := kindOf(tt.event)
		if !ok || kind != tt.kind {
			t.Errorf("%s is %q, %v", what, kind, ok)
			continue
		}
		if diff := cmp.Diff(tt.want, texts(message(kind, tt.event, inc, changes))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	// What is about Lifeline itself has no incident.
	for want, e := range map[string]lifeline.Event{
		"Lifeline is paused\n--\nperson:ann: the event's text\n--\n\n--\nlifeline status":                        event(lifeline.EventPaused, nil),
		"Lifeline goes on\n--\nperson:ann: the event's text\n--\n\n--\nlifeline status":                          event(lifeline.EventResumed, nil),
		"The record of Lifeline was changed from outside\n--\nthe event's text\n--\n\n--\nlifeline audit verify": event(lifeline.EventRecordBroken, nil),
		"The channel chat does not deliver\n--\nthe event's text\n--\n\n--\nlifeline notify list":                event(lifeline.EventNotificationFailed, lifeline.Notification{Channel: "chat", Kind: lifeline.NotifyEscalated}),
	} {
		kind, ok := kindOf(e)
		if diff := cmp.Diff(want, texts(message(kind, e, nil, nil))); !ok || diff != "" {
			t.Errorf("%v (-want +got):\n%s", ok, diff)
		}
	}
	for _, e := range []lifeline.Event{
		event(lifeline.EventCommandStarted, nil), event(lifeline.EventStateChanged, map[string]string{"to": "acting"}), event(lifeline.EventStateChanged, 7),
		event(lifeline.EventNotificationFailed, lifeline.Notification{Kind: lifeline.NotifyFailed}), {Kind: lifeline.EventStateChanged},
	} {
		if kind, ok := kindOf(e); ok {
			t.Errorf("%s %s is told as %s", e.Kind, e.Data, kind)
		}
	}
}

// Nothing that an alert, a host or a model says acts on whoever reads it, and a
// long command says that it is not whole.
func TestMessagesAreEscaped(t *testing.T) {
	evil := "\x1b[2J\u202e\r\nx" + strings.Repeat("y", 5000)
	inc := &lifeline.Incident{ID: "inc_1", AlertName: evil, Severity: evil, Summary: evil, Target: lifeline.Target{Host: evil, Kind: "container", Name: evil}}
	commands := []lifeline.Command{{CommandRequest: lifeline.CommandRequest{Host: evil}, Canonical: evil, Class: "change", IntentAt: at(0)}}
	approval := lifeline.Approval{ID: "apr_1", Canonical: evil, Reason: evil, Request: lifeline.CommandRequest{Host: evil, Actor: evil, Purpose: evil}}
	many := []string{evil, evil, evil, evil, evil, evil, evil}
	for _, e := range []lifeline.Event{
		event(lifeline.EventIncidentOpened, nil), event(lifeline.EventApprovalRequested, approval),
		event(lifeline.EventStateChanged, map[string]string{"to": "resolved", "reason": evil}),
		event(lifeline.EventEscalated, map[string]any{"reason": evil, "next": many, "refused": many, "unknown": many}),
		event(lifeline.EventNotificationFailed, lifeline.Notification{Channel: evil}),
	} {
		kind, _ := kindOf(e)
		m := message(kind, e, inc, commands)
		text := texts(m)
		if strings.ContainsAny(text, "\x1b\u202e\r") {
			t.Errorf("%s: not escaped: %.200q", kind, text)
		}
		if strings.Contains(m.Title, "\n") || len(m.Title) > 800 || len(text) > 8000 {
			t.Errorf("%s: a title of %d bytes, a text of %d", kind, len(m.Title), len(text))
		}
		if kind == lifeline.NotifyApproval && !strings.Contains(m.Body, "ONLY THE BEGINNING of 50") {
			t.Errorf("a command that is cut does not say so: %s", m.Body)
		}
	}
}

func TestRoutes(t *testing.T) {
	inc := &lifeline.Incident{AlertName: "DiskFull", Target: lifeline.Target{Host: "atlas"}}
	of := func(kind lifeline.NotificationKind, severity string) subject {
		return subject{kind: kind, severity: severity, incident: inc}
	}
	own := func(kind lifeline.NotificationKind, severity string) subject {
		return subject{kind: kind, severity: severity}
	}
	routes := []Route{
		{Severity: []string{"critical", "Warning"}, Channels: []string{"phone"}},
		{Host: []string{"atlas", "other"}, Alert: []string{"Net*", "Disk*"}, Events: []lifeline.NotificationKind{lifeline.NotifyOpened, lifeline.NotifyRepaired}, Channels: []string{"chat", "phone"}},
		{Alert: []string{"[broken"}, Channels: []string{"never"}},
	}
	for what, tt := range map[string]struct {
		routes []Route
		about  subject
		want   string
	}{
		"none: escalated":              {nil, of(lifeline.NotifyEscalated, "none"), "chat never phone"},
		"none: opened":                 {nil, of(lifeline.NotifyOpened, "critical"), ""},
		"none: superseded":             {nil, of(lifeline.NotifySuperseded, "critical"), ""},
		"none: paused":                 {nil, own(lifeline.NotifyPaused, "info"), "chat never phone"},
		"by severity":                  {routes, of(lifeline.NotifyEscalated, "warning"), "phone"},
		"by nothing":                   {routes, of(lifeline.NotifyEscalated, "info"), ""},
		"by host and alert":            {routes, of(lifeline.NotifyOpened, "info"), "chat phone"},
		"its end goes with it":         {routes, of(lifeline.NotifySuperseded, "info"), "chat phone"},
		"by two, each channel once":    {routes, of(lifeline.NotifyRepaired, "critical"), "chat phone"},
		"its own, by severity":         {routes, own(lifeline.NotifyRecordBroken, "critical"), "phone"},
		"its own, which no route took": {routes[1:2], own(lifeline.NotifyFailed, "warning"), "chat never phone"},
		"paused, which no route took":  {routes[1:2], own(lifeline.NotifyPaused, "info"), ""},
	} {
		cfg := Config{Channels: map[string]Channel{"chat": {}, "phone": {}, "never": {}}, Routes: tt.routes}
		if got := strings.Join(cfg.to(tt.about), " "); got != tt.want {
			t.Errorf("%s: %q, want %q", what, got, tt.want)
		}
	}
}

func TestQuiet(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	night := Quiet{From: 22 * time.Hour, To: 7 * time.Hour, Location: berlin, Except: []string{"page"}}
	noon := Quiet{From: 12 * time.Hour, To: 13*time.Hour + 30*time.Minute}
	for what, tt := range map[string]struct {
		quiet Quiet
		at    string
		m     lifeline.Notification
		want  bool
	}{
		"before the night":         {night, "2026-07-01T19:59:59Z", lifeline.Notification{}, false},
		"its beginning, in summer": {night, "2026-07-01T20:00:00Z", lifeline.Notification{}, true},
		"its beginning, in winter": {night, "2026-01-01T20:30:00Z", lifeline.Notification{}, false},
		"after midnight":           {night, "2026-07-02T02:00:00Z", lifeline.Notification{}, true},
		"its end":                  {night, "2026-07-02T05:00:00Z", lifeline.Notification{}, false},
		"urgent":                   {night, "2026-07-02T02:00:00Z", lifeline.Notification{Urgent: true}, false},
		"an exception":             {night, "2026-07-02T02:00:00Z", lifeline.Notification{Severity: "Page"}, false},
		"within a day":             {noon, "2026-07-02T13:29:59Z", lifeline.Notification{}, true},
		"within a day, outside":    {noon, "2026-07-02T13:30:00Z", lifeline.Notification{}, false},
		"there are no quiet hours": {Quiet{}, "2026-07-02T00:00:00Z", lifeline.Notification{}, false},
	} {
		now, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := tt.quiet.holds(now, tt.m); got != tt.want {
			t.Errorf("%s: held %v", what, got)
		}
	}
}

func TestBackoff(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: 30 * time.Second, 2: time.Minute, 5: 8 * time.Minute, 7: 30 * time.Minute, 1000: 30 * time.Minute} {
		for range 50 {
			if d := backoff(failures); d < want*79/100 || d > want*121/100 {
				t.Errorf("after %d failures: %s, want about %s", failures, d, want)
			}
		}
	}
}

package lifeline

import (
	"slices"
	"time"
)

// The types of this file are what people see, on pages, in the API and in the
// terminal: the same for all three.

// Role says what a person, or a program with a token, may do. Each role may do
// what those before it may.
type Role string

const (
	RoleViewer   Role = "viewer"   // sees everything
	RoleApprover Role = "approver" // decides about changes, and about incidents
	RoleAdmin    Role = "admin"    // turns the kill switch, keeps maintenance windows
)

// roles in the order of what they may do.
var roles = [...]Role{RoleViewer, RoleApprover, RoleAdmin}

// Known reports whether there is such a role.
func (r Role) Known() bool { return slices.Contains(roles[:], r) }

// May reports whether the role includes another one. A role that is not known
// includes none.
func (r Role) May(what Role) bool {
	has, needs := slices.Index(roles[:], r), slices.Index(roles[:], what)
	return needs >= 0 && has >= needs
}

// Person is who does something through a page or the API.
type Person struct {
	// Name as the configuration, the identity provider or the token has it.
	Name string `json:"name"`
	Role Role   `json:"role"`
	// Via says how they are known: "password", "oidc", "token", "loopback".
	Via string `json:"via"`
}

// Actor is the person as the record names them: "person:ann", "token:ci".
func (p Person) Actor() string {
	if p.Via == "token" {
		return "token:" + p.Name
	}
	return "person:" + p.Name
}

// CaseFile is an incident with everything on record about it.
type CaseFile struct {
	Incident  Incident   `json:"incident"`
	Alerts    []Alert    `json:"alerts"`
	Events    []Event    `json:"events"`
	Commands  []Command  `json:"commands"`
	Approvals []Approval `json:"approvals"`
	// Usage is what each answer of a model used, Spent their sum.
	Usage []Usage `json:"usage"`
	Spent Spent   `json:"spent"`
	// Handover is there once a person was handed the case.
	Handover *Handover `json:"handover,omitempty"`
}

// IncidentQuery chooses incidents, newest first.
type IncidentQuery struct {
	// States to include; empty: all.
	States []State `json:"states,omitempty"`
	Host   string  `json:"host,omitempty"`
	// Thing is the name of a container, unit or mount point.
	Thing string `json:"thing,omitempty"`
	// Alert is the alert's name.
	Alert string `json:"alert,omitempty"`
	// Text is looked for in the alert's name, the summary, the reason, the host
	// and the thing, in any case of letters.
	Text string `json:"text,omitempty"`
	// From and Until bound the time of opening; zero: no bound.
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// After is where the page before ended: IncidentPage.Next.
	After string `json:"after,omitempty"`
	// Limit of the page; 0: 50, at most 200.
	Limit int `json:"limit,omitempty"`
}

// IncidentPage is a part of a list of incidents.
type IncidentPage struct {
	Incidents []Incident `json:"incidents"`
	// Next begins the page after this one; "": there is none.
	Next string `json:"next,omitempty"`
}

// Statistics sum up the incidents that were opened within a time.
type Statistics struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	// Incidents by how they stand; Alone counts those that were resolved without
	// any person's decision.
	Incidents map[State]int `json:"incidents"`
	Alone     int           `json:"alone"`
	// Repair times of the resolved ones, from the first alert to the proof.
	RepairMedian  time.Duration `json:"repair_median_ns"`
	RepairSlowest time.Duration `json:"repair_slowest_ns"`
	// Causes are the commonest alert names with their targets, most first.
	Causes []Cause `json:"causes"`
	Spent  Spent   `json:"spent"`
}

// Cause is something that was the matter more than others.
type Cause struct {
	AlertName string `json:"alert_name"`
	Target    Target `json:"target"`
	Incidents int    `json:"incidents"`
}

// HostView is what is known about a host now.
type HostView struct {
	Name    string `json:"name"`
	Mode    Mode   `json:"mode"`
	Address string `json:"address,omitempty"` // as it is configured
	User    string `json:"user,omitempty"`
	Local   bool   `json:"local,omitempty"`
	Node    string `json:"node,omitempty"` // that it is pinned to
	// Connected: a connection is open. Since when, and with which host key.
	Connected      bool      `json:"connected"`
	ConnectedSince time.Time `json:"connected_since,omitzero"`
	Fingerprint    string    `json:"fingerprint,omitempty"`
	// RoundTrip is what the last keepalive, or the handshake, took; 0: not known.
	RoundTrip time.Duration `json:"round_trip_ns"`
	// Trouble says in words why the host cannot be reached now, and when it is
	// tried again; "": no trouble is known.
	Trouble     string    `json:"trouble,omitempty"`
	TriedAgain  time.Time `json:"tried_again,omitzero"`
	Sessions    int       `json:"sessions"`
	SessionMost int       `json:"session_limit"` // learned
	Opened      int       `json:"connections_opened"`
	Reused      int       `json:"connections_reused"`
	Timeouts    int       `json:"timeouts"`
	Unknown     int       `json:"unknown"`
	// ChangesHour and ChangesMost are the budget of changes within an hour.
	ChangesHour int `json:"changes_hour"`
	ChangesMost int `json:"changes_most"`
	// Incidents that are not ended.
	Incidents int `json:"incidents"`
	// Recent are the newest commands on it, newest first, without outputs.
	Recent []Command `json:"recent,omitempty"`
	// Series are the last hours in steps of SeriesStep, oldest first.
	Series []HostSample `json:"series,omitempty"`
}

// SeriesStep is the time between two samples of HostView.Series, and SeriesMost
// how many there are: six hours.
const (
	SeriesStep = 5 * time.Minute
	SeriesMost = 72
)

// HostSample is what happened on a host within one step of its series.
type HostSample struct {
	At       time.Time `json:"at"`
	Commands int       `json:"commands"`
	Opened   int       `json:"opened"`
	Reused   int       `json:"reused"`
	// RunMedian is the median time of the commands' run.
	RunMedian time.Duration `json:"run_median_ns"`
	RunMost   time.Duration `json:"run_most_ns"`
}

// Status is where things stand. Its fields are a contract.
type Status struct {
	Paused    Pause         `json:"paused"`
	Incidents map[State]int `json:"incidents"`
	// ApprovalsWaiting counts the questions that a person can answer now.
	ApprovalsWaiting int  `json:"approvals_waiting"`
	ChangesDay       Used `json:"changes_day"`
	// ModelsDay is what models used within 24 hours.
	ModelsDay Spent        `json:"models_day"`
	Hosts     []HostStatus `json:"hosts"`
	// Maintenance lists the windows that are in force now.
	Maintenance []Maintenance `json:"maintenance"`
	// Notifications counts, by channel, the messages that wait and those that were
	// given up. A channel without either is not in it.
	Notifications map[string]NotificationCount `json:"notifications"`
	// Nodes are those that ever worked on the database, if it is Postgres.
	Nodes []Node `json:"nodes"`
}

// Used is a budget and what is used of it.
type Used struct {
	Used int `json:"used"`
	Most int `json:"most"`
}

// HostStatus is a host in a Status.
type HostStatus struct {
	Name        string `json:"name"`
	Mode        Mode   `json:"mode"`
	ChangesHour Used   `json:"changes_hour"`
}

// Explanation is what the policy says about one command, to a person.
type Explanation struct {
	Host      string   `json:"host,omitempty"`
	Mode      Mode     `json:"mode"`
	Command   string   `json:"command"`
	Canonical string   `json:"canonical,omitempty"`
	Class     string   `json:"class"`
	Decision  string   `json:"decision"`
	Marks     []string `json:"marks,omitempty"`
	Rule      string   `json:"rule"`
	Reason    string   `json:"reason"`
	// Words are those that decided, Instead what would have been allowed.
	Words   []string `json:"words,omitempty"`
	Instead string   `json:"instead,omitempty"`
}

// PolicyView is the policy in force on one host.
type PolicyView struct {
	Host string `json:"host"`
	Mode Mode   `json:"mode"`
	// Rules are the owner's, in their order, and Protected what no change may
	// touch there.
	Rules     []RuleView `json:"rules"`
	Protected []string   `json:"protected"`
	// Programs are the names that the catalogue knows.
	Programs []string `json:"programs"`
}

// RuleView is one of the owner's rules.
type RuleView struct {
	Program  string   `json:"program"`
	Args     []string `json:"args,omitempty"`
	Decision string   `json:"decision"`
	Reason   string   `json:"reason,omitempty"`
}

// AuditView is the end of a verification of the record.
type AuditView struct {
	OK     bool  `json:"ok"`
	Events int64 `json:"events"`
	// Head is the record's end: SEQ:HASH.
	Head string `json:"head"`
	// BadRow and What name the first row that is not what was written.
	BadRow    string    `json:"bad_row,omitempty"`
	What      string    `json:"what,omitempty"`
	CheckedAt time.Time `json:"checked_at"`
}

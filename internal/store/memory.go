package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"lifeline"
)

// History lists the newest incidents of a key, newest first, at most limit, each
// with the changes that were let through for it and may have happened.
func (s *Store) History(ctx context.Context, key string, limit int) ([]lifeline.Past, error) {
	// One statement, so that the incidents and their changes are of one moment.
	query := `SELECT ` + incidentColumns + `, d.record FROM incidents i
		LEFT JOIN commands d ON d.incident_id = i.id AND d.intent_at IS NOT NULL AND d.class <> 'read' AND d.outcome <> 'not_started'
		WHERE i.id IN (SELECT j.id FROM incidents j WHERE j.key = $1 ORDER BY j.opened_at DESC, j.id DESC LIMIT ` + fmt.Sprint(limit) + `)
		ORDER BY i.opened_at DESC, i.id DESC, d.intent_at, d.id`
	var past []lifeline.Past
	_, err := list(ctx, s.db, "read the earlier incidents of "+key, query, func(row scanner) (struct{}, error) {
		var (
			none   struct{}
			record sql.NullString
			change lifeline.Command
		)
		inc, err := scanIncident(andMore{row, &record})
		if err != nil {
			return none, err
		}
		if n := len(past); n == 0 || past[n-1].Incident.ID != inc.ID {
			past = append(past, lifeline.Past{Incident: inc, Changes: []lifeline.Command{}})
		}
		if !record.Valid {
			return none, nil
		}
		if err := json.Unmarshal([]byte(record.String), &change); err != nil {
			return none, err
		}
		last := &past[len(past)-1]
		last.Changes = append(last.Changes, change)
		return none, nil
	}, key)
	if err != nil {
		return nil, err
	}
	return past, nil
}

// andMore is a row with one more column after those that are asked for.
type andMore struct {
	scanner
	last any
}

func (r andMore) Scan(into ...any) error { return r.scanner.Scan(append(into, r.last)...) }

// remembered bounds how many incidents of a key Remedies looks back on.
const remembered = 500

// Remedies lists what was tried on incidents of a key, what worked most often
// first, at most limit. Each is the exact series of changes of an incident; it
// worked if that ended resolved, and failed if it ended escalated. What ended
// superseded says nothing about it.
func (s *Store) Remedies(ctx context.Context, key string, limit int) ([]lifeline.Remedy, error) {
	past, err := s.History(ctx, key, remembered)
	if err != nil {
		return nil, err
	}
	byCommands := map[string]*lifeline.Remedy{}
	for _, p := range past {
		state := p.Incident.State
		if len(p.Changes) == 0 || state != lifeline.StateResolved && state != lifeline.StateEscalated {
			continue
		}
		commands := make([]string, len(p.Changes))
		for i, c := range p.Changes {
			commands[i] = c.Canonical
		}
		series := strings.Join(commands, "\x00")
		r := byCommands[series]
		if r == nil {
			r = &lifeline.Remedy{Commands: commands}
			byCommands[series] = r
		}
		if state == lifeline.StateResolved {
			r.Worked++
		} else {
			r.Failed++
		}
		if p.Incident.UpdatedAt.After(r.LastAt) {
			r.LastAt = p.Incident.UpdatedAt
		}
	}
	remedies := make([]lifeline.Remedy, 0, len(byCommands))
	for _, r := range byCommands {
		remedies = append(remedies, *r)
	}
	slices.SortFunc(remedies, func(a, b lifeline.Remedy) int {
		return cmp.Or(cmp.Compare(b.Worked, a.Worked), cmp.Compare(a.Failed, b.Failed),
			b.LastAt.Compare(a.LastAt), slices.Compare(a.Commands, b.Commands))
	})
	return remedies[:min(len(remedies), limit)], nil
}

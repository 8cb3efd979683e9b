package cli

import (
	"testing"
	"time"
)

func TestReadTime(t *testing.T) {
	zone := time.FixedZone("", 2*3600)
	after := time.Date(2026, 5, 31, 22, 30, 0, 5, zone)
	for text, want := range map[string]time.Time{
		"22:31":                     time.Date(2026, 5, 31, 22, 31, 0, 0, zone),
		"22:30":                     time.Date(2026, 6, 1, 22, 30, 0, 0, zone), // it is that already
		"06:00":                     time.Date(2026, 6, 1, 6, 0, 0, 0, zone),
		"2026-06-07 08:09":          time.Date(2026, 6, 7, 8, 9, 0, 0, zone),
		"2026-06-07T08:09":          time.Date(2026, 6, 7, 8, 9, 0, 0, zone),
		"2026-06-07T08:09:10Z":      time.Date(2026, 6, 7, 8, 9, 10, 0, time.UTC),
		"2026-06-07T08:09:10-05:00": time.Date(2026, 6, 7, 13, 9, 10, 0, time.UTC),
	} {
		if got, err := readTime(text, after); err != nil || !got.Equal(want) {
			t.Errorf("%q is %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "noon", "24:00", "6 pm", "2026-06-07", "2026-13-01 00:00", "2h"} {
		if got, err := readTime(text, after); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

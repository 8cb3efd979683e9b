package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSpreadOf(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []float64
		want   spread
		text   string
	}{
		{"one", []float64{3}, spread{3, 3, 3}, "3.0"},
		{"odd", []float64{9, 1, 4}, spread{4, 1, 9}, "4.0 (1.0–9.0)"},
		{"even", []float64{4, 1, 2, 9}, spread{3, 1, 9}, "3.0 (1.0–9.0)"},
		{"all the same", []float64{2, 2, 2}, spread{2, 2, 2}, "2.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			given := append([]float64(nil), tt.values...)
			got := spreadOf(tt.values)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.text, got.text(1)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(given, tt.values); diff != "" {
				t.Errorf("it changed what it was given (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOfASample(t *testing.T) {
	s := sample{answer{WallSeconds: 2, CPUSeconds: 0.1, Answered: 40, Lost: 10, PeakBytes: 5e6, IdleBytes: 400e3}, 3}
	got := map[string]float64{
		"wall": wallMS(s), "cpu": cpuMS(s), "rate": rate(s), "connections": connections(s), "peak": peakMB(s),
		"idle": idleKB(s), "cpu per command": perCommand(cpuMS)(s),
	}
	want := map[string]float64{"wall": 2000, "cpu": 100, "rate": 20, "connections": 3, "peak": 5, "idle": 10, "cpu per command": 2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	failed, asked := lost([]sample{s, s})
	if failed != 20 || asked != 100 {
		t.Errorf("%d of %d lost, want 20 of 100", failed, asked)
	}
}

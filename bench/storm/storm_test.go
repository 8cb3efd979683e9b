package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeline/internal/lab"
)

func TestReplaceChapter(t *testing.T) {
	file := filepath.Join(t.TempDir(), "RESULTS.md")
	if err := os.WriteFile(file, []byte("# Results\n\nmeasured\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"1", "2"} {
		if err := replaceChapter(file, chapterBegin+"\nrun "+n+"\n"+chapterEnd+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := "# Results\n\nmeasured\n\n" + chapterBegin + "\nrun 2\n" + chapterEnd + "\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A small storm: what is measured must be what happens.
func TestStorm(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	o, err := parse([]string{"-hosts=2", "-broken=1", "-alerts=20", "-senders=2", "-posts=2", "-out="})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	binary, err := build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	r := results{options: o}
	if r.intake.loads, err = measureLoads(t.Context(), binary, dir, o, intakeLoads()[:1]); err != nil || r.intake.loads[0].alerts != 2 {
		t.Fatalf("%+v, %v", r.intake, err)
	}
	if r.storm, err = measureStorm(t.Context(), binary, dir, o); err != nil {
		t.Fatal(err)
	}
	s := r.storm
	if s.stored != 20 || len(s.posts) != 20 || s.starts != 1 || s.restarted != 0 || s.most != 1 || s.connections > 2 || s.states["resolved"] < 1 {
		t.Errorf("%+v", s)
	}
	if text := r.text(t.Context()); !strings.Contains(text, "1 of 1, the last ") {
		t.Errorf("the report does not say that it was repaired:\n%s", text)
	}
}

func TestStormIsTheSameEachTime(t *testing.T) {
	o := options{alerts: 100, hosts: 2}
	hosts := []*lab.Host{lab.NewHost("a", lab.Options{}), lab.NewHost("b", lab.Options{})}
	one, other := stormOf(o, hosts), stormOf(o, hosts)
	down := 0
	for i := range one {
		if one[i].Labels["alertname"] != other[i].Labels["alertname"] || one[i].Labels["instance"] != other[i].Labels["instance"] {
			t.Fatalf("alert %d differs", i)
		}
		if one[i].Labels["container"] == "web" {
			down++
		}
	}
	if down != 40 {
		t.Errorf("%d of 100 alerts say that the container is down, want 40", down)
	}
}

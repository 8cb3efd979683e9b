//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/lab"
)

// The load: how many pages follow one incident, how many alerts come meanwhile,
// how many are posted at the same time, and what the service may hold of memory.
const (
	followers     = 200
	alertsMost    = 1000
	alertsOfOne   = 400
	postersAtOnce = 4
	memoryMost    = 400 << 20
)

// follower is an open page as far as its stream goes: it keeps what it got.
type follower struct {
	mu   sync.Mutex // guards what follows
	seqs []int64
	err  error
}

func (f *follower) got() ([]int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]int64(nil), f.seqs...), f.err
}

// follow reads a stream to its end.
func (f *follower) follow(ctx context.Context, c *http.Client, req *http.Request) {
	err := func() error {
		resp, err := c.Do(req.WithContext(ctx))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/event-stream") {
			return fmt.Errorf("the stream is answered %s, %s", resp.Status, kind)
		}
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			text, data := strings.CutPrefix(lines.Text(), "data: ")
			if !data {
				continue
			}
			var step struct {
				Seq int64 `json:"seq"`
			}
			if err := json.Unmarshal([]byte(text), &step); err != nil {
				return fmt.Errorf("%q: %w", text, err)
			}
			f.mu.Lock()
			f.seqs = append(f.seqs, step.Seq)
			f.mu.Unlock()
		}
		return errors.Join(lines.Err(), io.ErrUnexpectedEOF)
	}()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// tokenFor makes a token for a program that may only look.
func (w *ward) tokenFor(t *testing.T, name string) string {
	t.Helper()
	made := w.command(t, "token", "create", name, "--role", "viewer")
	secret := regexp.MustCompile(`llt_[A-Za-z0-9_-]+`).FindString(made.stdout)
	if made.status != 0 || secret == "" {
		t.Fatalf("lifeline token create: status %d\n%s%s", made.status, made.stdout, made.stderr)
	}
	return secret
}

// resident is how much memory the service holds and the most that it has held,
// in bytes.
func (w *ward) resident(t *testing.T) (now, most int64) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	read := func(key string) int64 {
		found := regexp.MustCompile(key + `:\s+(\d+) kB`).FindSubmatch(status)
		if found == nil {
			t.Fatalf("the status of the service has no %s", key)
		}
		kb, err := strconv.ParseInt(string(found[1]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return kb << 10
	}
	return read("VmRSS"), read("VmHWM")
}

// Many pages follow one incident through a storm of alerts, some of them its own.
// Every page hears of every event of the incident, once and in order, and the
// service holds no more memory than it may.
func TestWebServiceLoad(t *testing.T) {
	nexus, outpost := lab.NewHost("nexus", lab.Options{Pace: 0.1}), lab.NewHost("outpost", lab.Options{Pace: 0.1})
	w := openWard(t, lifeline.ModeSuggest, "", nexus, outpost)
	if err := nexus.Break("container-exited", "scrypted"); err != nil {
		t.Fatal(err)
	}
	mine := containerDown(lifeline.AlertFiring, "nexus", "scrypted")
	w.post(t, mine)
	inc := w.only(t)

	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel()
	session, token := w.signIn(t, viewerName), w.tokenFor(t, "wall")
	pages := make([]follower, followers)
	for i := range pages {
		req, err := http.NewRequest(http.MethodGet, w.url+"/live?after=0&incident="+inc.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := session
		if i%2 == 1 {
			c = w.streams
			req.Header.Set("Authorization", "Bearer "+token)
		}
		following.Go(func() { pages[i].follow(ctx, c, req) })
		if i == followers/2 {
			w.post(t, mine) // half of them come when it has begun
		}
	}
	before, _ := w.resident(t)

	begun := time.Now()
	work := make(chan firing)
	var posting sync.WaitGroup
	for range postersAtOnce {
		posting.Go(func() {
			for a := range work {
				if err := w.send(t.Context(), a); err != nil {
					t.Error(err)
				}
			}
		})
	}
	own := 0
	for i := range alertsMost {
		a := mine
		switch {
		case own*alertsMost < i*alertsOfOne+1:
			own++
		case i%2 == 0: // other things on the same host: after some it is a storm
			a = containerDown(lifeline.AlertFiring, "nexus", fmt.Sprintf("other-%d", i))
		default:
			a = containerDown(lifeline.AlertFiring, "outpost", fmt.Sprintf("other-%d", i))
		}
		work <- a
	}
	close(work)
	posting.Wait()
	posted := time.Since(begun)

	// It has settled when the record says the same twice and every page has its end.
	var want []int64
	eventually(t, "every page has what the record has", func() error {
		seqs := w.recorded(t, inc.ID)
		for i := range pages {
			got, err := pages[i].got()
			if err != nil {
				t.Fatalf("page %d: %v", i, err)
			}
			if len(got) < len(seqs) {
				return fmt.Errorf("page %d has %d of %d events", i, len(got), len(seqs))
			}
		}
		if !cmp.Equal(want, seqs) {
			want = seqs
			return errors.New("the incident goes on")
		}
		return nil
	})
	settled := time.Since(begun)
	if len(want) < own {
		t.Fatalf("the incident has %d events on record, want at least the %d alerts that were its own", len(want), own)
	}
	for i := range pages {
		if got, _ := pages[i].got(); !cmp.Equal(want, got) {
			t.Errorf("page %d (-record +page):\n%s", i, cmp.Diff(want, got))
			break // the others would say the same at length
		}
	}
	now, most := w.resident(t)
	t.Logf("%d pages followed an incident of %d events while %d alerts came, %d of them its own: posted within %.1f s, settled within %.1f s; memory %d MiB before, %d MiB after, %d MiB at most (bound %d MiB)",
		followers, len(want), alertsMost, own, posted.Seconds(), settled.Seconds(), before>>20, now>>20, most>>20, int64(memoryMost)>>20)
	if most > memoryMost {
		t.Errorf("the service held %d MiB, want at most %d", most>>20, int64(memoryMost)>>20)
	}
}

// recorded lists the events of an incident by their numbers.
func (w *ward) recorded(t *testing.T, id string) []int64 {
	t.Helper()
	var c caseFile
	w.read(t, &c, "incidents", "show", id, "--json")
	var seqs []int64
	for _, e := range c.Events {
		seqs = append(seqs, e.Seq)
	}
	return seqs
}

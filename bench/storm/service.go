package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"lifeline/internal/lab"
)

// token is what the webhook asks for.
const token = "token-of-the-storm"

// build makes the binary that is measured.
func build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "lifeline")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "./cmd/lifeline")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the binary (from the root of the repository): %w\n%s", err, said)
	}
	return binary, nil
}

// service is "lifeline serve" in a process of its own.
type service struct {
	cmd     *exec.Cmd
	dir     string
	address string
	client  *http.Client
	// ended is closed when the process has ended; err is how.
	ended chan struct{}
	err   error
	// peak is the largest resident memory seen, in bytes; guarded by mu.
	mu   sync.Mutex
	peak int64
	// base is its resident memory before the first alert.
	base int64
}

// startService writes a configuration for the hosts and starts the binary on it.
func startService(ctx context.Context, binary, dir string, hosts []*lab.Host) (*service, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	var cfg strings.Builder
	cfg.WriteString("hosts:\n")
	for _, h := range hosts {
		if err := errors.Join(h.WriteKnownHosts(in("known_hosts")), h.WriteIdentity(in(h.Name()+".key"))); err != nil {
			return nil, err
		}
		fmt.Fprintf(&cfg, "  %s: {address: %q, user: %s, identity: %s.key, mode: auto}\n", h.Name(), h.Address(), h.User(), h.Name())
	}
	if len(hosts) == 0 {
		cfg.WriteString("  nobody: {address: 127.0.0.1:1, mode: observe}\n")
		if err := os.WriteFile(in("known_hosts"), nil, 0o600); err != nil {
			return nil, err
		}
	}
	// A port that is free a moment before: serve says where it listens only at level
	// info, and 10,000 alerts would fill the log there.
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&cfg, `ssh: {known_hosts: known_hosts, config: ssh_config}
responder: runbook
webhook: {token_file: token}
listen: %s
store: {url: "sqlite:lifeline.db"}
respond: {verify_for: 1s, max_changes_per_day: 10000}
log: {level: warn}
`, address)
	for name, text := range map[string]string{
		"lifeline.yaml": cfg.String(), "token": token + "\n", "ssh_config": "Host *\n  IdentityAgent none\n",
	} {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	log, err := os.Create(in("log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s := &service{dir: dir, address: address, ended: make(chan struct{}), client: &http.Client{
		Timeout:   2 * time.Minute,
		Transport: &http.Transport{MaxIdleConnsPerHost: 256},
	}}
	s.cmd = exec.Command(binary, "serve", "-c", in("lifeline.yaml"))
	s.cmd.Env = append(os.Environ(), "HOME="+dir, "SSH_AUTH_SOCK=")
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start serve: %w", err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// ready waits until the service answers, and begins to watch its memory.
func (s *service) ready(ctx context.Context) error {
	deadline := time.Now().Add(time.Minute)
	for {
		resp, err := s.client.Get("http://" + s.address + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.ended:
			return fmt.Errorf("serve ended: %w\n%s", s.err, s.log())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("serve is not ready after a minute: %w", err)
		}
	}
	var err error
	s.base, err = s.resident()
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			if now, err := s.resident(); err == nil {
				s.mu.Lock()
				s.peak = max(s.peak, now)
				s.mu.Unlock()
			}
			select {
			case <-tick.C:
			case <-s.ended:
				return
			}
		}
	}()
	return err
}

var residentLine = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// resident is the process's resident memory in bytes.
func (s *service) resident() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	found := residentLine.FindSubmatch(status)
	if found == nil {
		return 0, errors.New("its status has no VmRSS")
	}
	kb, err := strconv.ParseInt(string(found[1]), 10, 64)
	return kb << 10, err
}

// most is the largest resident memory seen.
func (s *service) most() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peak
}

func (s *service) log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// stop ends the process as its service manager would, and waits.
func (s *service) stop() error {
	select {
	case <-s.ended:
		return nil
	default:
	}
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	select {
	case <-s.ended:
		return s.err
	case <-time.After(time.Minute):
		return errors.Join(errors.New("serve did not stop within a minute"), s.cmd.Process.Kill())
	}
}

// alert is one alert in a message of Alertmanager.
type alert struct {
	Status string            `json:"status"`
	Labels map[string]string `json:"labels"`
	// Annotations hold a summary.
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
}

// post sends alerts in one body and gives the time to the whole 2xx.
func (s *service) post(ctx context.Context, alerts ...alert) (time.Duration, error) {
	body, err := json.Marshal(map[string]any{"version": "4", "status": "firing", "alerts": alerts})
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.address+"/webhook/alertmanager", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	begun := time.Now()
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	took := time.Since(begun)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the webhook answers %s: %.300s", resp.Status, said)
	}
	return took, err
}

var incidentLine = regexp.MustCompile(`(?m)^lifeline_incidents\{state="([a-z_]+)"\} ([0-9.e+]+)$`)

// incidents counts the incidents on record by state.
func (s *service) incidents(ctx context.Context) (map[string]int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	states := map[string]int{}
	for _, m := range incidentLine.FindAllSubmatch(text, -1) {
		n, err := strconv.ParseFloat(string(m[2]), 64)
		if err != nil {
			return nil, err
		}
		states[string(m[1])] = int(n)
	}
	return states, nil
}

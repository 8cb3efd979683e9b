package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"lifeline/internal/cli"
)

// patience bounds a hang; it measures nothing.
const patience = 90 * time.Second

// service is a lifeline serve that a story has started.
type service struct {
	address string
	cancel  context.CancelFunc
	ended   chan int
}

func (s *service) stop() int {
	s.cancel()
	status := <-s.ended
	s.ended <- status // whoever stops it again gets the same
	return status
}

type serveKey struct{}

// slot holds the service that the story has started last.
type slot struct{ service *service }

func served(ts *testscript.TestScript) *service {
	s := ts.Value(serveKey{}).(*slot).service
	if s == nil {
		ts.Fatalf("no serve was started")
	}
	return s
}

// serve FILE: starts lifeline serve with a configuration that listens on
// 127.0.0.1:0, and waits until it listens; its address is $SERVER. The end of the
// story stops it.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serve FILE")
	}
	ctx, cancel := context.WithCancel(context.Background())
	log, logged := io.Pipe()
	s := &service{cancel: cancel, ended: make(chan int, 1)}
	go func() {
		status := cli.Run(ctx, []string{"serve", "-c", ts.MkAbs(args[0])}, cli.IO{In: strings.NewReader(""), Out: io.Discard, Err: logged})
		logged.Close()
		s.ended <- status
	}()
	ts.Defer(func() { s.stop() })
	listening := regexp.MustCompile(`msg=listening address=(\S+)`)
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		ts.Logf("serve: %s", lines.Text())
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			s.address = m[1]
			break
		}
	}
	go io.Copy(io.Discard, log)
	if s.address == "" {
		ts.Fatalf("serve ended with status %d", <-s.ended)
	}
	ts.Value(serveKey{}).(*slot).service = s
	ts.Setenv("SERVER", "http://"+s.address)
}

// stop: ends lifeline serve as SIGTERM does.
func stopServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: stop")
	}
	if status := served(ts).stop(); status != 0 {
		ts.Fatalf("serve ended with status %d", status)
	}
}

// alert STATUS HOST CONTAINER: what an Alertmanager posts about a container.
func sendAlert(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: alert firing|resolved HOST CONTAINER")
	}
	labels := map[string]string{"alertname": "ContainerDown", "host": args[1], "container": args[2]}
	body, err := json.Marshal(map[string]any{"version": "4", "status": args[0], "receiver": "lifeline", "alerts": []any{
		map[string]any{"status": args[0], "labels": labels, "annotations": map[string]string{"summary": args[2] + " is down"},
			"startsAt": "2026-05-06T07:08:09Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": strings.Join(args[1:], "-")}}})
	ts.Check(err)
	resp, err := http.Post("http://"+served(ts).address+"/webhook/alertmanager", "application/json", bytes.NewReader(body))
	ts.Check(err)
	defer resp.Body.Close()
	if said, _ := io.ReadAll(resp.Body); resp.StatusCode/100 != 2 {
		ts.Fatalf("the webhook answered %s: %s", resp.Status, said)
	}
}

// read runs a command of lifeline beside the service and reads what it prints.
func read(ts *testscript.TestScript, into any, args ...string) {
	var out, errs bytes.Buffer
	if status := cli.Run(context.Background(), args, cli.IO{In: strings.NewReader(""), Out: &out, Err: &errs}); status != 0 {
		ts.Fatalf("lifeline %s: status %d: %s", strings.Join(args, " "), status, &errs)
	}
	ts.Check(json.Unmarshal(out.Bytes(), into))
}

// until FILE STATE: waits until the newest incident is in the state.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: until FILE STATE")
	}
	seen := "no incident"
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var list struct {
			Incidents []struct{ State, Reason string }
		}
		read(ts, &list, "incidents", "-c", ts.MkAbs(args[0]), "--json")
		if len(list.Incidents) > 0 {
			seen = list.Incidents[0].State + ": " + list.Incidents[0].Reason
			if list.Incidents[0].State == args[1] {
				return
			}
		}
		<-time.After(20 * time.Millisecond)
	}
	ts.Fatalf("the newest incident is %s, want %s", seen, args[1])
}

// pending FILE: gives the ID of the newest approval that waits as $APPROVAL.
func pending(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: pending FILE")
	}
	var list struct{ Approvals []struct{ ID string } }
	read(ts, &list, "approvals", "-c", ts.MkAbs(args[0]), "--json")
	if len(list.Approvals) == 0 {
		ts.Fatalf("nothing waits for a person")
	}
	ts.Setenv("APPROVAL", list.Approvals[len(list.Approvals)-1].ID)
}

// window FILE: gives the ID of the maintenance window that began first as $WINDOW.
func firstWindow(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: window FILE")
	}
	var list struct{ Maintenance []struct{ ID string } }
	read(ts, &list, "maintenance", "list", "-c", ts.MkAbs(args[0]), "--json")
	if len(list.Maintenance) == 0 {
		ts.Fatalf("nothing is in maintenance")
	}
	ts.Setenv("WINDOW", list.Maintenance[0].ID)
}

// tamper DATABASE STATEMENT...: does to the record what whoever can write its
// file can do; ! tamper: and is not let.
func tamper(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: tamper DATABASE STATEMENT...")
	}
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	for _, statement := range args[1:] {
		if _, err := db.Exec(statement); (err != nil) != neg {
			ts.Fatalf("%s: %v", statement, err)
		}
	}
}

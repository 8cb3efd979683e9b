package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"lifeline/internal/cli"
)

type chatKey struct{}

// chat is an ntfy server of a story. It keeps what it has taken.
type chat struct {
	mu     sync.Mutex // guards what follows
	taken  string
	status int
}

func (c *chat) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	w.WriteHeader(c.status)
	if c.status != http.StatusOK {
		fmt.Fprintf(w, `{"code":%d01,"http":%d,"error":"no"}`, c.status, c.status)
		return
	}
	c.taken += r.Header.Get("Title") + "\n" + string(body) + "\n\n"
	io.WriteString(w, "{}")
}

func chats(ts *testscript.TestScript) map[string]*chat {
	return ts.Value(chatKey{}).(map[string]*chat)
}

// chat NAME: starts an ntfy server, whose channel is $NAME_URL; chat NAME STATUS:
// lets it answer with that status from now on.
func startChat(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: chat NAME [STATUS]")
	}
	if len(args) == 2 {
		c := chats(ts)[args[0]]
		c.mu.Lock()
		defer c.mu.Unlock()
		for code := range 600 {
			if http.StatusText(code) == args[1] {
				c.status = code
				return
			}
		}
		ts.Fatalf("%s is no status", args[1])
	}
	c := &chat{status: http.StatusOK}
	chats(ts)[args[0]] = c
	server := httptest.NewServer(c)
	ts.Defer(server.Close)
	ts.Setenv(args[0]+"_URL", "ntfy://ann:hunter2secret@"+strings.TrimPrefix(server.URL, "http://")+"/alerts?scheme=http")
}

// told NAME REGEXP: waits until the chat has taken a text.
func told(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: told NAME REGEXP")
	}
	c, want, taken := chats(ts)[args[0]], regexp.MustCompile("(?m)"+args[1]), ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		c.mu.Lock()
		taken = c.taken
		c.mu.Unlock()
		if want.MatchString(taken) {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	ts.Fatalf("%s has taken %q, which does not match %s", args[0], taken, args[1])
}

// outputs REGEXP ARGS...: repeats a command of lifeline until it prints a text.
func outputs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: outputs REGEXP ARGS...")
	}
	want := regexp.MustCompile("(?m)" + args[0])
	var out bytes.Buffer
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		out.Reset()
		full := append([]string{"-c", ts.MkAbs("lifeline.yaml")}, args[1:]...)
		if status := cli.Run(context.Background(), full, cli.IO{In: strings.NewReader(""), Out: &out, Err: io.Discard}); status == 0 && want.MatchString(out.String()) {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	ts.Fatalf("lifeline %s prints %q, which does not match %s", strings.Join(args[1:], " "), &out, args[0])
}

// page NAME look|approve|deny REGEXP: opens the newest link that the chat has
// taken, or answers on its page; what comes back matches.
func page(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: page NAME look|approve|deny REGEXP")
	}
	c := chats(ts)[args[0]]
	c.mu.Lock()
	links := regexp.MustCompile(`https://lifeline\.example\.net(/approve/\S+)`).FindAllStringSubmatch(c.taken, -1)
	c.mu.Unlock()
	if len(links) == 0 {
		ts.Fatalf("%s has no link", args[0])
	}
	address := "http://" + served(ts).address + links[len(links)-1][1]
	var resp *http.Response
	var err error
	if args[1] == "look" {
		resp, err = http.Get(address)
	} else {
		resp, err = http.PostForm(address, url.Values{"decision": {args[1]}, "reason": {"by link"}})
	}
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if text := resp.Status + "\n" + string(body); !regexp.MustCompile(args[2]).MatchString(text) {
		ts.Fatalf("the page is %s, which does not match %s", text, args[2])
	}
}

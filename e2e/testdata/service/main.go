// Command service is what runs in the stories' containers: a small HTTP
// service in one static binary, so that its image needs no base image.
//
//	service          serves until SIGTERM, and then exits 0
//	service -check   exits 0 if the service in the same container answers
//
// It refuses to start, with exit status 3, while its configuration file
// contains the line "broken": that is how a story gives it a fault that a
// restart cannot repair.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	address    = "127.0.0.1:8080"
	configFile = "/etc/service/service.conf"
)

func main() {
	log.SetFlags(log.LstdFlags | log.LUTC)
	check := flag.Bool("check", false, "ask the running service whether it is well")
	flag.Parse()
	run := serve
	if *check {
		run = ask
	}
	if err := run(); err != nil {
		log.Print("fatal: ", err)
		os.Exit(3)
	}
}

func serve() error {
	log.Print("reading ", configFile)
	config, err := os.ReadFile(configFile)
	if err != nil {
		return err
	}
	if bytes.Contains(config, []byte("broken")) {
		return fmt.Errorf("%s: plugin database is corrupt, refusing to start", configFile)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	log.Print("12 cameras connected, serving on ", address)
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	log.Print("asked to stop")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return server.Shutdown(ctx)
}

func ask() error {
	client := &http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get("http://" + address + "/healthz")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the service answered %s", resp.Status)
	}
	_, err = io.Copy(os.Stdout, resp.Body)
	return err
}

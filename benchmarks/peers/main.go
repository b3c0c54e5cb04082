// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command peers measures this module beside what it replaces and beside its peers: all of them in
// one run, in turns, on the loopback of one machine. Absolute times say little on a machine that
// does other things too; ratios to one target of the same round do. It prints tables.
//
// The upstream of all targets checks that each request carries the credential that the target is
// there for. A request without it is answered with 401 and counted as bad, and the run fails.
//
//	go run ./peers -h
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// settings are what a run is told by its flags.
type settings struct {
	caddy       string // a Caddy with this module
	rounds      int
	duration    time.Duration // of one target in one round
	connections []int
	counted     int            // requests by which mallocs and bytes are counted
	users       int            // with connections of their own
	targets     *regexp.Regexp // what is measured
	scenarios   *regexp.Regexp
	markdown    string // a file
	pictures    string // a folder
}

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "upstream":
			exitOn(serveUpstream(os.Args[2]))
			return
		case "httputil":
			exitOn(serveHTTPUtil(os.Args[2], os.Args[3]))
			return
		}
	}
	s, err := parse(os.Args[1:])
	exitOn(err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err = run(ctx, s)
	stop()
	exitOn(err)
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// parse reads the flags.
func parse(args []string) (*settings, error) {
	s := &settings{}
	set := flag.NewFlagSet("peers", flag.ContinueOnError)
	set.StringVar(&s.caddy, "caddy", "", "a Caddy with this module; none: it is built")
	set.IntVar(&s.rounds, "rounds", 9, "how often each target is measured at each number of connections")
	set.DurationVar(&s.duration, "time", 2*time.Second, "how long a target is measured in one round")
	set.IntVar(&s.counted, "counted", 4000, "the requests by which mallocs and bytes are counted")
	set.IntVar(&s.users, "users", 10_000, "users with connections of their own")
	set.StringVar(&s.markdown, "markdown", "", "a file for the tables, as Markdown")
	set.StringVar(&s.pictures, "pictures", "", "a folder for pictures, as SVG")
	connections := set.String("connections", "1,32,256", "keep-alive connections")
	targets := set.String("targets", ".", "a regular expression: the targets that are measured")
	scenarios := set.String("scenarios", ".", "a regular expression: the further measurements; ^$ for none")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	for text := range strings.SplitSeq(*connections, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-connections: %q is no number of connections", text)
		}
		s.connections = append(s.connections, n)
	}
	var err error
	if s.targets, err = regexp.Compile(*targets); err != nil {
		return nil, fmt.Errorf("-targets: %w", err)
	}
	if s.scenarios, err = regexp.Compile(*scenarios); err != nil {
		return nil, fmt.Errorf("-scenarios: %w", err)
	}
	if s.rounds < 1 || s.duration <= 0 {
		return nil, fmt.Errorf("-rounds %d, -time %s: both must be more than nothing", s.rounds, s.duration)
	}
	return s, nil
}

// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
)

// scenario measures something that no rate of equal requests shows.
type scenario struct {
	title string
	run   func(ctx context.Context, e *environment) ([][]string, error)
}

// scenarios runs those that are wanted.
func scenarios(ctx context.Context, e *environment) (found []section, err error) {
	for _, s := range []scenario{
		{"401 with replay", refused},
		{"Expiries under load, a token for each 5 s", expiries},
		{"Stampede at a cold token", stampede},
		{"1 GiB each way", large},
		{"Events of a stream", events},
		{"Reload", reloads},
		{"Idle memory", idle},
		{"What an operator can set", tuning},
	} {
		if !e.scenarios.MatchString(s.title) {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring:", s.title)
		rows, err := s.run(ctx, e)
		if err != nil {
			return found, fmt.Errorf("%s: %w", s.title, err)
		}
		found = append(found, section{s.title, rows})
	}
	return found, nil
}

// oauthBlock is a block with OAuth whose tokens live that long, in seconds. more is appended to
// the path of the token endpoint.
func oauthBlock(e *environment, path, options string) string {
	return "authenticated_api http://" + e.upstream + " {\n" + options + "\nauth oauth2 client_credentials {\ntoken_url http://" +
		e.upstream + "/token/" + path + "\nclient_id " + clientID + "\nclient_secret \"" + clientSecret + "\"\n}\n}"
}

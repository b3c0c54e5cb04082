// SPDX-License-Identifier: Apache-2.0

package foreign

import (
	"encoding/json"
	"slices"
	"strings"
)

// postmanURL is a URL, in one piece and in parts.
type postmanURL struct {
	Raw      text           `json:"raw"`
	Protocol loose          `json:"protocol"`
	Host     postmanParts   `json:"host"`
	Port     loose          `json:"port"`
	Query    []postmanValue `json:"query"`
}

// UnmarshalJSON implements json.Unmarshaler. A URL may be a text alone.
func (u *postmanURL) UnmarshalJSON(raw []byte) error {
	type plain postmanURL
	if raw[0] == '"' {
		return json.Unmarshal(raw, &u.Raw)
	}
	return json.Unmarshal(raw, (*plain)(u))
}

// origin returns the URL as it stands there, or the beginning of it, put together from its parts.
// Collections that a converter has made from OpenAPI have the parts alone.
func (u *postmanURL) origin() string {
	if u.Raw != "" || len(u.Host) == 0 {
		return string(u.Raw)
	}
	origin := strings.Join(u.Host, ".")
	if u.Protocol != "" {
		origin = string(u.Protocol) + "://" + origin
	}
	if u.Port != "" {
		origin += ":" + string(u.Port)
	}
	return origin
}

// postmanParts are the parts of a host, which may stand in one text.
type postmanParts []string

// UnmarshalJSON implements json.Unmarshaler.
func (parts *postmanParts) UnmarshalJSON(raw []byte) error {
	if raw[0] != '[' {
		raw = slices.Concat([]byte{'['}, raw, []byte{']'})
	}
	var list []loose
	if err := json.Unmarshal(raw, &list); err != nil {
		return err
	}
	for _, part := range list {
		if part != "" {
			*parts = append(*parts, string(part))
		}
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package foreign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	openapiRemedy = "give a description in OpenAPI 3, as JSON or YAML"

	// maxNodes is how many values a YAML file may have, with those that it repeats by aliases.
	maxNodes = 1 << 20
)

// openapiDescription is the part of an OpenAPI description that says how the API is called.
type openapiDescription struct {
	OpenAPI text `json:"openapi"`
	Swagger text `json:"swagger"`
	Info    *struct {
		Title text `json:"title"`
	} `json:"info"`
	Servers    []openapiServer                       `json:"servers"`
	Security   *[]openapiRequirement                 `json:"security"`
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Components *struct {
		Schemes map[string]openapiScheme `json:"securitySchemes"`
	} `json:"components"`
}

type openapiServer struct {
	URL       text                       `json:"url"`
	Variables map[string]openapiVariable `json:"variables"`
}

type openapiVariable struct {
	Default text `json:"default"`
}

// openapiRequirement are the schemes that a request needs at once, with the scopes of each.
type openapiRequirement map[string][]text

// readOpenAPI reads a description in OpenAPI 3.
func readOpenAPI(d *draft, input []byte) error {
	input = bytes.TrimSpace(bytes.TrimPrefix(input, []byte("\ufeff")))
	if input[0] != '{' {
		var err error
		if input, err = fromYAML(input); err != nil {
			return err
		}
	}
	var description openapiDescription
	if err := decode(input, &description, openapiRemedy); err != nil {
		return err
	}
	switch {
	case description.Swagger != "":
		return errors.New("swagger: it is Swagger 2, which is not read; convert it to OpenAPI 3 first")
	case !strings.HasPrefix(string(description.OpenAPI), "3"):
		return errors.New("openapi: the version is missing, or is not 3; " + openapiRemedy)
	}
	var title string
	if description.Info != nil {
		title = string(description.Info.Title)
	}
	a := d.add(title, called("description", title))
	base := description.base(a)
	description.secure(a, base)
	if base == "" {
		a.unknownURL("the description has none that is absolute")
	} else {
		a.baseURL(base)
	}
	return nil
}

// base returns the URL of the first server, or "" if it has none that is absolute.
func (description *openapiDescription) base(a *api) string {
	servers := description.Servers
	if len(servers) == 0 {
		servers = description.pathServers(a)
	}
	if len(servers) == 0 {
		return ""
	}
	if n := len(servers); n > 1 {
		a.note(fmt.Sprintf("the servers but the first, of %d", n))
	}
	server := servers[0]
	base := string(server.URL)
	for _, name := range sortedKeys(server.Variables) {
		base = strings.ReplaceAll(base, "{"+name+"}", string(server.Variables[name].Default))
		a.note("the variable " + shown([]string{name}) + " of the server's URL; its default stands there")
	}
	if !strings.Contains(base, "://") || len(base) > 1<<12 {
		return ""
	}
	return base
}

// pathServers returns the servers of the first path that has any. Some descriptions have them
// there alone.
func (description *openapiDescription) pathServers(a *api) (first []openapiServer) {
	for _, path := range sortedKeys(description.Paths) {
		var servers []openapiServer
		if json.Unmarshal(orNull(description.Paths[path]["servers"]), &servers) != nil || len(servers) == 0 {
			continue
		}
		switch {
		case first == nil:
			first = servers
		case first[0].URL != servers[0].URL:
			a.note("the servers of other paths than the first that has any; their requests need an API of their own")
			return first
		}
	}
	return first
}

// absolute returns a URL that may be relative to the server's.
func absolute(base, ref string) string {
	u, err := url.Parse(base)
	if err != nil || ref == "" {
		return ref
	}
	r, err := u.Parse(ref)
	if err != nil {
		return ref
	}
	return r.String()
}

// yamlLine matches the place in an error of the YAML parser, whose text may have a value in it.
var yamlLine = regexp.MustCompile(`line (\d+)`)

// fromYAML turns YAML into JSON. Keys become texts, and so do all scalars that are neither
// switches nor nothing: a version is not a number.
func fromYAML(input []byte) (out []byte, err error) {
	var root yaml.Node
	if err := yaml.Unmarshal(input, &root); err != nil {
		place := "it"
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			place = "line " + m[1]
		}
		return nil, fmt.Errorf("%s is neither JSON nor YAML: the file is damaged, or of another format; %s", place, openapiRemedy)
	}
	nodes := maxNodes
	tree, err := plainYAML(&root, &nodes, 0)
	if err != nil {
		return nil, err
	}
	return json.Marshal(tree)
}

// plainYAML turns a node into what JSON has. nodes is how many more there may be.
func plainYAML(node *yaml.Node, nodes *int, depth int) (any, error) {
	if *nodes--; *nodes < 0 || depth > 500 {
		return nil, fmt.Errorf("line %d: the file repeats itself, or is too deep; write it without aliases (&, *)", node.Line)
	}
	switch node.Kind {
	case yaml.DocumentNode:
		if len(node.Content) == 0 {
			return nil, nil
		}
		return plainYAML(node.Content[0], nodes, depth+1)
	case yaml.AliasNode:
		return plainYAML(node.Alias, nodes, depth+1)
	case yaml.SequenceNode:
		list := make([]any, 0, len(node.Content))
		for _, item := range node.Content {
			val, err := plainYAML(item, nodes, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, val)
		}
		return list, nil
	case yaml.MappingNode:
		object := make(map[string]any, len(node.Content)/2)
		for i := 0; i+1 < len(node.Content); i += 2 {
			val, err := plainYAML(node.Content[i+1], nodes, depth+1)
			if err != nil {
				return nil, err
			}
			object[node.Content[i].Value] = val
		}
		return object, nil
	case yaml.ScalarNode:
	}
	switch node.Tag {
	case "!!null":
		return nil, nil
	case "!!bool":
		return strings.EqualFold(node.Value, "true"), nil
	default:
		return node.Value, nil
	}
}

// SPDX-License-Identifier: Apache-2.0

package packaging_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The metrics, with their labels. Prometheus adds instance and job.
var metrics = map[string][]string{
	"token_requests_total":                  {"datasource", "grant", "outcome"},
	"token_request_duration_seconds_bucket": {"datasource", "grant", "le"},
	"token_expiry_timestamp_seconds":        {"datasource"},
	"replays_total":                         {"datasource", "outcome"},
	"requests_rejected_total":               {"datasource", "code"},
	"cached_connections":                    {"datasource"},
	"storage_errors_total":                  {"datasource"},
	"refusals_total":                        {"datasource", "status"},
	"connections":                           {"datasource", "state"},
	"last_success_timestamp_seconds":        {"datasource"},
}

const monitoring = "../../examples/monitoring"

// promtool runs Prometheus's own tool on files of a folder.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command(program(t, "promtool", "prometheus"), args...)
	cmd.Dir = dir
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

// TestRules has Prometheus's own tool read the rules, and test them.
func TestRules(t *testing.T) {
	promtool(t, monitoring, "check", "rules", "rules.yml")
	promtool(t, monitoring, "check", "config", "prometheus.yml")
	promtool(t, monitoring, "test", "rules", "rules_test.yml")
}

// TestAlertsTested: each alert has a test in which it fires, and one in which it does not.
func TestAlertsTested(t *testing.T) {
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	parse(t, "examples/monitoring/rules.yml", &rules, false)
	var tests struct {
		Tests []struct {
			Alerts []struct {
				Name   string `yaml:"alertname"`
				Expect []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	parse(t, "examples/monitoring/rules_test.yml", &tests, false)
	fires, quiet := make(map[string]bool), make(map[string]bool)
	for _, test := range tests.Tests {
		for _, a := range test.Alerts {
			fires[a.Name] = fires[a.Name] || len(a.Expect) > 0
			quiet[a.Name] = quiet[a.Name] || len(a.Expect) == 0
		}
	}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if !fires[rule.Alert] || !quiet[rule.Alert] {
				t.Errorf("%s is tested where it fires: %t, and where it does not: %t", rule.Alert, fires[rule.Alert], quiet[rule.Alert])
			}
			if rule.Annotations["summary"] == "" {
				t.Errorf("%s has no summary", rule.Alert)
			}
			wantKnown(t, rule.Alert, rule.Expr)
		}
	}
}

// TestAlertsDocumented: each alert has a row in the page about them, which says what to do.
func TestAlertsDocumented(t *testing.T) {
	alert := regexp.MustCompile(`AuthenticatedAPI\w+`)
	named := make(map[string]bool)
	for line := range strings.Lines(read(t, "docs/operations.md")) {
		if cell, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | "); ok {
			for _, name := range alert.FindAllString(cell, -1) {
				named[name] = true
			}
		}
	}
	var there []string
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(read(t, "examples/monitoring/rules.yml"), -1) {
		there = append(there, m[1])
	}
	slices.Sort(there)
	if got := slices.Sorted(maps.Keys(named)); !slices.Equal(got, there) {
		t.Errorf("docs/operations.md has %v, rules.yml %v", got, there)
	}
}

// wantKnown fails the test unless an expression has metrics and labels that there are.
func wantKnown(t *testing.T, where, expr string) []string {
	t.Helper()
	var used []string
	for _, m := range regexp.MustCompile(`caddy_authenticated_api_(\w+)(?:\{([^}]*)\})?`).FindAllStringSubmatch(expr, -1) {
		labels, ok := metrics[m[1]]
		if !ok {
			t.Errorf("%s: there is no metric %s", where, m[1])
		}
		for _, label := range regexp.MustCompile(`(\w+)\s*[!=]~?"`).FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(labels, label[1]) {
				t.Errorf("%s: %s has no label %s", where, m[1], label[1])
			}
		}
		used = append(used, m[1])
	}
	if len(used) == 0 {
		t.Errorf("%s has no metric: %s", where, expr)
	}
	return used
}

// TestDashboard: Grafana's dashboard shows every metric, and Prometheus takes each of its queries.
func TestDashboard(t *testing.T) {
	var dashboard struct {
		Title, UID string
		Panels     []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "examples/monitoring/dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	shown, ids := make(map[string]bool), make(map[int]bool)
	rules := "groups:\n- name: dashboard\n  rules:\n"
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] || panel.GridPos.X+panel.GridPos.W > 24 || len(panel.Targets) == 0 {
			t.Errorf("panel %q: %+v", panel.Title, panel)
		}
		ids[panel.ID] = true
		for _, target := range panel.Targets {
			for _, name := range wantKnown(t, panel.Title, target.Expr) {
				shown[name] = true
			}
			expr := strings.NewReplacer("$__rate_interval", "5m", "$api", ".*").Replace(target.Expr)
			rules += fmt.Sprintf("  - record: panel%d\n    expr: '%s'\n", panel.ID, expr)
		}
	}
	if missing := slices.DeleteFunc(slices.Sorted(maps.Keys(metrics)), func(name string) bool { return shown[name] }); len(missing) > 0 {
		t.Errorf("the dashboard does not show %v", missing)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dashboard.yml"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, dir, "check", "rules", "dashboard.yml")
}

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the pictures in docs/operations.md anew: a Caddy with four APIs, a Prometheus that scrapes it
# with the rules of examples/monitoring, and Chromium, which looks at Prometheus's pages after some
# minutes. It needs go, curl, and Debian's packages prometheus and chromium.
#
#	packaging/monitoring/run.sh [minutes] [folder]
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
minutes=${1:-8}
folder=${2:-$root/docs/images}
work=$(mktemp -d)
pids=()
end() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	wait || true
	rm -rf "$work"
}
trap end EXIT

free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
ADMIN_PORT=$(free) GATEWAY_PORT=$(free) API_PORT=$(free) prometheus_port=$(free)
SWITCHES=$work/switches DATA=$work/data
mkdir -p "$SWITCHES" "$DATA" "$folder"

if [[ -z "${CADDY:-}" ]]; then
	CADDY=$work/caddy
	(cd "$root" && go build -o "$CADDY" ./cmd/caddy)
fi
KEY=$("$CADDY" authenticated-api keygen) CLIENT_SECRET=a-secret-of-this-run
export ADMIN_PORT GATEWAY_PORT API_PORT SWITCHES DATA KEY CLIENT_SECRET
XDG_CONFIG_HOME=$work XDG_DATA_HOME=$work "$CADDY" run --config "$root/packaging/monitoring/Caddyfile" >"$work/caddy.log" 2>&1 &
pids+=($!)

# The rules and the scrape are those of the example. Only the address and the pace are others.
cp "$root/examples/monitoring/rules.yml" "$work/"
{
	printf 'global:\n  scrape_interval: 5s\n  evaluation_interval: 5s\n'
	sed "s/localhost:2019/127.0.0.1:$ADMIN_PORT/" "$root/examples/monitoring/prometheus.yml"
} >"$work/prometheus.yml"
# In its folder, since its pages show where the rules are.
(cd "$work" && exec prometheus --config.file=prometheus.yml --storage.tsdb.path=tsdb \
	--web.listen-address="127.0.0.1:$prometheus_port" >prometheus.log 2>&1) &
pids+=($!)

until curl -sf "http://127.0.0.1:$ADMIN_PORT/metrics" >"$work/metrics" && curl -sf "http://127.0.0.1:$prometheus_port/-/ready" >"$work/ready"; do sleep 0.2; done
start=$(date +%s)
while (($(date +%s) - start < minutes * 60)); do
	if (($(date +%s) - start > minutes * 60 / 4)); then touch "$SWITCHES/provider-rejects"; fi
	if (($(date +%s) - start > minutes * 60 / 3)); then touch "$SWITCHES/api-refuses"; fi
	for api in orders crm billing calendar; do
		curl -s -o "$work/answer" "http://127.0.0.1:$GATEWAY_PORT/$api/x"
	done
	sleep 0.3
done

picture() { # <file> <width> <height> <path>
	chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size="$2,$3" --virtual-time-budget=15000 \
		--user-data-dir="$work/chromium" --screenshot="$folder/$1" "http://127.0.0.1:$prometheus_port$4" >"$work/chromium.log" 2>&1
}
panel() { # <number> <query>
	printf 'g%s.expr=%s&g%s.tab=0&g%s.range_input=%sm&' "$1" "$(python3 -c 'import sys, urllib.parse; print(urllib.parse.quote(sys.argv[1]))' "$2")" "$1" "$1" "$minutes"
}
graph="$(panel 0 'sum by (datasource, outcome) (increase(caddy_authenticated_api_token_requests_total[1m])) > 0')"
graph+="$(panel 1 'sum by (datasource, status) (increase(caddy_authenticated_api_refusals_total[1m]))')"
picture monitoring-graph.png 1100 1620 "/classic/graph?${graph%&}"
picture monitoring-alerts.png 1100 840 /classic/alerts
"$CADDY" authenticated-api status --address "127.0.0.1:$ADMIN_PORT" || true
curl -s "http://127.0.0.1:$prometheus_port/api/v1/alerts" | python3 -c 'import json, sys
for a in json.load(sys.stdin)["data"]["alerts"]: print(a["state"], a["labels"]["alertname"], a["labels"].get("datasource"))'

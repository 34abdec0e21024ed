#!/usr/bin/env bash
# Pipelined durable inserts through each door, in alternation: benches/doors.sh [ROUNDS [SECONDS]]   (5 rounds of 5 s)
#
#   LOADS="64x16 1x64" DOORS="tcp tls" benches/doors.sh 9 10
#
# A load is clients x operations in flight of each. A run has a server of its own over a new directory under DIR (/var/tmp),
# pinned to core 0, and `blazedb bench insert` through one door, pinned to core 1, which warms up for a second. Each round goes
# through all doors and begins with another. A line a run: inserts/s, p50 and p99 in microseconds, microseconds of the
# server's processor time an insert, the share of a core that the load used. In the end medians, and each door's
# ratio to TCP: of the medians, and the least and the greatest of the rounds. Needs `cargo build --release` before, and python3.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-5} seconds=${2:-5}
loads=${LOADS:-64x16 16x64}
read -ra doors <<<"${DOORS:-tcp websocket tls websocket+tls unix}"
binary=${BLAZEDB:-target/release/blazedb}
address=127.0.0.1:25823
dir=$(mktemp -d "${DIR:-/var/tmp}/blazedb-doors.XXXXXX")
server=
at_end() {
    [ -z "$server" ] || kill -9 "$server" 2>/dev/null || true
    rm -rf "$dir"
}
trap at_end EXIT

start() {
    local line
    coproc SERVE {
        exec taskset -c 0 "$binary" serve --listen "$address" --listen "unix:$dir/socket" --data-dir "$dir/data" 2>/dev/null
    }
    server=$SERVE_PID
    while read -r line <&"${SERVE[0]}"; do
        case $line in
        *pin=*) pin=${line##*pin=} ;;
        *Ctrl-C*) break ;;
        esac
    done
}

stop() {
    kill -9 "$server"
    wait "$server" 2>/dev/null || true
    server=
    rm -rf "$dir/data"
}

url() { # door
    case $1 in
    tcp) echo "blaze://$address/main" ;;
    tls) echo "blazes://$address/main?pin=$pin" ;;
    websocket) echo "ws://$address/blaze?db=main" ;;
    websocket+tls) echo "wss://$address/blaze?db=main&pin=$pin" ;;
    unix) echo "unix:$dir/socket?db=main" ;;
    *) echo "no door: $1" >&2 && return 2 ;;
    esac
}

# The server's processor time so far, in ticks.
ticks() { awk '{ print $14 + $15 }' "/proc/$server/stat"; }

run() { # load door
    local before way
    start
    way=$(url "$2")
    before=$(ticks)
    taskset -c 1 "$binary" --url "$way" bench insert --clients "${1%x*}" --window "${1#*x}" \
        --duration "${seconds}s" --warm-up 1s -o json >"$dir/result"
    python3 - "$1" "$2" "$(($(ticks) - before))" "$dir/result" <<'PY'
import json, os, sys
load, door, ticks, path = sys.argv[1:]
result = json.load(open(path))
writes = result["writes"]
assert not writes["errors"], writes["errors"]
cost = int(ticks) / os.sysconf("SC_CLK_TCK") * 1e6 / result["records_left"]
latency = writes["latency_ns"]
print(load, door, round(writes["operations_per_second"]), round(latency["p50"] / 1e3), round(latency["p99"] / 1e3),
      f"{cost:.2f} {result['loader_cpu']:.2f}")
PY
    stop
}

for load in $loads; do
    : >"$dir/runs"
    echo "# $load, load average $(cut -d' ' -f1-3 /proc/loadavg)"
    for round in $(seq "$rounds"); do
        for turn in "${!doors[@]}"; do
            run "$load" "${doors[(turn + round) % ${#doors[@]}]}" | tee -a "$dir/runs"
        done
    done
    python3 - "$dir/runs" <<'PY'
import statistics, sys
runs = {}
for line in open(sys.argv[1]):
    load, door, *figures = line.split()
    runs.setdefault(door, []).append([float(figure) for figure in figures])
base = [row[0] for row in runs.get("tcp", [])]
for door, rows in runs.items():
    rate, p50, p99, cost, busy = (statistics.median(column) for column in zip(*rows))
    rates = [row[0] for row in rows]
    text = f"{load} {door}: {rate:,.0f}/s ({min(rates):,.0f} to {max(rates):,.0f}), p50 {p50 / 1e3:.1f} ms, " \
           f"p99 {p99 / 1e3:.1f} ms, server {cost:.2f} us an insert, load busy {busy:.2f}"
    if base:
        ratios = [rate / of for rate, of in zip(rates, base)]
        text += f", ratio to TCP {rate / statistics.median(base):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    print(text)
PY
done

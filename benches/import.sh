#!/usr/bin/env bash
# The import as a user runs it: benches/import.sh FILE [RUNS]. The release build, the server pinned to core 0 over a
# new directory, the import to core 1. A line a run: records/s of the whole command, the server's peak resident memory, how long
# until it listens again after kill -9 and after a clean stop, the store's bytes after the checkpoint of that stop.
set -euo pipefail
cd "$(dirname "$0")/.."

file=$1
runs=${2:-5}
binary=${BLAZEDB:-target/release/blazedb}
address=127.0.0.1:25722
data=$(mktemp -d "${TMPDIR:-/var/tmp}/blazedb-import.XXXXXX")
server=
at_end() {
    [ -z "$server" ] || kill -9 "$server" 2>/dev/null || true
    rm -rf "$data"
}
trap at_end EXIT

now() { date +%s%N; }

# Starts the server and prints after how many milliseconds it listens.
start() {
    local began line
    began=$(now)
    coproc SERVE { exec taskset -c 0 "$binary" serve --listen "$address" --data-dir "$data/run" 2>/dev/null; }
    server=$SERVE_PID
    while read -r line <&"${SERVE[0]}"; do
        case $line in *Ctrl-C*) break ;; esac
    done
    waited=$((($(now) - began) / 1000000))
}

stop() {
    kill -s "$1" "$server"
    wait "$server" 2>/dev/null || true
    server=
}

for _ in $(seq "$runs"); do
    rm -rf "$data/run"
    start
    began=$(now)
    said=$(taskset -c 1 "$binary" --url "blaze://$address" import flights "$file" --null NA)
    took=$((($(now) - began) / 1000000))
    records=$(sed -n 's/^flights: \([0-9]*\) records.*/\1/p' <<<"$said")
    peak=$(awk '/VmHWM/ {print int($2 / 1024)}' "/proc/$server/status")
    stop KILL
    start
    killed=$waited
    stop TERM
    start
    stopped=$waited
    bytes=$(du -sb "$data/run/main/store" | cut -f1)
    stop TERM
    echo "$((records * 1000 / took))/s in $took ms; peak $peak MB; again after kill $killed ms, after stop $stopped ms; store $bytes B"
done

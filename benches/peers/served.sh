#!/bin/bash
# The served figures of benches/README.md: BlazeDB beside Redis and PostgreSQL on one machine with two cores.
#
#   benches/peers/served.sh [ROUNDS [SECONDS]]          (5 rounds of 10 s unless told otherwise: some 10 minutes)
#   LOADS="one many" DIR=/mnt/disk benches/peers/served.sh
#
# Servers run on core 0, load on core 1, data in a new directory under DIR (the current one), which must lie on the disk that
# is meant. 1,000,000 records are stored in each beforehand. A round runs ours and then the peer's; the medians of all rounds
# are printed, and fdatasync of one block before each load. Needs redis-server, redis-benchmark,
# postgres, initdb, pgbench and psql (Debian: redis-server, postgresql-15), python3, and `cargo build --release` before.
# LOADS: any of one, many, deep, get. WRAP: a file to lock while the rounds of one load run, where builds lock it too.
set -euo pipefail

rounds=${1:-5} seconds=${2:-10}
loads=${LOADS:-one many deep get}
blazedb=${BLAZEDB:-$(dirname "$0")/../../target/release/blazedb}
blazedb=$(realpath "$blazedb")
pg=${PGBIN:-/usr/lib/postgresql/15/bin}
records=${RECORDS:-1000000}
dir=$(mktemp -d "${DIR:-$PWD}/served-XXXXXX")
port=26293 redis_port=26379 pg_port=26432
url=blaze://127.0.0.1:$port/main
pids=()

stop() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$dir"
}
trap stop EXIT

# as_postgres COMMAND...: PostgreSQL does not run as root.
as_postgres() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

start_blazedb() {
    taskset -c 0 "$blazedb" serve --listen 127.0.0.1:$port --data-dir "$dir/blazedb" >"$dir/blazedb.log" 2>&1 &
    pids+=($!)
    until grep -q 127.0.0.1 "$dir/blazedb.log"; do sleep 0.1; done
    taskset -c 1 "$blazedb" --url $url bench insert --records "$records" --batch 1000 --clients 4 >/dev/null
}

start_redis() {
    mkdir "$dir/redis"
    taskset -c 0 redis-server --port $redis_port --bind 127.0.0.1 --dir "$dir/redis" --save '' --appendonly yes \
        --appendfsync always --daemonize no >"$dir/redis.log" 2>&1 &
    pids+=($!)
    until redis-cli -p $redis_port ping >/dev/null 2>&1; do sleep 0.1; done
    python3 - "$records" <<'PY' | redis-cli -p $redis_port --pipe >/dev/null
import sys
for number in range(int(sys.argv[1])):
    key, value = "key:%012d" % number, "x" * 165
    sys.stdout.write(f"*3\r\n$3\r\nSET\r\n${len(key)}\r\n{key}\r\n$165\r\n{value}\r\n")
PY
}

start_postgres() {
    mkdir "$dir/postgres"
    chmod a+rx "$dir"
    if [ "$(id -u)" = 0 ]; then chown postgres "$dir/postgres"; fi
    as_postgres "$pg/initdb" -D "$dir/postgres" -A trust -U postgres >/dev/null
    if [ "$(id -u)" = 0 ]; then
        (cd / && exec runuser -u postgres -- taskset -c 0 "$pg/postgres" -D "$dir/postgres" -p $pg_port \
            -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c synchronous_commit=on) \
            >"$dir/postgres.log" 2>&1 &
    else
        taskset -c 0 "$pg/postgres" -D "$dir/postgres" -p $pg_port -c listen_addresses=127.0.0.1 \
            -c unix_socket_directories= -c synchronous_commit=on >"$dir/postgres.log" 2>&1 &
    fi
    pids+=($!)
    psql="psql -q -h 127.0.0.1 -p $pg_port -U postgres"
    until $psql -c 'select 1' >/dev/null 2>&1; do sleep 0.2; done
    # 165 bytes with the id, as the other servers' records.
    $psql -c 'create table payments (id uuid primary key, title text not null)' \
        -c "insert into payments select gen_random_uuid(), repeat('x', 149) from generate_series(1, $records)" \
        -c 'vacuum analyze payments' -c checkpoint
    echo "insert into payments values (gen_random_uuid(), repeat('x', 149));" >"$dir/insert.sql"
}

# Each prints: operations a second, p50 and p99 in microseconds.
ours() { # workload clients window
    local more=()
    [ "$1" = get ] && more=(--existing --records "$records")
    taskset -c 1 "$blazedb" --url $url bench "$1" --clients "$2" --window "$3" --duration "${seconds}s" "${more[@]}" -o json |
        python3 -c 'import json, sys
def plain(value):  # typed JSON: a number that is wrapped is its only value
    while isinstance(value, dict) and len(value) == 1: value = next(iter(value.values()))
    return float(value)
def find(tree, key):
    if isinstance(tree, dict):
        if key in tree: return tree[key]
        for value in tree.values():
            found = find(value, key)
            if found is not None: return found
tree = json.load(sys.stdin)
side = find(tree, "reads" if sys.argv[1] == "get" else "writes")
latency = find(side, "latency_ns")
load = find(tree, "loader_cpu")
print(round(plain(find(side, "operations_per_second"))), *(round(plain(find(latency, q)) / 1000) for q in ("p50", "p99")),
      "load busy", load if load is None else round(plain(load), 2))' "$1"
}

redis() { # test clients window operations: a run of some $seconds
    taskset -c 1 redis-benchmark -p $redis_port -t "$1" -c "$2" -P "$3" -d 165 -r "$records" -n "$4" --csv |
        python3 -c 'import csv, sys
row = list(csv.DictReader(sys.stdin))[0]
print(round(float(row["rps"])), *(round(float(row[k]) * 1000) for k in ("p50_latency_ms", "p99_latency_ms")))'
}

postgres() {
    taskset -c 1 pgbench -n -h 127.0.0.1 -p $pg_port -U postgres -c 1 -j 1 -T "$seconds" -M prepared -l \
        --log-prefix="$dir/pgbench" -f "$dir/insert.sql" postgres 2>/dev/null | sed -n 's/^tps = \([0-9]*\).*/\1/p' | tr '\n' ' '
    cat "$dir"/pgbench.* | cut -d' ' -f3 | sort -n |
        awk '{ line[NR] = $1 } END { print line[int(NR * 0.5) + 1], line[int(NR * 0.99) + 1] }'
    rm -f "$dir"/pgbench.*
}

disk() { # p50 of a synced write of one block, in microseconds
    python3 - "$dir/block" <<'PY'
import os, sys, time
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.write(file, bytes(4 << 20)); os.fsync(file)
times = []
for number in range(500):
    os.pwrite(file, bytes([number % 256]) * 4096, number * 4096)
    begin = time.perf_counter(); os.fdatasync(file); times.append(time.perf_counter() - begin)
times.sort()
print(f"fdatasync of one block: p50 {times[250] * 1e6:.0f} us, p99 {times[495] * 1e6:.0f} us")
PY
}

round() { # load
    case $1 in
    one) echo "ours $(ours insert 1 1)"; echo "postgres $(postgres)"
         echo "redis $(redis set 1 1 $((seconds * 4500)))" ;;
    many) echo "ours $(ours insert 64 1)"; echo "redis $(redis set 64 1 $((seconds * 44000)))" ;;
    deep) echo "ours $(ours insert 64 16)"; echo "redis $(redis set 64 16 $((seconds * 220000)))" ;;
    get) echo "ours $(ours get 64 1)"; echo "redis $(redis get 64 1 $((seconds * 80000)))" ;;
    esac
}

series() { # load
    disk
    for number in $(seq "$rounds"); do
        round "$1" | tee -a "$dir/$1"
    done
    python3 - "$1" "$dir/$1" <<'PY'
import statistics, sys
runs = {}
for line in open(sys.argv[2]):
    name, *figures = line.split()
    runs.setdefault(name, []).append([float(figure) for figure in figures[:3]])
for name, rows in runs.items():
    rate, p50, p99 = (statistics.median(column) for column in zip(*rows))
    print(f"{sys.argv[1]}: {name}: median {rate:,.0f}/s, p50 {p50:,.0f} us, p99 {p99:,.0f} us")
PY
}

start_blazedb
start_redis
start_postgres
for load in $loads; do
    if [ -n "${WRAP:-}" ]; then
        # A lock held for all rounds of one load, so that nothing else runs beside them.
        exec 9>"$WRAP"; flock 9; series "$load"; flock -u 9
    else
        series "$load"
    fi
done

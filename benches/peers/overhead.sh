#!/usr/bin/env bash
# The tables of "Bytes on the wire" in benches/README.md: benches/peers/overhead.sh [FLIGHTS.csv[.gz] [ROUNDS]]
# Builds the program and runs it over a new directory under TMPDIR (/var/tmp unless set). The flights are those of the repository's
# sample unless a file of nycflights13 is named, of which the first 1,000 are taken; 3 rounds unless told otherwise, a minute each.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
file=${1:-$root/samples/flights.csv}
rounds=${2:-3}
export TMPDIR=${TMPDIR:-/var/tmp}

cargo build --quiet --release --locked --features wire --bin overhead --manifest-path "$root/benches/peers/Cargo.toml"
zcat -f -- "$file" | "$root/benches/peers/target/release/overhead" /dev/stdin "$rounds"

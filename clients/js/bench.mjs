// Durable inserts a second over one connection: node bench.mjs URL [RECORDS] [WINDOW]

import { connect } from './src/node.js';

const [url = 'blaze://127.0.0.1:25293/main', records = '200000', window = '64'] = process.argv.slice(2);
const total = Number(records);
const client = await connect(url);
const pad = 'x'.repeat(80);
const latencies = new Float64Array(total);
let begun = 0;

async function writer() {
  while (begun < total) {
    const n = begun++;
    const start = performance.now();
    await client.insert('bench', { title: `record ${n}`, votes: n, score: n / 3, done: false, note: pad });
    latencies[n] = performance.now() - start;
  }
}

const start = performance.now();
await Promise.all(Array.from({ length: Number(window) }, writer));
const seconds = (performance.now() - start) / 1000;
await client.close();
latencies.sort();
const at = (share) => latencies[Math.min(total - 1, Math.floor(total * share))].toFixed(2);
console.log(
  `${total} durable inserts, window ${window}: ${Math.round(total / seconds)}/s, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`,
);

// Writes src/codes.js from spec/errors.json; with --check it only says whether the two agree.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const target = fileURLToPath(new URL('src/codes.js', import.meta.url));
const rows = JSON.parse(readFileSync(new URL('../../spec/errors.json', import.meta.url), 'utf8'));
const lines = rows.map(
  (row) =>
    `  [${row.number}, ${[row.name, row.fault, row.text, row.advice].map((text) => JSON.stringify(text)).join(', ')}, ${row.retryable}],`,
);
const text = `// The errors of the protocol: number, name, who is at fault, what happened, what to do, whether to try again.
// Written by codes.mjs from spec/errors.json.

/** @type {[number, string, string, string, string, boolean][]} */
export const CODES = [
${lines.join('\n')}
];
`;

if (!process.argv.includes('--check')) writeFileSync(target, text);
else if (readFileSync(target, 'utf8') !== text) {
  console.error('src/codes.js is not what spec/errors.json says: run node codes.mjs');
  process.exitCode = 1;
}

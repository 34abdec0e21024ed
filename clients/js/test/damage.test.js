// Bytes from strangers: whatever is done to the vectors, a decoder answers or refuses by name, and what it takes it writes
// back. The seed is printed with a failure and can be given by BLAZEDB_SEED.

import assert from 'node:assert/strict';
import test from 'node:test';

import { EncodingError, decodeRecord, encodeRecord, layoutOf } from '../src/encoding/record.js';
import { parseTyped } from '../src/encoding/json.js';
import { fromHex, toHex } from '../src/encoding/values.js';
import { ProtocolFault } from '../src/errors.js';
import { FrameReader } from '../src/wire/frame.js';
import { decompress } from '../src/wire/lz4.js';
import { isServers, readMessage } from '../src/wire/messages.js';
import { expandHex, repositoryText } from './support.js';

const SEED = Number(process.env.BLAZEDB_SEED ?? 1);
const ROUNDS = 10;
const MAX_BYTES = 4096;

/** Numbers below `bound`, the same for a seed (xorshift, 32 bits). */
function random(seed) {
  let state = seed * 2654435761 || 1;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

/** A copy with a byte changed, some cut off, doubled or put in. */
function damaged(bytes, below) {
  const out = [...bytes];
  for (let times = 1 + below(3); times > 0; times--) {
    const at = below(out.length + 1);
    const kind = below(4);
    if (kind === 0 && at < out.length) out[at] = below(256);
    else if (kind === 1) out.splice(at, below(8));
    else if (kind === 2) out.splice(at, 0, ...out.slice(at, at + below(16)));
    else out.splice(at, 0, [0x00, 0xff, 0x09, 0x08, 0x21][below(5)]);
  }
  return Uint8Array.from(out);
}

function hexes(file) {
  return JSON.parse(repositoryText(`conformance/vectors/${file}.json`))
    .cases.map(({ hex, type }) => ({ bytes: fromHex(expandHex(hex)), type }))
    .filter(({ bytes }) => bytes.length <= MAX_BYTES);
}

function each(file, Refusal, decode) {
  const below = random(SEED);
  let taken = 0;
  let refused = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (const { bytes, type } of hexes(file)) {
      const input = damaged(bytes, below);
      try {
        decode(input, type);
        taken++;
      } catch (error) {
        if (!(error instanceof Refusal)) {
          error.message = `seed ${SEED}, ${file} ${toHex(input)}: ${error.message}`;
          throw error;
        }
        refused++;
      }
    }
  }
  assert.ok(taken > 0 && refused > 0, `${taken} taken, ${refused} refused`);
}

test('damaged records', () => {
  each('records', EncodingError, (bytes) => {
    const record = decodeRecord(bytes);
    assert.equal(toHex(encodeRecord(record, layoutOf(bytes))), toHex(bytes));
  });
});

test('damaged messages', () => {
  each('messages', ProtocolFault, (bytes, type) => {
    if (isServers(type)) readMessage(type, bytes);
  });
});

test('damaged frames', () => {
  each('frames', ProtocolFault, (bytes) => {
    const reader = new FrameReader();
    reader.push(bytes);
    while (reader.next() !== null);
  });
});

test('damaged blocks', () => {
  each('compression', ProtocolFault, (bytes) => decompress(bytes));
});

test('damaged texts', () => {
  const below = random(SEED);
  const texts = JSON.parse(repositoryText('conformance/vectors/json.json'))
    .cases.map(({ text }) => text)
    .filter((text) => text.length <= MAX_BYTES);
  for (let round = 0; round < ROUNDS; round++) {
    for (const text of texts) {
      const input = String.fromCharCode(
        ...damaged(
          Uint16Array.from(text, (_, i) => text.charCodeAt(i) & 0xff),
          below,
        ),
      );
      try {
        parseTyped(input);
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw new Error(`seed ${SEED}, ${JSON.stringify(input)}`, { cause: error });
      }
    }
  }
});

// Compressed payloads (spec/protocol.md, P-5): a plain length and one LZ4 block.

import { ProtocolFault } from '../errors.js';
import { MAX_PAYLOAD_BYTES } from './frame.js';

const LENGTH_BYTES = 4;
/** The least that a match stands for. */
const MIN_MATCH = 4;
/** A length of four bits that goes on in further bytes. */
const LONG = 15;
/** P-5.2: a block of LZ4 cannot become more than so many times itself. */
const MAX_RATIO = 255;

/** @returns {never} */
function bad() {
  throw new ProtocolFault('bad_compression');
}

/** The plain payload. @param {Uint8Array} payload as it travelled @returns {Uint8Array} */
export function decompress(payload) {
  if (payload.length <= LENGTH_BYTES) bad();
  const block = payload.subarray(LENGTH_BYTES);
  const length = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
  if (length > MAX_PAYLOAD_BYTES || length <= payload.length || length > MAX_RATIO * block.length) bad();
  // Only what the block proves is reserved (P-5.3).
  if (plainLength(block) !== length) bad();
  const out = new Uint8Array(length);
  expand(block, out);
  return out;
}

/** Adds up the lengths of a block's sequences. @param {Uint8Array} block */
function plainLength(block) {
  let total = 0;
  let at = 0;
  while (at < block.length) {
    const token = block[at++];
    let literals = token >> 4;
    if (literals === LONG) {
      let byte;
      do {
        if (at >= block.length) bad();
        byte = block[at++];
        literals += byte;
      } while (byte === 255);
    }
    at += literals;
    total += literals;
    if (at > block.length || total > MAX_PAYLOAD_BYTES) bad();
    // The last sequence has literals alone.
    if (at === block.length) return (token & LONG) === 0 ? total : bad();
    at += 2;
    let match = token & LONG;
    if (match === LONG) {
      let byte;
      do {
        if (at >= block.length) bad();
        byte = block[at++];
        match += byte;
      } while (byte === 255);
    }
    total += match + MIN_MATCH;
    if (at >= block.length || total > MAX_PAYLOAD_BYTES) bad();
  }
  return bad();
}

/** Expands a block whose lengths were checked. @param {Uint8Array} block @param {Uint8Array} out */
function expand(block, out) {
  let at = 0;
  let to = 0;
  for (;;) {
    const token = block[at++];
    let literals = token >> 4;
    if (literals === LONG) {
      let byte;
      do literals += byte = block[at++];
      while (byte === 255);
    }
    out.set(block.subarray(at, at + literals), to);
    at += literals;
    to += literals;
    if (at === block.length) return;
    const distance = block[at] | (block[at + 1] << 8);
    at += 2;
    if (distance === 0 || distance > to) bad();
    let match = token & LONG;
    if (match === LONG) {
      let byte;
      do match += byte = block[at++];
      while (byte === 255);
    }
    // Byte by byte: a match may overlap what it makes.
    for (const end = to + match + MIN_MATCH; to < end; to++) out[to] = out[to - distance];
  }
}

// Frames (spec/protocol.md, P-2): taken apart as their bytes arrive, and put together in place.

import { ProtocolFault } from '../errors.js';
import { crc32 } from './crc32.js';

export const TYPE = Object.freeze({
  handshake: 0x01,
  operation: 0x02,
  query: 0x03,
  queryResponse: 0x04,
  subscribe: 0x05,
  telemetry: 0x06,
  ack: 0x07,
  error: 0x08,
  event: 0x10,
  unsubscribe: 0x11,
  ping: 0x12,
  pong: 0x13,
  auth: 0x14,
  goodbye: 0x15,
  credit: 0x16,
  cancel: 0x17,
});

export const FLAG = Object.freeze({ compressed: 1, encrypted: 2, requiresAck: 4 });
const RESERVED_FLAGS = 0xf8;

export const HEADER_BYTES = 15;
/** What a frame costs over its payload. */
export const OVERHEAD_BYTES = 19;
/** P-2.3: the most bytes of a payload, and before the handshake is done. */
export const MAX_PAYLOAD_BYTES = 2097152;
export const MAX_HANDSHAKE_BYTES = 4096;
const SEQUENCE_MASK = 0xffffff;

const MAGIC = [0x42, 0x4c, 0x41, 0x5a, 0x45];
const VERSION = 1;
const AT = { version: 5, type: 6, length: 7, flags: 11, sequence: 12 };
const INITIAL_BYTES = 16384;

/** Takes the bytes of a stream and gives its frames. What it holds is what arrived, whatever lengths are claimed. */
export class FrameReader {
  constructor() {
    /** The most bytes of a payload now. */
    this.limit = MAX_HANDSHAKE_BYTES;
    this.bytes = new Uint8Array(INITIAL_BYTES);
    this.view = new DataView(this.bytes.buffer);
    this.start = 0;
    this.end = 0;
  }

  /** How many bytes of an unfinished frame are held. */
  get pending() {
    return this.end - this.start;
  }

  /** @param {Uint8Array} bytes */
  push(bytes) {
    if (this.start > 0) {
      this.bytes.copyWithin(0, this.start, this.end);
      this.end -= this.start;
      this.start = 0;
    }
    if (this.end + bytes.length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(this.end + bytes.length, 2 * this.bytes.length));
      grown.set(this.bytes.subarray(0, this.end));
      this.bytes = grown;
      this.view = new DataView(grown.buffer);
    }
    this.bytes.set(bytes, this.end);
    this.end += bytes.length;
  }

  /**
   * The next whole frame, its payload valid until the next push; null while bytes are missing.
   * @returns {{ type: number, flags: number, sequence: number, payload: Uint8Array } | null}
   */
  next() {
    const { start } = this;
    const have = this.end - start;
    for (let i = 0; i < MAGIC.length && i < have; i++) {
      if (this.bytes[start + i] !== MAGIC[i]) throw new ProtocolFault('bad_magic');
    }
    if (have > AT.version && this.bytes[start + AT.version] !== VERSION) throw new ProtocolFault('unsupported_version');
    if (have < AT.flags) return null;
    const length = this.view.getUint32(start + AT.length);
    if (length > this.limit) throw new ProtocolFault('payload_too_large', `${length} bytes`);
    if (have > AT.flags && (this.bytes[start + AT.flags] & RESERVED_FLAGS) !== 0) throw new ProtocolFault('reserved_flags');
    if (have < length + OVERHEAD_BYTES) return null;
    const end = start + HEADER_BYTES + length;
    if (crc32(this.bytes, start, end) !== this.view.getUint32(end)) throw new ProtocolFault('frame_checksum_mismatch');
    this.start = end + 4;
    return {
      type: this.bytes[start + AT.type],
      flags: this.bytes[start + AT.flags],
      sequence: this.view.getUint32(start + AT.flags) & SEQUENCE_MASK,
      payload: this.bytes.subarray(start + HEADER_BYTES, end),
    };
  }
}

/** Refuses flags that the type does not have (P-2.6). @param {number} type @param {number} flags @param {boolean} lz4 agreed on */
export function checkFlags(type, flags, lz4) {
  const acked = (flags & FLAG.requiresAck) !== 0;
  const wrong =
    (flags & FLAG.encrypted) !== 0 ||
    ((flags & FLAG.compressed) !== 0 && (!lz4 || type === TYPE.handshake)) ||
    (acked ? type !== TYPE.operation && type !== TYPE.telemetry : type === TYPE.operation);
  if (wrong) throw new ProtocolFault('unexpected_flag');
}

/** The sequence after another (P-6.1). @param {number} sequence */
export function nextSequence(sequence) {
  return (sequence + 1) & SEQUENCE_MASK;
}

/** Begins a frame; its payload is written behind. @param {import('../encoding/writer.js').Writer} out @param {number} type */
export function beginFrame(out, type) {
  out.reserve(HEADER_BYTES);
  const { at, bytes } = out;
  for (let i = 0; i < MAGIC.length; i++) bytes[at + i] = MAGIC[i];
  bytes[at + AT.version] = VERSION;
  bytes[at + AT.type] = type;
  bytes[at + AT.flags] = type === TYPE.operation ? FLAG.requiresAck : 0;
  out.at += HEADER_BYTES;
  return at;
}

/** Ends the frame that began at `start`; what it costs. @param {import('../encoding/writer.js').Writer} out @param {number} start @param {number} sequence */
export function endFrame(out, start, sequence) {
  const { view, bytes } = out;
  view.setUint32(start + AT.length, out.at - start - HEADER_BYTES);
  bytes[start + AT.sequence] = sequence >>> 16;
  view.setUint16(start + AT.sequence + 1, sequence & 0xffff);
  out.u32(crc32(bytes, start, out.at));
  return out.at - start;
}

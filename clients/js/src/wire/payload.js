// The fields of payloads (spec/protocol.md, P-1 and P-3), read one behind another.

import { EncodingError, MAX_RECORD_BYTES, Reader } from '../encoding/record.js';
import { Uuid, fromHex, toHex } from '../encoding/values.js';
import { ProtocolFault } from '../errors.js';
import { crc32 } from './crc32.js';

const POSITION = /^[0-9a-f]{32}$/;
const encoder = new TextEncoder();

/** Whether a text is a position as a client tells it: 32 hexadecimal digits. @param {unknown} text */
export function isPosition(text) {
  return typeof text === 'string' && POSITION.test(text);
}

/** The position behind a change (L-1.3). @param {string} position of its event @param {number | bigint} seq */
export function positionBehind(position, seq) {
  return position.slice(0, 16) + seq.toString(16).padStart(16, '0');
}

/** @param {import('../encoding/writer.js').Writer} out @param {string} position */
export function writePosition(out, position) {
  out.raw(fromHex(position));
}

/** A payload being read. A fault is told with the offset at which its field begins (P-3.7). */
export class PayloadReader extends Reader {
  /** @param {string} code @param {number} offset @returns {never} */
  fail(code, offset) {
    throw new ProtocolFault(code, `byte ${offset} of the payload`, offset);
  }

  /** The field that begins at `offset` holds what it must not. @param {boolean} ok @param {number} offset */
  check(ok, offset) {
    if (!ok) this.fail('invalid_field', offset);
  }

  u8() {
    this.need(1, this.at);
    return this.bytes[this.at++];
  }

  u16() {
    this.need(2, this.at);
    this.at += 2;
    return this.view.getUint16(this.at - 2);
  }

  u32() {
    this.need(4, this.at);
    this.at += 4;
    return this.view.getUint32(this.at - 4);
  }

  /** A number where it is exact as one. @returns {number | bigint} */
  u64() {
    this.need(8, this.at);
    this.at += 8;
    const value = this.view.getUint32(this.at - 8) * 0x100000000 + this.view.getUint32(this.at - 4);
    return Number.isSafeInteger(value) ? value : this.view.getBigUint64(this.at - 8);
  }

  /** One of 1 to `most`. @param {number} most */
  kind(most) {
    const at = this.at;
    const value = this.u8();
    this.check(value >= 1 && value <= most, at);
    return value;
  }

  /** A number of 1 at least. */
  number() {
    const at = this.at;
    const value = this.u64();
    this.check(value !== 0, at);
    return value;
  }

  /** @returns {string} 32 hexadecimal digits */
  position() {
    this.need(16, this.at);
    this.at += 16;
    return toHex(this.bytes.subarray(this.at - 16, this.at));
  }

  id() {
    this.need(16, this.at);
    return new Uuid(this.take(16));
  }

  /** One BlazeBinary value (P-1.2). @returns {any} */
  field() {
    const at = this.at;
    const values = new Reader(this.bytes, at, this.end);
    try {
      const value = values.value(0);
      this.at = values.at;
      return value;
    } catch (error) {
      if (!(error instanceof EncodingError)) throw error;
      return this.fail(error.code === 'truncated' ? 'truncated' : 'invalid_value', at);
    }
  }

  /** @param {number} most bytes */
  str(most) {
    const at = this.at;
    const value = this.field();
    if (typeof value !== 'string') this.fail('invalid_value', at);
    this.check(value.length <= most && encoder.encode(value).length <= most, at);
    return value;
  }

  /** @returns {Uuid} */
  uuid() {
    const at = this.at;
    const value = this.field();
    if (!(value instanceof Uuid)) this.fail('invalid_value', at);
    return value;
  }

  /** The bytes of a record that were checked by its CRC, valid as long as the payload (P-1.6). */
  recordBytes() {
    const at = this.at;
    const length = this.u32();
    if (length > MAX_RECORD_BYTES) this.fail('record_too_large', at);
    this.need(4 + length, at);
    const checksum = this.u32();
    const start = this.at;
    this.at += length;
    if (crc32(this.bytes, start, this.at) !== checksum) this.fail('record_checksum_mismatch', at);
    return this.bytes.subarray(start, this.at);
  }

  /** Behind the last field: nothing, or the extension (P-3.2, P-3.3). */
  done() {
    if (this.at === this.end) return;
    const at = this.at;
    const values = new Reader(this.bytes, at, this.end);
    /** @type {any} */
    let value;
    try {
      value = values.value(0);
    } catch (error) {
      if (!(error instanceof EncodingError)) throw error;
    }
    const isDict = value && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype;
    if (!isDict || Object.keys(value).length === 0) this.fail('trailing_bytes', at);
    if (values.at < this.end) this.fail('trailing_bytes', values.at);
    if (Object.keys(value).some((key) => key.startsWith('!'))) this.fail('unsupported_extension', at);
  }
}

// Bytes being written: one growing buffer, so that values go straight to where they are sent from.

const INITIAL_BYTES = 4096;
// Below it a loop over the characters is faster than a call of TextEncoder.
const SHORT_TEXT = 48;

const encoder = new TextEncoder();

export class Writer {
  constructor() {
    this.bytes = new Uint8Array(INITIAL_BYTES);
    this.view = new DataView(this.bytes.buffer);
    /** Where the next byte goes. */
    this.at = 0;
  }

  /** What was written from `start` on, copied. */
  copy(start = 0) {
    return this.bytes.slice(start, this.at);
  }

  /** Makes room for so many more bytes. @param {number} count */
  reserve(count) {
    if (this.at + count <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.at + count, 2 * this.bytes.length));
    grown.set(this.bytes.subarray(0, this.at));
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }

  /** @param {number} value */
  u8(value) {
    this.reserve(1);
    this.bytes[this.at++] = value;
  }

  /** @param {number} value */
  u16(value) {
    this.reserve(2);
    this.view.setUint16(this.at, value);
    this.at += 2;
  }

  /** @param {number} value */
  u32(value) {
    this.reserve(4);
    this.view.setUint32(this.at, value);
    this.at += 4;
  }

  /** @param {number | bigint} value */
  u64(value) {
    this.reserve(8);
    if (typeof value === 'bigint') this.view.setBigUint64(this.at, value);
    else {
      this.view.setUint32(this.at, Math.floor(value / 0x100000000));
      this.view.setUint32(this.at + 4, value >>> 0);
    }
    this.at += 8;
  }

  /** @param {Uint8Array} bytes */
  raw(bytes) {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
  }

  /**
   * Writes a text in UTF-8; the number of its bytes, or −1 and nothing written where it holds half of a surrogate pair.
   * @param {string} text @returns {number}
   */
  utf8(text) {
    this.reserve(3 * text.length);
    const start = this.at;
    if (text.length <= SHORT_TEXT) {
      const { bytes } = this;
      let i = 0;
      for (; i < text.length; i++) {
        const unit = text.charCodeAt(i);
        if (unit >= 0x80) break;
        bytes[start + i] = unit;
      }
      if (i === text.length) {
        this.at = start + i;
        return i;
      }
    }
    if (!isWellFormed(text)) return -1;
    const { written } = encoder.encodeInto(text, this.bytes.subarray(start));
    this.at = start + written;
    return written;
  }
}

/** Whether a text has no half of a surrogate pair. @param {string} text */
export function isWellFormed(text) {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0xd800 || unit > 0xdfff) continue;
    const next = text.charCodeAt(i + 1);
    if (unit > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) return false;
    i++;
  }
  return true;
}

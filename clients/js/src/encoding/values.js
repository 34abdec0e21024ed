// The values that JavaScript has no own type for, so that nothing is lost between a record and a program: a double that
// happens to be whole, a date finer than a millisecond, UUIDs, vectors.

const scratch = new DataView(new ArrayBuffer(8));
const CANONICAL_NAN = 0x7ff8000000000000n;
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const EPOCH_MS = Date.UTC(2001, 0, 1);

/** @param {number} value @returns {bigint} */
export function bitsOf(value) {
  scratch.setFloat64(0, value);
  return scratch.getBigUint64(0);
}

/** @param {bigint} bits @returns {number} */
export function doubleOf(bits) {
  scratch.setBigUint64(0, bits);
  return scratch.getFloat64(0);
}

/** @param {Uint8Array} bytes @returns {string} */
export function toHex(bytes) {
  let text = '';
  for (const byte of bytes) text += HEX[byte];
  return text;
}

/** @param {string} text @returns {Uint8Array} */
export function fromHex(text) {
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(text)) throw new TypeError('not pairs of hexadecimal digits');
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** How Node shows an object on a console. */
const INSPECT = Symbol.for('nodejs.util.inspect.custom');

/** A 64-bit double that stays one, also where a number would be taken for an int (5.0), and with every bit of a NaN. */
export class Double {
  /** @param {number} value */
  constructor(value) {
    if (typeof value !== 'number') throw new TypeError('new Double(value) takes a number');
    /** @type {number} */
    this.value = value;
    /** The 64 bits. @type {bigint} */
    this.bits = Number.isNaN(value) ? CANONICAL_NAN : bitsOf(value);
    Object.freeze(this);
  }

  /** @param {bigint} bits @returns {Double} */
  static fromBits(bits) {
    const double = Object.create(Double.prototype);
    double.value = doubleOf(bits);
    double.bits = BigInt.asUintN(64, bits);
    return Object.freeze(double);
  }

  valueOf() {
    return this.value;
  }

  toString() {
    return String(this.value);
  }

  toJSON() {
    return this.value;
  }

  [INSPECT]() {
    return `Double(${Object.is(this.value, -0) ? '-0' : this.value})`;
  }
}

/**
 * The number or Double that stands for a double: a number where it would be encoded as that double again, else a Double.
 * @param {number} value @param {DataView} view that it was read from @param {number} at where @returns {number | Double}
 */
export function fromDouble(value, view, at) {
  if (isIntLike(value)) return new Double(value);
  if (value === value) return value;
  const exact = view.getBigUint64(at);
  return exact === CANONICAL_NAN ? value : Double.fromBits(exact);
}

/**
 * Whether a number could have been meant as an int: whole, within 64 bits, and not −0, which no int is.
 * @param {number} value
 */
export function isIntLike(value) {
  return Number.isInteger(value) && value >= -0x8000000000000000 && value <= 0x8000000000000000 && !Object.is(value, -0);
}

/** A date of any precision: seconds since 2001-01-01T00:00:00Z. As a Date it is the nearest millisecond. */
export class PreciseDate extends Date {
  /**
   * @param {number} seconds since 2001-01-01T00:00:00Z
   * @param {bigint} [bits] those of the seconds, for a NaN that is not the usual one
   */
  constructor(seconds, bits) {
    super(Math.round(seconds * 1000) + EPOCH_MS);
    /** @type {number} */
    this.seconds = seconds;
    /** The 64 bits of the seconds. @type {bigint} */
    this.bits = bits ?? (Number.isNaN(seconds) ? CANONICAL_NAN : bitsOf(seconds));
    Object.freeze(this);
  }

  /** @param {bigint} bits @returns {PreciseDate} */
  static fromBits(bits) {
    return new PreciseDate(doubleOf(bits), BigInt.asUintN(64, bits));
  }
}

/** What every method that would change a frozen date does. @returns {never} */
function refuseChange() {
  throw new TypeError('a PreciseDate does not change: make a new one');
}
for (const name of Object.getOwnPropertyNames(Date.prototype)) {
  if (name.startsWith('set')) Object.defineProperty(PreciseDate.prototype, name, { value: refuseChange });
}

/** The bits of a date's seconds. @param {Date} date @returns {bigint} */
export function dateBits(date) {
  if (date instanceof PreciseDate) return date.bits;
  return bitsOf((date.getTime() - EPOCH_MS) / 1000);
}

/**
 * The Date, where it is that date to the last bit, else the PreciseDate.
 * @param {number} seconds @param {DataView} view that they were read from @param {number} at where @returns {Date}
 */
export function fromSeconds(seconds, view, at) {
  const date = new Date(Math.round(seconds * 1000) + EPOCH_MS);
  const same = seconds === seconds && Object.is((date.getTime() - EPOCH_MS) / 1000, seconds);
  return same ? date : PreciseDate.fromBits(view.getBigUint64(at));
}

const UUID_TEXT = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
let lastMs = 0;
let counter = 0;

/** A UUID: 16 bytes in textual order. */
export class Uuid {
  /** @param {Uint8Array} bytes taken over, not copied */
  constructor(bytes) {
    if (!(bytes instanceof Uint8Array) || bytes.length !== 16) throw new TypeError('a UUID has 16 bytes');
    /** @type {Uint8Array} */
    this.bytes = bytes;
  }

  /** @param {string} text with hyphens, in either case @returns {Uuid} */
  static parse(text) {
    if (!UUID_TEXT.test(text)) throw new TypeError(`not a UUID with hyphens: ${JSON.stringify(text)}`);
    return new Uuid(fromHex(text.replaceAll('-', '')));
  }

  /** A new one of version 7: by time, those of one process in the order in which they were made. @returns {Uuid} */
  static v7(now = Date.now()) {
    const bytes = globalThis.crypto.getRandomValues(new Uint8Array(16));
    if (now > lastMs) {
      lastMs = now;
      // Room to count up in the millisecond: the upper bit is left free.
      counter = ((bytes[6] & 0x07) << 8) | bytes[7];
    } else if (++counter > 0xfff) {
      lastMs++;
      counter = 0;
    }
    const view = new DataView(bytes.buffer);
    view.setUint16(0, Math.floor(lastMs / 0x100000000));
    view.setUint32(2, lastMs % 0x100000000);
    view.setUint16(6, 0x7000 | counter);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    return new Uuid(bytes);
  }

  /** @param {unknown} other @returns {boolean} */
  equals(other) {
    return other instanceof Uuid && this.bytes.every((byte, i) => byte === other.bytes[i]);
  }

  toString() {
    const hex = toHex(this.bytes);
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }

  toJSON() {
    return this.toString();
  }

  [INSPECT]() {
    return `Uuid(${this})`;
  }
}

/** A vector: each item the upper half of a 64-bit double, as it is stored. Making one cuts the items, it does not round. */
export class Vector {
  /** @param {Iterable<number>} items */
  constructor(items) {
    /** The upper 32 bits of each item. @type {Uint32Array} */
    this.words = Uint32Array.from(items, upperHalf);
  }

  /** @param {Uint32Array} words taken over, not copied @returns {Vector} */
  static fromWords(words) {
    const vector = new Vector([]);
    vector.words = words;
    return vector;
  }

  get length() {
    return this.words.length;
  }

  /** @param {number} index @returns {number | undefined} */
  at(index) {
    const word = this.words.at(index);
    return word === undefined ? undefined : wholeOf(word);
  }

  /** @returns {number[]} */
  toArray() {
    return Array.from(this.words, wholeOf);
  }

  [Symbol.iterator]() {
    return this.toArray()[Symbol.iterator]();
  }

  toJSON() {
    return this.toArray();
  }

  [INSPECT]() {
    return `Vector(${this.toArray().join(', ')})`;
  }
}

/** @param {number} value */
function upperHalf(value) {
  if (typeof value !== 'number') throw new TypeError('the items of a Vector are numbers');
  if (value !== value) return 0x7ff80000;
  scratch.setFloat64(0, value);
  return scratch.getUint32(0);
}

/** @param {number} word */
function wholeOf(word) {
  scratch.setUint32(0, word);
  scratch.setUint32(4, 0);
  return scratch.getFloat64(0);
}

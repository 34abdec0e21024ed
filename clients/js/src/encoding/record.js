// Records and values in BlazeBinary (spec/blazebinary.md), both ways: what is written is canonical, and only what is
// canonical is read.

import { crc32 } from '../wire/crc32.js';
import { compareKeys, compareScalars, nfc } from './nfc.js';
import { Double, PreciseDate, Uuid, Vector, dateBits, fromDouble, fromSeconds, isIntLike } from './values.js';
import { Writer } from './writer.js';

/** B-5.4: the most bytes of a record. */
export const MAX_RECORD_BYTES = 1048576;
/** B-5.1: the most fields, items or entries of one container. */
export const MAX_ITEMS = 65535;
/** B-5.2: the most bytes of a key. */
const MAX_KEY_BYTES = 65535;
/** B-5.3: the most containers inside one another. */
const MAX_DEPTH = 64;
const MAGIC = [0x42, 0x4c, 0x41, 0x5a, 0x45];
const HEADER_BYTES = 8;
const WRITTEN_OUT = 0xff;

const TAG = {
  string: 0x01,
  int: 0x02,
  double: 0x03,
  bool: 0x04,
  uuid: 0x05,
  date: 0x06,
  data: 0x07,
  array: 0x08,
  dict: 0x09,
  vector: 0x0a,
  null: 0x0b,
  emptyString: 0x11,
  smallInt: 0x12,
  emptyArray: 0x18,
  emptyDict: 0x19,
  shortString: 0x20,
};
const MAX_SHORT = 15;

/** B-2.1: the names that take one byte, by that byte less one. */
const COMMON = (
  'id createdAt updatedAt userId teamId title description status priority assignedTo tags completedAt dueDate startDate ' +
  'category name email password username firstName lastName age phone address city state zip country organizationId ' +
  'projectId taskId bugId issueId commentId attachmentId versionId parentId childIds metadata config settings preferences ' +
  'type kind label value count total sum average min max isActive isDeleted isPublic isPrivate isArchived isFavorite'
).split(' ');
const COMMON_BYTES = new Map(COMMON.map((name, i) => [name, i + 1]));

/** What cannot be encoded, or is not canonical BlazeBinary. */
export class EncodingError extends Error {
  /** @param {string} code @param {number} offset @param {string} message */
  constructor(code, offset, message) {
    super(message);
    this.name = 'EncodingError';
    /** The name of what is wrong, as in section 6 of `spec/blazebinary.md`. */
    this.code = code;
    /** Where the wrong item begins, −1 where there are no bytes yet. */
    this.offset = offset;
  }
}

// ---- writing

/** @param {string} code @param {string} message @returns {never} */
function refuse(code, message) {
  throw new EncodingError(code, -1, message);
}

/**
 * Encodes a record. @param {Record<string, unknown>} fields @param {1 | 2} [layout] 2 carries a checksum of its own
 * @returns {Uint8Array}
 */
export function encodeRecord(fields, layout = 1) {
  const out = new Writer();
  writeRecord(out, fields, layout);
  return out.bytes.subarray(0, out.at);
}

/** Writes a record; nothing of it where it is refused. @param {Writer} out @param {Record<string, unknown>} fields */
export function writeRecord(out, fields, layout = 1) {
  const start = out.at;
  try {
    if (!isPlain(fields)) refuse('unsupported_type', 'a record is a plain object');
    const keys = sortedKeys(fields, 'record');
    out.reserve(HEADER_BYTES);
    for (const byte of MAGIC) out.bytes[out.at++] = byte;
    out.u8(layout);
    out.u16(keys.length);
    for (const key of keys) {
      const common = COMMON_BYTES.get(key);
      if (common !== undefined) out.u8(common);
      else {
        out.u8(WRITTEN_OUT);
        writeKey(out, key);
      }
      writeValue(out, fields[key], 0, key);
    }
    if (layout === 2) out.u32(crc32(out.bytes, start, out.at));
    if (out.at - start > MAX_RECORD_BYTES) refuse('record_too_large', `a record takes at most ${MAX_RECORD_BYTES} bytes`);
  } catch (error) {
    out.at = start;
    throw error;
  }
}

/** Encodes one value without a record around it. @param {unknown} value @returns {Uint8Array} */
export function encodeValue(value) {
  const out = new Writer();
  writeValue(out, value, 0, 'value');
  return out.bytes.subarray(0, out.at);
}

/** @param {unknown} value @returns {value is Record<string, unknown>} */
export function isPlain(value) {
  if (typeof value !== 'object' || value === null) return false;
  const proto = Object.getPrototypeOf(value);
  // An Object.prototype of another realm (a frame, a vm) has no prototype either.
  return proto === Object.prototype || proto === null || (Object.getPrototypeOf(proto) === null && 'isPrototypeOf' in proto);
}

/**
 * A property that nothing is stored of, though the object has it: a symbol, or one that is not enumerable. A getter is stored as the
 * value that it gives. @param {object} object @returns {string | undefined} its name
 */
export function hiddenProperty(object) {
  const shown = Object.keys(object).length;
  // Two calls and not Reflect.ownKeys, which is slower: this is done for every object that is written.
  if (Object.getOwnPropertyNames(object).length === shown && Object.getOwnPropertySymbols(object).length === 0) return undefined;
  const keys = new Set(/** @type {(string | symbol)[]} */ (Object.keys(object)));
  return String(Reflect.ownKeys(object).find((key) => !keys.has(key)));
}

/**
 * The keys in canonical order (B-4.1). Nothing is left out in silence: an object with hidden properties, or with two spellings of one
 * key (B-4.2), is refused. @param {Record<string, unknown>} object @param {string} where for the message
 */
export function sortedKeys(object, where) {
  const keys = Object.keys(object);
  if (keys.length > MAX_ITEMS) refuse('too_many_items', `a container holds at most ${MAX_ITEMS} entries`);
  const hidden = hiddenProperty(object);
  if (hidden !== undefined) refuse('unsupported_type', `"${where}" has a property that cannot be stored: ${hidden}`);
  let sorted = true;
  let simple = true;
  for (let i = 0; i < keys.length; i++) {
    if (i > 0 && keys[i - 1] >= keys[i]) sorted = false;
    if (simple && !isAscii(keys[i])) simple = false;
  }
  if (simple) return sorted ? keys : keys.sort();
  /** @type {[string, string][]} */
  const forms = keys.map((key) => [nfc(key), key]);
  forms.sort(([a], [b]) => compareScalars(a, b));
  for (let i = 1; i < forms.length; i++) {
    if (forms[i - 1][0] !== forms[i][0]) continue;
    refuse('duplicate_key', `"${where}" has two spellings of one key: ${JSON.stringify(forms[i][0])}`);
  }
  return forms.map(([, key]) => key);
}

/** @param {string} text */
function isAscii(text) {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) >= 0x80) return false;
  return true;
}

/** @param {Writer} out @param {string} key */
function writeKey(out, key) {
  out.u16(0);
  const start = out.at;
  const length = out.utf8(key);
  if (length < 0) refuse('invalid_utf8', `the key ${JSON.stringify(key)} holds half of a surrogate pair`);
  if (length > MAX_KEY_BYTES) refuse('key_too_long', `a key takes at most ${MAX_KEY_BYTES} bytes`);
  out.view.setUint16(start - 2, length);
}

/** @param {Writer} out @param {unknown} value @param {number} depth @param {string} where for the message */
function writeValue(out, value, depth, where) {
  switch (typeof value) {
    case 'string':
      return writeString(out, value, where);
    case 'number':
      return writeNumber(out, value, where);
    case 'boolean':
      out.u8(TAG.bool);
      return out.u8(value ? 1 : 0);
    case 'bigint':
      return writeBigInt(out, value, where);
    case 'object':
      return value === null ? out.u8(TAG.null) : writeObject(out, value, depth, where);
    default:
      refuse('unsupported_type', `"${where}" is ${typeof value}: leave it out, or use null`);
  }
}

/** @param {Writer} out @param {string} text @param {string} where */
function writeString(out, text, where) {
  if (text.length === 0) return out.u8(TAG.emptyString);
  const tag = out.at;
  // The shortest header first; a text of more bytes is moved behind a longer one.
  out.u8(TAG.shortString);
  if (text.length <= MAX_SHORT) {
    const length = out.utf8(text);
    if (length >= 0 && length <= MAX_SHORT) {
      out.bytes[tag] = TAG.shortString | length;
      return;
    }
    out.at = tag + 1;
  }
  out.bytes[tag] = TAG.string;
  out.u32(0);
  const length = out.utf8(text);
  if (length < 0) refuse('invalid_utf8', `"${where}" holds half of a surrogate pair`);
  out.view.setUint32(tag + 1, length);
}

/** @param {Writer} out @param {number} value @param {string} where */
function writeNumber(out, value, where) {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    if (value >= 0 && value <= 255) {
      out.u8(TAG.smallInt);
      return out.u8(value);
    }
    out.u8(TAG.int);
    out.reserve(8);
    out.view.setInt32(out.at, Math.floor(value / 0x100000000));
    out.view.setUint32(out.at + 4, value >>> 0);
    out.at += 8;
    return;
  }
  if (isIntLike(value)) {
    refuse('ambiguous_number', `"${where}" is a whole number beyond 2^53: say BigInt(…) for an int, new Double(…) for a double`);
  }
  out.u8(TAG.double);
  out.reserve(8);
  out.view.setFloat64(out.at, value);
  // One NaN only: what bits an engine has for its own is its own matter.
  if (value !== value) out.view.setBigUint64(out.at, 0x7ff8000000000000n);
  out.at += 8;
}

/** @param {Writer} out @param {bigint} value @param {string} where */
function writeBigInt(out, value, where) {
  if (value >= 0n && value <= 255n) {
    out.u8(TAG.smallInt);
    return out.u8(Number(value));
  }
  if (BigInt.asIntN(64, value) !== value) refuse('int_out_of_range', `"${where}" does not fit an int of 64 bits`);
  out.u8(TAG.int);
  out.u64(BigInt.asUintN(64, value));
}

/** @param {Writer} out @param {object} value @param {number} depth @param {string} where */
function writeObject(out, value, depth, where) {
  if (Array.isArray(value)) return writeArray(out, value, depth + 1, where);
  if (value instanceof Uuid) {
    out.u8(TAG.uuid);
    return out.raw(value.bytes);
  }
  if (value instanceof Uint8Array) {
    out.u8(TAG.data);
    out.u32(value.length);
    return out.raw(value);
  }
  if (value instanceof Double) {
    out.u8(TAG.double);
    return out.u64(value.bits);
  }
  if (value instanceof Date) return writeDate(out, value, where);
  if (value instanceof Vector) return writeVector(out, value);
  if (isPlain(value)) return writeDict(out, value, depth + 1, where);
  refuse(
    'unsupported_type',
    `"${where}" is an object that no value stands for: use plain objects, arrays, Date, Uuid, Uint8Array, Vector`,
  );
}

/** @param {Writer} out @param {Date} date @param {string} where */
function writeDate(out, date, where) {
  if (!(date instanceof PreciseDate) && Number.isNaN(date.getTime())) refuse('invalid_date', `"${where}" is an invalid Date`);
  out.u8(TAG.date);
  out.u64(dateBits(date));
}

/** @param {Writer} out @param {Vector} vector */
function writeVector(out, vector) {
  out.u8(TAG.vector);
  out.u32(vector.words.length);
  out.reserve(4 * vector.words.length);
  for (const word of vector.words) out.u32(word);
}

/** @param {number} depth @param {string} where */
function checkDepth(depth, where) {
  if (depth > MAX_DEPTH) refuse('too_deep', `"${where}" lies more than ${MAX_DEPTH} containers deep`);
}

/** @param {Writer} out @param {unknown[]} items @param {number} depth @param {string} where */
function writeArray(out, items, depth, where) {
  checkDepth(depth, where);
  if (items.length > MAX_ITEMS) refuse('too_many_items', `"${where}" has more than ${MAX_ITEMS} items`);
  if (items.length === 0) return out.u8(TAG.emptyArray);
  out.u8(TAG.array);
  out.u16(items.length);
  for (let i = 0; i < items.length; i++) writeValue(out, items[i], depth, where);
}

/** @param {Writer} out @param {Record<string, unknown>} dict @param {number} depth @param {string} where */
function writeDict(out, dict, depth, where) {
  checkDepth(depth, where);
  const keys = sortedKeys(dict, where);
  if (keys.length === 0) return out.u8(TAG.emptyDict);
  out.u8(TAG.dict);
  out.u16(keys.length);
  for (const key of keys) {
    writeKey(out, key);
    writeValue(out, dict[key], depth, key);
  }
}

// ---- reading

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
// Below it, and while all is ASCII, a loop is faster than a call of TextDecoder.
const SHORT_TEXT = 32;

/** Decodes the bytes of one record. @param {Uint8Array} bytes @returns {Record<string, any>} */
export function decodeRecord(bytes) {
  return new Reader(bytes).record();
}

/** The layout of a record's bytes, 1 or 2. @param {Uint8Array} bytes */
export function layoutOf(bytes) {
  return bytes[5];
}

/** Decodes one value that is all of the bytes. @param {Uint8Array} bytes @returns {any} */
export function decodeValue(bytes) {
  const reader = new Reader(bytes);
  const value = reader.value(0);
  if (reader.at < reader.end) reader.fail('trailing_bytes', reader.at);
  return value;
}

/** A place in bytes that are read as canonical values. */
export class Reader {
  /** @param {Uint8Array} bytes */
  constructor(bytes, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.at = start;
    this.end = end;
  }

  /** @param {string} code @param {number} offset @returns {never} */
  fail(code, offset) {
    throw new EncodingError(code, offset, `${code} at byte ${offset}`);
  }

  /** The bytes of an item must all be there. @param {number} count @param {number} item where it begins */
  need(count, item) {
    if (this.end - this.at < count) this.fail('truncated', item);
  }

  record() {
    const start = this.at;
    if (this.end - start > MAX_RECORD_BYTES) this.fail('record_too_large', start);
    this.need(MAGIC.length, start);
    for (const byte of MAGIC) if (this.bytes[this.at++] !== byte) this.fail('bad_magic', start);
    const layoutAt = this.at;
    this.need(1, layoutAt);
    const layout = this.bytes[this.at++];
    if (layout !== 1 && layout !== 2) this.fail('unsupported_layout', layoutAt);
    this.need(2, this.at);
    let count = this.view.getUint16(this.at);
    this.at += 2;
    if (layout === 2) this.checksum(start);
    /** @type {Record<string, unknown>} */
    const fields = {};
    let before;
    for (; count > 0; count--) {
      const key = this.fieldKey(before);
      setOwn(fields, key, this.value(0));
      before = key;
    }
    if (this.at < this.end) this.fail('trailing_bytes', this.at);
    return fields;
  }

  /** Compares the checksum of layout 2 and leaves it out of what is read. @param {number} start */
  checksum(start) {
    this.need(4, this.at);
    this.end -= 4;
    if (this.view.getUint32(this.end) !== crc32(this.bytes, start, this.end)) this.fail('checksum_mismatch', this.end);
  }

  /** @param {string | undefined} before the key before it @returns {string} */
  fieldKey(before) {
    const item = this.at;
    this.need(1, item);
    const byte = this.bytes[this.at++];
    let key;
    if (byte === WRITTEN_OUT) {
      key = this.keyText(item);
      if (COMMON_BYTES.has(key)) this.fail('non_canonical_key', item);
    } else {
      key = COMMON[byte - 1];
      if (key === undefined) this.fail('unknown_field', item);
    }
    this.checkOrder(before, key, item);
    return key;
  }

  /** @param {number} item */
  keyText(item) {
    this.need(2, item);
    const length = this.view.getUint16(this.at);
    this.at += 2;
    this.need(length, item);
    return this.text(length, item);
  }

  /** @param {string | undefined} before @param {string} key @param {number} item */
  checkOrder(before, key, item) {
    if (before === undefined) return;
    const order = compareKeys(before, key);
    if (order === 0) this.fail('duplicate_key', item);
    if (order > 0) this.fail('keys_out_of_order', item);
  }

  /** @param {number} length @param {number} item @returns {string} */
  text(length, item) {
    const start = this.at;
    const end = start + length;
    this.at = end;
    if (length <= SHORT_TEXT) {
      let text = '';
      let at = start;
      for (; at < end; at++) {
        const byte = this.bytes[at];
        if (byte >= 0x80) break;
        text += String.fromCharCode(byte);
      }
      if (at === end) return text;
    }
    try {
      return decoder.decode(this.bytes.subarray(start, end));
    } catch {
      return this.fail('invalid_utf8', item);
    }
  }

  /** Reads one value. @param {number} depth how many containers it lies in @returns {any} */
  value(depth) {
    const item = this.at;
    this.need(1, item);
    const tag = this.bytes[this.at++];
    if (tag > TAG.shortString && tag <= TAG.shortString + MAX_SHORT) {
      this.need(tag - TAG.shortString, item);
      return this.text(tag - TAG.shortString, item);
    }
    switch (tag) {
      case TAG.smallInt:
        this.need(1, item);
        return this.bytes[this.at++];
      case TAG.int:
        return this.int(item);
      case TAG.double:
        return fromDouble(this.double(item), this.view, this.at - 8);
      case TAG.string:
        return this.longString(item);
      case TAG.bool:
        this.need(1, item);
        if (this.bytes[this.at] > 1) this.fail('non_canonical_bool', item);
        return this.bytes[this.at++] === 1;
      case TAG.uuid:
        this.need(16, item);
        return new Uuid(this.take(16));
      case TAG.date:
        return fromSeconds(this.double(item), this.view, this.at - 8);
      case TAG.data:
        return this.take(this.length(item, 1));
      case TAG.array:
        return this.array(depth + 1, item);
      case TAG.dict:
        return this.dict(depth + 1, item);
      case TAG.vector:
        return this.vector(item);
      case TAG.null:
        return null;
      case TAG.emptyString:
        return '';
      case TAG.emptyArray:
        if (depth + 1 > MAX_DEPTH) this.fail('too_deep', item);
        return [];
      case TAG.emptyDict:
        if (depth + 1 > MAX_DEPTH) this.fail('too_deep', item);
        return {};
      case TAG.shortString:
        return this.fail('non_canonical_string', item);
      default:
        return this.fail('unknown_tag', item);
    }
  }

  /** @param {number} count @returns {Uint8Array} a copy */
  take(count) {
    const taken = new Uint8Array(count);
    taken.set(this.bytes.subarray(this.at, this.at + count));
    this.at += count;
    return taken;
  }

  /** @param {number} item */
  int(item) {
    this.need(8, item);
    const high = this.view.getInt32(this.at);
    const low = this.view.getUint32(this.at + 4);
    this.at += 8;
    if (high === 0 && low <= 255) this.fail('non_canonical_int', item);
    const value = high * 0x100000000 + low;
    return Number.isSafeInteger(value) ? value : (BigInt(high) << 32n) | BigInt(low);
  }

  /** @param {number} item */
  double(item) {
    this.need(8, item);
    this.at += 8;
    return this.view.getFloat64(this.at - 8);
  }

  /** A u32 count and its items, all of which must be there. @param {number} item @param {number} size of one */
  length(item, size) {
    this.need(4, item);
    const count = this.view.getUint32(this.at);
    this.at += 4;
    this.need(count * size, item);
    return count;
  }

  /** @param {number} item */
  longString(item) {
    const length = this.length(item, 1);
    const text = this.text(length, item);
    if (length <= MAX_SHORT) this.fail('non_canonical_string', item);
    return text;
  }

  /** @param {number} item */
  vector(item) {
    const words = new Uint32Array(this.length(item, 4));
    for (let i = 0; i < words.length; i++, this.at += 4) words[i] = this.view.getUint32(this.at);
    return Vector.fromWords(words);
  }

  /** @param {number} depth @param {number} item */
  count(depth, item) {
    this.need(2, item);
    const count = this.view.getUint16(this.at);
    this.at += 2;
    if (count === 0) this.fail('non_canonical_empty', item);
    if (depth > MAX_DEPTH) this.fail('too_deep', item);
    return count;
  }

  /** @param {number} depth @param {number} item */
  array(depth, item) {
    const items = [];
    for (let left = this.count(depth, item); left > 0; left--) items.push(this.value(depth));
    return items;
  }

  /** @param {number} depth @param {number} item */
  dict(depth, item) {
    /** @type {Record<string, unknown>} */
    const dict = {};
    let before;
    for (let left = this.count(depth, item); left > 0; left--) {
      const keyAt = this.at;
      const key = this.keyText(keyAt);
      this.checkOrder(before, key, keyAt);
      setOwn(dict, key, this.value(depth));
      before = key;
    }
    return dict;
  }
}

/** Sets a key as what it says: `__proto__` would otherwise be the prototype. @param {Record<string, unknown>} object @param {string} key @param {unknown} value */
export function setOwn(object, key, value) {
  if (key === '__proto__') Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  else object[key] = value;
}

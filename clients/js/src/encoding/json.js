// Typed JSON (spec/json.md): the exact text of values. JSON.parse would round ints, forget which numbers are doubles, and
// keep the last of two equal keys, so this reads texts by itself.

import { nfc } from './nfc.js';
import { isPlain, setOwn, sortedKeys } from './record.js';
import { Double, PreciseDate, Uuid, Vector, bitsOf, dateBits, doubleOf, fromDouble, fromSeconds, isIntLike } from './values.js';
import { isWellFormed } from './writer.js';

/** J-1.4. */
const MAX_DEPTH = 64;
const MAX_ITEMS = 65535;
const MAX_KEY_BYTES = 65535;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const INT = /^-?(?:0|[1-9][0-9]*)$/;
const BITS = /^0x[0-9a-fA-F]{16}$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const DATE = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;
const SCALARS = new Set(['$int', '$double', '$date', '$uuid', '$data', '$vector']);
const ESCAPES = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };
const UNESCAPES = new Map([
  ['"', '\\"'],
  ['\\', '\\\\'],
  ['\b', '\\b'],
  ['\f', '\\f'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
]);
const EPOCH_SECONDS = 978307200;
const NANOS = 1000000000n;
/** 0000-01-01 and 10000-01-01 in seconds since 2001. */
const YEAR_0 = Date.UTC(2000, 0, 1) / 1000 - EPOCH_SECONDS - 730485 * 86400;
const YEAR_10000 = Date.UTC(10000, 0, 1) / 1000 - EPOCH_SECONDS;
/** Doubles from the first on, and below the second, are written with an exponent: J-2.4 asks for the fewest digits. */
const EXPONENT_FROM = 1e16;
const EXPONENT_BELOW = 1e-4;

/** See `tieUp`. */
const TIE_BITS = 25;

/** Reads a text. @param {string} text @returns {any} */
export function parseTyped(text) {
  const parser = new Parser(text);
  const value = parser.value(0, true);
  parser.blanks();
  if (parser.at < text.length) parser.fail('more text behind the value');
  return value;
}

class Parser {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  /** @param {string} what @returns {never} */
  fail(what, at = this.at) {
    const before = this.text.slice(0, at).split('\n');
    const column = [...before[before.length - 1]].length + 1;
    throw new SyntaxError(`${what}, in line ${before.length}, column ${column}`);
  }

  blanks() {
    while (this.at < this.text.length && ' \t\n\r'.includes(this.text[this.at])) this.at++;
  }

  /** @param {string} expected */
  take(expected) {
    if (this.text.startsWith(expected, this.at)) this.at += expected.length;
    else this.fail(`"${expected}" is missing`);
  }

  /** @param {number} depth how many containers it lies in @param {boolean} [top] an object there is a record, which is not counted @returns {any} */
  value(depth, top = false) {
    this.blanks();
    switch (this.text[this.at]) {
      case '{':
        return this.object(top ? 0 : depth + 1);
      case '[':
        return this.array(depth + 1);
      case '"':
        return this.string();
      case 't':
        this.take('true');
        return true;
      case 'f':
        this.take('false');
        return false;
      case 'n':
        this.take('null');
        return null;
      default:
        return this.number();
    }
  }

  /** The digits of a number as they stand. @returns {{ text: string, double: boolean }} */
  literal() {
    NUMBER.lastIndex = this.at;
    const found = NUMBER.exec(this.text);
    if (!found) return this.fail('a value is missing');
    this.at += found[0].length;
    return { text: found[0], double: found[1] !== undefined || found[2] !== undefined };
  }

  number() {
    const at = this.at;
    const { text, double } = this.literal();
    return double ? this.typedDouble(Number(text), at) : this.int(text, at);
  }

  /** @param {number} value @param {number} at */
  typedDouble(value, at) {
    if (!Number.isFinite(value)) this.fail('a number beyond what a double holds', at);
    return isIntLike(value) ? new Double(value) : value;
  }

  /** @param {string} text @param {number} at */
  int(text, at) {
    const value = BigInt(text);
    if (BigInt.asIntN(64, value) !== value) this.fail('an int beyond 64 bits', at);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  string() {
    const at = this.at;
    this.take('"');
    let out = '';
    for (;;) {
      const start = this.at;
      while (this.at < this.text.length && this.text[this.at] !== '"' && this.text[this.at] !== '\\' && this.text[this.at] >= ' ')
        this.at++;
      out += this.text.slice(start, this.at);
      const stop = this.text[this.at];
      if (stop === '"') break;
      if (stop !== '\\') this.fail(stop === undefined ? 'a string does not end' : 'a control character in a string');
      this.at++;
      out += this.escape();
    }
    this.at++;
    if (!isWellFormed(out)) this.fail('half of a surrogate pair', at);
    return out;
  }

  escape() {
    const letter = this.text[this.at++];
    if (letter === 'u') {
      const digits = this.text.slice(this.at, this.at + 4);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.fail('\\u takes four hexadecimal digits');
      this.at += 4;
      return String.fromCharCode(parseInt(digits, 16));
    }
    const character = Object.hasOwn(ESCAPES, letter ?? '') ? ESCAPES[/** @type {keyof typeof ESCAPES} */ (letter)] : undefined;
    return character ?? this.fail('no such escape', this.at - 1);
  }

  /** @param {number} depth @returns {any[]} */
  array(depth) {
    if (depth > MAX_DEPTH) this.fail(`more than ${MAX_DEPTH} containers deep`);
    return this.items(() => this.value(depth));
  }

  /** @param {() => any} read @returns {any[]} */
  items(read) {
    this.take('[');
    /** @type {any[]} */
    const items = [];
    this.blanks();
    if (this.text[this.at] === ']') {
      this.at++;
      return items;
    }
    for (;;) {
      if (items.length === MAX_ITEMS && read !== this.readItem) this.fail(`more than ${MAX_ITEMS} items`);
      items.push(read());
      this.blanks();
      if (this.text[this.at] === ']') break;
      this.take(',');
    }
    this.at++;
    return items;
  }

  /** @param {number} depth @returns {any} */
  object(depth) {
    const at = this.at;
    this.take('{');
    this.blanks();
    /** @type {[string, any, number][]} */
    const entries = [];
    /** @type {string | null} */
    let scalar = null;
    if (this.text[this.at] === '}') this.at++;
    else {
      for (;;) {
        this.blanks();
        const keyAt = this.at;
        if (this.text[this.at] !== '"') this.fail('a key is missing');
        const key = this.string();
        this.blanks();
        this.take(':');
        const named = key.startsWith('$') && !key.startsWith('$$');
        if (named && !SCALARS.has(key)) this.fail(`"${key}" is no scalar: a field's "$" is doubled`, keyAt);
        if (named) scalar = key;
        if (scalar !== null && (entries.length > 0 || !named)) this.fail(`"${scalar}" stands beside another key`, keyAt);
        if (entries.length === MAX_ITEMS) this.fail(`more than ${MAX_ITEMS} entries`, keyAt);
        entries.push([key, named ? this.scalar(key) : this.value(depth), keyAt]);
        this.blanks();
        if (this.text[this.at] === '}') break;
        this.take(',');
      }
      this.at++;
    }
    if (scalar !== null) return entries[0][1];
    if (depth > MAX_DEPTH) this.fail(`more than ${MAX_DEPTH} containers deep`, at);
    return this.dict(entries);
  }

  /** @param {[string, any, number][]} entries */
  dict(entries) {
    /** @type {Record<string, any>} */
    const dict = {};
    const seen = new Set();
    for (const [written, value, at] of entries) {
      const key = written.startsWith('$$') ? written.slice(1) : written;
      if (new TextEncoder().encode(key).length > MAX_KEY_BYTES) this.fail(`a key of more than ${MAX_KEY_BYTES} bytes`, at);
      const form = nfc(key);
      if (seen.has(form)) this.fail(`the key ${JSON.stringify(key)} appears twice`, at);
      seen.add(form);
      setOwn(dict, key, value);
    }
    return dict;
  }

  /** What stands behind the key of a scalar. @param {string} key @returns {any} */
  scalar(key) {
    this.blanks();
    const at = this.at;
    if (key === '$vector') return Vector.fromWords(Uint32Array.from(this.items(this.readItem)));
    const quoted = this.text[at] === '"';
    if (!quoted && (key === '$int' || key === '$double')) {
      const { text, double } = this.literal();
      if (key === '$double') return this.typedDouble(Number(text), at);
      return double ? this.fail('"$int" holds digits', at) : this.int(text, at);
    }
    if (!quoted) this.fail(`"${key}" holds a string`);
    const text = this.string();
    switch (key) {
      case '$int':
        return INT.test(text) ? this.int(text, at) : this.fail('"$int" holds digits', at);
      case '$double':
        return this.namedDouble(text, at);
      case '$date':
        return this.date(text, at);
      case '$uuid':
        try {
          return Uuid.parse(text);
        } catch {
          return this.fail('not a UUID with hyphens', at);
        }
      default:
        return this.data(text, at);
    }
  }

  /** @param {string} text @param {number} at */
  namedDouble(text, at) {
    if (text === 'NaN' || text === 'Infinity' || text === '-Infinity') return Number(text);
    if (!BITS.test(text)) this.fail('"$double" holds "NaN", "Infinity", "-Infinity" or the bits', at);
    return doubleFromBits(BigInt(text));
  }

  /** The upper half of an item of a vector. */
  readItem = () => {
    this.blanks();
    const at = this.at;
    let value;
    if (this.text[at] === '{') {
      this.take('{');
      this.blanks();
      if (this.string() !== '$double') this.fail('an item is a number or "$double"', at);
      this.blanks();
      this.take(':');
      value = this.scalar('$double');
      this.blanks();
      this.take('}');
    } else value = this.typedDouble(Number(this.literal().text), at);
    const bits = value instanceof Double ? value.bits : Number.isNaN(value) ? 0x7ff8000000000000n : bitsOf(value);
    if (Number.isNaN(Number(value)) && (bits & 0xffffffffn) !== 0n) this.fail('a NaN that cutting would change', at);
    return Number(bits >> 32n);
  };

  /** @param {string} text @param {number} at @returns {Date} */
  date(text, at) {
    if (BITS.test(text)) return dateFromBits(BigInt(text));
    const found = DATE.exec(text);
    if (!found) return this.fail('not a date by RFC 3339, and not the bits', at);
    const [year, month, day, hour, minute, second] = found.slice(1, 7).map(Number);
    const midnight = new Date(0);
    midnight.setUTCFullYear(year, month - 1, day);
    const exists = month >= 1 && month <= 12 && day >= 1 && midnight.getUTCMonth() === month - 1 && midnight.getUTCDate() === day;
    const [offsetHour, offsetMinute] = [Number(found[9] ?? 0), Number(found[10] ?? 0)];
    if (!exists || hour > 23 || minute > 59 || second > 59 || offsetHour > 23 || offsetMinute > 59) this.fail('no such date', at);
    const offset = (offsetHour * 60 + offsetMinute) * 60 * (found[8] === '-' ? -1 : 1);
    const whole = midnight.getTime() / 1000 - EPOCH_SECONDS + hour * 3600 + minute * 60 + second - offset;
    const seconds = nearestSeconds(BigInt(whole) * NANOS + BigInt((found[7] ?? '').padEnd(9, '0')));
    return dateFromBits(bitsOf(seconds));
  }

  /** @param {string} text @param {number} at @returns {Uint8Array} */
  data(text, at) {
    if (!BASE64.test(text)) this.fail('not padded base64', at);
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    if (toBase64(bytes) !== text) this.fail('bits behind the last byte', at);
    return bytes;
  }
}

/** @param {bigint} bits */
function doubleFromBits(bits) {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, bits);
  return fromDouble(view.getFloat64(0), view, 0);
}

/** @param {bigint} bits */
function dateFromBits(bits) {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, bits);
  return fromSeconds(view.getFloat64(0), view, 0);
}

/** The double that is nearest to so many nanoseconds in seconds. @param {bigint} nanos */
function nearestSeconds(nanos) {
  const negative = nanos < 0n;
  const size = negative ? -nanos : nanos;
  // A decimal literal is rounded once, which a division of rounded numbers is not.
  const value = Number(`${size / NANOS}.${String(size % NANOS).padStart(9, '0')}`);
  return negative ? -value : value;
}

/** @param {Uint8Array} bytes */
function toBase64(bytes) {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/**
 * Writes a value. What no value stands for is refused with a TypeError, what a record does not take of an object (see `sortedKeys`)
 * with an EncodingError. @param {any} value @returns {string}
 */
export function stringifyTyped(value) {
  switch (typeof value) {
    case 'string':
      return quote(value);
    case 'boolean':
      return String(value);
    case 'bigint':
      return intText(value);
    case 'number':
      return Number.isSafeInteger(value) && !Object.is(value, -0) ? String(value) : doubleText(value, bitsOf(value));
    case 'object':
      return value === null ? 'null' : objectText(value);
    default:
      throw new TypeError(`${typeof value} is no value`);
  }
}

/** @param {bigint} value */
function intText(value) {
  return Number.isSafeInteger(Number(value)) ? String(value) : `{"$int":"${value}"}`;
}

/** @param {bigint} bits */
function hexBits(bits) {
  return `"0x${bits.toString(16).padStart(16, '0')}"`;
}

/** @param {number} value @param {bigint} bits */
function doubleText(value, bits) {
  if (Number.isFinite(value)) return finiteText(value);
  if (!Number.isNaN(value)) return `{"$double":"${value}"}`;
  return `{"$double":${bits === 0x7ff8000000000000n ? '"NaN"' : hexBits(bits)}}`;
}

/** The digits are those of the language; when it takes an exponent is not. @param {number} value */
function finiteText(value) {
  if (Object.is(value, -0)) return '-0.0';
  const size = Math.abs(value);
  if (size >= EXPONENT_FROM || (size > 0 && size < EXPONENT_BELOW)) {
    const [digits, exponent] = value.toExponential().split('e');
    return `${tieUp(size, digits)}e${Number(exponent)}`;
  }
  const digits = String(value);
  return digits.includes('.') ? tieUp(size, digits) : `${digits}.0`;
}

/**
 * Of two texts equally near, the language takes the one with the even digit, the server the greater: its last digit is one more.
 * @param {number} size @param {string} digits
 */
function tieUp(size, digits) {
  // A tie has one digit more than its text, so 18 at most, and the last is a 5: of a fraction of 2^-25 or coarser, as 5^26 > 10^18.
  const scaled = size * 2 ** TIE_BITS;
  if (Number.isInteger(size) || !Number.isInteger(scaled)) return digits;
  const exact = String(BigInt(scaled) * 5n ** BigInt(TIE_BITS)).replace(/0+$/, '');
  if (exact !== `${digits.replace('.', '').replace(/^[-0]+/, '')}5`) return digits;
  return `${digits.slice(0, -1)}${Number(digits.at(-1)) + 1}`;
}

/** @param {any} value */
function objectText(value) {
  // Array.from sees the holes of an array, which map would leave as holes of the text.
  if (Array.isArray(value)) return `[${Array.from(value, (item) => stringifyTyped(item)).join(',')}]`;
  if (value instanceof Double) return doubleText(value.value, value.bits);
  if (value instanceof Uuid) return `{"$uuid":"${value}"}`;
  if (value instanceof Uint8Array) return `{"$data":"${toBase64(value)}"}`;
  if (value instanceof Date) return dateText(value);
  if (value instanceof Vector) return `{"$vector":[${Array.from(value.words, itemText).join(',')}]}`;
  if (!isPlain(value)) throw new TypeError('an object that no value stands for has no text');
  const keys = sortedKeys(value, 'value');
  return `{${keys.map((key) => `${quote(key.startsWith('$') ? `$${key}` : key)}:${stringifyTyped(value[key])}`).join(',')}}`;
}

/** @param {number} word */
function itemText(word) {
  const bits = BigInt(word) << 32n;
  return doubleText(doubleOf(bits), bits);
}

/** @param {Date} date */
function dateText(date) {
  const bits = dateBits(date);
  const seconds = date instanceof PreciseDate ? date.seconds : doubleOf(bits);
  return `{"$date":${calendarText(seconds, bits) ?? hexBits(bits)}}`;
}

/** The RFC 3339 text with the fewest digits that read back to the same double, or null. @param {number} seconds @param {bigint} bits */
function calendarText(seconds, bits) {
  if (!(seconds >= YEAR_0 && seconds < YEAR_10000)) return null;
  for (let digits = 0; digits <= 9; digits++) {
    const unit = 10n ** BigInt(9 - digits);
    const nanos = roundedNanos(seconds, digits) * unit;
    if (bitsOf(nearestSeconds(nanos)) !== bits) continue;
    let whole = nanos / NANOS;
    let rest = nanos % NANOS;
    if (rest < 0n) {
      rest += NANOS;
      whole -= 1n;
    }
    if (Number(whole) < YEAR_0 || Number(whole) >= YEAR_10000) continue;
    const text = new Date((Number(whole) + EPOCH_SECONDS) * 1000).toISOString().replace(/\.\d+Z$/, '');
    const fraction = digits === 0 ? '' : `.${String(rest).padStart(9, '0').slice(0, digits)}`;
    return `"${text}${fraction}Z"`;
  }
  return null;
}

/** Seconds in units of so many decimal digits, rounded from their exact value. @param {number} seconds @param {number} digits */
function roundedNanos(seconds, digits) {
  return BigInt(seconds.toFixed(digits).replace('.', ''));
}

/** @param {string} text */
function quote(text) {
  if (!isWellFormed(text)) throw new TypeError('half of a surrogate pair has no text');
  return `"${text.replace(/["\\\u0000-\u001f]/g, (c) => UNESCAPES.get(c) ?? `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`;
}

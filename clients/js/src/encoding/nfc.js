// NFC of Unicode 18.0.0 (UAX #15) and the order of keys that stands on it (spec/blazebinary.md, B-4).

import { COMBINING, DECOMPOSITIONS } from './unicode.js';

// Below it every character is in NFC, combines with nothing before it, and has class 0.
const FIRST_THAT_MATTERS = 0x300;

const HANGUL = { syllable: 0xac00, l: 0x1100, v: 0x1161, t: 0x11a7, vCount: 21, tCount: 28, count: 11172, lCount: 19 };

/** @type {{ classes: Map<number, number>, parts: Map<number, number[]>, pairs: Map<number, number> } | undefined} */
let tables;

/** Reads the tables at the first key that needs them: most programs have none. */
function load() {
  if (tables) return tables;
  const classes = new Map();
  let at = 0;
  for (const run of COMBINING.split(' ')) {
    const [where, value] = run.split(':');
    const [skip, length = '1'] = where.split('.');
    at += parseInt(skip, 36);
    for (const end = at + parseInt(length, 36); at < end; at++) classes.set(at, parseInt(value, 36));
  }
  const parts = new Map();
  const composing = [];
  at = 0;
  for (const entry of DECOMPOSITIONS.split(' ')) {
    const [, skip, sign, list] = /** @type {RegExpMatchArray} */ (entry.match(/^([^+=]+)([+=])(.*)$/));
    at += parseInt(skip, 36);
    const decomposed = list.split(',').map((part) => parseInt(part, 36));
    parts.set(at, decomposed);
    if (sign === '+') composing.push({ whole: at, decomposed });
  }
  // A long decomposition's pair is made of a shorter one's whole, so the short ones come first.
  const pairs = new Map();
  composing.sort((a, b) => a.decomposed.length - b.decomposed.length);
  for (const { whole, decomposed } of composing) {
    const front = decomposed.slice(0, -1).reduce((a, b) => pairs.get(pairOf(a, b)));
    pairs.set(pairOf(front, decomposed[decomposed.length - 1]), whole);
  }
  tables = { classes, parts, pairs };
  return tables;
}

/** @param {number} first @param {number} second */
function pairOf(first, second) {
  return first * 0x110000 + second;
}

/** @param {number} point @param {number[]} out */
function decompose(point, out) {
  const syllable = point - HANGUL.syllable;
  if (syllable >= 0 && syllable < HANGUL.count) {
    const t = syllable % HANGUL.tCount;
    const lv = (syllable - t) / HANGUL.tCount;
    out.push(HANGUL.l + Math.floor(lv / HANGUL.vCount), HANGUL.v + (lv % HANGUL.vCount));
    if (t > 0) out.push(HANGUL.t + t);
    return;
  }
  const parts = load().parts.get(point);
  if (parts) out.push(...parts);
  else out.push(point);
}

/** Sorts each run of characters with a class, stably, by it. @param {number[]} points */
function reorder(points) {
  const { classes } = load();
  for (let start = 0; start < points.length; start++) {
    if (!classes.has(points[start])) continue;
    let end = start;
    while (end < points.length && classes.has(points[end])) end++;
    const run = points.slice(start, end).sort((a, b) => Number(classes.get(a)) - Number(classes.get(b)));
    points.splice(start, run.length, ...run);
    start = end;
  }
}

/** @param {number} first @param {number} second @returns {number | undefined} */
function compose(first, second) {
  const l = first - HANGUL.l;
  const v = second - HANGUL.v;
  if (l >= 0 && l < HANGUL.lCount && v >= 0 && v < HANGUL.vCount) {
    return HANGUL.syllable + (l * HANGUL.vCount + v) * HANGUL.tCount;
  }
  const lv = first - HANGUL.syllable;
  const t = second - HANGUL.t;
  if (lv >= 0 && lv < HANGUL.count && lv % HANGUL.tCount === 0 && t > 0 && t < HANGUL.tCount) return first + t;
  return load().pairs.get(pairOf(first, second));
}

/** The NFC form of a text. @param {string} text @returns {string} */
export function nfc(text) {
  if (isBelow(text, FIRST_THAT_MATTERS)) return text;
  /** @type {number[]} */
  const points = [];
  for (const character of text) decompose(/** @type {number} */ (character.codePointAt(0)), points);
  reorder(points);
  const { classes } = load();
  /** @type {number[]} */
  const out = [];
  let starter = -1;
  let last = 0;
  for (const point of points) {
    const own = classes.get(point) ?? 0;
    // Blocked: something of the same or a higher class, or of class 0, stands between it and the starter.
    const blocked = starter < 0 || (out.length - 1 > starter && (last === 0 || last >= own));
    const whole = blocked ? undefined : compose(out[starter], point);
    if (whole !== undefined) {
      out[starter] = whole;
      continue;
    }
    if (own === 0) starter = out.length;
    last = own;
    out.push(point);
  }
  let result = '';
  for (const point of out) result += String.fromCodePoint(point);
  return result;
}

/** @param {string} text @param {number} bound */
function isBelow(text, bound) {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) >= bound) return false;
  return true;
}

/** Compares texts by their UTF-8 bytes, that is by scalars and not by UTF-16 units. @param {string} a @param {string} b */
export function compareScalars(a, b) {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    let x = a.charCodeAt(i);
    let y = b.charCodeAt(i);
    if (x === y) continue;
    // Surrogates stand for what lies above U+FFFF, and so behind U+E000 to U+FFFF.
    if (x >= 0xd800) x = x >= 0xe000 ? x - 0x800 : x + 0x2000;
    if (y >= 0xd800) y = y >= 0xe000 ? y - 0x800 : y + 0x2000;
    return x - y;
  }
  return a.length - b.length;
}

/** The canonical order of keys: below, above or at 0. @param {string} a @param {string} b */
export function compareKeys(a, b) {
  return compareScalars(nfc(a), nfc(b));
}

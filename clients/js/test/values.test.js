// What JavaScript's values become, by spec/blazebinary.md: nothing changes its type in silence.

import assert from 'node:assert/strict';
import test from 'node:test';

import {
  Double,
  EncodingError,
  PreciseDate,
  Uuid,
  Vector,
  decodeRecord,
  decodeValue,
  encodeRecord,
  encodeValue,
  stringifyTyped,
} from '../src/node.js';
import { compareKeys, nfc } from '../src/encoding/nfc.js';
import { fromHex, toHex } from '../src/encoding/values.js';
import { crc32 } from '../src/wire/crc32.js';

const hex = (value) => toHex(encodeValue(value));

test('ints and doubles stay what they are', () => {
  assert.equal(hex(5), '1205');
  assert.equal(hex(new Double(5)), '034014000000000000');
  assert.equal(hex(5n), '1205');
  assert.equal(hex(-1), '02ffffffffffffffff');
  assert.equal(hex(-0), '038000000000000000');
  assert.equal(hex(2 ** 53 - 1), '02001fffffffffffff');
  assert.equal(hex(2n ** 53n + 1n), '020020000000000001');
  assert.equal(hex(1e300), '037e37e43c8800759c');
  for (const ambiguous of [2 ** 53, -(2 ** 53), 2 ** 63])
    assert.throws(() => encodeValue(ambiguous), { code: 'ambiguous_number' });
  assert.throws(() => encodeValue(2n ** 63n), { code: 'int_out_of_range' });

  assert.equal(decodeValue(fromHex('1205')), 5);
  assert.deepEqual(decodeValue(fromHex('034014000000000000')), new Double(5));
  assert.equal(decodeValue(fromHex('038000000000000000')), -0);
  assert.equal(decodeValue(fromHex('020020000000000001')), 2n ** 53n + 1n);
  assert.ok(decodeValue(fromHex('034340000000000000')) instanceof Double, '2^53 as a double');
  assert.equal(new Double(2) + 1, 3);
});

test('dates keep every bit', () => {
  // 2001-01-01 and a millisecond later; 0.001 is 3f50624dd2f1a9fc.
  assert.equal(hex(new Date(978307200000)), '060000000000000000');
  assert.equal(hex(new Date(978307200001)), '063f50624dd2f1a9fc');
  const date = decodeValue(fromHex('063f50624dd2f1a9fc'));
  assert.ok(!(date instanceof PreciseDate));
  assert.equal(date.getTime(), 978307200001);
  for (const bits of ['3f50624dd2f1a9fd', '8000000000000000', '7ff8000000000000', 'fff0000000000001', '4415af1d78b58c40']) {
    const precise = decodeValue(fromHex(`06${bits}`));
    assert.ok(precise instanceof PreciseDate, bits);
    assert.equal(hex(precise), `06${bits}`);
  }
  assert.throws(() => new PreciseDate(0).setTime(1), TypeError);
  assert.throws(() => encodeValue(new Date(NaN)), { code: 'invalid_date' });
});

test('keys are sorted by scalars of their NFC forms', () => {
  assert.equal(toHex(encodeRecord({ 'e\u0301': 1, f: 2 })), toHex(encodeRecord({ f: 2, 'e\u0301': 1 })));
  assert.ok(compareKeys('f', 'e\u0301') < 0);
  assert.ok(compareKeys('\u212b', '\u00c6') < 0);
  assert.ok(compareKeys('\uff5e', '\u{1f525}') < 0);
  assert.equal(compareKeys('e\u0301', '\u00e9'), 0);
  const own = decodeRecord(encodeRecord(JSON.parse('{"__proto__": {"x": 1}}')));
  assert.deepEqual(Object.keys(own), ['__proto__']);
});

test('two spellings of one key are refused, in a record and within (B-4.2)', () => {
  const twice = { '\u00e9': 1, f: 2, 'e\u0301': 3 };
  for (const record of [twice, { within: twice }, { within: [twice] }])
    assert.throws(
      () => encodeRecord(record),
      (error) => error instanceof EncodingError && error.code === 'duplicate_key',
    );
});

test('what would be left out of an object is refused, in a record and within; a getter is what it gives', () => {
  const hidden = Object.defineProperty({ a: 1 }, 'hidden', { value: 2, enumerable: false });
  const getter = Object.defineProperty({ a: 1 }, 'hidden', { get: () => 2, enumerable: false });
  for (const odd of [{ a: 1, [Symbol('hidden')]: 2 }, hidden, getter])
    for (const record of [odd, { within: odd }, { within: [odd] }])
      assert.throws(
        () => encodeRecord(record),
        (error) => error instanceof EncodingError && error.code === 'unsupported_type' && error.message.includes('hidden'),
      );
  const given = {
    get a() {
      return 7;
    },
  };
  assert.deepEqual(decodeRecord(encodeRecord(given)), { a: 7 });
});

test('a double has an exponent where J-2.6 wants one', () => {
  const texts = [
    [1e16, '1e16'],
    [9999999999999998, '9999999999999998.0'],
    [-123450000000000000, '-1.2345e17'],
    [0.0001, '0.0001'],
    [0.000099, '9.9e-5'],
    [1e-5, '1e-5'],
    [1e300, '1e300'],
    [5e-324, '5e-324'],
  ];
  for (const [value, text] of texts) assert.equal(stringifyTyped(new Double(value)), text);
});

test('NFC agrees with the platform where that knows the characters', () => {
  // Characters of Unicode 16 to 18 that older platforms do not know stand for themselves there.
  const newer =
    /[\u05c8\u05c9\u0897\u1acf-\u1aff\u{105c9}\u{105e4}\u{10d69}-\u{10d6d}\u{10ec0}-\u{10eff}\u{11380}-\u{113ff}\u{11f40}-\u{11f42}\u{16120}-\u{1612f}\u{16d63}-\u{16d6a}\u{1d120}-\u{1d28f}\u{1e000}-\u{1e6ff}]/u;
  for (let point = 0x80; point < 0x110000; point++) {
    if (point === 0xd800) point = 0xe000;
    const character = String.fromCodePoint(point);
    if (newer.test(character)) continue;
    for (const text of [character, `a${character}\u0301\u0323`, character.normalize('NFD')]) {
      if (nfc(text) !== text.normalize('NFC')) assert.fail(`U+${point.toString(16)}`);
    }
  }
});

test('what no value stands for is refused, and nothing of it written', () => {
  for (const odd of [undefined, () => 1, Symbol('x'), new Map(), new Set(), new Float64Array(1), /x/, new (class Odd {})()]) {
    assert.throws(
      () => encodeRecord({ odd }),
      (error) => error instanceof EncodingError && error.code === 'unsupported_type',
    );
  }
  assert.throws(() => encodeRecord({ odd: '\ud83d' }), { code: 'invalid_utf8' });
  assert.throws(() => encodeRecord({ '\ud83d': 1 }), { code: 'invalid_utf8' });
  assert.throws(() => encodeRecord({ big: new Uint8Array(1048576) }), { code: 'record_too_large' });
  let deep = [];
  for (let i = 0; i < 64; i++) deep = [deep];
  assert.throws(() => encodeRecord({ deep }), { code: 'too_deep' });
  assert.equal(decodeRecord(encodeRecord({ deep: deep[0] })).deep.length, 1);
});

test('UUIDs and vectors', () => {
  const uuid = Uuid.parse('018F3C7A-5B2F-7ABC-8DEF-0123456789AB');
  assert.equal(String(uuid), '018f3c7a-5b2f-7abc-8def-0123456789ab');
  for (const odd of ['', '018f3c7a5b2f7abc8def0123456789ab', '{018f3c7a-5b2f-7abc-8def-0123456789ab}'])
    assert.throws(() => Uuid.parse(odd), TypeError);
  const made = Array.from({ length: 5000 }, () => String(Uuid.v7()));
  assert.deepEqual(made, [...made].sort());
  assert.equal(new Set(made).size, made.length);
  assert.match(made[0], /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab]/);
  // J-3.7: cut, not rounded.
  assert.deepEqual(new Vector([0.1]).toArray(), [0.09999996423721313]);
});

test('the CRC of the digits', () => {
  assert.equal(crc32(new TextEncoder().encode('123456789')), 0xcbf43926);
});

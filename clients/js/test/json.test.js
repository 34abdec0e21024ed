// Typed JSON as this client writes it (spec/json.md, J-2.4): the text of doubles, and what it refuses.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';

import { Double, decodeRecord, encodeRecord, parseTyped, stringifyTyped } from '../src/node.js';
import { fromHex, toHex } from '../src/encoding/values.js';
import { binary } from './support.js';

const text = (value) => stringifyTyped(new Double(value));

test('doubles have the fewest digits: an exponent from 1e16 on and below 1e-4', () => {
  for (const [value, expected] of [
    [0, '0.0'],
    [-0, '-0.0'],
    [5, '5.0'],
    [0.1, '0.1'],
    [0.0001, '0.0001'],
    [0.000123, '0.000123'],
    [0.00001, '1e-5'],
    [0.000012, '1.2e-5'],
    [-0.00001, '-1e-5'],
    [1e-6, '1e-6'],
    [1e-7, '1e-7'],
    [1.5e-7, '1.5e-7'],
    [1e-10, '1e-10'],
    [5e-324, '5e-324'],
    [1e15, '1000000000000000.0'],
    [2 ** 53, '9007199254740992.0'],
    [9999999999999998, '9999999999999998.0'],
    [1e16, '1e16'],
    [-1e16, '-1e16'],
    [184648526991088320, '1.8464852699108832e17'],
    // 2^64 is 18446744073709551616, whose neighbours lie 2048 below and 4096 above: 17 digits tell it from them.
    [2 ** 64, '1.8446744073709552e19'],
    // Exactly halfway between two texts of as many digits: the greater is taken.
    [31.4798736572265625, '31.479873657226563'],
    [-31.4798736572265625, '-31.479873657226563'],
    [2 ** -25, '2.9802322387695313e-8'],
    [1125899906842624.25, '1125899906842624.3'],
    [1125899906842624.75, '1125899906842624.8'],
    [1e20, '1e20'],
    [123456789012345680000, '1.2345678901234568e20'],
    [1e21, '1e21'],
    [1e22, '1e22'],
    [1.7976931348623157e308, '1.7976931348623157e308'],
  ]) {
    assert.equal(text(value), expected);
    assert.deepEqual(encodeRecord({ value: parseTyped(expected) }), encodeRecord({ value: new Double(value) }), expected);
  }
});

/** Bits of doubles of all kinds, the same each time: powers of two and ten and their neighbours, ties, whole numbers, any bits. */
function* doubles() {
  const view = new DataView(new ArrayBuffer(8));
  for (let exponent = -1074; exponent < 1024; exponent += 7) yield 2 ** exponent;
  for (let exponent = -323; exponent < 309; exponent++) {
    view.setFloat64(0, Number(`1e${exponent}`));
    const bits = view.getBigUint64(0);
    for (const near of [-1n, 0n, 1n]) {
      view.setBigUint64(0, bits + near);
      yield view.getFloat64(0);
    }
  }
  // SplitMix64.
  let state = 5n;
  for (let i = 0; i < 3000; i++) {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let bits = BigInt.asUintN(64, (state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n);
    bits = BigInt.asUintN(64, (bits ^ (bits >> 27n)) * 0x94d049bb133111ebn);
    bits ^= bits >> 31n;
    view.setBigUint64(0, bits);
    // 16 to 18 digits, the last a 5.
    const fraction = 1 + (i % 25);
    const most = 10 ** (15 + (i % 4)) / 5 ** fraction;
    yield Math.floor(Number(bits >> 11n) * 2 ** -53 * Math.min(most, 2 ** 53)) / 2 ** fraction;
    yield i % 3 === 0 ? Number(BigInt.asIntN(62, bits)) : i % 3 === 1 ? Number(bits % 1000000007n) * 1e-12 : view.getFloat64(0);
  }
}

test('the text of any double is the one that the server writes', () => {
  const values = [...doubles()].filter(Number.isFinite);
  assert.ok(values.length > 7500);
  const records = values.map((value) => encodeRecord({ value: new Double(value) }));
  const { status, stdout } = spawnSync(binary(), ['record', 'decode'], {
    input: records.map((record) => `${toHex(record)}\n`).join(''),
    encoding: 'utf8',
    maxBuffer: 16777216,
  });
  assert.equal(status, 0);
  const lines = stdout.trimEnd().split('\n');
  assert.equal(lines.length, records.length);
  records.forEach((record, i) => assert.equal(stringifyTyped(decodeRecord(record)), lines[i]));
});

test('what no value stands for is refused', () => {
  for (const odd of [undefined, () => 1, Symbol('x'), new Map([[1, 2]]), new Set([1]), /x/, new Float64Array(1), [1, , 3]])
    assert.throws(() => stringifyTyped({ odd }), TypeError);
  for (const odd of [{ [Symbol('x')]: 1 }, Object.defineProperty({}, 'x', { value: 1 })])
    assert.throws(() => stringifyTyped({ odd }), { code: 'unsupported_type' });
  assert.throws(() => stringifyTyped({ '\u00e9': 1, 'e\u0301': 2 }), { code: 'duplicate_key' });
  assert.equal(stringifyTyped({ b: 1, a: Object.create(null) }), '{"a":{},"b":1}');
});

test('fields of every name are written and read', () => {
  // `__proto__` as its own key, digits that JavaScript would sort first, a name with a mark.
  const hex = toHex(encodeRecord(parseTyped('{"__proto__":1,"10":2,"$$int":3}')));
  assert.equal(stringifyTyped(decodeRecord(fromHex(hex))), '{"$$int":3,"10":2,"__proto__":1}');
});

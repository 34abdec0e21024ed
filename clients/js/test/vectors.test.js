// The vectors of the repository (conformance/README.md): everything that a client writes and reads.

import assert from 'node:assert/strict';
import test from 'node:test';

import { decodeRecord, decodeValue, encodeRecord, encodeValue, setOwn } from '../src/encoding/record.js';
import { parseTyped, stringifyTyped } from '../src/encoding/json.js';
import { Double, PreciseDate, Uuid, Vector, doubleOf, fromHex, toHex } from '../src/encoding/values.js';
import { Writer } from '../src/encoding/writer.js';
import { FLAG, FrameReader, TYPE, beginFrame, checkFlags, endFrame } from '../src/wire/frame.js';
import { decompress } from '../src/wire/lz4.js';
import * as messages from '../src/wire/messages.js';
import { encodeBody } from '../src/wire/operation.js';
import { expandHex, repositoryHas, repositoryText } from './support.js';

const MAX_PAYLOAD = 2097152;

function cases(file) {
  return JSON.parse(repositoryText(`conformance/vectors/${file}.json`)).cases;
}

/** What a call gives, or the fault that it finds. */
function outcome(call) {
  try {
    return { value: call() };
  } catch (error) {
    if (typeof error.code !== 'string' && !(error instanceof SyntaxError)) throw error;
    return { code: error.code ?? 'syntax', offset: error.offset };
  }
}

function typed(value) {
  return parseTyped(JSON.stringify(value));
}

for (const [file, decode, encode, member] of [
  ['records', decodeRecord, encodeRecord, 'record'],
  ['values', decodeValue, encodeValue, 'value'],
]) {
  test(`${file}.json`, () => {
    for (const one of cases(file)) {
      const hex = expandHex(one.hex);
      const found = outcome(() => decode(fromHex(hex)));
      if (one.name.startsWith('n_')) {
        assert.deepEqual(found, { code: one.code, offset: one.offset }, one.name);
        continue;
      }
      assert.equal(found.code, undefined, one.name);
      assert.equal(toHex(encode(found.value, one.layout)), hex, `${one.name}, again`);
      if (one[member] !== undefined) assert.equal(toHex(encode(typed(one[member]), one.layout)), hex, `${one.name}, written`);
    }
  });
}

test('json.json', { skip: repositoryHas('conformance/vectors/json.json') ? false : 'the file has not landed' }, () => {
  for (const one of cases('json')) {
    const found = outcome(() => parseTyped(one.text));
    if (one.name.startsWith('n_')) {
      assert.equal(found.value, undefined, one.name);
      continue;
    }
    assert.equal(found.code, undefined, one.name);
    assert.equal(toHex(encodeValue(found.value)), expandHex(one.hex), one.name);
    if (one.written) assert.equal(stringifyTyped(found.value), one.text, one.name);
  }
});

test('frames.json, at once and byte by byte', () => {
  for (const one of cases('frames')) {
    const bytes = fromHex(expandHex(one.hex));
    for (const step of bytes.length > 10000 ? [bytes.length] : [bytes.length, 1]) {
      const { frames, code, judgedAt } = readFrames(bytes, Math.max(1, step), one);
      assert.equal(code, one.code, one.name);
      if (one.name.startsWith('n_')) {
        if (step === 1) assert.equal(judgedAt, one.judged_at, one.name);
        continue;
      }
      assert.deepEqual(
        frames,
        (one.frames ?? []).map((frame) => ({ ...frame, payload: expandHex(frame.payload) })),
        one.name,
      );
    }
  }
});

function readFrames(bytes, step, { limit = MAX_PAYLOAD, lz4 }) {
  const reader = new FrameReader();
  reader.limit = limit;
  const frames = [];
  for (let at = 0; at < bytes.length; at += step) {
    const { code } = outcome(() => {
      reader.push(bytes.subarray(at, at + step));
      for (let frame = reader.next(); frame !== null; frame = reader.next()) {
        if (lz4 !== undefined) checkFlags(frame.type, frame.flags, lz4);
        frames.push({ ...frame, payload: toHex(frame.payload) });
      }
    });
    if (code) return { frames, code, judgedAt: at + step };
  }
  return { frames, code: undefined, judgedAt: 0 };
}

test('frames.json, written', () => {
  for (const one of cases('frames').filter(({ name }) => name.startsWith('y_'))) {
    // A client sets no other flags than these.
    if (one.frames.some(({ type, flags }) => flags !== (type === TYPE.operation ? FLAG.requiresAck : 0))) continue;
    const out = new Writer();
    for (const { type, sequence, payload } of one.frames) {
      const start = beginFrame(out, type);
      out.raw(fromHex(expandHex(payload)));
      endFrame(out, start, sequence);
    }
    assert.equal(toHex(out.copy()), expandHex(one.hex), one.name);
  }
});

test(
  'compression.json',
  { skip: repositoryHas('conformance/vectors/compression.json') ? false : 'the file has not landed' },
  () => {
    for (const one of cases('compression')) {
      const { value, code } = outcome(() => decompress(fromHex(expandHex(one.hex))));
      if (one.name.startsWith('n_')) assert.equal(code, 'bad_compression', one.name);
      else if (one.name.startsWith('y_')) assert.equal(toHex(value), expandHex(one.plain), one.name);
    }
  },
);

test('messages.json, a server’s', () => {
  let judged = 0;
  for (const one of cases('messages').filter(({ type, name }) => messages.isServers(type) && !/^._hello/.test(name))) {
    judged++;
    const { value, code, offset } = outcome(() => messages.readMessage(one.type, fromHex(expandHex(one.hex))));
    if (one.name.startsWith('n_')) assert.deepEqual({ code, offset }, { code: one.code, offset: one.offset }, one.name);
    else assert.deepEqual(named(value), expected(one.message), one.name);
  }
  assert.ok(judged > 100);
});

const text = (value) => (typeof value === 'bigint' || typeof value === 'number' ? String(value) : value);
const LEVELS = ['accepted', 'durable', 'replicated'];
/** Members that are u64, and so are text in the vectors. */
const WIDE = new Set([
  'nodeDecided',
  'workFrames',
  'workBytes',
  'telemetryFrames',
  'telemetryBytes',
  'clock',
  'id',
  'seq',
  'number',
  'unchanged',
  'nonce',
  'frames',
  'bytes',
]);

/** A message as read, in the members of the vectors. */
function named(message) {
  const out = {};
  for (const [key, value] of Object.entries(message)) {
    const name = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    out[name] = plain(key, value);
  }
  if ('level' in message) Object.assign(out, { lane: ['work', 'telemetry'][message.lane], level: LEVELS[message.level] });
  if ('detail' in message) out.scope = ['connection', 'operation', 'request'][message.scope];
  else if ('scope' in message) out.scope = ['work', 'telemetry', 'request'][message.scope];
  return out;
}

function plain(key, value) {
  if (value instanceof Uuid) return value.toString();
  if (key === 'record') return toHex(encodeRecord(value));
  if (key === 'rows') return value.map(named);
  if (key === 'changes') return value.map(({ id, ...change }) => named(change.kind === 'delete' ? { ...change, id } : change));
  return WIDE.has(key) ? text(value) : value;
}

/** Layout 1 is what this client writes; a record of layout 2 is compared by its fields. */
function expected({ is: _, extension: __, ...message }) {
  const records = (list) =>
    list.map((item) => (item.record ? { ...item, record: toHex(encodeRecord(decodeRecord(fromHex(item.record)))) } : item));
  if (message.rows) message.rows = records(message.rows);
  if (message.changes) message.changes = records(message.changes);
  if ('detail' in message && message.detail !== null) message.detail = typed(message.detail);
  return message;
}

test('messages.json, a client’s', () => {
  const judged = new Set();
  for (const one of cases('messages').filter(({ name, message }) => name.startsWith('y_') && message && !message.extension)) {
    const payload = clientPayload(one.message);
    if (payload === null) continue;
    judged.add(one.message.is);
    assert.equal(toHex(payload), expandHex(one.hex), one.name);
  }
  assert.deepEqual([...judged].sort(), ['credit', 'error', 'goodbye', 'hello', 'operation', 'query', 'subscribe']);
});

/** The payload of a message by this client's writers, or null where it does not send the like. */
function clientPayload(message) {
  const out = new Writer();
  const uuid = (id) => Uuid.parse(id);
  const { id, frames, bytes } = Object.fromEntries(
    ['id', 'frames', 'bytes'].map((key) => [key, message[key] === undefined ? 0n : BigInt(message[key])]),
  );
  switch (message.is) {
    case 'hello':
      messages.writeHello(
        out,
        {
          nextOperation: BigInt(message.next_operation),
          oldestUnacked: BigInt(message.oldest_unacked),
          heartbeatMs: message.heartbeat_ms,
          database: message.database,
          agent: message.agent,
          node: message.node === null ? null : uuid(message.node),
          capabilities: message.capabilities,
        },
        message.min_version,
        message.max_version,
      );
      break;
    case 'operation': {
      const body = operationBody(message);
      if (body === null) return null;
      out.u64(BigInt(message.number));
      out.raw(body);
      break;
    }
    case 'query': {
      const bound = (one) => (one.kind === 'none' ? null : { inclusive: one.kind === 'inclusive', id: uuid(one.id) });
      const question = {
        kind: message.kind,
        collection: message.collection,
        ids: message.ids?.map(uuid),
        reverse: message.reverse,
        limit: BigInt(message.limit ?? 0),
        ...(message.kind === 'scan' ? { lower: bound(message.lower), upper: bound(message.upper) } : {}),
      };
      messages.writeQuery(out, id, frames, bytes, question, message.at_least);
      break;
    }
    case 'subscribe':
      messages.writeSubscribe(out, id, frames, bytes, {
        mode: message.mode,
        start: message.start === 'after' ? { after: message.after } : message.start,
        collection: message.collection,
      });
      break;
    case 'credit':
      messages.writeCredit(out, { scope: ['work', 'telemetry', 'request'].indexOf(message.scope), id, frames, bytes });
      break;
    case 'error':
      messages.writeError(
        out,
        ['connection', 'operation', 'request'].indexOf(message.scope),
        id,
        message.code,
        message.message,
        message.detail === null ? null : typed(message.detail),
      );
      break;
    case 'goodbye':
      messages.writeGoodbye(out, message.code, message.retry_after_ms, message.message);
      break;
    default:
      return null;
  }
  return out.copy();
}

/** The operations of a vector in this client's terms; null where it would not write them so: layout 2, other groups, replicated. */
function operationBody({ ack_level: level, groups }) {
  if (level === 'replicated') return null;
  const items = groups.flatMap(({ collection, operations }) =>
    operations.map((operation) => ({
      op: operation.kind === 'upsert' ? 'put' : operation.kind,
      collection,
      id: operation.id,
      record: operation.record === undefined ? undefined : record(operation.record),
      set: operation.set === undefined ? undefined : record(operation.set),
      unset: operation.remove,
      base: operation.base === undefined ? undefined : BigInt(operation.base),
      skipUnchanged: operation.skip_unchanged,
    })),
  );
  const layouts = groups.flatMap(({ operations }) => operations.map(({ record: hex }) => hex?.slice(10, 12)));
  const regrouped = groups.some(
    ({ collection }, i) => i > 0 && groups[i - 1].collection === collection && groups[i].operations[0].kind !== 'drop',
  );
  if (layouts.includes('02') || regrouped || items.some((item) => item.record === null || item.set === null)) return null;
  return encodeBody(items, level);
}

/** The record, or null where the bytes are none that this client would write. */
function record(hex) {
  const { value } = outcome(() => decodeRecord(fromHex(expandHex(hex))));
  return value ?? null;
}

// The records of the Swift implementation (conformance/vectors/swift/README.md).

function swiftValue({ t, v }) {
  switch (t) {
    case 'int':
      return BigInt(v);
    case 'double':
      return Double.fromBits(BigInt(`0x${v}`));
    case 'date':
      return PreciseDate.fromBits(BigInt(`0x${v}`));
    case 'data':
      return fromHex(v);
    case 'uuid':
      return Uuid.parse(v);
    case 'array':
      return v.map(swiftValue);
    case 'dict':
      return swiftFields(v);
    case 'vector':
      return new Vector(v.map((bits) => doubleOf(BigInt(`0x${bits}`))));
    default:
      return v;
  }
}

function swiftFields(fields) {
  const out = {};
  for (const [key, value] of Object.entries(fields)) setOwn(out, key, swiftValue(value));
  return out;
}

test('the records of the Swift implementation', () => {
  for (const file of ['records', 'random']) {
    for (const one of JSON.parse(repositoryText(`conformance/vectors/swift/${file}.json`))) {
      assert.equal(toHex(encodeRecord(swiftFields(one.fields))), one.v1, one.name);
      const read = decodeRecord(fromHex(one.v1));
      assert.equal(toHex(encodeRecord(read)), one.v1, `${one.name}, again`);
      assert.equal(toHex(encodeRecord(read, 2)).slice(-8), one.v2_crc, `${one.name}, layout 2`);
    }
  }
});

test('what the Swift implementation refuses or mends is refused', () => {
  for (const one of JSON.parse(repositoryText('conformance/vectors/swift/decode.json'))) {
    const { value } = outcome(() => decodeRecord(fromHex(one.hex)));
    // A leading U+FEFF is kept, where Swift strips one.
    if (one.name.startsWith('bom_')) continue;
    const layout2 = one.hex.slice(10, 12) === '02';
    const canonical = one.canonical && (layout2 ? one.hex.slice(12, -8) === one.canonical.slice(12) : one.hex === one.canonical);
    assert.equal(value !== undefined, Boolean(canonical), one.name);
  }
});

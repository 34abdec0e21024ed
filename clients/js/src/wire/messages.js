// The messages (spec/protocol.md, P-4): those of a server are read, those of a client written.

import { EncodingError, decodeRecord, encodeValue } from '../encoding/record.js';
import { compareKeys } from '../encoding/nfc.js';
import { ProtocolFault } from '../errors.js';
import { TYPE } from './frame.js';
import { PayloadReader, writePosition } from './payload.js';

/** P-3.6, in bytes; and the most capabilities. */
const MAX_AGENT_BYTES = 128;
export const MAX_MESSAGE_BYTES = 1024;
const MAX_CAPABILITY_BYTES = 32;
const MAX_CAPABILITIES = 64;
/** P-4.1 and C-2.4. */
const MAX_WINDOW = 1024;
const MIN_HEARTBEAT_MS = 5000;
const MAX_HEARTBEAT_MS = 60000;

const WELCOME = 2;
const LAST_OF_TRANSACTION = 0x80;
export const LEVEL = Object.freeze({ accepted: 0, durable: 1 });
export const SCOPE = Object.freeze({ connection: 0, operation: 1, request: 2 });
export const CREDIT = Object.freeze({ work: 0, telemetry: 1, request: 2 });
const EVENTS = [undefined, 'changes', 'caught_up', 'reset', 'waiting', 'heartbeat', 'ended'];
const CHANGES = [undefined, 'put', 'delete', 'dropped'];

/**
 * @typedef {number | bigint} U64
 * @typedef {{ kind: 'put' | 'delete' | 'dropped', last: boolean, seq: U64, record?: Record<string, any>,
 *   id?: import('../encoding/values.js').Uuid }} Change
 * @typedef {{ version: number, nodeDecided: U64, operationWindow: number, heartbeatMs: number, workFrames: U64,
 *   workBytes: U64, telemetryFrames: U64, telemetryBytes: U64, requestLimit: number, clock: U64, position: string,
 *   connection: import('../encoding/values.js').Uuid, node: import('../encoding/values.js').Uuid, agent: string,
 *   capabilities: string[] }} Welcome
 * @typedef {{ id: U64, last: boolean, position: string, rows: { seq: U64, record: Record<string, any> }[] }} QueryResponse
 * @typedef {{ lane: number, level: number, number: U64, unchanged: U64, position: string }} Ack
 * @typedef {{ scope: number, id: U64, code: number, message: string, detail: Record<string, any> | null }} ErrorMessage
 * @typedef {{ id: U64, kind: string, position: string, changes?: Change[], code?: number, oldest?: string }} Event
 * @typedef {{ code: number, retryAfterMs: number, message: string }} Goodbye
 * @typedef {{ scope: number, id: U64, frames: U64, bytes: U64 }} Credit
 */

// ---- a server's

/** A record that a server sends is canonical, or the server is at fault. @param {PayloadReader} reader */
function record(reader) {
  const at = reader.at;
  const bytes = reader.recordBytes();
  try {
    return decodeRecord(bytes);
  } catch (error) {
    if (!(error instanceof EncodingError)) throw error;
    throw new ProtocolFault('invalid_value', `a record: ${error.message}`, at);
  }
}

/** @param {PayloadReader} reader */
function capabilities(reader) {
  const at = reader.at;
  const list = reader.field();
  if (!Array.isArray(list) || list.some((name) => typeof name !== 'string')) reader.fail('invalid_value', at);
  const fits =
    list.length <= MAX_CAPABILITIES && list.every((name) => new TextEncoder().encode(name).length <= MAX_CAPABILITY_BYTES);
  reader.check(fits && list.every((name, i) => i === 0 || compareKeys(list[i - 1], name) < 0), at);
  return list;
}

/** @param {PayloadReader} reader @returns {Welcome} */
function welcome(reader) {
  const kindAt = reader.at;
  const kind = reader.u8();
  reader.check(kind === 1 || kind === WELCOME, kindAt);
  if (kind !== WELCOME) throw new ProtocolFault('unexpected_message', 'a hello from a server');
  const version = reader.u8();
  const nodeDecided = reader.u64();
  const windowAt = reader.at;
  const operationWindow = reader.u16();
  reader.check(operationWindow >= 1 && operationWindow <= MAX_WINDOW, windowAt);
  const heartbeatAt = reader.at;
  const heartbeatMs = reader.u32();
  reader.check(heartbeatMs >= MIN_HEARTBEAT_MS && heartbeatMs <= MAX_HEARTBEAT_MS, heartbeatAt);
  return {
    version,
    nodeDecided,
    operationWindow,
    heartbeatMs,
    workFrames: reader.u64(),
    workBytes: reader.u64(),
    telemetryFrames: reader.u64(),
    telemetryBytes: reader.u64(),
    requestLimit: reader.u16(),
    clock: reader.u64(),
    position: reader.position(),
    connection: reader.uuid(),
    node: reader.uuid(),
    agent: reader.str(MAX_AGENT_BYTES),
    capabilities: capabilities(reader),
  };
}

/** @param {PayloadReader} reader @returns {QueryResponse} */
function queryResponse(reader) {
  const id = reader.number();
  const flagsAt = reader.at;
  const flags = reader.u8();
  reader.check(flags <= 1, flagsAt);
  const position = reader.position();
  const rows = [];
  for (let left = reader.u16(); left > 0; left--) rows.push({ seq: reader.u64(), record: record(reader) });
  return { id, last: flags === 1, position, rows };
}

/** @param {PayloadReader} reader @returns {Ack} */
function ack(reader) {
  const laneAt = reader.at;
  const lane = reader.u8();
  reader.check(lane <= 1, laneAt);
  const levelAt = reader.at;
  const level = reader.u8();
  reader.check(level <= 2, levelAt);
  return { lane, level, number: reader.number(), unchanged: reader.u64(), position: reader.position() };
}

/** @param {PayloadReader} reader @returns {ErrorMessage} */
function error(reader) {
  const scopeAt = reader.at;
  const scope = reader.u8();
  reader.check(scope <= SCOPE.request, scopeAt);
  const idAt = reader.at;
  const id = reader.u64();
  reader.check((id === 0) === (scope === SCOPE.connection), idAt);
  const codeAt = reader.at;
  const code = reader.u16();
  reader.check(code >= 1, codeAt);
  const message = reader.str(MAX_MESSAGE_BYTES);
  const detailAt = reader.at;
  const detail = reader.field();
  const isDict = detail === null || (typeof detail === 'object' && Object.getPrototypeOf(detail) === Object.prototype);
  if (!isDict) reader.fail('invalid_value', detailAt);
  reader.check(detail === null || Object.keys(detail).length > 0, detailAt);
  return { scope, id, code, message, detail };
}

/** @param {PayloadReader} reader @returns {Event} */
function event(reader) {
  const id = reader.number();
  const kind = /** @type {string} */ (EVENTS[reader.kind(EVENTS.length - 1)]);
  const position = reader.position();
  if (kind === 'reset') {
    const codeAt = reader.at;
    const code = reader.u16();
    reader.check(code >= 1, codeAt);
    return { id, kind, position, code, oldest: reader.position() };
  }
  if (kind !== 'changes') return { id, kind, position };
  const countAt = reader.at;
  let left = reader.u16();
  reader.check(left > 0, countAt);
  const changes = [];
  for (; left > 0; left--) changes.push(change(reader));
  return { id, kind, position, changes };
}

/** @param {PayloadReader} reader @returns {Change} */
function change(reader) {
  const at = reader.at;
  const byte = reader.u8();
  const kind = /** @type {Change['kind'] | undefined} */ (CHANGES[byte & ~LAST_OF_TRANSACTION]);
  if (kind === undefined) return reader.fail('invalid_field', at);
  const last = (byte & LAST_OF_TRANSACTION) !== 0;
  const seq = reader.u64();
  if (kind === 'put') {
    const put = record(reader);
    return { kind, last, seq, record: put, id: put.id };
  }
  return kind === 'delete' ? { kind, last, seq, id: reader.id() } : { kind, last, seq };
}

/** @param {PayloadReader} reader @returns {Goodbye} */
function goodbye(reader) {
  return { code: reader.u16(), retryAfterMs: reader.u32(), message: reader.str(MAX_MESSAGE_BYTES) };
}

/** @param {PayloadReader} reader @returns {Credit} */
function credit(reader) {
  const scopeAt = reader.at;
  const scope = reader.u8();
  reader.check(scope <= CREDIT.request, scopeAt);
  const idAt = reader.at;
  const id = reader.u64();
  reader.check((id !== 0) === (scope === CREDIT.request), idAt);
  return { scope, id, frames: reader.u64(), bytes: reader.u64() };
}

/** @type {Map<number, (reader: PayloadReader) => any>} */
const READERS = new Map(
  /** @type {[number, (reader: PayloadReader) => any][]} */ ([
    [TYPE.handshake, welcome],
    [TYPE.queryResponse, queryResponse],
    [TYPE.ack, ack],
    [TYPE.error, error],
    [TYPE.event, event],
    [TYPE.ping, (/** @type {PayloadReader} */ reader) => ({ nonce: reader.u64() })],
    [TYPE.pong, (/** @type {PayloadReader} */ reader) => ({ nonce: reader.u64(), clock: reader.u64() })],
    [TYPE.goodbye, goodbye],
    [TYPE.credit, credit],
  ]),
);

/** Whether a server sends messages of this type. @param {number} type */
export function isServers(type) {
  return READERS.has(type);
}

/** Reads the plain payload of a server's message. @param {number} type @param {Uint8Array} payload @returns {any} */
export function readMessage(type, payload) {
  const read = READERS.get(type);
  if (!read) throw new ProtocolFault('unexpected_message');
  const reader = new PayloadReader(payload);
  const message = read(reader);
  reader.done();
  return message;
}

// ---- a client's: each writes its payload

/**
 * @typedef {import('../encoding/writer.js').Writer} Writer
 * @typedef {{ kind: 'get', collection: string, ids: import('../encoding/values.js').Uuid[] }
 *   | { kind: 'scan', collection: string, reverse: boolean, limit: U64, lower: Bound, upper: Bound }
 *   | { kind: 'stats', collection: string | null }} Question
 * @typedef {{ inclusive: boolean, id: import('../encoding/values.js').Uuid } | null} Bound
 */

/** @param {Writer} out @param {unknown} value */
function writeField(out, value) {
  out.raw(encodeValue(value));
}

/**
 * @param {Writer} out
 * @param {{ nextOperation: U64, oldestUnacked: U64, heartbeatMs: number, database: string, agent: string,
 *   node: import('../encoding/values.js').Uuid | null, capabilities: string[] }} hello
 */
export function writeHello(out, hello, minVersion = 1, maxVersion = 1) {
  out.u8(1);
  out.u8(minVersion);
  out.u8(maxVersion);
  out.u64(hello.nextOperation);
  out.u64(hello.oldestUnacked);
  out.u32(hello.heartbeatMs);
  for (const value of [hello.database, hello.agent, hello.node, hello.capabilities]) writeField(out, value);
}

/** @param {Writer} out @param {U64} id @param {U64} frames @param {U64} bytes @param {Question} question @param {string | null} atLeast */
export function writeQuery(out, id, frames, bytes, question, atLeast) {
  out.u64(id);
  out.u64(frames);
  out.u64(bytes);
  out.u8({ get: 1, scan: 2, stats: 3 }[question.kind]);
  out.u8(atLeast === null ? 0 : 1);
  if (atLeast !== null) writePosition(out, atLeast);
  writeField(out, question.collection);
  if (question.kind === 'get') {
    out.u16(question.ids.length);
    for (const uuid of question.ids) out.raw(uuid.bytes);
  } else if (question.kind === 'scan') {
    out.u8(question.reverse ? 1 : 0);
    out.u64(question.limit);
    for (const bound of [question.lower, question.upper]) {
      out.u8(bound === null ? 0 : bound.inclusive ? 1 : 2);
      if (bound !== null) out.raw(bound.id.bytes);
    }
  }
}

/**
 * @param {Writer} out @param {U64} id @param {U64} frames @param {U64} bytes
 * @param {{ mode: 'all' | 'latest', start: 'now' | 'snapshot' | { after: string }, collection: string }} subscribe
 */
export function writeSubscribe(out, id, frames, bytes, { mode, start, collection }) {
  out.u64(id);
  out.u64(frames);
  out.u64(bytes);
  out.u8(mode === 'all' ? 1 : 2);
  out.u8(start === 'now' ? 0 : start === 'snapshot' ? 1 : 2);
  if (typeof start === 'object') writePosition(out, start.after);
  writeField(out, collection);
}

/** @param {Writer} out @param {Credit} credit */
export function writeCredit(out, { scope, id, frames, bytes }) {
  out.u8(scope);
  out.u64(id);
  out.u64(frames);
  out.u64(bytes);
}

/** @param {Writer} out @param {number} scope @param {U64} id @param {number} code @param {string} message @param {Record<string, any> | null} detail */
export function writeError(out, scope, id, code, message, detail) {
  out.u8(scope);
  out.u64(id);
  out.u16(code);
  writeField(out, message);
  writeField(out, detail);
}

/** @param {Writer} out @param {number} code @param {number} retryAfterMs @param {string} message */
export function writeGoodbye(out, code, retryAfterMs, message) {
  out.u16(code);
  out.u32(retryAfterMs);
  writeField(out, message);
}

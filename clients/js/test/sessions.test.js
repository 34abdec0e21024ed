// Whole connections and handshakes, byte by byte (conformance/vectors: sessions.json, handshakes.json): the server's side is
// played to a connection, the client's side is what it must say.

import assert from 'node:assert/strict';
import test from 'node:test';

import { Uuid, fromHex, toHex } from '../src/encoding/values.js';
import { Writer } from '../src/encoding/writer.js';
import { codeOf } from '../src/errors.js';
import { Connection } from '../src/wire/connection.js';
import { Request } from '../src/wire/request.js';
import { FLAG, FrameReader, TYPE, beginFrame, endFrame } from '../src/wire/frame.js';
import { decompress } from '../src/wire/lz4.js';
import { Entry, Outbox } from '../src/wire/outbox.js';
import { readMessage } from '../src/wire/messages.js';
import { expandHex, repositoryText } from './support.js';

const OPERATION_HEADER = 8;

/** Sessions whose client does what this one never does; what the server makes of it is the server's matter. */
const NOT_THIS_CLIENT = new Map([
  ['y_malformed_operation_is_decided', 'it sends no malformed operation'],
  ['y_malformed_request_is_refused', 'it sends no malformed request'],
  ['y_malformed_subscribe_is_refused', 'it sends no malformed request'],
  ['y_reserved_query_is_refused', 'it asks no reserved query'],
  ['y_too_many_requests', 'it keeps to the request limit'],
  ['y_no_version_in_common', 'it speaks version 1'],
  ['y_extensions_are_passed_over', 'it sends no extension'],
]);

function cases(file) {
  return JSON.parse(repositoryText(`conformance/vectors/${file}.json`)).cases;
}

/** The frames in some bytes, their payloads plain. */
function framesIn(bytes) {
  const reader = new FrameReader();
  reader.limit = 2097152;
  reader.push(bytes);
  const frames = [];
  for (let frame = reader.next(); frame !== null; frame = reader.next()) {
    const plain = frame.flags & FLAG.compressed ? decompress(frame.payload) : frame.payload;
    frames.push({ type: frame.type, sequence: frame.sequence, payload: plain.slice() });
  }
  return frames;
}

/** One client over the connections of a session. */
class Player {
  constructor(session) {
    this.session = session;
    this.outbox = new Outbox();
    this.outcomes = new Map();
    this.said = [];
    this.requests = new Map();
    this.pinged = false;
    this.ending = null;
    this.sequence = session.sequence?.client ?? 0;
  }

  /** The body of an operation that the script sends at some time. */
  body(number) {
    const step = this.session.steps.find(
      (one) => one.message?.is === 'operation' && one.from === 'client' && Number(one.message.number) === number,
    );
    return step ? framesIn(fromHex(expandHex(step.hex)))[0].payload.slice(OPERATION_HEADER) : new Uint8Array();
  }

  entry(number, body) {
    return new Entry(body, body[0] !== 0, (error, position) => this.outcomes.set(number, { code: error?.code ?? 0, position }));
  }

  hello(message) {
    if (this.outbox.nextNumber === 1) {
      for (let number = Number(message.oldest_unacked); number < Number(message.next_operation); number++) {
        const entry = this.entry(number, this.body(number));
        entry.number = number;
        this.outbox.add(entry);
      }
      this.outbox.nextNumber = Number(message.next_operation);
    }
    this.connection = new Connection({
      database: message.database,
      agent: message.agent,
      node: message.node === null ? null : Uuid.parse(message.node),
      heartbeatMs: message.heartbeat_ms,
      lz4: message.capabilities.includes('lz4'),
      outbox: this.outbox,
      now: 0,
      sequence: this.sequence,
      handler: { welcomed: () => {}, notice: () => {}, ended: (ending) => (this.ending = ending) },
    });
    this.ending = null;
    this.requests.clear();
  }

  collect() {
    const bytes = this.connection.takeOutput(0);
    if (bytes !== null) this.said.push(...framesIn(bytes));
  }

  ask(message, what) {
    const window = { frames: Number(message.frames), bytes: Number(message.bytes) };
    const request = new Request(what, window, { frame: () => {}, over: () => {} });
    this.requests.set(message.id, request);
    this.connection.nextRequest = Number(message.id);
    this.connection.ask(request);
  }

  /** Does what a message of the client says; false where the script's choice is not this client's to repeat. */
  act(message) {
    const { connection } = this;
    switch (message.is) {
      case 'hello':
        this.hello(message);
        return true;
      case 'operation':
        if (this.outbox.at(connection.inFlight) === undefined && Number(message.number) > connection.lastSent) {
          this.outbox.add(this.entry(Number(message.number), this.body(Number(message.number))));
        }
        return true;
      case 'query': {
        const bound = (one) => (one.kind === 'none' ? null : { inclusive: one.kind === 'inclusive', id: Uuid.parse(one.id) });
        const question = { ...message, ids: message.ids?.map(Uuid.parse), limit: BigInt(message.limit ?? 0) };
        if (message.kind === 'scan') Object.assign(question, { lower: bound(message.lower), upper: bound(message.upper) });
        this.ask(message, { kind: 'query', question, atLeast: message.at_least });
        return true;
      }
      case 'subscribe': {
        const start = message.start === 'after' ? { after: message.after } : message.start;
        this.ask(message, { kind: 'subscribe', mode: message.mode, start, collection: message.collection });
        return true;
      }
      case 'cancel':
      case 'unsubscribe': {
        const request = this.requests.get(message.id);
        const running = request.state === 'running';
        connection.cancel(request);
        return running;
      }
      case 'goodbye':
        connection.part(0);
        return true;
      case 'pong':
        return this.pinged;
      case 'credit': {
        const grant = this.requests.get(message.id)?.grant;
        if (grant) grant.advertised = { frames: Number(message.frames), bytes: Number(message.bytes) };
        return false;
      }
      default:
        return false;
    }
  }

  /** Plays one step. */
  step(step) {
    const bytes = step.hex === undefined ? null : fromHex(expandHex(step.hex));
    if (step.transport === 'cut') this.connection.transportEnded('cut');
    else if (step.transport === 'connect') {
      if (!this.connection.ended) this.connection.transportEnded('closed');
      this.sequence = step.sequence?.client ?? 0;
    } else if (step.from === 'server') {
      this.connection.receive(bytes, 0);
      if (step.message?.is === 'ping') this.pinged = true;
      if (step.fault) return this.checkFault(step.fault);
    } else if (step.message && this.act(step.message)) {
      this.collect();
      const [scripted] = framesIn(bytes);
      const own = this.said.shift();
      assert.equal(own?.type, scripted.type, 'the type');
      if (!['goodbye'].includes(step.message.is)) assert.equal(toHex(own.payload), toHex(scripted.payload), 'the payload');
      if (step.message.is === 'hello') assert.equal(own.sequence, scripted.sequence, 'the first sequence');
      return;
    }
  }

  checkFault(code) {
    assert.equal(this.ending?.code, code);
    // Behind its Goodbye a client says nothing, not even why (C-11.1).
    if (this.connection.saidGoodbye) return;
    const frames = this.collectAll();
    const last = frames.at(-1);
    assert.equal(last?.type, TYPE.error);
    assert.equal(readMessage(TYPE.error, last.payload).code, codeOf(code).number);
  }

  collectAll() {
    this.collect();
    return this.said.splice(0);
  }
}

test('handshakes.json, a client’s judgement', () => {
  let judged = 0;
  for (const one of cases('handshakes').filter(({ role }) => role === 'client')) {
    judged++;
    const player = new Player({ steps: [] });
    player.hello(one.hello);
    player.collect();
    assert.equal(toHex(player.said.shift().payload), one.hello_hex, one.name);
    const out = new Writer();
    const start = beginFrame(out, TYPE.handshake);
    out.raw(fromHex(expandHex(one.welcome_hex)));
    endFrame(out, start, 0);
    player.connection.receive(out.copy(), 0);
    assert.equal(player.ending?.code, one.code, one.name);
    assert.equal(player.connection.state, one.code ? 'ended' : 'running', one.name);
  }
  assert.ok(judged > 15);
});

test('sessions.json, the client’s side', async (t) => {
  // Where a client breaks a rule, it is the server's judgement that is asked for.
  const sessions = cases('sessions').filter(({ steps }) => !steps.some(({ from, fault }) => from === 'client' && fault));
  assert.ok(sessions.length > 50);
  for (const name of NOT_THIS_CLIENT.keys())
    assert.ok(
      sessions.some((session) => session.name === name),
      name,
    );
  for (const session of sessions) {
    if (NOT_THIS_CLIENT.has(session.name)) continue;
    await t.test(session.name, () => {
      const player = new Player(session);
      session.steps.forEach((step, i) => {
        try {
          player.step(step);
        } catch (error) {
          error.message = `step ${i}: ${error.message}`;
          throw error;
        }
      });
      checkOutcomes(player, session);
    });
  }
});

/** What the last Acks and Errors of the script say of each operation is what was told. */
function checkOutcomes(player, { steps }) {
  const refused = new Map();
  const told = new Map();
  for (const { message, from, fault } of steps) {
    if (from !== 'server' || fault || !message) continue;
    if (message.is === 'error' && message.scope === 'operation') refused.set(Number(message.id), message.code);
    if (message.is === 'ack') {
      for (const number of player.outcomes.keys()) {
        if (number <= Number(message.number) && !told.has(number)) told.set(number, refused.get(number) ?? 0);
      }
    }
  }
  for (const [number, { code }] of player.outcomes) assert.equal(code, told.get(number), `the outcome of operation ${number}`);
}

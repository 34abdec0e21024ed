// The connection without IO, in virtual time: timers, credit, limits, floods, the order of output (spec/connection.md).

import assert from 'node:assert/strict';
import test from 'node:test';

import { Backoff } from '../src/client/backoff.js';
import { Client } from '../src/client/client.js';
import { encodeValue } from '../src/encoding/record.js';
import { Uuid } from '../src/encoding/values.js';
import { Writer } from '../src/encoding/writer.js';
import { numberOf } from '../src/errors.js';
import { Connection } from '../src/wire/connection.js';
import { Request } from '../src/wire/request.js';
import { TYPE, beginFrame, endFrame } from '../src/wire/frame.js';
import { encodeBody } from '../src/wire/operation.js';
import { Entry, Outbox } from '../src/wire/outbox.js';
import { EVENT, HEARTBEAT, POSITION, ServerSide } from './played.js';

/** A server's side of one connection, in a time that the test sets. */
class Peer extends ServerSide {
  constructor(options = {}) {
    super((bytes, now) => this.connection.receive(bytes, now));
    this.outbox = new Outbox();
    this.ending = null;
    this.connection = new Connection({
      database: 'main',
      agent: 'test/1',
      node: null,
      heartbeatMs: HEARTBEAT,
      lz4: false,
      outbox: this.outbox,
      now: 0,
      handler: { welcomed: () => {}, notice: () => {}, ended: (ending) => (this.ending = ending) },
      ...options,
    });
  }

  welcome(limits) {
    this.frames();
    return super.welcome(limits);
  }

  put(level = 'durable') {
    const told = [];
    this.outbox.add(
      new Entry(encodeBody([{ op: 'delete', collection: 'notes', id: Uuid.v7() }], level), level === 'durable', (error) =>
        told.push(error),
      ),
    );
    return told;
  }

  /** The types of the frames that the client says now. */
  frames(now = 0) {
    const types = [];
    for (let bytes = this.connection.takeOutput(now); bytes !== null; bytes = this.connection.takeOutput(now)) {
      this.connection.tookBytes(bytes.length, now);
      for (const frame of this.read(bytes)) {
        types.push(frame.type);
        this.last = frame;
      }
    }
    return types;
  }

  number(at = 0) {
    return Number(new DataView(this.last.payload.buffer, this.last.payload.byteOffset).getBigUint64(at));
  }
}

function subscribe(peer, window = { frames: 4, bytes: 100000 }) {
  const events = [];
  const request = new Request({ kind: 'subscribe', mode: 'all', start: 'now', collection: 'notes' }, window, {
    frame: (message, cost) => events.push({ message, cost }),
    over: (error) => events.push({ over: error }),
  });
  peer.connection.ask(request);
  return { request, events };
}

test('a handshake takes at most 5 s', () => {
  const peer = new Peer();
  assert.equal(peer.connection.timeoutAt(), 5000);
  peer.connection.handleTimeout(4999);
  assert.equal(peer.ending, null);
  peer.connection.handleTimeout(5000);
  assert.equal(peer.ending.code, 'handshake_timeout');
  assert.deepEqual(peer.frames(5000), [TYPE.handshake, TYPE.error]);
});

test('nothing but the hello is sent before the welcome', () => {
  const peer = new Peer();
  peer.put();
  subscribe(peer);
  assert.deepEqual(peer.frames(), [TYPE.handshake]);
  peer.welcome();
  assert.deepEqual(peer.frames(), [TYPE.operation, TYPE.subscribe]);
});

test('silence: a Ping after one heartbeat and after two, the end after two and a half', () => {
  const peer = new Peer().welcome();
  assert.equal(peer.connection.timeoutAt(), HEARTBEAT);
  peer.connection.handleTimeout(HEARTBEAT);
  assert.deepEqual(peer.frames(HEARTBEAT), [TYPE.ping]);
  assert.equal(peer.connection.timeoutAt(), 2 * HEARTBEAT);
  peer.connection.handleTimeout(2 * HEARTBEAT);
  assert.deepEqual(peer.frames(2 * HEARTBEAT), [TYPE.ping]);
  // Single bytes are silence, a whole frame is life.
  peer.connection.receive(new Uint8Array([0x42]), 2 * HEARTBEAT + 1);
  assert.equal(peer.connection.timeoutAt(), 2.5 * HEARTBEAT);
  peer.connection.handleTimeout(2.5 * HEARTBEAT);
  assert.equal(peer.ending.code, 'heartbeat_timeout');
  assert.equal(peer.ending.retryable, true);

  const lively = new Peer().welcome();
  lively.ping(7, 9000);
  assert.equal(lively.connection.timeoutAt(), 9000 + HEARTBEAT);
  assert.deepEqual(lively.frames(9000), [TYPE.pong]);
  assert.equal(lively.number(), 7);
});

test('1,024 bytes of an unfinished frame are a sign of life', () => {
  const peer = new Peer().welcome();
  const out = new Writer();
  const start = beginFrame(out, TYPE.queryResponse);
  out.raw(new Uint8Array(5000));
  endFrame(out, start, peer.sequence);
  const bytes = out.copy();
  peer.connection.receive(bytes.subarray(0, 1023), 5000);
  assert.equal(peer.connection.timeoutAt(), HEARTBEAT);
  peer.connection.receive(bytes.subarray(1023, 1024), 6000);
  assert.equal(peer.connection.timeoutAt(), 6000 + HEARTBEAT);
});

test('a transport that takes nothing for 10 s is the end, without an Error', () => {
  const peer = new Peer().welcome();
  peer.put();
  assert.ok(peer.connection.takeOutput(1000) !== null);
  // The server is heard all the while.
  peer.ping(1, 10000);
  assert.equal(peer.connection.timeoutAt(), 11000);
  peer.connection.handleTimeout(11000);
  assert.equal(peer.ending.code, 'write_stalled');
});

test('operations keep to the window and to the credit of the lane', () => {
  const peer = new Peer().welcome({ window: 2, frames: 3 });
  for (let i = 0; i < 5; i++) peer.put();
  assert.deepEqual(peer.frames(), [TYPE.operation, TYPE.operation]);
  peer.ack(2);
  // Two more by the window, one by the credit.
  assert.deepEqual(peer.frames(), [TYPE.operation]);
  assert.equal(peer.number(), 3);
  peer.credit(100, 4194304);
  assert.deepEqual(peer.frames(), [TYPE.operation]);
  peer.credit(100, 4194304);
  peer.credit(99, 4194304);
  assert.equal(peer.ending.code, 'invalid_credit');
});

test('one byte of credit lets one frame through', () => {
  const peer = new Peer().welcome({ bytes: 1 });
  peer.put();
  peer.put();
  assert.deepEqual(peer.frames(), [TYPE.operation]);
});

test('operations and requests take turns, control goes first', () => {
  const peer = new Peer().welcome();
  const { request } = subscribe(peer);
  assert.deepEqual(peer.frames(), [TYPE.subscribe]);
  for (let i = 0; i < 3; i++) peer.put();
  subscribe(peer);
  subscribe(peer);
  peer.ping(1);
  peer.connection.cancel(request);
  assert.deepEqual(peer.frames(), [
    TYPE.unsubscribe,
    TYPE.pong,
    TYPE.subscribe,
    TYPE.operation,
    TYPE.subscribe,
    TYPE.operation,
    TYPE.operation,
  ]);
});

test('what was consumed is credited when half the window is due; more than that is no credit', () => {
  const peer = new Peer().welcome();
  const { request, events } = subscribe(peer, { frames: 4, bytes: 100000 });
  peer.frames();
  peer.event(1, 2);
  peer.event(1, 5);
  peer.connection.admit(request, events[0].cost);
  assert.deepEqual(peer.frames(), []);
  peer.connection.admit(request, events[1].cost);
  assert.deepEqual(peer.frames(), [TYPE.credit]);
  assert.equal(peer.number(9), 6);
  for (let i = 0; i < 4; i++) peer.event(1, 5);
  assert.equal(peer.ending, null);
  peer.event(1, 5);
  assert.equal(peer.ending.code, 'credit_exceeded');
});

test('requests keep to the limit; a cancelled one counts until it has ended, and its frames are dropped', () => {
  const peer = new Peer().welcome({ requests: 1 });
  const first = subscribe(peer);
  const second = subscribe(peer);
  assert.deepEqual(peer.frames(), [TYPE.subscribe]);
  peer.connection.cancel(first.request);
  assert.deepEqual(peer.frames(), [TYPE.unsubscribe]);
  peer.event(1, 2);
  assert.deepEqual(first.events, []);
  peer.event(1, 6);
  assert.deepEqual(first.events, []);
  assert.deepEqual(peer.frames(), [TYPE.subscribe]);
  assert.equal(peer.number(), 2);
  assert.equal(second.request.state, 'running');
});

test('a flood of control messages ends the connection', () => {
  const peer = new Peer().welcome();
  for (let i = 0; i < 8192; i++) peer.ping(i);
  assert.equal(peer.ending, null);
  // A second brings 200 more.
  for (let i = 0; i < 200; i++) peer.ping(i, 1000);
  assert.equal(peer.ending, null);
  peer.ping(0, 1000);
  assert.equal(peer.ending.code, 'control_flood');
});

test('after its Goodbye a client says nothing and waits for its outcomes, 10 s at most', () => {
  const peer = new Peer().welcome();
  const told = peer.put();
  peer.frames();
  peer.connection.part(1000);
  peer.put();
  assert.deepEqual(peer.frames(1000), [TYPE.goodbye]);
  peer.ping(1, 2000);
  assert.deepEqual(peer.frames(2000), []);
  assert.equal(peer.connection.timeoutAt(), 11000);
  peer.ack(1);
  assert.deepEqual(told, [null]);
  assert.equal(peer.ending, null);
  peer.connection.handleTimeout(11000);
  assert.notEqual(peer.ending, null);
});

test('answers, events and errors of requests that crossed its Goodbye are passed over (C-11.3)', () => {
  const peer = new Peer().welcome();
  const { events } = subscribe(peer);
  peer.put();
  peer.frames();
  peer.connection.part(1000);
  assert.deepEqual(peer.frames(1000), [TYPE.goodbye]);
  // 1 was asked, 9 never was: after a Goodbye nobody keeps account of either. The window of 4 frames does not count any more.
  for (const id of [1, 9]) {
    for (let i = 0; i < 5; i++) peer.event(id, EVENT.heartbeat);
    peer.answer(id);
    peer.refuseRequest(id, numberOf('cancelled'));
    peer.event(id, EVENT.ended);
  }
  assert.equal(peer.ending, null);
  assert.deepEqual([events, peer.frames(2000)], [[], []]);
  peer.goodbye();
  assert.equal(peer.ending, null, 'an outcome is missing');
  peer.ack(1);
  assert.deepEqual([peer.ending.code, peer.ending.remote], [0, true]);
});

test('an accepted outcome is told early, once, and kept until it is durable', () => {
  const peer = new Peer().welcome();
  const told = peer.put('accepted');
  peer.frames();
  peer.send(TYPE.ack, (out) => {
    out.u16(0);
    out.u64(1);
    out.u64(0);
    out.raw(Buffer.from(POSITION, 'hex'));
  });
  assert.deepEqual(told, [null]);
  assert.equal(peer.outbox.length, 1);
  peer.ack(1);
  assert.deepEqual(told, [null]);
  assert.equal(peer.outbox.length, 0);
});

test('pauses grow, are jittered, and keep to what the server advised', () => {
  const early = new Backoff(() => 0);
  assert.deepEqual(
    [0, 0, 0].map(() => early.next(0)),
    [50, 100, 200],
  );
  const late = new Backoff(() => 1);
  for (let i = 0; i < 20; i++) late.next(0);
  assert.equal(late.next(0), 10000);
  assert.ok(new Backoff().next(3000) >= 3000);
  assert.ok(new Backoff().next(0) <= 100);
});

test('patience goes on where every welcome is followed by a refusal (C-10.3)', { timeout: 30000 }, async () => {
  const node = Uuid.v7();
  let attempts = 0;
  const opener = (address, options, sink) => {
    attempts++;
    const server = new ServerSide((bytes) => sink.data(bytes));
    const answer = () => {
      server.welcome({ node });
      server.send(TYPE.error, (out) => {
        out.u8(0);
        out.u64(0);
        out.u16(502);
        for (const value of ['full', null]) out.raw(encodeValue(value));
      });
    };
    let answered = false;
    setTimeout(() => sink.opened(), 0);
    return {
      send: () => {
        if (!answered) setTimeout(answer, 0);
        answered = true;
      },
      end: () => {},
      destroy: () => {},
    };
  };
  const client = new Client({ database: 'main', name: 'a stub', loopback: true }, { giveUpAfterMs: 500 }, opener);
  await client.ended;
  assert.equal(client.error.kind, 'unreachable');
  assert.equal(client.error.codeName, 'disk_full');
  assert.ok(attempts >= 2, `${attempts}`);
});

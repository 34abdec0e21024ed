// One connection as a client, without IO (spec/connection.md): bytes and the time go in, bytes and events come out.
//
//   waiting ── Welcome ──▶ running ── Goodbye, either way ──▶ parting ── both said, nothing in flight ──▶ ended
//   and from each of them: a broken rule, a deadline, an Error, a lost transport ──▶ ended
//
// Call receive() with what arrived, handleTimeout() when timeoutAt() has come, tookBytes() when the transport took output,
// transportEnded() when it is gone; after each of them, and after an operation or a request was added, takeOutput().

import { Uuid } from '../encoding/values.js';
import { Writer } from '../encoding/writer.js';
import { BlazeError, ProtocolFault, codeOf, isRetryable, numberOf } from '../errors.js';
import { Allowance, ControlBudget } from './credit.js';
import {
  FLAG,
  FrameReader,
  MAX_PAYLOAD_BYTES,
  OVERHEAD_BYTES,
  TYPE,
  beginFrame,
  checkFlags,
  endFrame,
  nextSequence,
} from './frame.js';
import { decompress } from './lz4.js';
import {
  CREDIT,
  LEVEL,
  MAX_MESSAGE_BYTES,
  SCOPE,
  isServers,
  readMessage,
  writeCredit,
  writeError,
  writeGoodbye,
  writeHello,
  writeQuery,
  writeSubscribe,
} from './messages.js';

/** C-9, in ms. */
const HANDSHAKE_MS = 5000;
const DRAIN_MS = 10000;
const STALL_MS = 10000;
/** C-9.6: so many bytes of an unfinished frame count as a sign of life. */
const LIFE_BYTES = 1024;
/** C-9.2 and C-9.3: a Ping after so many heartbeats of silence, and the end. */
const PINGS_AFTER = [1, 2];
const SILENCE_AFTER = 2.5;
/** Those that the protocol has. @type {Set<number>} */
const TYPES = new Set(Object.values(TYPE));
/** Output is made in pieces of about this size, so that control is never far behind. */
const OUTPUT_BYTES = 65536;

/**
 * @typedef {import('./request.js').Request} Request
 * @typedef {{ code: string | number, message: string, remote: boolean, retryable: boolean, retryAfterMs: number, welcomed: boolean }} Ending
 * @typedef {{
 *   welcomed(welcome: import('./messages.js').Welcome): void,
 *   notice(error: BlazeError): void,
 *   ended(ending: Ending): void }} Handler
 */

export class Connection {
  /**
   * @param {{ database: string, agent: string, node: Uuid | null, heartbeatMs: number, lz4: boolean,
   *   outbox: import('./outbox.js').Outbox, handler: Handler, now: number, sequence?: number }} options
   */
  constructor({ database, agent, node, heartbeatMs, lz4, outbox, handler, now, sequence = 0 }) {
    this.handler = handler;
    this.outbox = outbox;
    this.state = 'waiting';
    this.reader = new FrameReader();
    this.out = new Writer();
    /** Of the next frame: the first may carry any (C-4.1). */
    this.sequence = sequence;
    /** @type {number | undefined} */
    this.peerSequence = undefined;
    this.hello = {
      nextOperation: outbox.nextNumber,
      oldestUnacked: outbox.oldestUnacked,
      heartbeatMs,
      database,
      agent,
      node,
      capabilities: lz4 ? ['lz4'] : [],
    };
    /** @type {import('./messages.js').Welcome | null} */
    this.welcome = null;
    /** What was published at the last that this connection told of all of it (L-6.3). */
    this.published = '';
    this.lz4 = false;
    this.lane = new Allowance(0, 0);
    this.telemetry = new Allowance(0, 0);
    this.budget = new ControlBudget(now);

    /** How many entries of the outbox were written on this connection and are not durable. */
    this.inFlight = 0;
    this.lastSent = this.hello.oldestUnacked - 1;
    this.lastDurable = this.hello.oldestUnacked - 1;
    /** By level, the number of the last Ack. */
    this.acked = [0, 0, 0];

    this.nextRequest = 1;
    /** @type {Map<number | bigint, Request>} */
    this.running = new Map();
    /** @type {Request[]} */
    this.queued = [];
    this.requestsTurn = false;

    /** Control that waits for the writer: of each kind the latest alone. @type {Set<Request>} */
    this.creditDue = new Set();
    /** @type {Set<Request>} */
    this.cancelDue = new Set();
    /** @type {number | bigint | null} */
    this.pongDue = null;
    this.pingDue = false;
    /** @type {number | null} */
    this.noticeDue = null;
    /** @type {{ code: number, message: string } | null} */
    this.goodbyeDue = null;
    this.saidGoodbye = false;
    /** @type {import('./messages.js').Goodbye | null} */
    this.heardGoodbye = null;

    this.startedAt = now;
    this.heardAt = now;
    this.unfinished = 0;
    this.pings = 0;
    this.partingAt = 0;
    /** Output that the transport was given and did not take, and since when. */
    this.untaken = 0;
    this.untakenSince = now;

    const start = beginFrame(this.out, TYPE.handshake);
    writeHello(this.out, this.hello);
    this.endFrame(start);
  }

  // ---- what comes in

  /** @param {Uint8Array} bytes @param {number} now */
  receive(bytes, now) {
    if (this.state === 'ended') return;
    this.unfinished += bytes.length;
    try {
      this.reader.push(bytes);
      for (let frame = this.reader.next(); frame !== null; frame = this.reader.next()) {
        this.unfinished = this.reader.pending;
        this.heard(now);
        this.takeFrame(frame, now);
        if (this.ended) return;
      }
    } catch (error) {
      if (!(error instanceof ProtocolFault)) throw error;
      return this.fail(error);
    }
    if (this.unfinished >= LIFE_BYTES) {
      this.unfinished = 0;
      this.heard(now);
    }
  }

  get ended() {
    return this.state === 'ended';
  }

  /** @param {number} now */
  heard(now) {
    this.heardAt = now;
    this.pings = 0;
  }

  /** Judges a frame in the order of P-2.11 to P-2.15. @param {{ type: number, flags: number, sequence: number, payload: Uint8Array }} frame @param {number} now */
  takeFrame({ type, flags, sequence, payload }, now) {
    if (this.peerSequence !== undefined && sequence !== nextSequence(this.peerSequence)) throw new ProtocolFault('sequence_gap');
    this.peerSequence = sequence;
    checkFlags(type, flags, this.lz4);
    const unknown = !TYPES.has(type);
    if (unknown && (this.state === 'waiting' || this.heardGoodbye !== null)) throw new ProtocolFault('unexpected_message');
    const paid = type === TYPE.queryResponse || type === TYPE.event;
    if (!paid && type !== TYPE.handshake && !this.budget.take(now)) throw new ProtocolFault('control_flood');
    if (unknown) {
      this.noticeDue = numberOf('unknown_message_type');
      return;
    }
    const plain = (flags & FLAG.compressed) === 0 ? payload : decompress(payload);
    if (this.state === 'waiting') return this.takeFirst(type, plain, now);
    this.checkPlace(type);
    if (!isServers(type)) return this.takeReserved(type);
    const message = readMessage(type, plain);
    switch (type) {
      case TYPE.queryResponse:
      case TYPE.event:
        return this.takeAnswer(type, message, OVERHEAD_BYTES + plain.length);
      case TYPE.ack:
        return this.takeAck(message);
      case TYPE.error:
        return this.takeError(message);
      case TYPE.ping:
        this.pongDue = message.nonce;
        return;
      case TYPE.goodbye:
        return this.takeGoodbye(message, now);
      case TYPE.credit:
        return this.takeCredit(message);
    }
  }

  /** The first message is a Welcome, an Error or a Goodbye (C-2.1). @param {number} type @param {Uint8Array} plain @param {number} now */
  takeFirst(type, plain, now) {
    if (type === TYPE.handshake) return this.takeWelcome(readMessage(type, plain), now);
    if (type === TYPE.error) {
      const { scope, code, message, detail } = readMessage(type, plain);
      if (scope !== SCOPE.connection) throw new ProtocolFault('unexpected_message');
      return this.end(code, message, true, detail?.retry_after_ms);
    }
    if (type === TYPE.goodbye) {
      const { code, message, retryAfterMs } = readMessage(type, plain);
      return this.end(code, message, true, retryAfterMs);
    }
    throw new ProtocolFault('unexpected_message', 'before the Welcome');
  }

  /** @param {import('./messages.js').Welcome} welcome @param {number} now */
  takeWelcome(welcome, now) {
    const { hello } = this;
    const others = welcome.capabilities.filter((name) => !hello.capabilities.includes(name));
    if (welcome.version !== 1) throw new ProtocolFault('invalid_field', 'a version that was not offered');
    if (others.length > 0) throw new ProtocolFault('invalid_field', 'a capability that was not offered');
    if (hello.node !== null && !hello.node.equals(welcome.node)) throw new ProtocolFault('invalid_field', 'another node');
    if (welcome.nodeDecided >= hello.nextOperation) throw new ProtocolFault('identity_reused');
    if (hello.oldestUnacked > Number(welcome.nodeDecided) + 1) throw new ProtocolFault('identity_expired');
    this.welcome = welcome;
    this.published = welcome.position;
    this.state = 'running';
    this.reader.limit = MAX_PAYLOAD_BYTES;
    this.lz4 = welcome.capabilities.includes('lz4');
    this.lane = new Allowance(welcome.workFrames, welcome.workBytes);
    this.telemetry = new Allowance(welcome.telemetryFrames, welcome.telemetryBytes);
    this.handler.welcomed(welcome);
    if (this.goodbyeDue !== null) this.part(now);
  }

  /** Types that no server sends: two are reserved. @param {number} type */
  takeReserved(type) {
    if (type !== TYPE.telemetry && type !== TYPE.auth) throw new ProtocolFault('unexpected_message');
    this.noticeDue = numberOf('not_supported');
  }

  /** Whether a message of this type may come now. @param {number} type */
  checkPlace(type) {
    if (type === TYPE.handshake) throw new ProtocolFault('unexpected_message', 'a second handshake');
    if (this.heardGoodbye !== null && type !== TYPE.ack && type !== TYPE.error) {
      throw new ProtocolFault('unexpected_message', 'after a Goodbye');
    }
  }

  // ---- outcomes

  /** @param {import('./messages.js').Ack} ack */
  takeAck({ lane, level, number, position }) {
    const least = Math.max(this.acked[level], this.acked[LEVEL.durable], this.hello.oldestUnacked);
    if (lane !== 0 || number > this.lastSent || number < least) throw new ProtocolFault('impossible_ack');
    this.acked[level] = Number(number);
    if (level === LEVEL.durable) this.published = position;
    if (level === LEVEL.durable) this.tellDurable(number, position);
    else this.tellEarly(level, number, position);
  }

  /** What an Ack of another level than durable makes final (C-5.6). @param {number} level @param {number | bigint} number @param {string} position */
  tellEarly(level, number, position) {
    for (let i = 0; i < this.inFlight; i++) {
      const entry = this.outbox.at(i);
      if (entry === undefined || entry.number > number) return;
      const asked = entry.durable ? LEVEL.durable : LEVEL.accepted;
      if (entry.refusal === null ? asked <= level : asked === level) entry.settle(entry.refusal, position);
    }
  }

  /** @param {number | bigint} number @param {string} position */
  tellDurable(number, position) {
    while (this.inFlight > 0) {
      const entry = this.outbox.at(0);
      if (entry === undefined || entry.number > number) break;
      this.outbox.shift();
      this.inFlight--;
      this.lastDurable = entry.number;
      entry.settle(entry.refusal, position);
    }
    this.endIfParted();
  }

  /** @param {import('./messages.js').ErrorMessage} message */
  takeError({ scope, id, code, message, detail }) {
    if (scope === SCOPE.operation) return this.takeRefusal(id, code, message, detail);
    if (scope === SCOPE.request && this.heardGoodbye !== null) throw new ProtocolFault('unexpected_message', 'after a Goodbye');
    if (scope === SCOPE.request) return this.takeRequestError(id, code, message, detail);
    const name = codeOf(code)?.name;
    if (name === 'unknown_message_type' || name === 'not_supported') {
      if (this.heardGoodbye !== null) throw new ProtocolFault('unexpected_message', 'after a Goodbye');
      return this.handler.notice(new BlazeError('refused', code, message, { detail }));
    }
    this.end(code, message, true, detail?.retry_after_ms);
  }

  /** @param {number | bigint} number @param {number} code @param {string} message @param {Record<string, any> | null} detail */
  takeRefusal(number, code, message, detail) {
    const first = this.outbox.at(0)?.number ?? 0;
    const entry = typeof number === 'number' && first > 0 ? this.outbox.at(number - first) : undefined;
    const covered = number <= Math.max(this.acked[LEVEL.accepted], this.acked[LEVEL.durable]);
    if (entry === undefined || number > this.lastSent || number < first || covered || entry.refusal !== null) {
      throw new ProtocolFault('impossible_ack');
    }
    entry.refusal = new BlazeError('refused', code, message, { detail });
  }

  // ---- requests

  /** Asks as soon as there is room for it. @param {Request} request */
  ask(request) {
    this.queued.push(request);
  }

  /** Ends a request before its answer does. @param {Request} request */
  cancel(request) {
    if (request.state === 'queued') {
      this.queued = this.queued.filter((other) => other !== request);
      request.state = 'over';
    } else if (request.state === 'running') {
      request.state = 'stopping';
      this.creditDue.delete(request);
      this.cancelDue.add(request);
    }
  }

  /** A frame of an answer was consumed. @param {Request} request @param {number} cost */
  admit(request, cost) {
    request.grant.admit(cost);
    if (request.state === 'running' && request.grant.due) this.creditDue.add(request);
  }

  /** @param {number} type @param {any} message @param {number} cost */
  takeAnswer(type, message, cost) {
    if (this.saidGoodbye) return;
    const request = this.running.get(message.id);
    if (request === undefined || (request.what.kind === 'query') !== (type === TYPE.queryResponse)) {
      throw new ProtocolFault('unexpected_message', 'no such request');
    }
    const ended = type === TYPE.event && message.kind === 'ended';
    if (ended && request.state !== 'stopping') throw new ProtocolFault('unexpected_message', 'an end that nobody asked for');
    // What answers an Unsubscribe costs nothing (C-3.5).
    if (!ended && !request.grant.receive(cost)) throw new ProtocolFault('credit_exceeded');
    if (type === TYPE.queryResponse && !request.isTakenAt(message.position)) {
      throw new ProtocolFault('invalid_field', 'the position of an answer changed within it');
    }
    const last = type === TYPE.event ? ended || message.kind === 'reset' : message.last;
    const stopped = request.state === 'stopping';
    if (last) this.finish(request);
    if (!stopped) request.owner.frame(message, cost);
    if (last && !stopped && type === TYPE.queryResponse) request.owner.over(null);
  }

  /** @param {number | bigint} id @param {number} code @param {string} message @param {Record<string, any> | null} detail */
  takeRequestError(id, code, message, detail) {
    if (this.saidGoodbye) return;
    const request = this.running.get(id);
    if (request === undefined) throw new ProtocolFault('unexpected_message', 'no such request');
    const stopped = request.state === 'stopping';
    this.finish(request);
    if (!stopped) request.owner.over(new BlazeError('refused', code, message, { detail }));
  }

  /** @param {Request} request */
  finish(request) {
    request.state = 'over';
    this.running.delete(request.id);
    this.creditDue.delete(request);
    this.cancelDue.delete(request);
  }

  // ---- credit

  /** @param {import('./messages.js').Credit} credit */
  takeCredit({ scope, frames, bytes }) {
    const lane = scope === CREDIT.work ? this.lane : scope === CREDIT.telemetry ? this.telemetry : null;
    if (lane === null || !lane.raise(frames, bytes)) throw new ProtocolFault('invalid_credit');
  }

  // ---- the end

  /** Begins to part: says Goodbye when what is in the queue of output has gone. @param {number} now */
  part(now) {
    if (this.ended || this.saidGoodbye) return;
    this.goodbyeDue ??= { code: 0, message: '' };
    if (this.state === 'running') {
      this.state = 'parting';
      this.partingAt = now;
    }
    // Before the Welcome a Goodbye is the end: there is nothing to wait for.
    else if (this.state === 'waiting') this.end(0, 'left before the welcome', false);
  }

  /** @param {import('./messages.js').Goodbye} message @param {number} now */
  takeGoodbye(message, now) {
    this.heardGoodbye = message;
    if (!this.saidGoodbye) {
      this.goodbyeDue = { code: 0, message: '' };
      this.pongDue = this.noticeDue = null;
      this.pingDue = false;
      this.creditDue.clear();
      this.cancelDue.clear();
    }
    if (this.state === 'running') {
      this.state = 'parting';
      this.partingAt = now;
    }
    this.endIfParted();
  }

  endIfParted() {
    if (this.ended || this.heardGoodbye === null || !this.saidGoodbye || this.inFlight > 0) return;
    const { code, message, retryAfterMs } = this.heardGoodbye;
    this.end(code, message, true, retryAfterMs);
  }

  /** The other side broke a rule: tells it which, and ends. @param {ProtocolFault} fault */
  fail(fault) {
    if (!this.saidGoodbye) {
      const detail = fault.offset === undefined ? null : { offset: fault.offset };
      const start = beginFrame(this.out, TYPE.error);
      writeError(this.out, SCOPE.connection, 0, numberOf(fault.code), fault.message.slice(0, MAX_MESSAGE_BYTES / 4), detail);
      this.endFrame(start);
    }
    this.end(fault.code, fault.message, false);
  }

  /** @param {string | number} code @param {string} message @param {boolean} remote @param {number} [retryAfterMs] */
  end(code, message, remote, retryAfterMs) {
    if (this.ended) return;
    this.state = 'ended';
    const known = codeOf(code);
    this.handler.ended({
      code,
      message: message || known?.text || 'the connection was closed',
      remote,
      // Without a code it was the network, or an end in order; a code that is not known is no reason to stay away (C-10).
      retryable: known === undefined || isRetryable(code),
      retryAfterMs: typeof retryAfterMs === 'number' && retryAfterMs > 0 ? retryAfterMs : 0,
      welcomed: this.welcome !== null,
    });
  }

  /** The transport is gone. @param {string} why */
  transportEnded(why) {
    const goodbye = this.heardGoodbye;
    if (goodbye !== null) this.end(goodbye.code, goodbye.message, true, goodbye.retryAfterMs);
    else this.end(0, why, false);
  }

  // ---- time

  /** When handleTimeout() is to be called, in ms. */
  timeoutAt() {
    if (this.ended) return Infinity;
    const stall = this.untaken > 0 ? this.untakenSince + STALL_MS : Infinity;
    if (this.welcome === null) return Math.min(stall, this.startedAt + HANDSHAKE_MS);
    const drain = this.state === 'parting' ? this.partingAt + DRAIN_MS : Infinity;
    const after = PINGS_AFTER[this.pings] ?? SILENCE_AFTER;
    return Math.min(stall, drain, this.heardAt + after * this.welcome.heartbeatMs);
  }

  /** @param {number} now */
  handleTimeout(now) {
    if (this.ended) return;
    if (this.untaken > 0 && now >= this.untakenSince + STALL_MS) {
      return this.end('write_stalled', '', false);
    }
    if (this.welcome === null) {
      if (now >= this.startedAt + HANDSHAKE_MS) this.fail(new ProtocolFault('handshake_timeout'));
      return;
    }
    if (this.state === 'parting' && now >= this.partingAt + DRAIN_MS) {
      return this.end(0, 'the other side did not finish within 10 s of a Goodbye', false);
    }
    const beats = (now - this.heardAt) / this.welcome.heartbeatMs;
    if (beats >= SILENCE_AFTER) return this.fail(new ProtocolFault('heartbeat_timeout'));
    while (this.pings < PINGS_AFTER.length && beats >= PINGS_AFTER[this.pings]) {
      this.pings++;
      this.pingDue = true;
    }
  }

  // ---- what goes out

  /** The transport took bytes that it was given. @param {number} count @param {number} now */
  tookBytes(count, now) {
    this.untaken = Math.max(0, this.untaken - count);
    this.untakenSince = now;
  }

  /** The next bytes for the transport, or null where nothing may be sent. @param {number} now @returns {Uint8Array | null} */
  takeOutput(now) {
    if (!this.ended && this.welcome !== null && !this.saidGoodbye) this.fill();
    const { out } = this;
    if (out.at === 0) return null;
    const bytes = out.copy();
    out.at = 0;
    if (this.untaken === 0) this.untakenSince = now;
    this.untaken += bytes.length;
    return bytes;
  }

  /** Writes what waits, in the order of C-8.1. */
  fill() {
    this.writeControl();
    if (this.goodbyeDue !== null) return this.writeParting(this.goodbyeDue);
    while (this.out.at < OUTPUT_BYTES && this.lane.maySend) {
      const wrote = this.requestsTurn
        ? this.writeRequest() || this.writeOperation()
        : this.writeOperation() || this.writeRequest();
      if (!wrote) return;
      this.requestsTurn = !this.requestsTurn;
    }
  }

  writeControl() {
    for (const request of this.creditDue) {
      const start = beginFrame(this.out, TYPE.credit);
      writeCredit(this.out, { scope: CREDIT.request, id: request.id, ...request.grant.announce() });
      this.endFrame(start);
    }
    this.creditDue.clear();
    for (const request of this.cancelDue)
      this.writeNumber(request.what.kind === 'query' ? TYPE.cancel : TYPE.unsubscribe, request.id);
    this.cancelDue.clear();
    if (this.pongDue !== null) {
      const start = beginFrame(this.out, TYPE.pong);
      this.out.u64(this.pongDue);
      this.out.u64(0);
      this.endFrame(start);
      this.pongDue = null;
    }
    if (this.pingDue) {
      this.writeNumber(TYPE.ping, this.pings);
      this.pingDue = false;
    }
    if (this.noticeDue !== null) {
      const start = beginFrame(this.out, TYPE.error);
      writeError(this.out, SCOPE.connection, 0, this.noticeDue, codeOf(this.noticeDue)?.text ?? '', null);
      this.endFrame(start);
      this.noticeDue = null;
    }
  }

  /** @param {{ code: number, message: string }} goodbye */
  writeParting({ code, message }) {
    const start = beginFrame(this.out, TYPE.goodbye);
    writeGoodbye(this.out, code, 0, message);
    this.endFrame(start);
    this.goodbyeDue = null;
    this.saidGoodbye = true;
    this.endIfParted();
  }

  /** @param {number} type @param {number} number */
  writeNumber(type, number) {
    const start = beginFrame(this.out, type);
    this.out.u64(number);
    this.endFrame(start);
  }

  writeOperation() {
    const entry = this.outbox.at(this.inFlight);
    if (entry === undefined || this.lastSent - this.lastDurable >= /** @type {any} */ (this.welcome).operationWindow)
      return false;
    const start = beginFrame(this.out, TYPE.operation);
    this.lastSent = this.outbox.numberOf(entry);
    entry.refusal = null;
    this.out.u64(entry.number);
    this.out.raw(entry.body);
    this.inFlight++;
    this.spend(start);
    return true;
  }

  writeRequest() {
    if (this.queued.length === 0 || this.running.size >= /** @type {any} */ (this.welcome).requestLimit) return false;
    const request = /** @type {Request} */ (this.queued.shift());
    request.id = this.nextRequest++;
    request.state = 'running';
    this.running.set(request.id, request);
    const { what } = request;
    const { frames, bytes } = request.grant.window;
    const start = beginFrame(this.out, what.kind === 'query' ? TYPE.query : TYPE.subscribe);
    if (what.kind === 'query') writeQuery(this.out, request.id, frames, bytes, what.question, what.atLeast);
    else writeSubscribe(this.out, request.id, frames, bytes, what);
    this.spend(start);
    return true;
  }

  /** Ends a frame of the work lane. @param {number} start */
  spend(start) {
    this.lane.spend(this.endFrame(start));
    this.budget.answerable();
  }

  /** @param {number} start @returns {number} the frame's cost */
  endFrame(start) {
    const cost = endFrame(this.out, start, this.sequence);
    this.sequence = nextSequence(this.sequence);
    return cost;
  }
}

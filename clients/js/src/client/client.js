// A client: one node with its outbox and its questions, over one connection after another.

import { hiddenProperty, isPlain } from '../encoding/record.js';
import { Uuid } from '../encoding/values.js';
import { BlazeError } from '../errors.js';
import { Connection } from '../wire/connection.js';
import { asUuid, checkCollection, encodeBody, inputError } from '../wire/operation.js';
import { Entry, Outbox } from '../wire/outbox.js';
import { isPosition } from '../wire/payload.js';
import { Answer, Scan } from './answer.js';
import { Backoff, STEADY_MS } from './backoff.js';
import { StateEvent } from './emitter.js';
import { Subscription } from './watch.js';

export const VERSION = '0.1.0';
const DEFAULTS = Object.freeze({
  agent: `blazedb-js/${VERSION}`,
  heartbeatMs: 15000,
  /** How long it goes on trying without a connection. */
  giveUpAfterMs: Infinity,
  /** How many bytes of operations may wait for their outcome. */
  maxPendingBytes: 67108864,
});
/** How long an attempt may take until the transport is open. */
const OPEN_MS = 5000;
/** How long close() waits for what was handed in. */
const CLOSE_MS = 10000;
/** More output than this waits in the connection and not in the transport. */
const TRANSPORT_BYTES = 1048576;
/** A sleeping timer cannot be set further ahead. */
const MAX_TIMER_MS = 0x7fffffff;
const MAX_IDS = 65535;

/**
 * @typedef {import('../transport/websocket.js').Sink} Sink
 * @typedef {import('../transport/websocket.js').Transport} Transport
 * @typedef {(address: import('../transport/url.js').Address, options: any, sink: Sink) => Transport} Opener
 * @typedef {import('../wire/operation.js').Item} Item
 */

export class Client extends EventTarget {
  /** @param {import('../transport/url.js').Address} address @param {any} options @param {Opener} opener */
  constructor(address, options, opener) {
    super();
    this.address = address;
    this.options = { ...DEFAULTS, lz4: !address.loopback, ...options };
    this.opener = opener;
    this.outbox = new Outbox();
    /** Queries and subscriptions that are not over. @type {Set<Answer | Subscription>} */
    this.questions = new Set();
    this.backoff = new Backoff();
    /** `connecting`, `connected`, `waiting` or `ended`. @type {string} */
    this.state = 'connecting';
    /** Why there is no connection. @type {BlazeError | null} */
    this.error = null;
    /** This client, to the server. @type {Uuid | null} */
    this.node = null;
    /** @type {import('../wire/messages.js').Welcome | null} */
    this.welcome = null;
    /** @type {Connection | null} */
    this.connection = null;
    /** @type {Transport | null} */
    this.transport = null;
    this.inTransport = 0;
    this.flushing = false;
    this.closing = false;
    this.welcomedAt = 0;
    /** Since when there is no connection that holds; Infinity behind one that did. */
    this.withoutSince = Infinity;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.giveUpTimer = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.timerAt = Infinity;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.retryTimer = undefined;
    /** @type {(() => void)[]} */
    this.drained = [];
    /** @type {(client: Client) => void} */
    this.resolveReady = () => {};
    /** @type {(error: unknown) => void} */
    this.rejectReady = () => {};
    /** Resolves at the first welcome. @type {Promise<Client>} */
    this.ready = new Promise((resolve, reject) => {
      this.resolveReady = resolve;
      this.rejectReady = reject;
    });
    this.ready.catch(() => {});
    /** Resolves when the client has ended. @type {Promise<void>} */
    this.ended = new Promise((resolve) => (this.resolveEnded = resolve));
    this.countFromNow();
    this.open();
  }

  // ---- what a program does with it

  /** Creates a record, or replaces the one that has its id. @param {string} collection @param {Record<string, any>} record @param {any} [options] */
  put(collection, record, options) {
    return this.write(record, options, { op: 'put', collection, base: options?.base, skipUnchanged: options?.skipUnchanged });
  }

  /** Creates a record; refused where its id exists. @param {string} collection @param {Record<string, any>} record @param {any} [options] */
  insert(collection, record, options) {
    return this.write(record, options, { op: 'insert', collection });
  }

  /** @param {Record<string, any>} record @param {any} options @param {Item} item */
  async write(record, options, item) {
    const whole = withId(record);
    item.record = whole;
    const position = await this.operate([item], options);
    return { id: whole.id, position };
  }

  /** Sets fields of a record, and removes others. @param {string} collection @param {Uuid | string} id @param {Record<string, any>} set @param {any} [options] */
  async patch(collection, id, set, options) {
    return {
      position: await this.operate([{ op: 'patch', collection, id, set, unset: options?.unset, base: options?.base }], options),
    };
  }

  /** Removes a record; that there is none is no error. @param {string} collection @param {Uuid | string} id @param {any} [options] */
  async delete(collection, id, options) {
    return { position: await this.operate([{ op: 'delete', collection, id, base: options?.base }], options) };
  }

  /** Removes a collection with all its records. @param {string} collection @param {any} [options] */
  async drop(collection, options) {
    return { position: await this.operate([{ op: 'drop', collection }], options) };
  }

  /** One transaction: all of it takes effect, or none. @param {Item[]} items @param {any} [options] */
  async batch(items, options) {
    const whole = items.map((item) =>
      item.op === 'put' || item.op === 'insert' ? { ...item, record: withId(item.record) } : item,
    );
    const position = await this.operate(whole, options);
    return {
      ids: whole.map((item) => (item.record ? item.record.id : item.id === undefined ? null : asUuid(item.id))),
      position,
    };
  }

  /** One record, or null. @param {string} collection @param {Uuid | string} id @param {any} [options] @returns {Promise<Record<string, any> | null>} */
  async get(collection, id, options) {
    const [row] = await this.getRows(collection, [id], options);
    return row?.record ?? null;
  }

  /** The records that exist, in the order of the ids. @param {string} collection @param {(Uuid | string)[]} ids @param {any} [options] @returns {Promise<Record<string, any>[]>} */
  async getMany(collection, ids, options) {
    return (await this.getRows(collection, ids, options)).map(({ record }) => record);
  }

  /** The same with their versions. @param {string} collection @param {(Uuid | string)[]} ids @param {any} [options] @returns {Promise<{ seq: number | bigint, record: Record<string, any> }[]>} */
  async getRows(collection, ids, options) {
    if (ids.length === 0) return [];
    if (ids.length > MAX_IDS) throw inputError(`A get takes at most ${MAX_IDS} ids.`);
    return this.question({ kind: 'get', collection: checkCollection(collection), ids: ids.map(asUuid) }, options).all();
  }

  /** The records of a collection in the order of their ids. @param {string} collection @param {any} [options] @returns {Scan} */
  scan(collection, options = {}) {
    const { reverse = false, limit = 0, from, after, to, before } = options;
    if (from !== undefined && after !== undefined) throw inputError('A scan begins from an id or after one, not both.');
    if (to !== undefined && before !== undefined) throw inputError('A scan goes to an id or ends before one, not both.');
    if (!(Number.isSafeInteger(limit) && limit >= 0)) throw inputError('A limit is a whole number, 0 for none.');
    /** @param {any} inclusive @param {any} exclusive */
    const bound = (inclusive, exclusive) =>
      inclusive !== undefined
        ? { inclusive: true, id: asUuid(inclusive) }
        : exclusive !== undefined
          ? { inclusive: false, id: asUuid(exclusive) }
          : null;
    return new Scan(
      this.question(
        {
          kind: 'scan',
          collection: checkCollection(collection),
          reverse,
          limit,
          lower: bound(from, after),
          upper: bound(to, before),
        },
        options,
      ),
    );
  }

  /** How many records one collection has, or each of all databases. @param {any} [options] @returns {Promise<Record<string, any>[]>} */
  async stats(options = {}) {
    const collection = options.collection === undefined ? null : checkCollection(options.collection);
    return (await this.question({ kind: 'stats', collection }, options).all()).map(({ record }) => record);
  }

  /** The changes of a collection. @param {string} collection @param {any} [options] @returns {Subscription} */
  watch(collection, options = {}) {
    const { mode = 'all', start = 'now', markers = false, signal } = options;
    if (mode !== 'all' && mode !== 'latest') throw inputError('A mode is "all" or "latest".');
    const after = typeof start === 'object' && start !== null ? start.after : undefined;
    if (start !== 'now' && start !== 'snapshot' && !isPosition(after)) {
      throw inputError('A start is "now", "snapshot" or { after: position }.');
    }
    const subscription = new Subscription(this, checkCollection(collection), { mode, start, markers });
    this.add(subscription, signal);
    return subscription;
  }

  /** How many operations wait for their outcome. */
  get pending() {
    return this.outbox.length;
  }

  /** Ends in order: what was handed in is told first, for at most `timeoutMs`. @param {{ timeoutMs?: number }} [options] */
  async close({ timeoutMs = CLOSE_MS } = {}) {
    if (this.state === 'ended') return;
    if (!this.closing) {
      this.closing = true;
      const late = setTimeout(
        () => this.finish(new BlazeError('ended', 0, 'The client was closed before this was known.')),
        timeoutMs,
      );
      this.ended.then(() => clearTimeout(late));
      for (const question of [...this.questions]) question.cancel(new BlazeError('ended', 0, 'The client was closed.'));
      this.partWhenDrained();
    }
    await this.ended;
  }

  [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]() {
    return this.close();
  }

  // ---- operations and questions

  /** @param {Item[]} items @param {{ level?: 'accepted' | 'durable', signal?: AbortSignal }} [options] @returns {Promise<string>} */
  operate(items, { level = 'durable', signal } = {}) {
    return new Promise((resolve, reject) => {
      this.checkOpen();
      signal?.throwIfAborted();
      const body = encodeBody(items, level);
      if (this.outbox.bytes + body.length > this.options.maxPendingBytes) {
        throw new BlazeError(
          'input',
          0,
          `More than ${this.options.maxPendingBytes} bytes of operations wait for their outcome.`,
          {
            advice: 'Await earlier ones before more.',
            retryable: true,
          },
        );
      }
      const entry = new Entry(body, level !== 'accepted', (error, position) => (error ? reject(error) : resolve(position)));
      if (signal) {
        const abort = () => {
          this.outbox.withdraw(entry);
          entry.told = true;
          reject(signal.reason);
        };
        signal.addEventListener('abort', abort, { once: true });
        const { tell } = entry;
        entry.tell = (error, position) => {
          signal.removeEventListener('abort', abort);
          tell(error, position);
        };
      }
      this.outbox.add(entry);
      this.flushSoon();
    });
  }

  /** @param {import('../wire/messages.js').Question} question @param {{ atLeast?: string, signal?: AbortSignal }} [options] */
  question(question, { atLeast, signal } = {}) {
    if (atLeast !== undefined && !isPosition(atLeast)) throw inputError('atLeast is a position, as an operation tells it.');
    const answer = new Answer(this, question, atLeast ?? null);
    this.add(answer, signal);
    return answer;
  }

  /** @param {Answer | Subscription} question @param {AbortSignal} [signal] */
  add(question, signal) {
    this.checkOpen();
    signal?.throwIfAborted();
    this.questions.add(question);
    if (signal) {
      const abort = () => question.cancel(signal.reason);
      signal.addEventListener('abort', abort, { once: true });
      question.release = () => signal.removeEventListener('abort', abort);
    }
    if (this.connection?.welcome) {
      question.ask(this.connection);
      this.flushSoon();
    }
  }

  checkOpen() {
    if (this.state === 'ended' && this.error !== null) throw this.error;
    if (this.closing || this.state === 'ended') throw new BlazeError('ended', 0, 'The client was closed.');
  }

  /** @param {Answer | Subscription} question */
  forget(question) {
    this.questions.delete(question);
    question.release();
  }

  /** A frame of an answer was consumed. @param {import('../wire/request.js').Request} request @param {number} cost */
  admit(request, cost) {
    if (this.connection === null) return;
    this.connection.admit(request, cost);
    if (this.connection.creditDue.size > 0) this.flushSoon();
  }

  /** @param {import('../wire/request.js').Request} request */
  cancelRequest(request) {
    if (this.connection === null) return;
    this.connection.cancel(request);
    this.flushSoon();
  }

  /** Ends a subscription's request and asks in its proper mode. @param {Subscription} subscription */
  askAgain(subscription) {
    if (this.connection === null || subscription.request === null) return;
    this.connection.cancel(subscription.request);
    subscription.ask(this.connection);
    this.flushSoon();
  }

  // ---- connections

  open() {
    this.setState('connecting', 0);
    /** @type {Transport | null} */
    let transport = null;
    /** @type {Connection | null} */
    let connection = null;
    let over = false;
    /** @param {string} why */
    const closed = (why) => {
      if (over) return;
      over = true;
      clearTimeout(opening);
      if (connection !== null) connection.transportEnded(why);
      else this.lost(new BlazeError('unreachable', 0, `No connection to ${this.address.name}: ${why}.`, { retryable: true }), 0);
    };
    const opening = setTimeout(() => {
      transport?.destroy();
      closed(`it did not open within ${OPEN_MS / 1000} s`);
    }, OPEN_MS);
    this.abandon = () => {
      over = true;
      clearTimeout(opening);
      transport?.destroy();
    };
    try {
      transport = this.opener(this.address, this.options, {
        opened: () => {
          clearTimeout(opening);
          if (over || transport === null) return;
          connection = this.attach(transport);
        },
        data: (bytes) => {
          connection?.receive(bytes, now());
          this.flush();
        },
        took: (bytes) => {
          this.inTransport -= bytes;
          connection?.tookBytes(bytes, now());
          this.flush();
        },
        closed,
      });
    } catch (error) {
      over = true;
      clearTimeout(opening);
      this.finish(new BlazeError('input', 0, `${/** @type {Error} */ (error).message}.`, { cause: error }));
    }
  }

  /** @param {Transport} transport */
  attach(transport) {
    const { agent, heartbeatMs, lz4 } = this.options;
    this.transport = transport;
    this.inTransport = 0;
    const connection = new Connection({
      database: this.address.database,
      agent,
      node: this.node,
      heartbeatMs,
      lz4,
      outbox: this.outbox,
      now: now(),
      handler: {
        welcomed: (welcome) => this.welcomed(welcome),
        notice: (error) => this.dispatchEvent(Object.assign(new Event('notice'), { error })),
        ended: (ending) => this.connectionEnded(ending),
      },
    });
    this.connection = connection;
    this.flush();
    return connection;
  }

  /** @param {import('../wire/messages.js').Welcome} welcome */
  welcomed(welcome) {
    this.node = welcome.node;
    this.welcome = welcome;
    this.welcomedAt = now();
    clearTimeout(this.giveUpTimer);
    this.error = null;
    for (const question of this.questions) if (this.connection) question.ask(this.connection);
    this.setState('connected', 0);
    this.resolveReady(this);
    this.partWhenDrained();
  }

  /** @param {import('../wire/connection.js').Ending} ending */
  connectionEnded(ending) {
    const { connection, transport } = this;
    this.connection = null;
    this.transport = null;
    clearTimeout(this.timer);
    this.timerAt = Infinity;
    this.abandon = undefined;
    const last = connection?.takeOutput(now());
    if (last) transport?.send(last);
    if (ending.code === 'write_stalled') transport?.destroy();
    else transport?.end();
    for (const question of [...this.questions]) if (question instanceof Subscription) question.disconnected();
    const held = ending.welcomed && now() - this.welcomedAt >= STEADY_MS;
    if (held) this.backoff.reset();
    // Who is welcome and refused at once, since the disk is full for instance, waits no longer than who is not welcome (C-10.3).
    if (held || (ending.welcomed && (!ending.remote || ending.code === 0))) this.withoutSince = Infinity;
    const error = new BlazeError(
      ending.code === 0 ? 'lost' : 'ended',
      ending.code,
      ending.code === 0 ? `The connection was lost: ${ending.message}.` : ending.message,
      {
        retryable: ending.retryable,
      },
    );
    if (this.closing && this.outbox.length === 0) return this.finish(null);
    if (error.codeName === 'identity_reused' || error.codeName === 'identity_expired') this.startOver(error);
    else if (!ending.retryable) return this.finish(error);
    this.lost(error, ending.retryAfterMs);
  }

  /** A new node: what became of the written operations is not known (C-10.2). @param {BlazeError} error */
  startOver(error) {
    this.node = null;
    for (const entry of this.outbox.startOver()) {
      entry.settle(
        new BlazeError('unknown', 0, 'The server no longer knows this client: whether the operation took effect is not known.', {
          advice: 'Compare with the database, and send again what is missing.',
          cause: error,
        }),
        '',
      );
    }
  }

  /** Waits for the next attempt. @param {BlazeError} error @param {number} advisedMs */
  lost(error, advisedMs) {
    this.connection = null;
    // While it is being closed it comes back for the outcomes that are missing.
    if (this.closing && this.outbox.length === 0) return this.finish(null);
    this.error = error;
    if (this.withoutSince === Infinity) this.countFromNow();
    else this.armGiveUp();
    const pause = this.backoff.next(advisedMs);
    this.retryTimer = setTimeout(() => this.open(), pause);
    this.setState('waiting', pause);
  }

  /** There is no connection from now on. */
  countFromNow() {
    this.withoutSince = now();
    this.armGiveUp();
  }

  /** Sees to it that the client ends when it was without a connection for as long as it was told to try, whatever it waits for then. */
  armGiveUp() {
    clearTimeout(this.giveUpTimer);
    const left = this.withoutSince + this.options.giveUpAfterMs - now();
    if (!Number.isFinite(left)) return;
    this.giveUpTimer = setTimeout(
      () => (now() < this.withoutSince + this.options.giveUpAfterMs ? this.armGiveUp() : this.giveUp()),
      Math.min(MAX_TIMER_MS, Math.max(0, Math.ceil(left))),
    );
  }

  giveUp() {
    const { error } = this;
    const message = error?.message ?? `No connection to ${this.address.name} within ${this.options.giveUpAfterMs} ms.`;
    this.finish(new BlazeError('unreachable', error?.code ?? 0, message, { cause: error ?? undefined, advice: '', retryable: true }));
  }

  /** The end of the client. @param {BlazeError | null} error */
  finish(error) {
    if (this.state === 'ended') return;
    clearTimeout(this.retryTimer);
    clearTimeout(this.giveUpTimer);
    clearTimeout(this.timer);
    this.abandon?.();
    this.connection = null;
    this.transport?.destroy();
    this.transport = null;
    this.error = error;
    const reason = error ?? new BlazeError('ended', 0, 'The client was closed.');
    this.setState('ended', 0);
    for (const entry of this.outbox.clear()) entry.settle(reason, '');
    for (const question of [...this.questions]) question.fail(reason);
    this.rejectReady(reason);
    this.resolveEnded?.();
  }

  partWhenDrained() {
    if (!this.closing || this.outbox.length > 0) return;
    if (this.connection === null || this.connection.welcome === null) return this.finish(null);
    this.connection.part(now());
    this.flush();
  }

  // ---- output and time

  /** Sends at the end of this turn, so that what is asked in one go travels together. */
  flushSoon() {
    if (this.flushing) return;
    this.flushing = true;
    queueMicrotask(() => {
      this.flushing = false;
      this.flush();
    });
  }

  flush() {
    while (this.connection !== null && this.transport !== null && this.inTransport < TRANSPORT_BYTES) {
      const bytes = this.connection.takeOutput(now());
      if (bytes === null) break;
      this.inTransport += bytes.length;
      this.transport.send(bytes);
    }
    if (this.closing && this.connection !== null && !this.connection.saidGoodbye && this.outbox.length === 0)
      this.partWhenDrained();
    this.arm();
  }

  /** Sets the timer, unless one is set that rings earlier. */
  arm() {
    if (this.connection === null) return;
    const at = this.connection.timeoutAt();
    if (at >= this.timerAt) return;
    clearTimeout(this.timer);
    this.timerAt = at;
    this.timer = setTimeout(
      () => {
        this.timerAt = Infinity;
        if (this.connection && now() >= this.connection.timeoutAt()) this.connection.handleTimeout(now());
        this.flush();
      },
      Math.min(MAX_TIMER_MS, Math.max(1, at - now() + 1)),
    );
  }

  /** @param {string} state @param {number} retryInMs */
  setState(state, retryInMs) {
    this.state = state;
    this.dispatchEvent(new StateEvent(state, this.error, retryInMs));
  }
}

/** A clock that does not jump. */
function now() {
  return performance.now();
}

/** The record, with a new id if it has none. @param {any} record */
function withId(record) {
  if (!isPlain(record)) throw inputError('A record is a plain object.');
  if (record.id instanceof Uuid) return record;
  if (record.id !== undefined) throw inputError('The id of a record is a Uuid: Uuid.parse(text) makes one of a text.');
  // A copy would not have it, and so nobody would refuse it.
  const hidden = hiddenProperty(record);
  if (hidden !== undefined) throw inputError(`The record has a property that cannot be stored: ${hidden}.`);
  return { ...record, id: Uuid.v7() };
}

// Subscriptions (spec/live.md): what a collection is told, over all connections, each change once and in order.

import { BlazeError } from '../errors.js';
import { Request } from '../wire/request.js';
import { positionBehind } from '../wire/payload.js';
import { Asked } from './asked.js';

/** How much may be under way to a subscriber that has not taken it. */
const WINDOW = Object.freeze({ frames: 64, bytes: 1048576 });
const SUBSCRIBER_SEES = new Set(['caught_up', 'waiting', 'heartbeat']);

/**
 * @typedef {{ kind: 'put' | 'delete' | 'dropped' | 'caught_up' | 'waiting' | 'heartbeat', position: string, seq?: number | bigint,
 *   last?: boolean, id?: import('../encoding/values.js').Uuid, record?: Record<string, any> }} Told
 */

export class Subscription extends Asked {
  /**
   * @param {import('./client.js').Client} client @param {string} collection
   * @param {{ mode: 'all' | 'latest', start: 'now' | 'snapshot' | { after: string }, markers: boolean }} options
   */
  constructor(client, collection, { mode, start, markers }) {
    super(client);
    this.collection = collection;
    this.mode = mode;
    this.start = start;
    this.markers = markers;
    /** `starting`, `catching_up`, `live`, `waiting` (no such collection yet), `disconnected`, `ended`. @type {string} */
    this.status = 'starting';
    /** Up to where all was handed on: store it to go on from there with `start: { after: position }`. @type {string | null} */
    this.position = typeof start === 'object' ? start.after : null;
    /** Up to where all has come. @type {string | null} */
    this.reached = this.position;
    /** What was published before one from now was asked for, until it is told where it began (L-6.3). @type {string | null} */
    this.beganAfter = null;
    /** In a snapshot in mode all, which is gone on with in mode latest until it is whole (L-6.1). */
    this.inSnapshot = start === 'snapshot' && mode === 'all';
    this.bridging = false;
    /** Whether caught_up was told on this connection. */
    this.caught = false;
    /** @type {{ told: Told, request: Request, cost: number }[]} */
    this.queue = [];
    /** @type {(value?: undefined) => void} */
    this.resolveReady = () => {};
    /** @type {(error: unknown) => void} */
    this.rejectReady = () => {};
    /** Resolves when for the first time nothing more was published behind what has come. @type {Promise<void>} */
    this.ready = new Promise((resolve, reject) => {
      this.resolveReady = resolve;
      this.rejectReady = reject;
    });
    // Whoever does not wait for it hears of the failure from the iterator.
    this.ready.catch(() => {});
  }

  /** Asks on a connection, from where the one before had come. @param {import('../wire/connection.js').Connection} connection */
  ask(connection) {
    this.bridging = this.inSnapshot && this.reached !== null;
    this.caught = false;
    const after = this.reached ?? this.beganAfter;
    if (this.start === 'now') this.beganAfter ??= connection.published;
    const request = new Request(
      {
        kind: 'subscribe',
        collection: this.collection,
        mode: this.bridging ? 'latest' : this.mode,
        start: after === null ? this.start : { after },
      },
      WINDOW,
      {
        frame: (message, cost) => this.take(request, message, cost),
        over: (error) => (error ? this.fail(error) : this.finish()),
      },
    );
    this.request = request;
    connection.ask(request);
  }

  /** The connection is lost; what came over it is still handed on. */
  disconnected() {
    this.request = null;
    if (!this.finished) this.status = 'disconnected';
  }

  /** @param {Request} request @param {import('../wire/messages.js').Event} event @param {number} cost */
  take(request, event, cost) {
    if (this.finished) return;
    if (event.kind === 'reset') return this.reset(event);
    this.reached = event.position;
    if (event.changes) {
      const final = event.changes.length - 1;
      event.changes.forEach((change, i) => {
        const told = { ...change, position: i === final ? event.position : positionBehind(event.position, change.seq) };
        this.queue.push({ told, request, cost: i === final ? cost : 0 });
      });
      this.status = this.caught ? 'live' : 'catching_up';
    } else if (SUBSCRIBER_SEES.has(event.kind)) {
      this.queue.push({ told: { kind: /** @type {any} */ (event.kind), position: event.position }, request, cost });
      if (event.kind === 'waiting') this.status = 'waiting';
      if (event.kind === 'caught_up') this.caughtUp();
    }
    this.wakeUp();
  }

  caughtUp() {
    this.caught = true;
    if (this.status !== 'waiting') this.status = 'live';
    this.inSnapshot = false;
    this.resolveReady();
    if (this.bridging) this.client.askAgain(this);
  }

  /** @param {import('../wire/messages.js').Event} event */
  reset({ code = 0, position, oldest }) {
    this.fail(new BlazeError('reset', code, '', { position, oldest }));
  }

  finish() {
    if (this.finished) return;
    this.status = 'ended';
    this.rejectReady(this.error ?? new BlazeError('cancelled', 'cancelled', ''));
    super.finish();
  }

  /** Ends it: what was not taken is dropped, and the iteration ends with this reason. @param {unknown} [reason] */
  cancel(reason = new BlazeError('cancelled', 'cancelled', '')) {
    super.cancel(reason);
  }

  /** The next that is told. @returns {Promise<Told>} */
  async next() {
    for (;;) {
      const item = this.queue.shift();
      if (item !== undefined) {
        this.position = item.told.position;
        if (item.cost > 0) this.client.admit(item.request, item.cost);
        if (this.markers || item.told.record !== undefined || !SUBSCRIBER_SEES.has(item.told.kind)) return item.told;
        continue;
      }
      if (this.finished) throw this.error ?? new BlazeError('cancelled', 'cancelled', 'The server ended the subscription.');
      await this.news();
    }
  }

  /** Leaving the loop ends the subscription. @returns {AsyncGenerator<Told>} */
  async *[Symbol.asyncIterator]() {
    try {
      for (;;) yield await this.next();
    } finally {
      this.cancel();
    }
  }
}

// A query or a subscription on one connection.

import { Grant } from './credit.js';

/** A query or a subscription on one connection. */
export class Request {
  /**
   * @param {{ kind: 'query', question: import('./messages.js').Question, atLeast: string | null }
   *   | { kind: 'subscribe', mode: 'all' | 'latest', start: 'now' | 'snapshot' | { after: string }, collection: string }} what
   * @param {{ frames: number, bytes: number }} window
   * @param {{ frame(message: any, cost: number): void, over(error: import('../errors.js').BlazeError | null): void }} owner
   */
  constructor(what, window, owner) {
    this.what = what;
    this.grant = new Grant(window.frames, window.bytes);
    this.owner = owner;
    this.id = 0;
    /** `queued` until it is written; `stopping` once it was cancelled; `over` when its last frame came. */
    this.state = 'queued';
    /** Of a query: where its answer was taken, once it was told. @type {string | null} */
    this.takenAt = null;
  }

  /** Whether a frame of the answer was taken where those before it were (P-3.9). @param {string} position */
  isTakenAt(position) {
    this.takenAt ??= position;
    return this.takenAt === position;
  }
}

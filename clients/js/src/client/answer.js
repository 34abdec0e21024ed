// Queries: one answer read whole, and a scan that is read row by row.

import { BlazeError } from '../errors.js';
import { Request } from '../wire/request.js';
import { Asked } from './asked.js';

/** How much of an answer may be under way. */
const WINDOW = Object.freeze({ frames: 64, bytes: 1048576 });

/** @returns {BlazeError} */
function interrupted() {
  return new BlazeError('interrupted', 0, 'The connection was lost within an answer that was partly handed on.', {
    advice: 'Ask again.',
    retryable: true,
  });
}

/** What a client keeps of a query over its connections. */
export class Answer extends Asked {
  /** @param {import('./client.js').Client} client @param {import('../wire/messages.js').Question} question @param {string | null} atLeast */
  constructor(client, question, atLeast) {
    super(client);
    this.question = question;
    this.atLeast = atLeast;
    /** Rows that were not handed on, and behind the last of a frame its cost. @type {{ row: any, cost: number }[]} */
    this.queue = [];
    this.handedOn = false;
    /** Where the answer was taken; `''` until its first frame. */
    this.position = '';
  }

  /** Asks on a connection. @param {import('../wire/connection.js').Connection} connection */
  ask(connection) {
    if (this.handedOn) return this.fail(interrupted());
    this.queue = [];
    const request = new Request({ kind: 'query', question: this.question, atLeast: this.atLeast }, WINDOW, {
      frame: (message, cost) => this.take(message, cost),
      over: (error) => (error ? this.fail(error) : this.finish()),
    });
    this.request = request;
    connection.ask(request);
  }

  /** @param {import('../wire/messages.js').QueryResponse} message @param {number} cost */
  take({ rows, position }, cost) {
    this.position = position;
    for (let i = 0; i < rows.length; i++) this.queue.push({ row: rows[i], cost: i === rows.length - 1 ? cost : 0 });
    if (rows.length === 0) this.admit(cost);
    this.wakeUp();
  }

  /** @param {number} cost */
  admit(cost) {
    if (this.request !== null) this.client.admit(this.request, cost);
  }

  /** The next row, or undefined behind the last. @returns {Promise<any>} */
  async next() {
    for (;;) {
      const item = this.queue.shift();
      if (item !== undefined) {
        this.handedOn = true;
        if (item.cost > 0) this.admit(item.cost);
        return item.row;
      }
      if (this.finished) {
        if (this.error !== undefined) throw this.error;
        return undefined;
      }
      await this.news();
    }
  }

  /** All rows at once; an answer that was lost in its midst is asked again, since nothing was handed on. @returns {Promise<any[]>} */
  async all() {
    let { queue } = this;
    let admitted = 0;
    for (;;) {
      // Rows stay in the queue until the answer is whole; what they cost is given back meanwhile.
      if (queue !== this.queue) admitted = 0;
      queue = this.queue;
      for (; admitted < queue.length; admitted++) if (queue[admitted].cost > 0) this.admit(queue[admitted].cost);
      if (this.finished) break;
      await this.news();
    }
    if (this.error !== undefined) throw this.error;
    this.queue = [];
    return queue.map(({ row }) => row);
  }
}

/** The records of a collection in the order of their ids: iterate once, or read all. */
export class Scan {
  /** @param {Answer} answer */
  constructor(answer) {
    this.answer = answer;
  }

  /** Where the database was read, told with the first record. */
  get position() {
    return this.answer.position;
  }

  /** @returns {Promise<Record<string, any>[]>} */
  async toArray() {
    return (await this.answer.all()).map(({ record }) => record);
  }

  /** Records with their versions. @returns {AsyncGenerator<{ seq: number | bigint, record: Record<string, any> }>} */
  async *rows() {
    try {
      for (let row = await this.answer.next(); row !== undefined; row = await this.answer.next()) yield row;
    } finally {
      this.cancel();
    }
  }

  /** @returns {AsyncGenerator<Record<string, any>>} */
  async *[Symbol.asyncIterator]() {
    for await (const { record } of this.rows()) yield record;
  }

  /** Ends it early. */
  cancel() {
    this.answer.cancel(new BlazeError('cancelled', 'cancelled', ''));
  }
}

// The outbox (spec/connection.md, C-5): operations are kept, byte for byte, until an Ack of level durable covers them, over
// all connections of a node.

/** Room is made at the front only when so many entries were taken from there: shifting each would be quadratic. */
const COMPACT_AT = 1024;

/** One operation and what waits for its outcome. */
export class Entry {
  /**
   * @param {Uint8Array} body from the ack_level on
   * @param {boolean} durable whether its outcome is told when it is durable, or already when it is accepted
   * @param {(error: import('../errors.js').BlazeError | null, position: string) => void} tell is called once
   */
  constructor(body, durable, tell) {
    this.body = body;
    this.durable = durable;
    this.tell = tell;
    /** 0 until it was written for the first time. */
    this.number = 0;
    this.told = false;
    /** The refusal that came on this connection and waits for its Ack. @type {import('../errors.js').BlazeError | null} */
    this.refusal = null;
  }

  /** @param {import('../errors.js').BlazeError | null} error @param {string} position */
  settle(error, position) {
    if (this.told) return;
    this.told = true;
    this.tell(error, position);
  }
}

export class Outbox {
  constructor() {
    /** @type {Entry[]} */
    this.entries = [];
    this.head = 0;
    /** The number that the next new operation gets, when it is written. */
    this.nextNumber = 1;
    this.bytes = 0;
  }

  get length() {
    return this.entries.length - this.head;
  }

  /** The oldest number without an outcome. */
  get oldestUnacked() {
    const first = this.entries[this.head];
    return first === undefined || first.number === 0 ? this.nextNumber : first.number;
  }

  /** @param {number} index from the oldest @returns {Entry | undefined} */
  at(index) {
    return this.entries[this.head + index];
  }

  /** @param {Entry} entry */
  add(entry) {
    this.entries.push(entry);
    this.bytes += entry.body.length;
  }

  /** Gives the entry a number if it has none yet. @param {Entry} entry */
  numberOf(entry) {
    if (entry.number === 0) entry.number = this.nextNumber++;
    return entry.number;
  }

  /** Takes the oldest out. @returns {Entry} */
  shift() {
    const entry = this.entries[this.head];
    this.head++;
    this.bytes -= entry.body.length;
    if (this.head >= COMPACT_AT && this.head * 2 >= this.entries.length) {
      this.entries.splice(0, this.head);
      this.head = 0;
    }
    return entry;
  }

  /** Takes one out that was never written; false where it was. @param {Entry} entry */
  withdraw(entry) {
    if (entry.number !== 0) return false;
    const index = this.entries.indexOf(entry, this.head);
    if (index < 0) return false;
    this.entries.splice(index, 1);
    this.bytes -= entry.body.length;
    return true;
  }

  /** Takes out what was written, whose fate is not known; the rest begins a new node. @returns {Entry[]} */
  startOver() {
    const entries = this.entries.slice(this.head);
    const written = entries.filter((entry) => entry.number !== 0);
    this.entries = entries.filter((entry) => entry.number === 0);
    this.head = 0;
    this.nextNumber = 1;
    this.bytes = this.entries.reduce((sum, entry) => sum + entry.body.length, 0);
    return written;
  }

  /** Takes everything out. @returns {Entry[]} */
  clear() {
    const entries = this.entries.slice(this.head);
    this.entries = [];
    this.head = 0;
    this.bytes = 0;
    return entries;
  }
}

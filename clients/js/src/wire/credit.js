// Credit (spec/connection.md, C-3): what may be sent, and what the other side may send.

/** @typedef {number | bigint} U64 */

/** A sender's account. */
export class Allowance {
  /** @param {U64} frames @param {U64} bytes the first limits */
  constructor(frames, bytes) {
    this.limit = { frames, bytes };
    this.sent = { frames: 0, bytes: 0 };
  }

  get maySend() {
    return this.sent.frames < this.limit.frames && this.sent.bytes < this.limit.bytes;
  }

  /** @param {number} cost */
  spend(cost) {
    this.sent.frames += 1;
    this.sent.bytes += cost;
  }

  /** Takes new limits; false where one falls. @param {U64} frames @param {U64} bytes */
  raise(frames, bytes) {
    if (frames < this.limit.frames || bytes < this.limit.bytes) return false;
    this.limit = { frames, bytes };
    return true;
  }
}

/** A receiver's account: a window that moves as what came is admitted. */
export class Grant {
  /** @param {number} frames @param {number} bytes the window */
  constructor(frames, bytes) {
    this.window = { frames, bytes };
    this.advertised = { frames, bytes };
    this.received = { frames: 0, bytes: 0 };
    this.admitted = { frames: 0, bytes: 0 };
  }

  /** Books a frame that came; false where there was no credit for it. @param {number} cost */
  receive(cost) {
    if (this.received.frames >= this.advertised.frames || this.received.bytes >= this.advertised.bytes) return false;
    this.received.frames += 1;
    this.received.bytes += cost;
    return true;
  }

  /** Books a frame that was consumed. @param {number} cost */
  admit(cost) {
    this.admitted.frames += 1;
    this.admitted.bytes += cost;
  }

  get due() {
    const frames = this.admitted.frames + this.window.frames - this.advertised.frames;
    const bytes = this.admitted.bytes + this.window.bytes - this.advertised.bytes;
    return frames >= Math.ceil(this.window.frames / 2) || bytes >= Math.ceil(this.window.bytes / 2);
  }

  /** The limits to announce now. */
  announce() {
    this.advertised.frames = Math.max(this.advertised.frames, this.admitted.frames + this.window.frames);
    this.advertised.bytes = Math.max(this.advertised.bytes, this.admitted.bytes + this.window.bytes);
    return this.advertised;
  }
}

/** C-8.4: the tokens that a side's control messages take. */
export const BUDGET = Object.freeze({ tokens: 8192, perSecond: 200, perAnswerable: 4 });

/** The control budget of the other side. */
export class ControlBudget {
  /** @param {number} now ms */
  constructor(now) {
    /** @type {number} */
    this.tokens = BUDGET.tokens;
    this.at = now;
  }

  /** Something was written that the other side answers. */
  answerable() {
    this.tokens = Math.min(BUDGET.tokens, this.tokens + BUDGET.perAnswerable);
  }

  /** Takes a token; false where there is none. @param {number} now ms */
  take(now) {
    this.tokens = Math.min(BUDGET.tokens, this.tokens + ((now - this.at) * BUDGET.perSecond) / 1000);
    this.at = now;
    if (this.tokens < 1) return false;
    this.tokens -= 1;
    return true;
  }
}

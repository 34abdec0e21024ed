// Pauses between attempts to connect: growing and jittered, so that many clients do not come back at one moment.

const FIRST_MS = 100;
const MOST_MS = 10000;
const FACTOR = 2;
/** A connection that held so long begins the pauses anew. */
export const STEADY_MS = 5000;

export class Backoff {
  /** @param {() => number} random 0 to below 1 */
  constructor(random = Math.random) {
    this.random = random;
    this.failures = 0;
  }

  reset() {
    this.failures = 0;
  }

  /** The pause before the next attempt. @param {number} advisedMs by the server, 0 for none @returns {number} */
  next(advisedMs) {
    const grown = Math.min(MOST_MS, FIRST_MS * FACTOR ** Math.min(this.failures, 30));
    this.failures++;
    const half = grown / 2;
    // At least what was advised; a little later, not all at once.
    return Math.max(advisedMs, half) + this.random() * half;
  }
}

// What a query and a subscription have in common: what came waits in a queue until it is taken, and the end is told behind it.

/** A request that outlives its connections. */
export class Asked {
  /** @param {import('./client.js').Client} client */
  constructor(client) {
    this.client = client;
    /** What came and was not taken. @type {any[]} */
    this.queue = [];
    this.finished = false;
    /** @type {unknown} */
    this.error = undefined;
    /** @type {(() => void) | null} */
    this.wake = null;
    /** The request on the present connection. @type {import('../wire/request.js').Request | null} */
    this.request = null;
    /** Called when it is over. */
    this.release = () => {};
  }

  /** It is over; what came is handed on before the end is told. */
  finish() {
    this.finished = true;
    this.client.forget(/** @type {import('./answer.js').Answer | import('./watch.js').Subscription} */ (/** @type {unknown} */ (this)));
    this.wakeUp();
  }

  /** @param {unknown} error */
  fail(error) {
    if (this.finished) return;
    this.error = error;
    this.finish();
  }

  /** Ends it: what was not taken is dropped. @param {unknown} reason */
  cancel(reason) {
    if (this.finished) return;
    if (this.request !== null) this.client.cancelRequest(this.request);
    this.queue = [];
    this.fail(reason);
  }

  wakeUp() {
    const { wake } = this;
    this.wake = null;
    wake?.();
  }

  /** Until something came, or the end. @returns {Promise<void>} */
  news() {
    return new Promise((resolve) => (this.wake = () => resolve(undefined)));
  }
}

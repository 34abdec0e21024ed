// A connection's visible state, as events.

/** Tells that the state of a client changed. */
export class StateEvent extends Event {
  /** @param {string} state @param {import('../errors.js').BlazeError | null} error @param {number} retryInMs */
  constructor(state, error, retryInMs) {
    super('state');
    /** `connecting`, `connected`, `waiting` (for the next attempt) or `ended`. @type {string} */
    this.state = state;
    /** Why the connection before is over, or could not be made. @type {import('../errors.js').BlazeError | null} */
    this.error = error;
    /** In state `waiting`: when the next attempt begins. @type {number} */
    this.retryInMs = retryInMs;
  }
}

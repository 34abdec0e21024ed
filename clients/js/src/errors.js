// Errors: what went wrong, whose fault it is, what to do.

import { CODES } from './codes.js';

/**
 * @typedef {'refused' | 'ended' | 'unknown' | 'interrupted' | 'reset' | 'cancelled' | 'input' | 'unreachable' | 'lost'} Kind
 * @typedef {{ number: number, name: string, fault: string, text: string, advice: string, retryable: boolean }} Code
 */

/** @type {Map<number | string, Code>} */
const BY_KEY = new Map();
for (const [number, name, fault, text, advice, retryable] of CODES) {
  const code = Object.freeze({ number, name, fault, text, advice, retryable });
  BY_KEY.set(number, code).set(name, code);
}

/** What an error's number or name stands for. @param {number | string} key @returns {Code | undefined} */
export function codeOf(key) {
  return BY_KEY.get(key);
}

/** The number of a name, 0 where it has none. @param {string} name @returns {number} */
export function numberOf(name) {
  return codeOf(name)?.number ?? 0;
}

/** Whether what failed with this code may succeed later; of one that is not known its range says it (R-6.2). @param {number | string} code @returns {boolean} */
export function isRetryable(code) {
  return codeOf(code)?.retryable ?? (typeof code === 'number' && code >= 500 && code <= 599);
}

/** Every failure of a call on a client. */
export class BlazeError extends Error {
  /**
   * @param {Kind} kind
   * @param {number | string} code a number or name of `spec/errors.md`, 0 where there is none
   * @param {string} message what happened
   * @param {{ advice?: string, detail?: Record<string, any> | null, cause?: unknown, retryable?: boolean, oldest?: string, position?: string }} [more]
   */
  constructor(kind, code, message, more = {}) {
    const known = codeOf(code);
    const advice = more.advice ?? known?.advice ?? '';
    const what = message || known?.text || `error ${code}`;
    super(advice ? `${what} ${advice}` : what, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'BlazeError';
    /** What became of the call. @type {Kind} */
    this.kind = kind;
    /** The number in `spec/errors.md`, 0 where there is none. @type {number} */
    this.code = known?.number ?? (typeof code === 'number' ? code : 0);
    /** Its name, `''` where there is none. @type {string} */
    this.codeName = known?.name ?? '';
    /** Who is at fault: `peer`, `client`, `server`, `network`, `operator`. @type {string} */
    this.fault = known?.fault ?? (kind === 'input' || kind === 'cancelled' ? 'client' : 'network');
    /** What to do. @type {string} */
    this.advice = advice;
    /** Whether the same call may succeed later. @type {boolean} */
    this.retryable = more.retryable ?? isRetryable(code);
    /** What the server adds for programs: `item`, `offset`, `retry_after_ms`, … @type {Record<string, any> | null} */
    this.detail = more.detail ?? null;
    /** Of a reset: the oldest position from which changes are held. @type {string | undefined} */
    this.oldest = more.oldest;
    /** Of a reset: the position that cannot be gone on from. @type {string | undefined} */
    this.position = more.position;
  }
}

/** A rule of the protocol that the other side broke: it ends the connection. */
export class ProtocolFault extends Error {
  /** @param {string} code the name of it @param {string} [what] @param {number} [offset] in the payload */
  constructor(code, what = '', offset = undefined) {
    super(`${codeOf(code)?.text ?? code}${what ? ` (${what})` : ''}`);
    this.name = 'ProtocolFault';
    this.code = code;
    this.offset = offset;
  }
}

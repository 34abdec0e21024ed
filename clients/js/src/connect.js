// How a client begins, whatever the transport.

import { Client } from './client/client.js';
import { BlazeError } from './errors.js';
import { parseUrl } from './transport/url.js';

/** How long connect() tries. */
const CONNECT_MS = 10000;

/**
 * Makes `open` and `connect` of a platform's transports.
 * @param {(address: import('./transport/url.js').Address) => import('./client/client.js').Opener} choose
 */
export function platform(choose) {
  /** A client that connects by itself; it can be used at once. @param {string | URL} url @param {any} [options] */
  function open(url, options = {}) {
    const address = parseUrl(url);
    return new Client(address, options, choose(address));
  }

  /** A client whose first connection is there. @param {string | URL} url @param {any} [options] */
  async function connect(url, options = {}) {
    const { signal, timeoutMs = CONNECT_MS } = options;
    signal?.throwIfAborted();
    const client = open(url, options);
    /** @type {(reason: unknown) => void} */
    let giveUp = () => {};
    const given = new Promise((_, reject) => (giveUp = reject));
    const abort = () => giveUp(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    const timer = setTimeout(
      () =>
        giveUp(client.error ?? new BlazeError('unreachable', 0, `No connection within ${timeoutMs} ms.`, { retryable: true })),
      timeoutMs,
    );
    try {
      await Promise.race([client.ready, given]);
      return client;
    } catch (error) {
      client.finish(error instanceof BlazeError ? error : null);
      throw error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    }
  }
  return { open, connect };
}

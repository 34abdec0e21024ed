// The WebSocket of the platform: each binary message holds whole frames (spec/protocol.md, P-2.1).

/** The subprotocol. */
const SUBPROTOCOL = 'blaze.v1';
/** How often is looked how much of the output has gone: browsers do not tell. */
const POLL_MS = 20;

/**
 * @typedef {{ opened(): void, data(bytes: Uint8Array): void, took(bytes: number): void, closed(why: string): void }} Sink
 * @typedef {{ send(bytes: Uint8Array): void, end(): void, destroy(): void }} Transport
 */

/** @param {import('./url.js').Address} address @param {Sink} sink @returns {Transport} */
export function openWebSocket(address, sink) {
  const { WebSocket } = globalThis;
  if (address.pin !== null)
    throw new TypeError('a WebSocket of this platform takes no pin: use blazes://, or a certificate that it trusts');
  if (WebSocket === undefined)
    throw new TypeError('this platform has no WebSocket: use blaze:// or blazes://, or Node 22 or later');
  const socket = new WebSocket(address.name, SUBPROTOCOL);
  socket.binaryType = 'arraybuffer';
  let waiting = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const look = () => {
    timer = undefined;
    const left = socket.bufferedAmount;
    const took = waiting - left;
    waiting = left;
    if (left > 0) timer = setTimeout(look, POLL_MS);
    if (took > 0) sink.took(took);
  };
  let over = false;
  /** @param {string} why */
  const close = (why) => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    sink.closed(why);
  };
  socket.onopen = () => {
    if (over) return;
    if (socket.protocol !== SUBPROTOCOL) {
      socket.close();
      return close(`the server does not speak ${SUBPROTOCOL} here`);
    }
    sink.opened();
  };
  socket.onmessage = ({ data }) => {
    if (over) return;
    if (data instanceof ArrayBuffer) sink.data(new Uint8Array(data));
    else {
      socket.close();
      close('the server sent text, where frames are binary');
    }
  };
  socket.onerror = () => close('the WebSocket could not be opened, or broke');
  socket.onclose = ({ code, reason }) => close(`the WebSocket was closed (${code}${reason ? `, ${reason}` : ''})`);
  return {
    send(bytes) {
      if (over || socket.readyState !== WebSocket.OPEN) return;
      socket.send(bytes);
      waiting += bytes.length;
      timer ??= setTimeout(look, 0);
    },
    end() {
      over = true;
      clearTimeout(timer);
      socket.close();
    },
    destroy() {
      this.end();
    },
  };
}

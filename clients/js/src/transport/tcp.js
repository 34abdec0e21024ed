// TCP, TLS and Unix sockets by Node.

import { createHash, timingSafeEqual } from 'node:crypto';
import net from 'node:net';
import tls from 'node:tls';

/** @param {import('./url.js').Address} address @param {{ ca?: string | Uint8Array }} options @param {import('./websocket.js').Sink} sink @returns {import('./websocket.js').Transport} */
export function openSocket(address, options, sink) {
  const { host, port, path } = address;
  const secure = address.scheme === 'blazes';
  const socket = secure ? openTls(address, options) : net.connect(address.scheme === 'unix' ? { path } : { host, port });
  if (address.scheme !== 'unix') socket.setNoDelay(true);
  let over = false;
  /** @param {string} why */
  const close = (why) => {
    if (over) return;
    over = true;
    socket.destroy();
    sink.closed(why);
  };
  socket.once(secure ? 'secureConnect' : 'connect', () => {
    const wrong = secure ? checkPin(/** @type {tls.TLSSocket} */ (socket), address.pin) : null;
    if (wrong) close(wrong);
    else if (!over) sink.opened();
  });
  socket.on('data', (bytes) => {
    if (!over) sink.data(bytes);
  });
  socket.on('error', (error) => close(error.message));
  socket.on('end', () => close('the server closed the connection'));
  socket.on('close', () => close('the connection was closed'));
  return {
    send(bytes) {
      if (!over) socket.write(bytes, () => !over && sink.took(bytes.length));
    },
    end() {
      over = true;
      socket.end();
      // What the other side still sends is of no interest, but must be read for the end to arrive.
      socket.on('error', () => {});
      socket.resume();
      setTimeout(() => socket.destroy(), LINGER_MS).unref();
    },
    destroy() {
      over = true;
      socket.on('error', () => {});
      socket.destroy();
    },
  };
}

/** How long the last bytes have to go out. */
const LINGER_MS = 1000;

/** @param {import('./url.js').Address} address @param {{ ca?: string | Uint8Array }} options */
function openTls({ host, port, pin }, { ca }) {
  return tls.connect({
    host,
    port,
    minVersion: 'TLSv1.3',
    servername: net.isIP(host) ? '' : host,
    // With a pin the certificate itself is known, whoever signed it.
    rejectUnauthorized: pin === null,
    ...(pin === null ? {} : { checkServerIdentity: () => undefined }),
    ...(ca === undefined ? {} : { ca: typeof ca === 'string' ? ca : Buffer.from(ca) }),
  });
}

/** What is wrong with the certificate. @param {tls.TLSSocket} socket @param {string | null} pin */
function checkPin(socket, pin) {
  if (pin === null) return null;
  const certificate = socket.getPeerX509Certificate();
  if (!certificate) return 'the server showed no certificate';
  const found = createHash('sha256').update(certificate.raw).digest();
  if (timingSafeEqual(found, Buffer.from(pin, 'hex'))) return null;
  return `the server's certificate is another than the pinned one: sha256:${found.toString('hex')}`;
}

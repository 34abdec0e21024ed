// Addresses of servers.
//
//   blaze://host:port/database              TCP
//   blazes://host:port/database?pin=…       TLS 1.3; pin=sha256:HEX names the certificate in place of an authority
//   ws://host:port/blaze?db=database        WebSocket
//   wss://host:port/blaze?db=database       WebSocket over TLS

import { inputError } from '../wire/operation.js';

const DEFAULT_PORT = 25293;
const DEFAULT_DATABASE = 'main';
const SCHEMES = ['blaze:', 'blazes:', 'ws:', 'wss:'];
/** P-1.8. */
const DATABASE = /^[a-z0-9_-]{1,64}$/;
const PIN = /^sha256:[0-9a-f]{64}$/i;
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/**
 * @typedef {{ scheme: 'blaze' | 'blazes' | 'ws' | 'wss', host: string, port: number, database: string, pin: string | null,
 *   web: string, loopback: boolean }} Address `web` is what a WebSocket is opened with
 */

/** @param {string | URL} text @returns {Address} */
export function parseUrl(text) {
  const parts = splitUrl(String(text));
  const { scheme, url } = parts;
  const web = scheme === 'ws' || scheme === 'wss';
  const query = new URLSearchParams(url.search);
  const known = web ? ['db'] : scheme === 'blazes' ? ['pin'] : [];
  for (const key of query.keys()) {
    if (!known.includes(key)) throw inputError(`"${key}" means nothing in this URL: ${web ? 'ws: and wss: take db=NAME' : 'blazes: takes pin=sha256:HEX'}.`);
  }
  if (url.username || url.password || url.hash) throw inputError('A URL of a server has no user, password or fragment.');
  const path = url.pathname.replace(/^\//, '');
  const database = (web ? query.get('db') : path) || DEFAULT_DATABASE;
  if (!DATABASE.test(database)) throw inputError(`"${database}" is no name of a database: 1 to 64 of a-z 0-9 _ -.`);
  const pin = query.get('pin');
  if (pin !== null && !PIN.test(pin)) throw inputError(`"${pin}" is no fingerprint: write sha256: and the 64 digits that the server prints.`);
  const port = url.port === '' ? (web ? (scheme === 'ws' ? 80 : 443) : DEFAULT_PORT) : Number(url.port);
  const host = url.hostname;
  return {
    scheme,
    host: host.replace(/^\[(.*)\]$/, '$1'),
    port,
    database,
    pin: pin === null ? null : pin.slice('sha256:'.length).toLowerCase(),
    web: web ? `${scheme}://${host}:${port}/${path || 'blaze'}` : '',
    loopback: LOOPBACK.test(host),
  };
}

/** @param {string} text */
function splitUrl(text) {
  const found = SCHEMES.find((scheme) => text.toLowerCase().startsWith(`${scheme}//`));
  if (!found) throw inputError(`A URL begins with blaze://, blazes://, ws:// or wss://, unlike ${JSON.stringify(text)}.`);
  try {
    // As http, since schemes that the platform does not know have other rules; an explicit port 80 must not get lost.
    const url = new URL(`http://${text.slice(found.length + 2)}`);
    const port = /^[^/?#]*:(\d+)(?:[/?#]|$)/.exec(text.slice(found.length + 2));
    const explicit = port ? port[1] : '';
    return {
      scheme: /** @type {Address['scheme']} */ (found.slice(0, -1)),
      url: {
        username: url.username,
        password: url.password,
        hash: url.hash,
        search: url.search,
        pathname: url.pathname,
        hostname: url.hostname || 'localhost',
        port: explicit,
      },
    };
  } catch (error) {
    throw inputError(`Not a URL: ${JSON.stringify(text)}.`, error);
  }
}

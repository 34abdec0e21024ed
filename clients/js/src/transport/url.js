// Addresses of servers (spec/doors.md, D-7).
//
//   blaze://host:port/database               TCP
//   blazes://host:port/database?pin=…        TLS 1.3; pin=sha256:HEX names the certificate in place of an authority
//   ws://host:port/blaze?db=database         WebSocket
//   wss://host:port/blaze?db=database&pin=…  WebSocket over TLS
//   unix:/path?db=database                   a Unix socket

import { inputError } from '../wire/operation.js';

const DEFAULT_HOST = '127.0.0.1';
const DEFAULT_DATABASE = 'main';
const DEFAULT_WEB_PATH = '/blaze';
/** P-1.8. */
const DATABASE = /^[a-z0-9_-]{1,64}$/;
const PIN = /^sha256:([0-9a-f]{64})$/i;
const PORT = /^[0-9]{1,5}$/;
const MAX_PORT = 65535;
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/;

/** What a scheme means: its port where none is given, and the keys behind the `?`. @type {Record<string, { port: number, keys: string[] }>} */
const SCHEMES = {
  blaze: { port: 25293, keys: [] },
  blazes: { port: 25293, keys: ['pin'] },
  ws: { port: 80, keys: ['db'] },
  wss: { port: 443, keys: ['db', 'pin'] },
  unix: { port: 0, keys: ['db'] },
};

/**
 * @typedef {{ scheme: 'blaze' | 'blazes' | 'ws' | 'wss' | 'unix', host: string, port: number, path: string, database: string,
 *   pin: string | null, name: string, loopback: boolean }} Address
 *   `path` is that of a Unix socket or a WebSocket, `pin` 64 hexadecimal digits, `name` what people and a WebSocket are told
 */

/** @param {string | URL} url @returns {Address} */
export function parseUrl(url) {
  const text = String(url);
  const found =
    /^(blaze|blazes|ws|wss):\/\/([^/?]*)(\/[^?]*)?(?:\?(.*))?$/i.exec(text) ?? /^(unix):()(\/[^?]+)(?:\?(.*))?$/i.exec(text);
  if (!found) throw inputError(`A URL begins with blaze://, blazes://, ws://, wss:// or unix:/, unlike ${JSON.stringify(text)}.`);
  const scheme = /** @type {Address['scheme']} */ (found[1].toLowerCase());
  const { host, port } = authority(found[2], scheme);
  const query = queryOf(found[4], scheme);
  const direct = scheme === 'blaze' || scheme === 'blazes';
  const database = (direct ? found[3]?.slice(1) : query.get('db')) || DEFAULT_DATABASE;
  if (!DATABASE.test(database)) throw inputError(`"${database}" is no name of a database: 1 to 64 of a-z 0-9 _ -.`);
  const path = direct ? '' : !found[3] || found[3] === '/' ? DEFAULT_WEB_PATH : found[3];
  const shown = host.includes(':') ? `[${host}]` : host;
  return {
    scheme,
    host,
    port,
    path,
    database,
    pin: pinOf(query.get('pin')),
    name: scheme === 'unix' ? `unix:${path}` : `${scheme}://${shown}:${port}${path}`,
    loopback: scheme === 'unix' || LOOPBACK.test(host),
  };
}

/** @param {string} text @param {string} scheme */
function authority(text, scheme) {
  const found = /^(\[[0-9a-fA-F:.]+\]|[^:@[\]#\s]*)(?::(.*))?$/.exec(text);
  if (!found) throw inputError(`"${text}" is no host and port; a URL of a server has no user and no password.`);
  const given = found[2] ?? '';
  const port = given === '' ? SCHEMES[scheme].port : Number(given);
  if (given !== '' && !(PORT.test(given) && port >= 1 && port <= MAX_PORT)) throw inputError(`"${given}" is no port.`);
  return { host: found[1].replace(/^\[(.*)\]$/, '$1') || DEFAULT_HOST, port };
}

/** @param {string | undefined} text @param {string} scheme */
function queryOf(text, scheme) {
  const query = new Map();
  const { keys } = SCHEMES[scheme];
  for (const part of text ? text.split('&') : []) {
    const [key, ...value] = part.split('=');
    if (!keys.includes(key)) {
      throw inputError(
        `"${part}" means nothing in this URL; ws:, wss: and unix: take db=NAME, blazes: and wss: take pin=sha256:HEX.`,
      );
    }
    query.set(key, value.join('='));
  }
  return query;
}

/** @param {string | undefined} text */
function pinOf(text) {
  if (text === undefined) return null;
  const found = PIN.exec(text);
  if (!found)
    throw inputError(`"${text}" is no fingerprint; write pin=sha256: and the 64 digits that the server prints when it starts.`);
  return found[1].toLowerCase();
}

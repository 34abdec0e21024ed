// The same session over each transport that Node has: the server is killed twice in its midst.

import assert from 'node:assert/strict';
import test from 'node:test';

import { connect } from '../src/node.js';
import { ScriptedSession } from './scripted-session.js';
import { Server, hasDoors, until } from './support.js';

const WRITES = 600;
const noDoors = hasDoors() ? false : 'this server has no door but TCP';
const noWebSocket =
  noDoors || (globalThis.WebSocket === undefined ? 'this Node has no WebSocket (before 22: --experimental-websocket)' : false);

for (const [name, url, skip] of [
  ['TCP', (server) => server.url, false],
  ['TLS, pinned', (server) => server.tlsUrl, noDoors],
  ['a Unix socket', (server) => server.unixUrl, noDoors],
  ['WebSocket', (server) => server.webUrl, noWebSocket],
]) {
  test(`a session over ${name}`, { skip, timeout: 120000 }, async () => {
    const server = new Server();
    try {
      await server.start();
      const session = new ScriptedSession(connect, url(server), 'notes', WRITES);
      await session.begin();
      for (const part of [0.25, 0.5]) {
        await until('more writes', () => session.acknowledged > part * WRITES);
        await server.kill();
        await server.start();
      }
      assert.deepEqual(await session.finish(), []);
    } finally {
      await server.remove();
    }
  });
}

test(
  'another certificate than the pinned one, and one that nobody vouches for, are not spoken to',
  { skip: noDoors, timeout: 60000 },
  async () => {
    const server = new Server();
    try {
      await server.start();
      const other = server.tlsUrl.replace(/[0-9a-f]{64}$/, '00'.repeat(32));
      await assert.rejects(connect(other, { timeoutMs: 500 }), /another than the pinned one/);
      await assert.rejects(connect(server.tlsUrl.replace(/\?.*/, ''), { timeoutMs: 500 }), /self.signed|certificate/);
    } finally {
      await server.remove();
    }
  },
);

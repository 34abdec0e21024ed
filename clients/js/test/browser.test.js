// The client in headless Chromium, in a page that is served here: the same session as over the other transports, and values.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import { connect } from '../src/node.js';
import { Browser, chromium } from './chromium.js';
import { Server, hasDoors } from './support.js';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const WRITES = 400;
const PAGE = `<!doctype html><title>blazedb</title><script type="module">
import * as blazedb from '/src/browser.js';
import { ScriptedSession } from '/test/scripted-session.js';
Object.assign(window, { blazedb, ScriptedSession, loaded: true });
</script>`;

/** Serves the page and the package's files on this machine alone. */
function serve() {
  const server = createServer((request, response) => {
    const path = new URL(request.url, 'http://localhost').pathname;
    if (path === '/') return response.setHeader('content-type', 'text/html').end(PAGE);
    try {
      const file = readFileSync(join(PACKAGE, normalize(path)));
      response.setHeader('content-type', extname(path) === '.js' ? 'text/javascript' : 'application/octet-stream').end(file);
    } catch {
      response.writeHead(404).end();
    }
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

const skip = !hasDoors() ? 'this server has no WebSocket' : chromium() === undefined ? 'there is no Chromium here' : false;

test('a session in a page, while the server is killed and started again', { skip, timeout: 180000 }, async () => {
  const server = new Server();
  const pages = await serve();
  let browser;
  try {
    await server.start();
    browser = new Browser();
    await browser.open(`http://127.0.0.1:${pages.address().port}/`);
    await browser.run(`(async () => {
      window.session = new ScriptedSession(blazedb.connect, ${JSON.stringify(server.webUrl)}, 'notes', ${WRITES});
      await session.begin();
    })()`);
    for (const part of [0.25, 0.5]) {
      while ((await browser.run('session.acknowledged')) <= part * WRITES)
        await new Promise((resolve) => setTimeout(resolve, 10));
      await server.kill();
      await server.start();
    }
    assert.deepEqual(await browser.run('session.finish()'), []);

    const text =
      '{"big":{"$int":"9007199254740993"},"data":{"$data":"AAEC/w=="},"date":{"$date":"2013-01-01T10:00:00.1Z"},"five":5,"whole":5.0,"ж":[null,true]}';
    const back = await browser.run(`(async () => {
      const db = await blazedb.connect(${JSON.stringify(server.webUrl)});
      const { id } = await db.put('values', blazedb.parseTyped(${JSON.stringify(text)}));
      const { id: _, ...rest } = await db.get('values', id);
      await db.close();
      return blazedb.stringifyTyped(rest);
    })()`);
    assert.equal(back, text);

    // What the page wrote is there for others.
    const other = await connect(server.url);
    assert.equal((await other.scan('notes').toArray()).length, WRITES + 1);
    await other.close();
    await assert.rejects(browser.run("blazedb.connect('blaze://127.0.0.1')"), /needs Node/);
  } finally {
    await browser?.close();
    pages.close();
    await server.remove();
  }
});

// A client over connections in memory: when it gives up, how a snapshot goes on.

import assert from 'node:assert/strict';
import test from 'node:test';

import { Client, Uuid } from '../src/node.js';
import { parseUrl } from '../src/transport/url.js';
import { TYPE } from '../src/wire/frame.js';
import { EVENT, Played, position } from './played.js';

function clientOf(played, options = {}) {
  return new Client(parseUrl('blaze://127.0.0.1/main'), options, played.open);
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const silent = async () => {};

test('a client gives up in the midst of an attempt, on a server that says nothing', async () => {
  const played = new Played(silent);
  const client = clientOf(played, { giveUpAfterMs: 200 });
  const waiting = client.get('notes', Uuid.v7());
  // It would be told handshake_timeout, had it waited for that.
  await assert.rejects(client.ready, { kind: 'unreachable', code: 0, retryable: true });
  await assert.rejects(waiting, { kind: 'unreachable' });
  await client.ended;
  assert.equal(client.state, 'ended');
  assert.equal(played.opened, 1);
});

test('it gives up only while there is no connection, and tells why there is none', async () => {
  let server;
  const played = new Played(
    async (first) => {
      server = first;
      await first.hear(TYPE.handshake);
      first.welcome();
    },
    silent,
  );
  const client = clientOf(played, { giveUpAfterMs: 200 });
  await client.ready;
  await pause(500);
  assert.equal(client.state, 'connected');
  server.cut();
  await client.ended;
  assert.deepEqual([client.error.kind, client.error.message], ['unreachable', 'The connection was lost: cut.']);
  await played.done();
});

test('without a bound, or with one beyond what a timer takes, it goes on trying', async () => {
  for (const giveUpAfterMs of [undefined, Infinity, 2 ** 40]) {
    const client = clientOf(new Played(silent), { giveUpAfterMs });
    await pause(20);
    assert.equal(client.state, 'connecting');
    client.finish(null);
  }
});

test('a record that would lose a property is refused, one that gets its id here too', async () => {
  const client = clientOf(new Played(silent));
  for (const id of [undefined, Uuid.v7()]) {
    const hidden = Object.defineProperty({ id }, 'secret', { value: 1 });
    if (id === undefined) delete hidden.id;
    const items = [{ op: 'put', collection: 'notes', record: hidden }];
    for (const call of [client.put('notes', hidden), client.insert('notes', hidden), client.batch(items)])
      await assert.rejects(call, { kind: 'input', message: /secret/ });
  }
  await assert.rejects(client.patch('notes', Uuid.v7(), { [Symbol('secret')]: 1 }), { kind: 'input', message: /secret/ });
  assert.equal(client.pending, 0);
  client.finish(null);
});

/** What a Subscribe asks for: its id, its mode and after which position. */
function subscribeOf(view) {
  const after = view.byteLength > 42 && view.getUint8(25) === 2 ? view.getBigUint64(34) : null;
  return { id: Number(view.getBigUint64(0)), mode: view.getUint8(24), start: view.getUint8(25), after };
}

test('a snapshot in mode all that was cut goes on in mode latest, and then in all from where it was whole (L-6.1)', async () => {
  const asked = [];
  const node = Uuid.v7();
  const hear = async (server) => {
    asked.push(subscribeOf(await server.hear(TYPE.subscribe)));
    return asked.at(-1).id;
  };
  const note = (n) => ({ id: Uuid.v7(), n });
  const played = new Played(
    async (server) => {
      await server.hear(TYPE.handshake);
      server.welcome({ node });
      server.change(await hear(server), 5, note(5));
      server.cut();
    },
    async (server) => {
      await server.hear(TYPE.handshake);
      server.welcome({ node });
      const bridge = await hear(server);
      server.change(bridge, 9, note(9));
      server.event(bridge, EVENT.caughtUp, position(9));
      // This crosses the Unsubscribe: the next subscription alone tells it.
      server.change(bridge, 10, note(10));
      await server.hear(TYPE.unsubscribe);
      server.event(bridge, EVENT.ended, position(10));
      server.change(await hear(server), 10, note(10));
    },
  );
  const client = clientOf(played);
  const watch = client.watch('notes', { start: 'snapshot', markers: true });
  const told = [];
  while (told.length < 4) told.push(await watch.next());
  assert.deepEqual(
    told.map(({ kind, record }) => record?.n ?? kind),
    [5, 9, 'caught_up', 10],
  );
  assert.deepEqual(
    asked.map(({ mode, start, after }) => [mode, start, after]),
    [
      [1, 1, null],
      [2, 2, 5n],
      [1, 2, 9n],
    ],
  );
  await played.done();
  client.finish(null);
});

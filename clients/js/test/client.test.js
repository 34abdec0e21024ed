// A client against the real server: what is written is there, once, also when the server is killed in between.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { BlazeError, Double, PreciseDate, Uuid, Vector, connect, open } from '../src/node.js';
import { Server, until } from './support.js';

/** Runs a test with a server and, if it wants one, a client. */
function withServer(name, run) {
  test(name, { timeout: 120000 }, async () => {
    const server = new Server();
    try {
      await server.start();
      const client = await connect(server.url);
      try {
        await run(client, server);
      } finally {
        await client.close();
      }
    } finally {
      await server.remove();
    }
  });
}

withServer('a record comes back as it was written', async (client) => {
  const record = {
    id: Uuid.v7(),
    int: 5,
    whole: new Double(5),
    fraction: 0.1,
    big: 2n ** 60n,
    least: -(2n ** 63n),
    nan: Double.fromBits(0xfff8000000000001n),
    when: new Date('2026-11-28T12:00:00.123Z'),
    precise: new PreciseDate(0.1 + 0.2),
    data: new Uint8Array([0, 255]),
    vector: new Vector([1, -2.5]),
    nested: { list: [null, true, 'ä', {}], __proto__: null },
    '': 'no name',
  };
  await client.put('types', record);
  const back = await client.get('types', record.id);
  assert.deepEqual(Object.keys(back).sort(), Object.keys(record).sort());
  assert.equal(back.int, 5);
  assert.ok(back.whole instanceof Double && back.whole.value === 5);
  assert.equal(back.fraction, 0.1);
  assert.equal(back.big, 2n ** 60n);
  assert.equal(back.least, -(2n ** 63n));
  assert.equal(back.nan.bits, 0xfff8000000000001n);
  assert.equal(back.when.getTime(), record.when.getTime());
  assert.equal(back.precise.seconds, 0.1 + 0.2);
  assert.deepEqual(back.data, record.data);
  assert.deepEqual(back.vector.toArray(), [1, -2.5]);
  assert.deepEqual(back.nested, { list: [null, true, 'ä', {}] });
  assert.equal(await client.get('types', Uuid.v7()), null);
});

withServer('put, insert, patch, delete, batch, drop and their refusals', async (client) => {
  const { id, position } = await client.insert('notes', { title: 'a', votes: 1 });
  assert.match(position, /^[0-9a-f]{32}$/);
  await assert.rejects(client.insert('notes', { id, title: 'b' }), (error) => {
    assert.ok(error instanceof BlazeError);
    assert.deepEqual(
      [error.kind, error.codeName, error.code, error.fault, error.retryable],
      ['refused', 'already_exists', 106, 'client', false],
    );
    assert.match(error.advice, /upsert/);
    assert.equal(error.detail.item, 0);
    return true;
  });
  await client.patch('notes', id, { votes: 2 }, { unset: ['title'] });
  assert.deepEqual(await client.get('notes', id), { id, votes: 2 });
  const [{ seq }] = await client.getRows('notes', [id]);
  await assert.rejects(client.put('notes', { id, votes: 3 }, { base: Number(seq) - 1 }), { codeName: 'precondition_failed' });
  await client.put('notes', { id, votes: 3 }, { base: seq });

  const other = Uuid.v7();
  await assert.rejects(
    client.batch([
      { op: 'put', collection: 'notes', record: { id: other } },
      { op: 'patch', collection: 'notes', id: Uuid.v7(), set: { votes: 1 } },
    ]),
    (error) => error.codeName === 'not_found' && error.detail.item === 1,
  );
  assert.equal(await client.get('notes', other), null);
  const { ids } = await client.batch([
    { op: 'put', collection: 'notes', record: { id: other } },
    { op: 'insert', collection: 'tags', record: { name: 'x' } },
    { op: 'delete', collection: 'notes', id },
  ]);
  assert.deepEqual(ids.map(String), [String(other), String(ids[1]), String(id)]);
  assert.deepEqual(await client.scan('notes').toArray(), [{ id: other }]);
  assert.deepEqual(await client.getMany('tags', [Uuid.v7(), ids[1]]), [{ id: ids[1], name: 'x' }]);
  assert.equal((await client.stats({ collection: 'tags' }))[0].records, 1);
  await client.drop('tags');
  await assert.rejects(client.get('tags', ids[1]), { codeName: 'unknown_collection' });

  await assert.rejects(client.put('no spaces', {}), { kind: 'input', codeName: 'invalid_name' });
  await assert.rejects(client.put('notes', { id: 'text' }), { kind: 'input' });
  await assert.rejects(client.put('notes', { odd: undefined }), { kind: 'input' });
  for (const odd of [[1], new Map([['a', 1]]), 'text', null]) await assert.rejects(client.put('notes', odd), { kind: 'input' });
  await assert.rejects(client.put('notes', { odd: 2 ** 60 }), /BigInt/);
});

withServer('a scan of more than one window, in both directions, bounded, limited and left early', async (client) => {
  const ids = [];
  for (let i = 0; i < 3000; i += 100) {
    const batch = Array.from({ length: 100 }, (_, k) => ({
      op: 'put',
      collection: 'many',
      record: { n: i + k, pad: 'x'.repeat(900) },
    }));
    ids.push(...(await client.batch(batch)).ids);
  }
  const seen = [];
  for await (const record of client.scan('many')) seen.push(record.n);
  assert.deepEqual(
    seen,
    Array.from({ length: 3000 }, (_, i) => i),
  );
  const some = await client.scan('many', { reverse: true, limit: 3, before: ids[100] }).toArray();
  assert.deepEqual(
    some.map(({ n }) => n),
    [99, 98, 97],
  );
  const range = await client.scan('many', { after: ids[10], to: ids[12] }).toArray();
  assert.deepEqual(
    range.map(({ n }) => n),
    [11, 12],
  );
  for await (const { n } of client.scan('many')) if (n === 5) break;
  const stop = new AbortController();
  await assert.rejects(
    async () => {
      for await (const { n } of client.scan('many', { signal: stop.signal })) if (n === 5) stop.abort();
    },
    { name: 'AbortError' },
  );
  assert.equal((await client.scan('many').toArray()).length, 3000);
});

withServer(
  'killed and started again: every acknowledged write is there once, the watch has no gap and no repetition',
  async (client, server) => {
    const states = [];
    client.addEventListener('state', ({ state }) => states.push(state));
    await client.put('notes', { n: -1 });
    const watch = client.watch('notes', { start: 'snapshot' });
    await watch.ready;
    const told = [];
    const listening = (async () => {
      for await (const { record } of watch) told.push(record.n);
    })();
    const WRITES = 2000;
    const KILLS = 3;
    let acknowledged = 0;
    let n = 0;
    const writers = Array.from({ length: 64 }, async () => {
      while (n < WRITES) {
        await client.insert('notes', { n: n++ });
        acknowledged++;
      }
    });
    for (let kill = 1; kill <= KILLS; kill++) {
      await until('more writes', () => acknowledged > (kill * WRITES) / (KILLS + 2));
      await server.kill();
      await server.start();
    }
    await Promise.all(writers);
    await until('the watch', () => told.length >= n + 1);
    const all = Array.from({ length: n + 1 }, (_, i) => i - 1);
    const byNumber = (a, b) => a - b;
    assert.deepEqual(told.toSorted(byNumber), all);
    assert.deepEqual((await client.scan('notes').toArray()).map((record) => record.n).sort(byNumber), all);
    assert.equal(watch.status, 'live');
    assert.ok(states.filter((state) => state === 'connected').length >= KILLS);
    assert.ok(states.includes('waiting'));
    watch.cancel();
    await assert.rejects(listening, { kind: 'cancelled' });
  },
);

withServer('a watch in mode latest, its markers, and going on from a stored position', async (client) => {
  const { id } = await client.put('board', { n: 1 });
  const watch = client.watch('board', { mode: 'latest', start: 'snapshot', markers: true });
  const first = await watch.next();
  assert.deepEqual([first.kind, first.record.n], ['put', 1]);
  assert.equal((await watch.next()).kind, 'caught_up');
  const { position } = watch;
  watch.cancel();
  await client.put('board', { id, n: 2 });
  await client.delete('board', id);
  const again = client.watch('board', { start: { after: position } });
  const put = await again.next();
  assert.deepEqual([put.kind, put.record.n, put.last], ['put', 2, true]);
  const gone = await again.next();
  assert.deepEqual([gone.kind, String(gone.id)], ['delete', String(id)]);
  assert.equal(gone.position, again.position);
  again.cancel();
  const unknown = client.watch('board', { start: { after: 'f'.repeat(32) } });
  await assert.rejects(unknown.next(), { kind: 'reset', codeName: 'position_unknown' });
  await assert.rejects(unknown.ready, { kind: 'reset' });
});

test('a client says why it has no connection, and ends where that is no use', { timeout: 60000 }, async () => {
  const server = new Server();
  try {
    await server.start();
    await assert.rejects(connect(`blaze://127.0.0.1:${server.port}/nowhere`), { kind: 'ended', codeName: 'unknown_database' });
    await server.kill();
    await assert.rejects(connect(server.url, { timeoutMs: 400 }), { kind: 'unreachable', retryable: true });
    const client = open(server.url);
    const early = client.put('notes', { n: 1 });
    await until('an attempt failed', () => client.state === 'waiting');
    assert.match(client.error.message, /ECONNREFUSED/);
    await server.start();
    await early;
    assert.equal(client.state, 'connected');
    await client.close();
    assert.equal(client.state, 'ended');
    await assert.rejects(client.put('notes', {}), { kind: 'ended' });
    assert.throws(() => open('http://127.0.0.1'), { kind: 'input' });
    assert.throws(() => open('blaze://h/main?pin=sha256:00'), { kind: 'input' });
  } finally {
    await server.remove();
  }
});

test('an abort withdraws what was not sent', { timeout: 60000 }, async () => {
  const server = new Server();
  try {
    await server.start();
    await server.kill();
    const client = open(server.url);
    const stop = new AbortController();
    const one = client.put('notes', { n: 1 }, { signal: stop.signal });
    const two = client.put('notes', { n: 2 });
    stop.abort();
    await assert.rejects(one, { name: 'AbortError' });
    await server.start();
    await two;
    assert.deepEqual(
      (await client.scan('notes').toArray()).map(({ n }) => n),
      [2],
    );
    await client.close();
  } finally {
    await server.remove();
  }
});

withServer('the README begins with lines that work', async (_client, server) => {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const [, lines] = /```js\n([^]*?)```/.exec(readFileSync(`${root}README.md`, 'utf8'));
  const program = lines.replace('blaze://127.0.0.1:25293/main', server.url);
  assert.notEqual(program, lines);
  // In the package's own folder its name is known.
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], { cwd: root });
  assert.match(stdout, /votes: 6/);
  assert.match(stdout, /^put \{/m);
});

withServer('close waits for what was handed in, over a restart of the server too', async (client, server) => {
  await client.put('notes', { n: 0 });
  await server.kill();
  const late = client.put('notes', { n: 1 });
  const closed = client.close();
  await assert.rejects(client.put('notes', { n: 2 }), { kind: 'ended' });
  await server.start();
  await late;
  await closed;
  assert.equal(client.state, 'ended');
  const other = await connect(server.url);
  assert.deepEqual((await other.scan('notes').toArray()).map(({ n }) => n), [0, 1]);
  await other.close();

  await server.kill();
  const lost = open(server.url);
  const never = lost.put('notes', { n: 3 });
  const told = assert.rejects(never, { kind: 'ended' });
  await lost.close({ timeoutMs: 100 });
  await told;
});

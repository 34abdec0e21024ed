// Compiled and not run: the types say what the package does, and refuse what it refuses.

import { BlazeError, type Change, Double, Uuid, Vector, connect } from '../index.js';

export async function uses(): Promise<void> {
  const client = await connect('blaze://127.0.0.1:25293/main', { signal: AbortSignal.timeout(1000), agent: 'test/1' });
  client.addEventListener('state', ({ state, error }) => console.log(state, error?.advice));
  const { id, position } = await client.put('notes', {
    title: 'Hi',
    big: 1n,
    half: new Double(1),
    v: new Vector([1]),
    list: [null, { a: true }],
  });
  const found: Record<string, any> | null = await client.get('notes', id, { atLeast: position });
  await client.batch([
    { op: 'insert', collection: 'notes', record: { id: Uuid.v7() } },
    { op: 'check', collection: 'notes', id, base: 0 },
  ]);
  for await (const record of client.scan('notes', { limit: 10, reverse: true })) console.log(record.title, found);
  const watch = client.watch('notes', { start: 'snapshot' });
  await watch.ready;
  for await (const change of watch) show(change);
  for await (const told of client.watch('notes', { markers: true })) if (told.kind !== 'caught_up') break;
  // @ts-expect-error a function is no value
  await client.put('notes', { odd: () => 1 });
  // @ts-expect-error an id is a Uuid
  await client.put('notes', { id: 'text' });
  // @ts-expect-error a check has a base
  await client.batch([{ op: 'check', collection: 'notes', id }]);
  await client.close();
}

function show(change: Change): string {
  switch (change.kind) {
    case 'put':
      return String(change.record.title);
    case 'delete':
      return String(change.id);
    case 'dropped':
      return new BlazeError().codeName;
  }
}

// Lets `blazedb conformance client` drive this client, as conformance/client-contract.md says: commands come on stdin,
// answers and events go to stdout, one JSON object a line.

import { createInterface } from 'node:readline';

import { BlazeError, Uuid, open, parseTyped, stringifyTyped } from './src/node.js';

const GIVE_UP_MS = 120000;

/** @type {import('./index.js').Client | undefined} */
let client;
/** What cancels the get, scan or watch of an id. @type {Map<number, AbortController>} */
const cancels = new Map();

/** Lines are put together by hand: typed JSON has numbers that JSON.stringify would not write. */
function say(members) {
  const parts = Object.entries(members).map(([key, value]) => `${JSON.stringify(key)}:${value}`);
  process.stdout.write(`{${parts.join(',')}}\n`);
}

const answer = (id, ok) => say({ id, ok });

function refuse(id, error) {
  const known = error instanceof BlazeError;
  const kind = error?.name === 'AbortError' ? 'cancelled' : known ? error.kind : 'input';
  const members = {
    kind,
    code: known ? error.code : 0,
    message: String(error?.message ?? error),
    retryable: known && error.retryable,
  };
  if (known && typeof error.detail?.item === 'number') members.item = error.detail.item;
  say({ id, error: JSON.stringify(members) });
}

/** One operation of a command in the client's terms. @param {Record<string, any>} one */
function operation(one) {
  const op = one.op ?? one.do;
  const item = { op, collection: one.collection };
  if (one.record !== undefined) item.record = one.record;
  if (one.uuid !== undefined) item.id = one.uuid;
  if (op === 'patch') Object.assign(item, { set: one.set ?? {}, unset: one.unset ?? [] });
  return item;
}

const typedList = (records) => `{"records":[${records.map(stringifyTyped).join(',')}]}`;

async function watch(id, { collection, mode, start }, signal) {
  for await (const told of client.watch(collection, { mode, start, markers: true, signal })) {
    if (told.seq === undefined) say({ id, event: JSON.stringify(told.kind) });
    else say({ id, event: '"changes"', changes: `[${changeText(told)}]` });
  }
}

function changeText({ kind, seq, record, id }) {
  const rest = kind === 'put' ? `,"record":${stringifyTyped(record)}` : kind === 'delete' ? `,"uuid":"${id}"` : '';
  return `{"kind":"${kind}","seq":${seq}${rest}}`;
}

/** Runs a command; what it returns is the text of `ok`. @param {Record<string, any>} command @returns {Promise<string>} */
async function run(command) {
  const { id, do: what } = command;
  if (what === 'connect') {
    client = open(process.env.BLAZEDB_URL ?? '', {
      lz4: command.lz4 === true,
      giveUpAfterMs: GIVE_UP_MS,
      ...(command.heartbeat_ms === undefined ? {} : { heartbeatMs: command.heartbeat_ms }),
    });
    client.addEventListener('state', ({ state }) => say({ state: JSON.stringify(state) }));
    await client.ready;
    return `{"node":"${client.node}"}`;
  }
  if (client === undefined) throw new Error('connect comes first');
  if (what === 'close') {
    await client.close();
    return '{}';
  }
  if (what === 'cancel') {
    cancels.get(command.of)?.abort();
    return '{}';
  }
  if (['put', 'insert', 'patch', 'delete', 'batch'].includes(what)) {
    const items = what === 'batch' ? command.operations.map(operation) : [operation(command)];
    const { position } = await client.batch(items);
    return `{"position":"${position}"}`;
  }
  const stop = new AbortController();
  cancels.set(id, stop);
  const { signal } = stop;
  if (what === 'get') return typedList(await client.getMany(command.collection, command.uuids.map(Uuid.parse), { signal }));
  if (what === 'scan') {
    const { limit = 0, reverse = false } = command;
    return typedList(await client.scan(command.collection, { limit, reverse, signal }).toArray());
  }
  if (what === 'watch') {
    await watch(id, command, signal);
    throw new BlazeError('cancelled', 0, 'The watch is over.');
  }
  throw new Error(`no such command: ${what}`);
}

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  if (line.trim() === '') return;
  // The members beside the records are plain, and so are what they are in typed JSON too.
  const command = parseTyped(line);
  run(command).then(
    (ok) => answer(command.id, ok),
    (error) => refuse(command.id, error),
  );
});
lines.on('close', () => process.stdout.write('', () => process.exit(0)));

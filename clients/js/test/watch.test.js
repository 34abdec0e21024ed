// Subscriptions over connections that are made up: from where each asks to go on.

import assert from 'node:assert/strict';
import test from 'node:test';

import { Subscription } from '../src/client/watch.js';

const position = (seq) => `0000000100000000${seq.toString(16).padStart(16, '0')}`;

/** A connection on which so much was published; it notes what is asked. */
function connection(published) {
  const asked = [];
  return { asked, published, ask: (request) => asked.push(request) };
}

function subscription(start) {
  const client = { admit() {}, askAgain() {}, subscriptions: new Set(), requestOver() {} };
  return new Subscription(/** @type {any} */ (client), 'notes', { mode: 'all', start, markers: false });
}

/** The start that a subscription asks for on this connection; then the connection is lost. */
function startOn(watch, over, event) {
  watch.ask(over);
  const [request] = over.asked;
  if (event) watch.take(request, event, 1);
  watch.disconnected();
  return request.what.start;
}

test('a watch from now that was told nothing goes on after what was published before it (L-6.3)', () => {
  const watch = subscription('now');
  assert.equal(startOn(watch, connection(position(41))), 'now');
  // Later Welcomes say later positions: what changed in between would be left out.
  assert.deepEqual(startOn(watch, connection(position(50))), { after: position(41) });
  assert.deepEqual(startOn(watch, connection(position(60)), { kind: 'caught_up', position: position(60) }), { after: position(41) });
  assert.deepEqual(startOn(watch, connection(position(70))), { after: position(60) });
});

test('a watch that was told where it began goes on after that, and one with a snapshot takes a new one', () => {
  const told = subscription('now');
  assert.equal(startOn(told, connection(position(41)), { kind: 'caught_up', position: position(43) }), 'now');
  assert.deepEqual(startOn(told, connection(position(50))), { after: position(43) });
  const snapshot = subscription('snapshot');
  assert.equal(startOn(snapshot, connection(position(41))), 'snapshot');
  assert.equal(startOn(snapshot, connection(position(50))), 'snapshot');
});

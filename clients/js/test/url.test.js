// URLs by spec/doors.md, D-7.

import assert from 'node:assert/strict';
import test from 'node:test';

import { parseUrl } from '../src/transport/url.js';

const PIN = 'ab'.repeat(32);

test('URLs of each scheme, with what may be left out', () => {
  const shown = (url) => {
    const { name, database, pin, loopback } = parseUrl(url);
    return [name, database, pin, loopback];
  };
  assert.deepEqual(shown('blaze://127.0.0.1:25293/main'), ['blaze://127.0.0.1:25293', 'main', null, true]);
  assert.deepEqual(shown('blaze://db.example.org/app'), ['blaze://db.example.org:25293', 'app', null, false]);
  assert.deepEqual(shown('blaze://'), ['blaze://127.0.0.1:25293', 'main', null, true]);
  assert.deepEqual(shown('blaze:///app'), ['blaze://127.0.0.1:25293', 'app', null, true]);
  assert.deepEqual(shown('BLAZE://[::1]:80'), ['blaze://[::1]:80', 'main', null, true]);
  assert.deepEqual(shown(`blazes://db?pin=sha256:${PIN.toUpperCase()}`), ['blazes://db:25293', 'main', PIN, false]);
  assert.deepEqual(shown('ws://localhost'), ['ws://localhost:80/blaze', 'main', null, true]);
  assert.deepEqual(shown('wss://db/other/path?db=app'), ['wss://db:443/other/path', 'app', null, false]);
  assert.deepEqual(shown(`wss://db/?pin=sha256:${PIN}&db=a`), ['wss://db:443/blaze', 'a', PIN, false]);
  assert.deepEqual(shown('unix:/run/blazedb.sock?db=app'), ['unix:/run/blazedb.sock', 'app', null, true]);
});

test('what is no URL of a server is refused', () => {
  for (const url of [
    '',
    'http://h',
    'blaze:h',
    'blaze://h:0',
    'blaze://h:65536',
    'blaze://h:x',
    'blaze://user@h',
    'blaze://user:secret@h',
    'blaze://h/Main',
    'blaze://h/a/b',
    'blaze://h?db=main',
    `blaze://h?pin=sha256:${PIN}`,
    'blazes://h?pin=sha1:00',
    'blazes://h?pin=',
    'blazes://h/main?db=main',
    `ws://h/blaze?pin=sha256:${PIN}`,
    'ws://h/blaze?db=a&token=b',
    'unix:relative',
    'unix:/run/s?pin=x',
  ]) {
    assert.throws(() => parseUrl(url), { name: 'BlazeError', kind: 'input' }, url);
  }
});

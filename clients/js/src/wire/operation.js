// Operations (spec/protocol.md, P-4.2): a transaction's body, encoded once and kept byte for byte until it is durable.

import { EncodingError, MAX_ITEMS, encodeValue, writeRecord } from '../encoding/record.js';
import { compareKeys } from '../encoding/nfc.js';
import { Uuid } from '../encoding/values.js';
import { Writer } from '../encoding/writer.js';
import { BlazeError } from '../errors.js';
import { crc32 } from './crc32.js';
import { MAX_PAYLOAD_BYTES } from './frame.js';
import { LEVEL } from './messages.js';

const KIND = { insert: 1, put: 2, patch: 3, delete: 4, check: 5, drop: 6 };
const SKIP_UNCHANGED = 0x40;
const HAS_BASE = 0x80;
const NUMBER_BYTES = 8;
/** P-1.8. */
const COLLECTION = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;

/**
 * @typedef {{ op: 'insert' | 'put' | 'patch' | 'delete' | 'check' | 'drop', collection: string, id?: Uuid | string,
 *   record?: Record<string, any>, set?: Record<string, any>, unset?: string[], base?: number | bigint,
 *   skipUnchanged?: boolean }} Item one operation of a transaction
 */

/** @param {string} message @param {unknown} [cause] @returns {BlazeError} */
export function inputError(message, cause) {
  return new BlazeError('input', 0, message, { cause });
}

/** @param {unknown} name @returns {string} */
export function checkCollection(name) {
  if (typeof name !== 'string' || !COLLECTION.test(name)) throw new BlazeError('input', 'invalid_name', '');
  return name;
}

/** @param {unknown} id @returns {Uuid} */
export function asUuid(id) {
  if (id instanceof Uuid) return id;
  if (typeof id !== 'string') throw inputError('an id is a Uuid, or its text with hyphens.');
  try {
    return Uuid.parse(id);
  } catch (error) {
    throw inputError(`${/** @type {Error} */ (error).message}.`, error);
  }
}

const scratch = new Writer();

/**
 * The body of an operation, from its ack_level on.
 * @param {Item[]} items @param {'accepted' | 'durable'} level @returns {Uint8Array}
 */
export function encodeBody(items, level) {
  if (items.length === 0) throw inputError('a batch holds at least one operation.');
  const code = LEVEL[level];
  if (code === undefined) throw inputError('a level is "durable" or "accepted".');
  const out = scratch;
  out.at = 0;
  try {
    out.u8(code);
    writeGroups(out, items);
  } catch (error) {
    if (error instanceof EncodingError) throw inputError(`The record cannot be encoded: ${error.message}.`, error);
    throw error;
  }
  if (NUMBER_BYTES + out.at > MAX_PAYLOAD_BYTES) {
    throw new BlazeError('input', 'payload_too_large', 'A batch takes at most 2 MiB encoded.', {
      advice: 'Split it over several batches.',
    });
  }
  return out.copy();
}

/** Items that follow one another in one collection make a group. @param {Writer} out @param {Item[]} items */
function writeGroups(out, items) {
  const groupsAt = out.at;
  let groups = 0;
  out.u16(0);
  for (let i = 0; i < items.length; groups++) {
    const { collection } = items[i];
    out.raw(collectionBytes(collection));
    const countAt = out.at;
    out.u16(0);
    let count = 0;
    do {
      writeItem(out, items[i++]);
      count++;
      // A drop is the first of its group (P-4.2.5).
    } while (i < items.length && items[i].collection === collection && items[i].op !== 'drop' && count < MAX_ITEMS);
    out.view.setUint16(countAt, count);
  }
  if (groups > MAX_ITEMS) throw inputError(`A batch holds at most ${MAX_ITEMS} groups.`);
  out.view.setUint16(groupsAt, groups);
}

/** The name used last, encoded: most programs write to few collections. */
let lastName = '';
/** @type {Uint8Array} */
let lastBytes = new Uint8Array();

/** @param {string} collection */
function collectionBytes(collection) {
  if (collection !== lastName) {
    lastBytes = encodeValue(checkCollection(collection));
    lastName = collection;
  }
  return lastBytes;
}

/** @param {Writer} out @param {Item} item */
function writeItem(out, item) {
  let kind = KIND[item.op];
  if (kind === undefined) throw inputError(`"${item.op}" is no operation.`);
  if (item.op === 'check' && item.base === undefined) throw inputError('a check has a base.');
  if (item.op === 'drop' && item.base !== undefined) throw inputError('a drop has no base.');
  if (item.base !== undefined) kind |= HAS_BASE;
  if (item.skipUnchanged && item.op === 'put') kind |= SKIP_UNCHANGED;
  out.u8(kind);
  if (item.base !== undefined) out.u64(item.base);
  switch (item.op) {
    case 'insert':
    case 'put':
      return writeChecked(out, item.record);
    case 'patch':
      out.raw(asUuid(item.id).bytes);
      out.raw(encodeValue(removedNames(item.unset ?? [])));
      return writeChecked(out, item.set ?? {});
    case 'delete':
    case 'check':
      return out.raw(asUuid(item.id).bytes);
  }
}

/** Sorted, each once. @param {string[]} names */
function removedNames(names) {
  const sorted = [...names].sort(compareKeys);
  return sorted.filter((name, i) => i === 0 || compareKeys(sorted[i - 1], name) !== 0);
}

/** A record as it travels (P-1.6). @param {Writer} out @param {any} record */
function writeChecked(out, record) {
  const start = out.at;
  out.reserve(8);
  out.at += 8;
  writeRecord(out, record);
  out.view.setUint32(start, out.at - start - 8);
  out.view.setUint32(start + 4, crc32(out.bytes, start + 8, out.at));
}

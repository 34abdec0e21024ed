// Types of the package `blazedb`, for Node and browsers alike.

/** What a field of a record can be. What JavaScript has no own type for has one here: `Double`, `PreciseDate`, `Uuid`, `Vector`. */
export type Value =
  | null
  | boolean
  /** A safe integer is an int; with a fraction, −0, NaN, an infinity, or from 2^63 on it is a double; in between it is refused. */
  | number
  /** An int. */
  | bigint
  | string
  | Double
  | Date
  | Uuid
  | Uint8Array
  | Vector
  | readonly Value[]
  | { readonly [key: string]: Value };

/** A record as it is read: ints are numbers, and BigInts from 2^53 on; doubles are numbers, and `Double` where they are whole. */
export type Fields = Record<string, any>;
/** A record to write; without an `id` it gets a new one. */
export type NewFields = { readonly [key: string]: Value } & { readonly id?: Uuid };
/** Where something lies in a database's history: 32 hexadecimal digits, to store, compare for equality and give back. */
export type Position = string;
/** A number in the order of changes; the version of a record is that of its last change. */
export type Seq = number | bigint;

/** A double that stays one where a number would be an int. */
export class Double {
  constructor(value: number);
  static fromBits(bits: bigint): Double;
  readonly value: number;
  readonly bits: bigint;
  valueOf(): number;
  toString(): string;
  toJSON(): number;
}

/** A date of any precision; as a Date it is the nearest millisecond. It does not change. */
export class PreciseDate extends Date {
  /** @param seconds since 2001-01-01T00:00:00Z */
  constructor(seconds: number, bits?: bigint);
  static fromBits(bits: bigint): PreciseDate;
  readonly seconds: number;
  readonly bits: bigint;
}

export class Uuid {
  /** @param bytes 16, taken over and not copied */
  constructor(bytes: Uint8Array);
  static parse(text: string): Uuid;
  /** A new one of version 7; those of one process sort as they were made. */
  static v7(now?: number): Uuid;
  readonly bytes: Uint8Array;
  equals(other: unknown): boolean;
  toString(): string;
  toJSON(): string;
}

/** A vector; each item is cut to the upper half of a double, as it is stored. */
export class Vector implements Iterable<number> {
  constructor(items: Iterable<number>);
  static fromWords(words: Uint32Array): Vector;
  readonly words: Uint32Array;
  readonly length: number;
  at(index: number): number | undefined;
  toArray(): number[];
  [Symbol.iterator](): Iterator<number>;
  toJSON(): number[];
}

/** What cannot be encoded, or is not canonical BlazeBinary. */
export class EncodingError extends Error {
  readonly code: string;
  /** Where the wrong item begins; −1 where there are no bytes yet. */
  readonly offset: number;
}

export function encodeRecord(fields: { readonly [key: string]: Value }, layout?: 1 | 2): Uint8Array;
export function decodeRecord(bytes: Uint8Array): Fields;
export function encodeValue(value: Value): Uint8Array;
export function decodeValue(bytes: Uint8Array): any;
/** The exact text of a value, by `spec/json.md`. */
export function stringifyTyped(value: Value): string;
export function parseTyped(text: string): any;

/**
 * What became of a call: `refused` by the server; `ended`: the client is over; `unknown`: whether it took effect is not known;
 * `interrupted`: an answer was lost in its midst; `reset`: a subscription cannot go on; `cancelled`; `input`: the call was not taken;
 * `unreachable`: given up trying; `lost`: a connection was, and another is tried.
 */
export type ErrorKind =
  'refused' | 'ended' | 'unknown' | 'interrupted' | 'reset' | 'cancelled' | 'input' | 'unreachable' | 'lost';

export class BlazeError extends Error {
  readonly kind: ErrorKind;
  /** The number in `spec/errors.md`, 0 where there is none. */
  readonly code: number;
  /** Its name, `''` where there is none. */
  readonly codeName: string;
  readonly fault: string;
  /** What to do. */
  readonly advice: string;
  readonly retryable: boolean;
  /** What the server adds for programs: `item`, `offset`, `retry_after_ms`, … */
  readonly detail: Fields | null;
  /** Of a reset: the oldest position from which changes are held. */
  readonly oldest?: Position;
  /** Of a reset: the position that cannot be gone on from. */
  readonly position?: Position;
}

/** `connecting`, `connected`, `waiting` for the next attempt, `ended`. */
export type State = 'connecting' | 'connected' | 'waiting' | 'ended';

export class StateEvent extends Event {
  readonly state: State;
  /** Why the connection before is over, or could not be made. */
  readonly error: BlazeError | null;
  readonly retryInMs: number;
}

export interface Options {
  /** Program and version, for the server's logs; at most 128 bytes. */
  agent?: string;
  /** After so long a silence the other side is asked for a sign of life: 5,000 to 60,000, by default 15,000. */
  heartbeatMs?: number;
  /** Take compressed answers; by default from servers that are not on this machine. */
  lz4?: boolean;
  /** How long it goes on trying without a connection, an attempt under way included; by default for ever. */
  giveUpAfterMs?: number;
  /** How many bytes of operations may wait for their outcome; by default 64 MiB. */
  maxPendingBytes?: number;
  /** Node: certificates of authorities for blazes://, in PEM. */
  ca?: string | Uint8Array;
}

export interface ConnectOptions extends Options {
  /** How long `connect` tries; by default 10,000. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

export interface WriteOptions {
  /** When the outcome is told: `durable` (by default), or `accepted` by the server, which may still lose it. */
  level?: 'durable' | 'accepted';
  /** Gives up waiting; what was sent already may take effect all the same. */
  signal?: AbortSignal;
}

export interface BaseOptions extends WriteOptions {
  /** The version that the record must be at, 0 for none: else `precondition_failed`. */
  base?: Seq;
}

export interface ReadOptions {
  /** The answer is taken at this position or later. */
  atLeast?: Position;
  signal?: AbortSignal;
}

export interface ScanOptions extends ReadOptions {
  reverse?: boolean;
  /** 0 for none. */
  limit?: number;
  from?: Uuid | string;
  after?: Uuid | string;
  to?: Uuid | string;
  before?: Uuid | string;
}

/** One operation of a batch. */
export type Item =
  | { op: 'put'; collection: string; record: NewFields; base?: Seq; skipUnchanged?: boolean }
  | { op: 'insert'; collection: string; record: NewFields }
  | {
      op: 'patch';
      collection: string;
      id: Uuid | string;
      set?: { readonly [key: string]: Value };
      unset?: readonly string[];
      base?: Seq;
    }
  | { op: 'delete'; collection: string; id: Uuid | string; base?: Seq }
  | { op: 'check'; collection: string; id: Uuid | string; base: Seq }
  | { op: 'drop'; collection: string };

export interface Written {
  /** Everything up to here, this operation included, is on stable storage. */
  position: Position;
}

export interface Row {
  seq: Seq;
  record: Fields;
}

/** The records of a collection in the order of their ids: iterate once, or read all. */
export interface Scan extends AsyncIterable<Fields> {
  readonly position: Position;
  toArray(): Promise<Fields[]>;
  rows(): AsyncGenerator<Row>;
  cancel(): void;
}

export type Change =
  | { kind: 'put'; id: Uuid; record: Fields; seq: Seq; last: boolean; position: Position }
  | { kind: 'delete'; id: Uuid; record?: undefined; seq: Seq; last: boolean; position: Position }
  | { kind: 'dropped'; record?: undefined; seq: Seq; last: boolean; position: Position };

export type Marker = { kind: 'caught_up' | 'waiting' | 'heartbeat'; record?: undefined; position: Position };

export interface WatchOptions {
  /** `all` changes in order (by default), or the `latest` image of each record that changed. */
  mode?: 'all' | 'latest';
  /** From now on (by default; told from where by `caught_up`), with all records first, or behind a position that a subscription told. */
  start?: 'now' | 'snapshot' | { after: Position };
  signal?: AbortSignal;
}

export interface Subscription<T = Change> extends AsyncIterable<T> {
  /** Resolves when for the first time nothing more was published behind what has come; do not wait for it and leave a snapshot unread. */
  readonly ready: Promise<void>;
  readonly status: 'starting' | 'catching_up' | 'live' | 'waiting' | 'disconnected' | 'ended';
  /** Up to where all was handed on. */
  readonly position: Position | null;
  next(): Promise<T>;
  cancel(reason?: unknown): void;
}

export class Client extends EventTarget {
  private constructor();
  readonly state: State;
  readonly error: BlazeError | null;
  readonly node: Uuid | null;
  /** Resolves at the first welcome. */
  readonly ready: Promise<Client>;
  /** Resolves when the client has ended. */
  readonly ended: Promise<void>;
  /** How many operations wait for their outcome. */
  readonly pending: number;
  put(
    collection: string,
    record: NewFields,
    options?: BaseOptions & { skipUnchanged?: boolean },
  ): Promise<Written & { id: Uuid }>;
  insert(collection: string, record: NewFields, options?: WriteOptions): Promise<Written & { id: Uuid }>;
  patch(
    collection: string,
    id: Uuid | string,
    set: { readonly [key: string]: Value },
    options?: BaseOptions & { unset?: readonly string[] },
  ): Promise<Written>;
  delete(collection: string, id: Uuid | string, options?: BaseOptions): Promise<Written>;
  drop(collection: string, options?: WriteOptions): Promise<Written>;
  /** One transaction: all of it takes effect, or none. */
  batch(items: readonly Item[], options?: WriteOptions): Promise<Written & { ids: (Uuid | null)[] }>;
  get(collection: string, id: Uuid | string, options?: ReadOptions): Promise<Fields | null>;
  getMany(collection: string, ids: readonly (Uuid | string)[], options?: ReadOptions): Promise<Fields[]>;
  getRows(collection: string, ids: readonly (Uuid | string)[], options?: ReadOptions): Promise<Row[]>;
  scan(collection: string, options?: ScanOptions): Scan;
  stats(options?: ReadOptions & { collection?: string }): Promise<Fields[]>;
  watch(collection: string, options?: WatchOptions & { markers?: false }): Subscription;
  watch(collection: string, options: WatchOptions & { markers: true }): Subscription<Change | Marker>;
  close(options?: { timeoutMs?: number }): Promise<void>;
  addEventListener(type: 'state', listener: (event: StateEvent) => void, options?: AddEventListenerOptions | boolean): void;
  addEventListener(type: string, listener: (event: any) => void, options?: AddEventListenerOptions | boolean): void;
}

/** A client that connects by itself and can be used at once. */
export function open(url: string | URL, options?: Options): Client;
/** A client whose first connection is there. */
export function connect(url: string | URL, options?: ConnectOptions): Promise<Client>;

export const VERSION: string;

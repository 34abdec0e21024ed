// A server's side written by hand, frame by frame, and connections in memory on which a script plays it to a client.

import { encodeRecord, encodeValue } from '../src/encoding/record.js';
import { Uuid } from '../src/encoding/values.js';
import { Writer } from '../src/encoding/writer.js';
import { crc32 } from '../src/wire/crc32.js';
import { FrameReader, MAX_PAYLOAD_BYTES, TYPE, beginFrame, endFrame } from '../src/wire/frame.js';
import { writeError, writeGoodbye } from '../src/wire/messages.js';

export const HEARTBEAT = 10000;
/** What events are, by P-4.8. */
export const EVENT = { changes: 1, caughtUp: 2, reset: 3, waiting: 4, heartbeat: 5, ended: 6 };
const SCOPE_REQUEST = 2;
const PUT = 1;
const LAST = 0x80;

export const position = (seq) => `0000000100000000${seq.toString(16).padStart(16, '0')}`;
export const POSITION = position(41);

/** The messages of a server. */
export class ServerSide {
  /** @param {(bytes: Uint8Array, now: number) => void} deliver */
  constructor(deliver) {
    this.deliver = deliver;
    this.sequence = 0;
    this.reader = new FrameReader();
  }

  send(type, write, now = 0) {
    const out = new Writer();
    const start = beginFrame(out, type);
    write(out);
    endFrame(out, start, this.sequence++);
    this.deliver(out.copy(), now);
  }

  /** The frames in bytes of the client. */
  *read(bytes) {
    this.reader.push(bytes);
    for (let frame = this.reader.next(); frame !== null; frame = this.reader.next())
      yield { type: frame.type, payload: frame.payload.slice() };
  }

  welcome({ window = 1024, frames = 1024, bytes = 4194304, requests = 64, node = Uuid.v7() } = {}) {
    this.send(TYPE.handshake, (out) => {
      out.u8(2);
      out.u8(1);
      out.u64(0);
      out.u16(window);
      out.u32(HEARTBEAT);
      for (const limit of [frames, bytes, 0, 0]) out.u64(limit);
      out.u16(requests);
      out.u64(0);
      out.raw(Buffer.from(POSITION, 'hex'));
      for (const value of [Uuid.v7(), node, 'test', []]) out.raw(encodeValue(value));
    });
    this.reader.limit = MAX_PAYLOAD_BYTES;
    return this;
  }

  ack(number) {
    this.send(TYPE.ack, (out) => {
      out.u8(0);
      out.u8(1);
      out.u64(number);
      out.u64(0);
      out.raw(Buffer.from(POSITION, 'hex'));
    });
  }

  credit(frames, bytes) {
    this.send(TYPE.credit, (out) => {
      out.u8(0);
      for (const value of [0, frames, bytes]) out.u64(value);
    });
  }

  event(id, kind, at = POSITION) {
    this.send(TYPE.event, (out) => {
      out.u64(id);
      out.u8(kind);
      out.raw(Buffer.from(at, 'hex'));
    });
  }

  /** An event of one change, a put. */
  change(id, seq, record) {
    const bytes = encodeRecord(record);
    this.send(TYPE.event, (out) => {
      out.u64(id);
      out.u8(EVENT.changes);
      out.raw(Buffer.from(position(seq), 'hex'));
      out.u16(1);
      out.u8(PUT | LAST);
      out.u64(seq);
      out.u32(bytes.length);
      out.u32(crc32(bytes));
      out.raw(bytes);
    });
  }

  /** An answer without rows that is not the last. */
  answer(id) {
    this.send(TYPE.queryResponse, (out) => {
      out.u64(id);
      out.u8(0);
      out.raw(Buffer.from(POSITION, 'hex'));
      out.u16(0);
    });
  }

  refuseRequest(id, code) {
    this.send(TYPE.error, (out) => writeError(out, SCOPE_REQUEST, id, code, '', null));
  }

  goodbye() {
    this.send(TYPE.goodbye, (out) => writeGoodbye(out, 0, 0, ''));
  }

  ping(nonce, now = 0) {
    this.send(TYPE.ping, (out) => out.u64(nonce), now);
  }
}

/** The server of one connection in memory. */
class PlayedServer extends ServerSide {
  constructor(sink) {
    super((bytes) => !this.over && sink.data(bytes));
    this.sink = sink;
    this.over = false;
    /** Frames that nobody has waited for yet. */
    this.heard = [];
    this.wake = () => {};
  }

  /** The next frame of this type; those before it are of no interest. */
  async hear(type) {
    for (;;) {
      for (let frame = this.heard.shift(); frame !== undefined; frame = this.heard.shift()) {
        if (frame.type === type) return new DataView(frame.payload.buffer);
      }
      await new Promise((resolve) => (this.wake = resolve));
    }
  }

  take(bytes) {
    if (this.over) return;
    this.sink.took(bytes.length);
    this.heard.push(...this.read(bytes));
    this.wake();
  }

  cut() {
    this.over = true;
    this.sink.closed('cut');
  }
}

/** What opens connections in memory, each with the next script, and after the last none. */
export class Played {
  /** @param {...(server: PlayedServer) => Promise<void>} scripts */
  constructor(...scripts) {
    this.scripts = scripts;
    this.opened = 0;
    this.playing = [];
    this.open = (_address, _options, sink) => {
      const script = this.scripts[this.opened++];
      const server = new PlayedServer(sink);
      if (script === undefined) queueMicrotask(() => sink.closed('nobody is there'));
      else {
        queueMicrotask(() => sink.opened());
        this.playing.push(script(server));
      }
      const end = () => (server.over = true);
      return { send: (bytes) => queueMicrotask(() => server.take(bytes)), end, destroy: end };
    };
  }

  /** All scripts came to their end. */
  async done() {
    await Promise.all(this.playing);
  }
}

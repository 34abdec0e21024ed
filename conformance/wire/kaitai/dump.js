// Prints a stream of BLAZE as spec/blaze.ksy reads it: a line a frame, its type and its fields, for check.py.
//
//   node dump.js TOOLS < STREAM
//   node dump.js TOOLS payloads < LINES     each line the type of a message, decimal, and its plain payload, in hex
//
// TOOLS is the folder into which the packages of package-lock.json were installed. Of a compressed frame the block is
// printed instead of fields. Ends with 1 where a stream is not what the description allows; a payload that is not prints "refused".

"use strict";

const fs = require("fs");
const path = require("path");
const vm = require("vm");

const tools = process.argv[2];
const load = (name) => require(path.join(tools, "node_modules", name));
const KaitaiStream = load("kaitai-struct/KaitaiStream");

async function compile() {
  const description = fs.readFileSync(path.join(__dirname, "../../../spec/blaze.ksy"), "utf8");
  const compiler = load("kaitai-struct-compiler");
  const files = await compiler.compile("javascript", load("js-yaml").load(description), null, false);
  const holder = { exports: {} };
  const wrapped = vm.runInThisContext(`(function (module, exports, require) {${files["Blaze.js"]}\n})`);
  wrapped(holder, holder.exports, () => KaitaiStream);
  return holder.exports.Blaze || holder.exports;
}

const snake = (name) => name.replace(/([A-Z])/g, (_, letter, at) => (at ? "_" : "") + letter.toLowerCase());
const hex = (bytes) => Buffer.from(bytes).toString("hex");

// Types that are parts of another in the names of fields.
const PARTS = { record_body: "record" };
// What stands in the bytes and says nothing by itself.
const HIDDEN = new Set(["strings.tag", "strings.full_count", "record.no_record", "clock.unix_ms_high", "clock.unix_ms_low"]);

function double(number) {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(number);
  return hex(bytes);
}

function leaf(name, value, out) {
  if (value instanceof Uint8Array) {
    out.push([name, name === "record.magic" ? Buffer.from(value).toString() : hex(value)]);
  } else if (name === "value.double" || name === "value.date") {
    out.push([name, double(value)]);
  } else if (name === "value.item") {
    out.push([name, value.toString(16).padStart(8, "0")]);
  } else {
    out.push([name, String(value)]);
  }
}

// Values that have parts and are one field.
function whole(value) {
  const type = value && value.constructor && snake(value.constructor.name);
  if (type === "text_value") return value.text === undefined ? "null" : value.text;
  if (type === "name") return value.text;
  if (type === "uuid_value") return value.uuid === undefined ? "null" : hex(value.uuid);
  return undefined;
}

function walk(object, out, part) {
  const own = snake(object.constructor.name);
  const type = part || PARTS[own] || own;
  if (own === "opaque") return void out.push(["payload", hex(object.bytes)]);
  if (own === "clock") out.push(["clock.unix_ms", String(object.unixMs)]);
  if (own === "strings") out.push(["strings.count", String(object.count)]);
  for (const key of Object.keys(object)) {
    if (key.startsWith("_")) continue;
    const name = `${type}.${snake(key).replace(/^as_/, "")}`;
    const many = Array.isArray(object[key]);
    for (const value of many ? object[key] : [object[key]]) {
      const title = many ? name.replace(/s$/, "") : name;
      if (HIDDEN.has(title) || value === undefined) continue;
      const text = whole(value);
      if (text !== undefined) out.push([title, text]);
      else if (typeof value === "object" && !(value instanceof Uint8Array)) walk(value, out);
      else leaf(title, value, out);
    }
  }
}

// A handshake's kind is a field of the hello or welcome behind it.
function handshakeOrNot(body, out) {
  if (snake(body.constructor.name) !== "handshake") return walk(body, out);
  out.push([`${snake(body.body.constructor.name)}.kind`, String(body.kind)]);
  walk(body.body, out);
}

function fieldsOf(message) {
  const fields = [];
  handshakeOrNot(message.body, fields);
  if (message.extension) walk(message.extension, fields);
  return fields;
}

function print(line) {
  process.stdout.write(JSON.stringify(line) + "\n");
}

async function main() {
  const Blaze = await compile();
  const input = fs.readFileSync(0);
  const streamOf = (bytes) => new KaitaiStream(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  if (process.argv[3] === "payloads") {
    for (const line of input.toString().trim().split("\n")) {
      const [type, digits] = line.split(" ");
      try {
        const message = new Blaze.Message(streamOf(Buffer.from(digits || "", "hex")), null, null, Number(type));
        print({ type: Number(type), fields: fieldsOf(message) });
      } catch (error) {
        print({ refused: String(error) });
      }
    }
    return;
  }
  const stream = streamOf(input);
  for (const frame of new Blaze(stream).frames) {
    const { type, sequence, length, crc, payload } = frame;
    const line = { type, sequence, length, crc };
    if (frame.compressed) print({ ...line, plain_length: payload.plainLength, block: hex(payload.block) });
    else print({ ...line, fields: fieldsOf(payload.message) });
  }
}

main().catch((error) => {
  process.stderr.write(`${error.stack || error}\n`);
  process.exit(1);
});

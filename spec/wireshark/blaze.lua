-- A Wireshark dissector of BLAZE, version 1 (spec/protocol.md) and of the BlazeBinary inside (spec/blazebinary.md).
--
-- Copy it into the folder that Wireshark names under Help, About, Folders, Personal Lua Plugins; or for one run:
--   tshark -X lua_script:spec/wireshark/blaze.lua -r trace.pcap -Y blaze
--
-- It takes TCP port 25293 (and passes on what is HTTP or TLS there), any TCP stream that begins with a frame, TLS of that
-- port where the keys are known, and WebSocket with the subprotocol blaze.v1. Field names are blaze.<part>.<field>, the
-- words of the specification: blaze.operation.number == 7, blaze.error.code == 108, blaze.expert.bad_crc.
-- Checked with Wireshark 4.0; Lua 5.1 to 5.4 will do.

local blaze = Proto("blaze", "BLAZE")
local blaze_ws = Proto("blaze_ws", "BLAZE in WebSocket")

blaze.prefs.port = Pref.uint("TCP port", 25293, "The port whose streams are taken for BLAZE, HTTP or TLS")
blaze.prefs.check_crc = Pref.bool("Check CRC-32", true, "Compute the checksum of every frame and record")
blaze.prefs.decompress = Pref.bool("Decompress payloads", true, "Decode LZ4, so that compressed messages are shown")

local HEADER_BYTES = 15
local TRAILER_BYTES = 4
-- P-2.3: a length beyond it is not believed.
local MAX_PAYLOAD_BYTES = 2097152
-- P-5.2: no LZ4 block becomes more than so many times its length.
local MAX_RATIO = 255
-- B-5.3, and one level for the record.
local MAX_DEPTH = 65
local MAGIC = "BLAZE\1"

---------------------------------------------------------------- names

local TYPES = {
  [0x01] = "Handshake", [0x02] = "Operation", [0x03] = "Query", [0x04] = "QueryResponse", [0x05] = "Subscribe",
  [0x06] = "Telemetry", [0x07] = "Ack", [0x08] = "Error", [0x10] = "Event", [0x11] = "Unsubscribe", [0x12] = "Ping",
  [0x13] = "Pong", [0x14] = "Auth", [0x15] = "Goodbye", [0x16] = "Credit", [0x17] = "Cancel",
}

local ACK_LEVELS = { [0] = "accepted", [1] = "durable", [2] = "replicated" }
local LANES = { [0] = "work", [1] = "telemetry" }
local OPERATION_KINDS = {
  [1] = "insert", [2] = "upsert", [3] = "patch", [4] = "delete", [5] = "check", [6] = "drop",
}
local QUERY_KINDS = { [1] = "get", [2] = "scan", [3] = "stats", [4] = "structured", [5] = "SQL" }
local BOUND_KINDS = { [0] = "none", [1] = "inclusive", [2] = "exclusive" }
local MODES = { [1] = "all", [2] = "latest" }
local STARTS = { [0] = "now", [1] = "with a snapshot", [2] = "after a position" }
local EVENT_KINDS = {
  [1] = "changes", [2] = "caught_up", [3] = "reset", [4] = "waiting", [5] = "heartbeat", [6] = "ended",
}
local CHANGE_KINDS = { [1] = "put", [2] = "delete", [3] = "dropped" }
local ERROR_SCOPES = { [0] = "connection", [1] = "operation", [2] = "request" }
local CREDIT_SCOPES = { [0] = "work lane", [1] = "telemetry lane", [2] = "request" }

-- The block below is rendered from spec/errors.json (tests/suite/generated.rs): edit that.
-- errors.json begin
local ERRORS = {
  [1] = "bad_magic",
  [2] = "unsupported_version",
  [3] = "reserved_flags",
  [4] = "payload_too_large",
  [5] = "frame_checksum_mismatch",
  [6] = "sequence_gap",
  [7] = "unknown_message_type",
  [8] = "not_supported",
  [9] = "unexpected_flag",
  [10] = "truncated",
  [11] = "trailing_bytes",
  [12] = "unsupported_extension",
  [13] = "invalid_field",
  [14] = "invalid_value",
  [15] = "bad_compression",
  [16] = "unexpected_message",
  [17] = "handshake_timeout",
  [18] = "heartbeat_timeout",
  [19] = "write_stalled",
  [20] = "credit_exceeded",
  [21] = "invalid_credit",
  [22] = "control_flood",
  [23] = "impossible_ack",
  [100] = "operation_number_gap",
  [101] = "operation_window_exceeded",
  [102] = "record_checksum_mismatch",
  [103] = "invalid_record",
  [104] = "record_too_large",
  [105] = "invalid_id",
  [106] = "already_exists",
  [107] = "not_found",
  [108] = "precondition_failed",
  [109] = "id_is_fixed",
  [110] = "transaction_too_large",
  [111] = "clock_ahead",
  [112] = "invalid_name",
  [200] = "request_id_not_increasing",
  [201] = "too_many",
  [202] = "cancelled",
  [203] = "position_not_reached",
  [204] = "position_unknown",
  [205] = "unknown_collection",
  [206] = "resources_exceeded",
  [207] = "deadline_exceeded",
  [208] = "snapshot_expired",
  [300] = "position_expired",
  [301] = "collection_dropped",
  [302] = "epoch_changed",
  [400] = "unknown_database",
  [401] = "unauthenticated",
  [402] = "forbidden",
  [403] = "identity_reused",
  [404] = "identity_expired",
  [405] = "fenced",
  [500] = "internal",
  [501] = "read_only",
  [502] = "disk_full",
  [503] = "shutting_down",
  [504] = "too_busy",
  [505] = "too_many_connections",
  [506] = "corrupted",
}
-- errors.json end

-- B-2.1, from 01 on.
local COMMON_FIELDS = {
  "id", "createdAt", "updatedAt", "userId", "teamId", "title", "description", "status", "priority", "assignedTo",
  "tags", "completedAt", "dueDate", "startDate", "category", "name", "email", "password", "username", "firstName",
  "lastName", "age", "phone", "address", "city", "state", "zip", "country", "organizationId", "projectId", "taskId",
  "bugId", "issueId", "commentId", "attachmentId", "versionId", "parentId", "childIds", "metadata", "config",
  "settings", "preferences", "type", "kind", "label", "value", "count", "total", "sum", "average", "min", "max",
  "isActive", "isDeleted", "isPublic", "isPrivate", "isArchived", "isFavorite", [255] = "(written out)",
}

local TAGS = {
  [0x01] = "string", [0x02] = "int", [0x03] = "double", [0x04] = "bool", [0x05] = "uuid", [0x06] = "date",
  [0x07] = "data", [0x08] = "array", [0x09] = "dict", [0x0A] = "vector", [0x0B] = "null", [0x11] = "empty string",
  [0x12] = "small int", [0x18] = "empty array", [0x19] = "empty dict",
}
for length = 1, 15 do TAGS[0x20 + length] = "short string" end

---------------------------------------------------------------- fields

local FIELDS = {}

local function define(name, title, kind, ...)
  FIELDS[name] = ProtoField[kind]("blaze." .. name, title, ...)
end

local function numbers(part, kind, names)
  for _, name in ipairs(names) do define(part .. "." .. name, name, kind, base.DEC) end
end

local function named(name, kind, values)
  define(name, name:match("[^.]+$"), kind, base.DEC, values)
end

local function bits(part, width, list)
  for _, bit_field in ipairs(list) do
    local name, mask, values = bit_field[1], bit_field[2], bit_field[3]
    define(part .. "." .. name, name, width, base.DEC, values, mask)
  end
end

local function strings(names)
  for _, name in ipairs(names) do define(name, name:match("[^.]+$"), "string") end
end

local function guids(names)
  for _, name in ipairs(names) do define(name, name:match("[^.]+$"), "guid") end
end

-- Lua cannot fill fields of no type, so what has parts is a text.
local function groups(names)
  for _, name in ipairs(names) do define(name, name, "string") end
end

define("header.magic", "magic", "string")
define("header.version", "version", "uint8", base.DEC)
define("header.type", "type", "uint8", base.HEX, TYPES)
define("header.length", "length of the payload", "uint32", base.DEC)
define("header.flags", "flags", "uint8", base.HEX)
bits("header", "uint8", { { "reserved", 0xF8 }, { "requires_ack", 0x04 }, { "encrypted", 0x02 }, { "compressed", 0x01 } })
define("header.sequence", "sequence", "uint24", base.DEC)
define("crc", "CRC-32", "uint32", base.HEX)
define("payload", "payload", "bytes")
define("payload.plain_length", "plain length", "uint32", base.DEC)
define("payload.block", "LZ4 block", "bytes")
define("passed_over", "bytes that are no frame", "bytes")

groups({
  "header", "message", "position", "clock", "strings", "group", "op", "record", "field", "value", "entry", "get",
  "scan", "stats", "bound", "row", "change", "extension",
})
numbers("position", "uint32", { "epoch", "partition" })
numbers("position", "uint64", { "seq" })
define("clock.unix_ms", "unix_ms", "uint64", base.DEC)
define("clock.counter", "counter", "uint16", base.DEC)
numbers("strings", "uint16", { "count" })
strings({ "strings.item" })

numbers("hello", "uint8", { "kind", "min_version", "max_version" })
numbers("hello", "uint64", { "next_operation", "oldest_unacked" })
numbers("hello", "uint32", { "heartbeat_ms" })
strings({ "hello.database", "hello.agent", "hello.node" })

numbers("welcome", "uint8", { "kind", "version" })
numbers("welcome", "uint64", {
  "node_decided", "work_frames", "work_bytes", "telemetry_frames", "telemetry_bytes",
})
numbers("welcome", "uint16", { "operation_window", "request_limit" })
numbers("welcome", "uint32", { "heartbeat_ms" })
guids({ "welcome.connection", "welcome.node" })
strings({ "welcome.agent" })

numbers("operation", "uint64", { "number" })
named("operation.ack_level", "uint8", ACK_LEVELS)
numbers("operation", "uint16", { "group_count" })
strings({ "group.collection" })
numbers("group", "uint16", { "operation_count" })
bits("op", "uint8", {
  { "has_base", 0x80 }, { "skip_unchanged", 0x40 }, { "reserved", 0x30 }, { "kind", 0x0F, OPERATION_KINDS },
})
numbers("op", "uint64", { "base" })
guids({ "op.id" })

numbers("query", "uint64", { "id", "frames", "bytes" })
named("query.kind", "uint8", QUERY_KINDS)
numbers("query", "uint8", { "at_least" })
define("query.rest", "not defined yet", "bytes")
strings({ "get.collection", "scan.collection", "stats.collection" })
numbers("get", "uint16", { "count" })
guids({ "get.id", "bound.id" })
bits("scan", "uint8", { { "reserved", 0xFE }, { "reverse", 0x01 } })
numbers("scan", "uint64", { "limit" })
named("bound.kind", "uint8", BOUND_KINDS)

numbers("query_response", "uint64", { "id" })
bits("query_response", "uint8", { { "reserved", 0xFE }, { "last", 0x01 } })
numbers("query_response", "uint16", { "row_count" })
numbers("row", "uint64", { "seq" })

numbers("subscribe", "uint64", { "id", "frames", "bytes" })
named("subscribe.mode", "uint8", MODES)
named("subscribe.start", "uint8", STARTS)
strings({ "subscribe.collection" })

named("ack.lane", "uint8", LANES)
named("ack.level", "uint8", ACK_LEVELS)
numbers("ack", "uint64", { "number", "unchanged" })

named("error.scope", "uint8", ERROR_SCOPES)
numbers("error", "uint64", { "id" })
named("error.code", "uint16", ERRORS)
strings({ "error.message" })

numbers("event", "uint64", { "id" })
named("event.kind", "uint8", EVENT_KINDS)
numbers("event", "uint16", { "change_count" })
named("event.code", "uint16", ERRORS)
bits("change", "uint8", { { "last", 0x80 }, { "kind", 0x7F, CHANGE_KINDS } })
numbers("change", "uint64", { "seq" })
guids({ "change.id" })

numbers("unsubscribe", "uint64", { "id" })
numbers("cancel", "uint64", { "id" })
define("ping.nonce", "nonce", "uint64", base.DEC)
define("pong.nonce", "nonce", "uint64", base.DEC)
named("goodbye.code", "uint16", ERRORS)
numbers("goodbye", "uint32", { "retry_after_ms" })
strings({ "goodbye.message" })
named("credit.scope", "uint8", CREDIT_SCOPES)
numbers("credit", "uint64", { "id", "frames", "bytes" })

numbers("record", "uint32", { "length" })
define("record.crc", "crc", "uint32", base.HEX)
define("record.magic", "magic", "string")
numbers("record", "uint8", { "layout" })
numbers("record", "uint16", { "field_count" })
define("record.checksum", "checksum", "uint32", base.HEX)
define("field.key", "key", "uint8", base.HEX, COMMON_FIELDS)
strings({ "field.name", "entry.key", "value.string" })
define("value.tag", "tag", "uint8", base.HEX, TAGS)
define("value.length", "length", "uint32", base.DEC)
define("value.count", "count", "uint32", base.DEC)
define("value.int", "int", "int64", base.DEC)
define("value.double", "double", "double")
define("value.bool", "bool", "uint8", base.DEC)
define("value.uuid", "uuid", "guid")
define("value.date", "date", "double")
define("value.data", "data", "bytes")
define("value.item", "item", "double")

local EXPERTS = {}

local function define_expert(name, text, group, severity)
  EXPERTS[name] = ProtoExpert.new("blaze.expert." .. name, text, expert.group[group], expert.severity[severity])
end

define_expert("bad_crc", "The frame's CRC-32 is wrong", "CHECKSUM", "ERROR")
define_expert("bad_record_crc", "The record's CRC-32 is wrong", "CHECKSUM", "ERROR")
define_expert("bad_record", "A record that is none of BlazeBinary", "MALFORMED", "WARN")
define_expert("sequence_gap", "A sequence that does not follow the one before", "SEQUENCE", "WARN")
define_expert("unknown_type", "A message type that is not in the table", "UNDECODED", "WARN")
define_expert("reserved", "A reserved type: its payload is not defined", "UNDECODED", "NOTE")
define_expert("bad_flags", "Flags that this frame must not have, or must", "PROTOCOL", "ERROR")
define_expert("malformed", "A payload that is not its message", "MALFORMED", "ERROR")
define_expert("bad_compression", "A compressed payload that does not become its plain length", "MALFORMED", "ERROR")
define_expert("no_frame", "Bytes that are no frame", "MALFORMED", "ERROR")
define_expert("cut_off", "The beginning of a frame whose rest is not there", "MALFORMED", "WARN")

local field_list, expert_list = {}, {}
for _, field in pairs(FIELDS) do field_list[#field_list + 1] = field end
for _, item in pairs(EXPERTS) do expert_list[#expert_list + 1] = item end
blaze.fields = field_list
blaze.experts = expert_list

---------------------------------------------------------------- arithmetic

local bxor, band, rshift
if bit or bit32 then
  local library = bit or bit32
  bxor, band, rshift = library.bxor, library.band, library.rshift
else
  bxor = load("return function(a, b) return (a ~ b) & 0xFFFFFFFF end")()
  band = load("return function(a, b) return a & b end")()
  rshift = load("return function(a, n) return (a & 0xFFFFFFFF) >> n end")()
end

local CRC_TABLE = {}
for byte = 0, 255 do
  local crc = byte
  for _ = 1, 8 do
    local odd = band(crc, 1) == 1
    crc = rshift(crc, 1)
    if odd then crc = bxor(crc, 0xEDB88320) end
  end
  CRC_TABLE[byte] = crc
end

-- P-1.7, of a string of bytes.
local function crc32(bytes)
  local crc = 0xFFFFFFFF
  for at = 1, #bytes do
    crc = bxor(rshift(crc, 8), CRC_TABLE[band(bxor(crc, bytes:byte(at)), 0xFF)])
  end
  return bxor(crc, 0xFFFFFFFF) % 4294967296
end

-- One LZ4 block, which must become exactly `wanted` bytes; nil if it does not. Memory grows with what is written.
local function lz4_block(block, wanted)
  local out, written, at = {}, 0, 1
  local function more(length)
    if length < 15 then return length end
    while true do
      local byte = block:byte(at)
      if not byte then return nil end
      at, length = at + 1, length + byte
      if length > wanted then return nil end
      if byte < 255 then return length end
    end
  end
  while true do
    local token = block:byte(at)
    if not token then return nil end
    at = at + 1
    local literals = more(math.floor(token / 16))
    if not literals or at + literals - 1 > #block or written + literals > wanted then return nil end
    for index = at, at + literals - 1 do
      written = written + 1
      out[written] = block:byte(index)
    end
    at = at + literals
    if at > #block then break end
    local low, high = block:byte(at, at + 1)
    if not high then return nil end
    at = at + 2
    local distance = low + 256 * high
    local length = more(token % 16)
    if not length or distance == 0 or distance > written or written + length + 4 > wanted then return nil end
    for _ = 1, length + 4 do
      written = written + 1
      out[written] = out[written - distance]
    end
  end
  if written ~= wanted then return nil end
  local pieces = {}
  for from = 1, written, 4096 do
    local last = math.min(from + 4095, written)
    local characters = {}
    for index = from, last do characters[#characters + 1] = string.char(out[index]) end
    pieces[#pieces + 1] = table.concat(characters)
  end
  return table.concat(pieces)
end

---------------------------------------------------------------- a cursor over a payload

-- Reads on in `tvb` up to `stop`; what does not fit raises a fault, which the frame's tree shows.
local Cursor = {}
Cursor.__index = Cursor

local function new_cursor(tvb, at, stop)
  return setmetatable({ tvb = tvb, at = at, stop = stop }, Cursor)
end

function Cursor:fail(text)
  error({ at = self.at, text = text }, 0)
end

function Cursor:left()
  return self.stop - self.at
end

function Cursor:need(count, what)
  if self:left() < count then self:fail(what .. " ends early") end
end

function Cursor:take(count, what)
  self:need(count, what)
  local range = self.tvb:range(self.at, count)
  self.at = self.at + count
  return range
end

function Cursor:peek(what)
  self:need(1, what)
  return self.tvb:range(self.at, 1):uint()
end

-- What was read since `from`, which is not nothing.
function Cursor:since(from)
  return self.tvb:range(from, self.at - from)
end

-- Fields of fixed width. They return what they read.
local function u8(cursor, tree, name)
  local range = cursor:take(1, name)
  tree:add(FIELDS[name], range)
  return range:uint()
end

local function u16(cursor, tree, name)
  local range = cursor:take(2, name)
  tree:add(FIELDS[name], range)
  return range:uint()
end

local function u32(cursor, tree, name)
  local range = cursor:take(4, name)
  tree:add(FIELDS[name], range)
  return range:uint()
end

local function u64(cursor, tree, name)
  local range = cursor:take(8, name)
  tree:add(FIELDS[name], range)
  return range:uint64()
end

local function id(cursor, tree, name)
  tree:add(FIELDS[name], cursor:take(16, name))
end

-- A byte of which these bit fields are parts.
local function flag_byte(cursor, tree, part, names)
  local range = cursor:take(1, part)
  for _, name in ipairs(names) do tree:add(FIELDS[part .. "." .. name], range) end
  return range:uint()
end

-- A subtree over what `read` reads.
local function subtree(cursor, tree, name, title, read)
  local from = cursor.at
  -- Its end is not known yet. Callers have seen that there is a byte.
  local branch = tree:add(FIELDS[name], cursor.tvb:range(from, 1), title)
  branch:set_text(title)
  local outcome = read(branch)
  branch:set_len(cursor.at - from)
  return outcome, branch
end

local function position(cursor, tree, title)
  cursor:need(16, title)
  local _, branch = subtree(cursor, tree, "position", title, function(branch)
    local epoch, partition = u32(cursor, branch, "position.epoch"), u32(cursor, branch, "position.partition")
    local seq = u64(cursor, branch, "position.seq")
    branch:set_text(string.format("%s: %d.%d.%s", title, epoch, partition, tostring(seq)))
  end)
  return branch
end

local function clock(cursor, tree, title)
  cursor:need(8, title)
  subtree(cursor, tree, "clock", title, function(branch)
    local range = cursor:take(6, title)
    local milliseconds = range:range(0, 2):uint() * 4294967296 + range:range(2, 4):uint()
    branch:add(FIELDS["clock.unix_ms"], range, UInt64.new(milliseconds % 4294967296, math.floor(milliseconds / 4294967296)))
    u16(cursor, branch, "clock.counter")
    branch:set_text(title .. ": " .. (milliseconds == 0 and "none" or os.date("!%Y-%m-%d %H:%M:%S", math.floor(milliseconds / 1000))))
  end)
end

---------------------------------------------------------------- BlazeBinary

-- The text of a string value, whose tag is read here; it is added under `name`.
local function str(cursor, tree, name)
  local from = cursor.at
  local tag = cursor:take(1, name):uint()
  local length
  if tag == 0x01 then
    length = cursor:take(4, name):uint()
  elseif tag == 0x11 then
    length = 0
  elseif tag > 0x20 and tag < 0x30 then
    length = tag - 0x20
  else
    cursor.at = from
    cursor:fail(name .. " is no string")
  end
  local text = length > 0 and cursor:take(length, name):string(ENC_UTF_8) or ""
  tree:add(FIELDS[name], cursor:since(from), text)
  return text
end

-- A str or null.
local function optional_str(cursor, tree, name)
  if cursor:peek(name) ~= 0x0B then return str(cursor, tree, name) end
  tree:add(FIELDS[name], cursor:take(1, name), "null")
  return nil
end

-- A uuid value, its tag included.
local function uuid(cursor, tree, name)
  if cursor:peek(name) ~= 0x05 then cursor:fail(name .. " is no uuid") end
  cursor:take(1, name)
  id(cursor, tree, name)
end

local function optional_uuid(cursor, tree, name)
  if cursor:peek(name) == 0x0B then
    tree:add(FIELDS[name], cursor:take(1, name), "null")
    return
  end
  if cursor:take(1, name):uint() ~= 0x05 then cursor:fail(name .. " is neither uuid nor null") end
  local range = cursor:take(16, name)
  local hex = range:bytes():tohex(true)
  local text = hex:gsub("^(%x%x%x%x%x%x%x%x)(%x%x%x%x)(%x%x%x%x)(%x%x%x%x)(%x+)$", "%1-%2-%3-%4-%5")
  tree:add(FIELDS[name], range, text)
end

-- An array of str.
local function string_array(cursor, tree, title)
  cursor:need(1, title)
  subtree(cursor, tree, "strings", title, function(branch)
    local tag = cursor:take(1, title)
    if tag:uint() == 0x18 then
      branch:add(FIELDS["strings.count"], tag, 0)
    elseif tag:uint() == 0x08 then
      for _ = 1, u16(cursor, branch, "strings.count") do str(cursor, branch, "strings.item") end
    else
      cursor:fail(title .. " is no array")
    end
  end)
end

local value

local function text_of(range)
  return '"' .. range:string(ENC_UTF_8) .. '"'
end

-- The double whose upper four bytes these are, and whose others are zero (B-3.3).
local function upper_half(bits32)
  local sign = bits32 >= 2147483648 and -1 or 1
  local exponent, fraction = math.floor(bits32 / 1048576) % 2048, bits32 % 1048576 / 1048576
  if exponent == 2047 then return fraction == 0 and sign * math.huge or 0 / 0 end
  if exponent == 0 then return sign * fraction * 2 ^ -1022 end
  return sign * (1 + fraction) * 2 ^ (exponent - 1023)
end

-- By tag: reads what is behind it into `branch` and returns a short text.
local SCALARS = {
  [0x01] = function(cursor, branch)
    local length = u32(cursor, branch, "value.length")
    if length == 0 then
      branch:add(FIELDS["value.string"], "")
      return '""'
    end
    local range = cursor:take(length, "string")
    branch:add(FIELDS["value.string"], range, range:string(ENC_UTF_8))
    return text_of(range)
  end,
  [0x02] = function(cursor, branch)
    local range = cursor:take(8, "int")
    branch:add(FIELDS["value.int"], range)
    return tostring(range:int64())
  end,
  [0x03] = function(cursor, branch)
    local range = cursor:take(8, "double")
    branch:add(FIELDS["value.double"], range)
    return tostring(range:float())
  end,
  [0x04] = function(cursor, branch)
    return u8(cursor, branch, "value.bool") == 0 and "false" or "true"
  end,
  [0x05] = function(cursor, branch)
    local from = cursor.at
    id(cursor, branch, "value.uuid")
    return cursor:since(from):bytes():tohex(true)
  end,
  [0x06] = function(cursor, branch)
    local range = cursor:take(8, "date")
    branch:add(FIELDS["value.date"], range)
    return tostring(range:float()) .. " s after 2001-01-01T00:00:00Z"
  end,
  [0x07] = function(cursor, branch)
    local length = u32(cursor, branch, "value.length")
    if length > 0 then branch:add(FIELDS["value.data"], cursor:take(length, "data")) end
    return length .. " bytes"
  end,
  [0x0A] = function(cursor, branch)
    local count = u32(cursor, branch, "value.count")
    -- Before anything is added: a count alone must not make work.
    if count > cursor:left() / 4 then cursor:fail("a vector ends early") end
    for _ = 1, count do
      local range = cursor:take(4, "item")
      branch:add(FIELDS["value.item"], range, upper_half(range:uint()))
    end
    return count .. " items"
  end,
  [0x0B] = function() return "null" end,
  [0x11] = function() return '""' end,
  [0x12] = function(cursor, branch)
    local range = cursor:take(1, "small int")
    branch:add(FIELDS["value.int"], range, Int64.new(range:uint()))
    return tostring(range:uint())
  end,
  [0x18] = function() return "[]" end,
  [0x19] = function() return "{}" end,
}

-- A count, which is not 0: what is empty has a tag of its own.
local function full_count(cursor, branch)
  local count = u16(cursor, branch, "value.count")
  if count == 0 then cursor:fail("what is empty is not written so") end
  return count
end

local function array(cursor, branch, depth)
  local count = full_count(cursor, branch)
  for index = 0, count - 1 do value(cursor, branch, "[" .. index .. "]", depth + 1) end
  return "[" .. count .. "]"
end

local function dict(cursor, branch, depth)
  local count = full_count(cursor, branch)
  for _ = 1, count do
    cursor:need(2, "a key")
    subtree(cursor, branch, "entry", "entry", function(entry)
      local length = cursor:take(2, "a key"):uint()
      local key = length > 0 and cursor:take(length, "a key"):string(ENC_UTF_8) or ""
      entry:add(FIELDS["entry.key"], cursor:since(cursor.at - length - 2), key)
      entry:set_text(key)
      value(cursor, entry, key, depth + 1)
    end)
  end
  return "{" .. count .. "}"
end

-- One value. Returns its short text.
function value(cursor, tree, title, depth)
  if depth > MAX_DEPTH then cursor:fail("values are too deep") end
  cursor:need(1, title)
  return subtree(cursor, tree, "value", title, function(branch)
    local tag = u8(cursor, branch, "value.tag")
    local text
    if SCALARS[tag] then
      text = SCALARS[tag](cursor, branch)
    elseif tag == 0x08 then
      text = array(cursor, branch, depth)
    elseif tag == 0x09 then
      text = dict(cursor, branch, depth)
    elseif tag > 0x20 and tag < 0x30 then
      local range = cursor:take(tag - 0x20, "a short string")
      branch:add(FIELDS["value.string"], range, range:string(ENC_UTF_8))
      text = text_of(range)
    else
      cursor.at = cursor.at - 1
      cursor:fail(string.format("tag %02x is none", tag))
    end
    branch:set_text(title .. ": " .. text)
    return text
  end)
end

local function dict_or_null(cursor, tree, title)
  local tag = cursor:peek(title)
  if tag ~= 0x09 and tag ~= 0x0B then cursor:fail(title .. " is neither dict nor null") end
  value(cursor, tree, title, 1)
end

local function record_field(cursor, tree)
  cursor:need(1, "a field")
  return subtree(cursor, tree, "field", "field", function(branch)
    local key = u8(cursor, branch, "field.key")
    local name
    if key == 0xFF then
      local length = cursor:take(2, "a name"):uint()
      name = length > 0 and cursor:take(length, "a name"):string(ENC_UTF_8) or ""
      branch:add(FIELDS["field.name"], cursor:since(cursor.at - length - 2), name)
    else
      name = COMMON_FIELDS[key]
      if not name then
        cursor.at = cursor.at - 1
        cursor:fail(string.format("%02x is no common field", key))
      end
    end
    local text = value(cursor, branch, "value", 0)
    branch:set_text(name .. ": " .. text)
    return name .. ": " .. text
  end)
end

-- The bytes of a record. Returns its first fields.
local function record_body(inner, branch)
  branch:add(FIELDS["record.magic"], inner:take(5, "magic"))
  local layout = u8(inner, branch, "record.layout")
  if layout == 2 then
    inner.stop = inner.stop - TRAILER_BYTES
  elseif layout ~= 1 then
    inner:fail("layout " .. layout .. " is none")
  end
  local shown = {}
  for _ = 1, u16(inner, branch, "record.field_count") do
    local text = record_field(inner, branch)
    if #shown < 3 then shown[#shown + 1] = text end
  end
  if inner:left() > 0 then inner:fail("bytes behind the last field") end
  if layout == 2 then
    inner.stop = inner.stop + TRAILER_BYTES
    u32(inner, branch, "record.checksum")
  end
  return "{" .. table.concat(shown, ", ") .. "}"
end

-- What pcall caught. Faults of the bytes are tables; anything else is a defect of this file or the end of what was captured.
local function fault_text(fault)
  return type(fault) == "table" and (fault.text .. " (at " .. fault.at .. ")") or tostring(fault)
end

-- A record as it travels (P-1.6). Where its bytes are wrong the message goes on behind it.
local function record(cursor, tree)
  cursor:need(8, "a record")
  subtree(cursor, tree, "record", "record", function(branch)
    local length = u32(cursor, branch, "record.length")
    local stored = u32(cursor, branch, "record.crc")
    cursor:need(length, "a record")
    local bytes = length > 0 and cursor.tvb:raw(cursor.at, length) or ""
    if blaze.prefs.check_crc and crc32(bytes) ~= stored then
      branch:add_proto_expert_info(EXPERTS.bad_record_crc)
    end
    local inner = new_cursor(cursor.tvb, cursor.at, cursor.at + length)
    cursor.at = inner.stop
    local done, outcome = pcall(record_body, inner, branch)
    if not done then
      outcome = fault_text(outcome)
      branch:add_proto_expert_info(EXPERTS.bad_record, outcome)
    end
    branch:set_text("record: " .. outcome)
  end)
end

---------------------------------------------------------------- messages

-- By type: reads the message's fields (P-4) and returns what the list of packets says of it.
local MESSAGES = {}

MESSAGES[0x01] = function(cursor, tree)
  if cursor:peek("kind") == 1 then
    u8(cursor, tree, "hello.kind")
    u8(cursor, tree, "hello.min_version")
    u8(cursor, tree, "hello.max_version")
    u64(cursor, tree, "hello.next_operation")
    u64(cursor, tree, "hello.oldest_unacked")
    u32(cursor, tree, "hello.heartbeat_ms")
    local database = str(cursor, tree, "hello.database")
    local agent = str(cursor, tree, "hello.agent")
    optional_uuid(cursor, tree, "hello.node")
    string_array(cursor, tree, "capabilities")
    return "hello " .. database .. " from " .. agent
  end
  if u8(cursor, tree, "welcome.kind") ~= 2 then cursor:fail("a handshake of no known kind") end
  u8(cursor, tree, "welcome.version")
  u64(cursor, tree, "welcome.node_decided")
  u16(cursor, tree, "welcome.operation_window")
  u32(cursor, tree, "welcome.heartbeat_ms")
  u64(cursor, tree, "welcome.work_frames")
  u64(cursor, tree, "welcome.work_bytes")
  u64(cursor, tree, "welcome.telemetry_frames")
  u64(cursor, tree, "welcome.telemetry_bytes")
  u16(cursor, tree, "welcome.request_limit")
  clock(cursor, tree, "clock")
  position(cursor, tree, "position")
  uuid(cursor, tree, "welcome.connection")
  uuid(cursor, tree, "welcome.node")
  local agent = str(cursor, tree, "welcome.agent")
  string_array(cursor, tree, "capabilities")
  return "welcome from " .. agent
end

local function record_operation(cursor, tree)
  cursor:need(1, "an operation")
  return subtree(cursor, tree, "op", "operation", function(branch)
    local byte = flag_byte(cursor, branch, "op", { "has_base", "skip_unchanged", "reserved", "kind" })
    if byte >= 0x80 then u64(cursor, branch, "op.base") end
    local kind = byte % 16
    if kind == 1 or kind == 2 then
      record(cursor, branch)
    elseif kind == 3 then
      id(cursor, branch, "op.id")
      string_array(cursor, branch, "removed")
      record(cursor, branch)
    elseif kind == 4 or kind == 5 then
      id(cursor, branch, "op.id")
    elseif kind ~= 6 then
      cursor:fail("an operation of no known kind")
    end
    branch:set_text(OPERATION_KINDS[kind])
    return OPERATION_KINDS[kind]
  end)
end

MESSAGES[0x02] = function(cursor, tree)
  local number = u64(cursor, tree, "operation.number")
  u8(cursor, tree, "operation.ack_level")
  local first
  for _ = 1, u16(cursor, tree, "operation.group_count") do
    cursor:need(1, "a group")
    subtree(cursor, tree, "group", "group", function(branch)
      local collection = str(cursor, branch, "group.collection")
      local count = u16(cursor, branch, "group.operation_count")
      for _ = 1, count do
        local kind = record_operation(cursor, branch)
        first = first or (kind .. " in " .. collection)
      end
      branch:set_text(collection .. ": " .. count .. " operation(s)")
    end)
  end
  return tostring(number) .. (first and (", " .. first) or "")
end

local function bound(cursor, tree, title)
  cursor:need(1, title)
  subtree(cursor, tree, "bound", title, function(branch)
    local kind = u8(cursor, branch, "bound.kind")
    if kind > 2 then cursor:fail("a bound of no known kind") end
    if kind > 0 then id(cursor, branch, "bound.id") end
  end)
end

local QUERIES = {
  [1] = function(cursor, branch)
    local collection = str(cursor, branch, "get.collection")
    for _ = 1, u16(cursor, branch, "get.count") do id(cursor, branch, "get.id") end
    return "get from " .. collection
  end,
  [2] = function(cursor, branch)
    local collection = str(cursor, branch, "scan.collection")
    flag_byte(cursor, branch, "scan", { "reserved", "reverse" })
    u64(cursor, branch, "scan.limit")
    bound(cursor, branch, "lower")
    bound(cursor, branch, "upper")
    return "scan of " .. collection
  end,
  [3] = function(cursor, branch)
    return "stats of " .. (optional_str(cursor, branch, "stats.collection") or "all")
  end,
}
local QUERY_TREES = { "get", "scan", "stats" }

MESSAGES[0x03] = function(cursor, tree)
  local number = u64(cursor, tree, "query.id")
  u64(cursor, tree, "query.frames")
  u64(cursor, tree, "query.bytes")
  local kind = u8(cursor, tree, "query.kind")
  -- P-4.3.2: what follows a reserved kind is not defined.
  if not QUERIES[kind] then
    if cursor:left() > 0 then tree:add(FIELDS["query.rest"], cursor:take(cursor:left(), "rest")) end
    return tostring(number) .. ", " .. (QUERY_KINDS[kind] or "of no known kind")
  end
  if u8(cursor, tree, "query.at_least") == 1 then position(cursor, tree, "at least") end
  cursor:need(1, "a query")
  local text = subtree(cursor, tree, QUERY_TREES[kind], QUERY_TREES[kind], function(branch)
    return QUERIES[kind](cursor, branch)
  end)
  return tostring(number) .. ", " .. text
end

MESSAGES[0x04] = function(cursor, tree)
  local number = u64(cursor, tree, "query_response.id")
  local flags = flag_byte(cursor, tree, "query_response", { "reserved", "last" })
  position(cursor, tree, "position")
  local count = u16(cursor, tree, "query_response.row_count")
  for index = 0, count - 1 do
    cursor:need(8, "a row")
    subtree(cursor, tree, "row", "row " .. index, function(branch)
      u64(cursor, branch, "row.seq")
      record(cursor, branch)
    end)
  end
  return tostring(number) .. ", " .. count .. " row(s)" .. (flags % 2 == 1 and ", last" or "")
end

MESSAGES[0x05] = function(cursor, tree)
  local number = u64(cursor, tree, "subscribe.id")
  u64(cursor, tree, "subscribe.frames")
  u64(cursor, tree, "subscribe.bytes")
  u8(cursor, tree, "subscribe.mode")
  if u8(cursor, tree, "subscribe.start") == 2 then position(cursor, tree, "after") end
  return tostring(number) .. " to " .. str(cursor, tree, "subscribe.collection")
end

MESSAGES[0x07] = function(cursor, tree)
  u8(cursor, tree, "ack.lane")
  local level = u8(cursor, tree, "ack.level")
  local number = u64(cursor, tree, "ack.number")
  u64(cursor, tree, "ack.unchanged")
  position(cursor, tree, "position")
  return tostring(number) .. " " .. (ACK_LEVELS[level] or level)
end

local function error_name(code)
  return ERRORS[code] or ("code " .. code)
end

MESSAGES[0x08] = function(cursor, tree)
  local scope = u8(cursor, tree, "error.scope")
  local number = u64(cursor, tree, "error.id")
  local code = u16(cursor, tree, "error.code")
  str(cursor, tree, "error.message")
  dict_or_null(cursor, tree, "detail")
  local subject = ERROR_SCOPES[scope] or ("scope " .. scope)
  return error_name(code) .. " of " .. subject .. (scope == 0 and "" or " " .. tostring(number))
end

local function change(cursor, tree, index)
  cursor:need(1, "a change")
  subtree(cursor, tree, "change", "change " .. index, function(branch)
    local kind = flag_byte(cursor, branch, "change", { "last", "kind" }) % 128
    local seq = u64(cursor, branch, "change.seq")
    if kind == 1 then
      record(cursor, branch)
    elseif kind == 2 then
      id(cursor, branch, "change.id")
    elseif kind ~= 3 then
      cursor:fail("a change of no known kind")
    end
    branch:set_text(CHANGE_KINDS[kind] .. " " .. tostring(seq))
  end)
end

MESSAGES[0x10] = function(cursor, tree)
  local number = u64(cursor, tree, "event.id")
  local kind = u8(cursor, tree, "event.kind")
  position(cursor, tree, "position")
  local count = 0
  if kind == 1 then
    count = u16(cursor, tree, "event.change_count")
    for index = 0, count - 1 do change(cursor, tree, index) end
  elseif kind == 3 then
    u16(cursor, tree, "event.code")
    position(cursor, tree, "oldest")
  elseif not EVENT_KINDS[kind] then
    cursor:fail("an event of no known kind")
  end
  return tostring(number) .. ", " .. (kind == 1 and (count .. " change(s)") or EVENT_KINDS[kind])
end

local function one_number(name)
  return function(cursor, tree) return tostring(u64(cursor, tree, name)) end
end

MESSAGES[0x11] = one_number("unsubscribe.id")
MESSAGES[0x12] = one_number("ping.nonce")
MESSAGES[0x17] = one_number("cancel.id")

MESSAGES[0x13] = function(cursor, tree)
  local nonce = u64(cursor, tree, "pong.nonce")
  clock(cursor, tree, "clock")
  return tostring(nonce)
end

MESSAGES[0x15] = function(cursor, tree)
  local code = u16(cursor, tree, "goodbye.code")
  u32(cursor, tree, "goodbye.retry_after_ms")
  str(cursor, tree, "goodbye.message")
  return code == 0 and "" or error_name(code)
end

MESSAGES[0x16] = function(cursor, tree)
  local scope = u8(cursor, tree, "credit.scope")
  local number = u64(cursor, tree, "credit.id")
  local frames = u64(cursor, tree, "credit.frames")
  u64(cursor, tree, "credit.bytes")
  local subject = scope == 2 and ("request " .. tostring(number)) or CREDIT_SCOPES[scope] or ("scope " .. scope)
  return subject .. ", " .. tostring(frames) .. " frames"
end

---------------------------------------------------------------- frames

-- The plain payload as a tvb and where it lies there; nil if it cannot be had.
local function plain_payload(tvb, tree, length)
  if length < 4 then
    tree:add_proto_expert_info(EXPERTS.bad_compression)
    return nil
  end
  local declared = tvb:range(HEADER_BYTES, 4):uint()
  tree:add(FIELDS["payload.plain_length"], tvb:range(HEADER_BYTES, 4))
  if length > 4 then tree:add(FIELDS["payload.block"], tvb:range(HEADER_BYTES + 4, length - 4)) end
  if not blaze.prefs.decompress then return nil end
  local block = length > 4 and tvb:raw(HEADER_BYTES + 4, length - 4) or ""
  local believed = declared <= MAX_PAYLOAD_BYTES and declared > length and declared <= MAX_RATIO * #block
  local plain = believed and lz4_block(block, declared)
  if not plain then
    tree:add_proto_expert_info(EXPERTS.bad_compression)
    return nil
  end
  return ByteArray.new(plain, true):tvb("Decompressed payload")
end

-- Reads the message and what may stand behind it (P-3.2).
local function message(cursor, tree, message_type)
  local text = MESSAGES[message_type](cursor, tree)
  if cursor:left() > 0 then
    if cursor:peek("extension") ~= 0x09 then cursor:fail("bytes behind the last field") end
    cursor.extension = true
    subtree(cursor, tree, "extension", "extension", function(branch) value(cursor, branch, "dict", 1) end)
    if cursor:left() > 0 then cursor:fail("bytes behind the extension") end
  end
  return text
end

local function dissect_payload(tvb, tree, message_type, length, compressed)
  if not MESSAGES[message_type] then
    if length > 0 then tree:add(FIELDS["payload"], tvb:range(HEADER_BYTES, length)) end
    local is_reserved = message_type == 0x06 or message_type == 0x14
    tree:add_proto_expert_info(is_reserved and EXPERTS.reserved or EXPERTS.unknown_type)
    return ""
  end
  local cursor
  if compressed then
    local plain = plain_payload(tvb, tree, length)
    if not plain then return "compressed" end
    cursor = new_cursor(plain, 0, plain:len())
  else
    cursor = new_cursor(tvb, HEADER_BYTES, HEADER_BYTES + length)
  end
  local done, outcome = pcall(message, cursor, tree, message_type)
  if done then return outcome end
  local text = fault_text(outcome)
  tree:add_proto_expert_info(EXPERTS.malformed, text)
  return "malformed: " .. text
end

-- P-2.6, as far as one frame shows it.
local function flags_are_wrong(message_type, flags)
  local compressed, encrypted, requires_ack = flags % 2 == 1, flags % 4 > 1, flags % 8 > 3
  return flags > 7 or encrypted
    or (message_type == 0x01 and compressed)
    or (message_type == 0x02 and not requires_ack)
    or (requires_ack and message_type ~= 0x02 and message_type ~= 0x06)
end

-- Of each direction of each stream the sequence that comes next; of each frame that was seen, what was expected.
local expected_next = {}
local verdicts = {}

local tcp_stream = Field.new("tcp.stream")

local function stream_key()
  local stream = tcp_stream()
  return stream and tostring(stream.value) or ""
end

-- The sequence that was expected, where this frame has another.
local function expected_sequence(pinfo, sequence, crc)
  local frame_key = pinfo.number .. ":" .. sequence .. ":" .. crc
  if not pinfo.visited then
    local direction = stream_key() .. ":" .. tostring(pinfo.src) .. ":" .. pinfo.src_port
    local expected = expected_next[direction]
    if expected and expected ~= sequence then verdicts[frame_key] = expected end
    expected_next[direction] = (sequence + 1) % 16777216
  end
  return verdicts[frame_key]
end

-- One frame, which is all of `tvb`.
local function dissect_frame(tvb, pinfo, tree)
  local message_type, length = tvb:range(6, 1):uint(), tvb:range(7, 4):uint()
  local flags, sequence = tvb:range(11, 1):uint(), tvb:range(12, 3):uint()
  local name = TYPES[message_type] or string.format("type %02x", message_type)
  local frame = tree:add(blaze, tvb:range(0, HEADER_BYTES + length + TRAILER_BYTES), "BLAZE " .. name)
  local header = frame:add(FIELDS["header"], tvb:range(0, HEADER_BYTES), "")
  header:set_text("header")
  header:add(FIELDS["header.magic"], tvb:range(0, 5))
  header:add(FIELDS["header.version"], tvb:range(5, 1))
  header:add(FIELDS["header.type"], tvb:range(6, 1))
  header:add(FIELDS["header.length"], tvb:range(7, 4))
  local flag_tree = header:add(FIELDS["header.flags"], tvb:range(11, 1))
  for _, flag in ipairs({ "reserved", "requires_ack", "encrypted", "compressed" }) do
    flag_tree:add(FIELDS["header." .. flag], tvb:range(11, 1))
  end
  if flags_are_wrong(message_type, flags) then flag_tree:add_proto_expert_info(EXPERTS.bad_flags) end
  local trailer = tvb:range(HEADER_BYTES + length, TRAILER_BYTES)
  local stored = trailer:uint()
  local sequence_item = header:add(FIELDS["header.sequence"], tvb:range(12, 3))
  local expected = expected_sequence(pinfo, sequence, stored)
  if expected then sequence_item:add_proto_expert_info(EXPERTS.sequence_gap, "Expected sequence " .. expected) end

  local computed = blaze.prefs.check_crc and crc32(tvb:raw(0, HEADER_BYTES + length)) or stored
  local text
  if computed == stored then
    local branch = frame:add(FIELDS["message"], tvb:range(HEADER_BYTES, math.max(length, 1)), name)
    branch:set_len(length)
    branch:set_text(name)
    text = dissect_payload(tvb, branch, message_type, length, flags % 2 == 1)
  else
    -- P-2.5: the payload of a frame with a wrong CRC is not looked at.
    if length > 0 then frame:add(FIELDS["payload"], tvb:range(HEADER_BYTES, length)) end
    text = "wrong CRC"
  end
  local crc_item = frame:add(FIELDS["crc"], trailer)
  if computed == stored then
    crc_item:append_text(blaze.prefs.check_crc and " (right)" or " (not checked)")
  else
    crc_item:append_text(string.format(" (wrong: the bytes give 0x%08x)", computed))
    crc_item:add_proto_expert_info(EXPERTS.bad_crc)
  end
  frame:set_text("BLAZE " .. name .. (text == "" and "" or " " .. text))
  pinfo.cols.info:append((text == "" and name or name .. " " .. text) .. "; ")
end

-- Whether what is there of a frame's beginning may be one.
local function may_be_frame(tvb, at)
  local bytes = tvb:raw(at, math.min(#MAGIC, tvb:len() - at))
  return MAGIC:sub(1, #bytes) == bytes
end

-- The length of the frame that begins at `at`; nil where none does. Before its header is there, that of the header.
local function frame_length(tvb, at)
  if not may_be_frame(tvb, at) then return nil end
  if tvb:len() - at < HEADER_BYTES then return HEADER_BYTES end
  local length = tvb:range(at + 7, 4):uint()
  return length <= MAX_PAYLOAD_BYTES and HEADER_BYTES + length + TRAILER_BYTES or nil
end

local function pass_over(tvb, at, count, pinfo, tree, cause)
  local branch = tree:add(blaze, tvb:range(at, count), "BLAZE: no frame")
  branch:add(FIELDS["passed_over"], tvb:range(at, count))
  branch:add_proto_expert_info(EXPERTS[cause])
  pinfo.cols.info:append("no frame; ")
end

-- The frames of a piece of a stream. `can_wait`: more of the stream may come, and a frame that is not all there is asked
-- for again with it.
local function dissect_frames(tvb, pinfo, tree, can_wait)
  local at = 0
  while at < tvb:len() do
    local left = tvb:len() - at
    local length = frame_length(tvb, at)
    if not length then
      local next_frame = tvb:raw(at, left):find(MAGIC, 2, true)
      length = next_frame and next_frame - 1 or left
      pass_over(tvb, at, length, pinfo, tree, "no_frame")
    elseif length > left or length == HEADER_BYTES then
      if can_wait then
        pinfo.desegment_offset = at
        pinfo.desegment_len = length > HEADER_BYTES and length - left or DESEGMENT_ONE_MORE_SEGMENT
        return
      end
      length = left
      pass_over(tvb, at, left, pinfo, tree, "cut_off")
    else
      dissect_frame(tvb:range(at, length):tvb(), pinfo, tree)
    end
    at = at + length
  end
end

local function begin_packet(pinfo)
  pinfo.cols.protocol = "BLAZE"
  pinfo.cols.info = ""
end

---------------------------------------------------------------- doors

-- What else may speak on the port, by the first bytes of a stream.
local OTHER_PROTOCOLS = {
  { "GET ", "http" }, { "POST", "http" }, { "HEAD", "http" }, { "HTTP", "http" }, { "OPTI", "http" }, { "PUT ", "http" },
  { "\22\3", "tls" },
}
-- By stream: the dissector to which it was passed on.
local passed_on = {}

local function other_protocol(tvb)
  local key = stream_key()
  if passed_on[key] == nil then
    passed_on[key] = false
    local first = tvb:raw(0, math.min(4, tvb:len()))
    for _, other in ipairs(OTHER_PROTOCOLS) do
      if first:sub(1, #other[1]) == other[1] then passed_on[key] = other[2] end
    end
  end
  return passed_on[key] and Dissector.get(passed_on[key])
end

function blaze.dissector(tvb, pinfo, tree)
  local other = other_protocol(tvb)
  if other then
    -- Each call takes one from it, and this one stands between TCP and a dissector that reassembles by itself.
    if pinfo.can_desegment > 0 then pinfo.can_desegment = pinfo.can_desegment + 1 end
    return other:call(tvb, pinfo, tree)
  end
  begin_packet(pinfo)
  -- What the trace holds only the beginning of is not waited for.
  local is_whole = tvb:len() == tvb:reported_len()
  dissect_frames(tvb, pinfo, tree, pinfo.can_desegment > 0 and is_whole)
  return tvb:len()
end

-- P-2.1: a binary message carries one or more whole frames.
function blaze_ws.dissector(tvb, pinfo, tree)
  begin_packet(pinfo)
  dissect_frames(tvb, pinfo, tree, false)
  return tvb:len()
end

local tcp_port = DissectorTable.get("tcp.port")
local registered_port = blaze.prefs.port
tcp_port:add(registered_port, blaze)
DissectorTable.get("tls.port"):add(registered_port, blaze)
DissectorTable.get("ws.protocol"):add("blaze.v1", blaze_ws)

blaze:register_heuristic("tcp", function(tvb, pinfo, tree)
  if tvb:len() < HEADER_BYTES or not may_be_frame(tvb, 0) or not TYPES[tvb:range(6, 1):uint()] then return false end
  pinfo.conversation = blaze
  blaze.dissector(tvb, pinfo, tree)
  return true
end)

function blaze.prefs_changed()
  if blaze.prefs.port ~= registered_port then
    tcp_port:remove(registered_port, blaze)
    registered_port = blaze.prefs.port
    tcp_port:add(registered_port, blaze)
  end
end

function blaze.init()
  expected_next, verdicts, passed_on = {}, {}, {}
end

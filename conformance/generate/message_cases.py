"""messages.json: payloads of every type, from both sides: what they say, and what is refused."""

from blazebinary import encode_record, encode_value
from cases import Cases
from messages import decode, encode
from samples import (ACK, BOARD, CONNECTION, ERROR, HELLO, ID_A, ID_B, ID_C, INSERT, NODE, NOTE_A, NOTE_B, OPERATION,
                     POSITION_41, POSITION_42, POSITION_ZERO, QUERY, RECORD_A, RECORD_B, RESPONSE, SUBSCRIBE, WELCOME,
                     but, operation, event)
from wire import Fault, TYPES, framed_record, ident, u16, u32, u64, u8

U64 = str(2 ** 64 - 1)


def messages():
    out = Cases("messages.json", "Payloads: y_ are decoded to the message and, unless it has an extension, encoded to the "
                "same bytes; n_ are refused with the code at the offset in the payload, and answered within the scope.")
    for add in (handshakes, operations, queries, responses, subscriptions, acks, errors, events, small_ones, extensions,
                reserved):
        add(Adder(out))
    return out


class Adder:
    def __init__(self, out):
        self.out = out

    def good(self, name, clauses, message):
        number, payload = encode(message)
        if decode(number, payload) != message:
            raise ValueError("%s: %s" % (name, decode(number, payload)))
        self.out.add("y_" + name, clauses, type=number, hex=payload, message=message)

    def bad(self, name, clauses, type_name, payload, code, offset):
        number = TYPES[type_name] if isinstance(type_name, str) else type_name
        try:
            decode(number, payload)
        except Fault as fault:
            if (fault.code, fault.offset) != (code, offset):
                raise ValueError("n_%s: %s" % (name, fault)) from None
            members = {} if offset is None else {"offset": offset}
            self.out.add("n_" + name, clauses, type=number, hex=payload, code=code, **members, scope=fault.scope,
                         id=str(fault.id))
            return
        raise ValueError("n_%s is accepted" % name)

    def cuts(self, name, clauses, message, fields):
        """The payload cut inside each field: (name of the field, its offset, its length)."""
        number, payload = encode(message)
        end = 0
        for field, offset, length in fields:
            if offset != end:
                raise ValueError("%s: %s does not follow" % (name, field))
            end = offset + length
            self.bad("%s_cut_in_%s" % (name, field), "P-3.4 P-3.7 " + clauses, number, payload[:end - 1], "truncated",
                     offset)
        if end != len(payload):
            raise ValueError("%s has %d bytes, not %d" % (name, len(payload), end))

    def patched(self, name, clauses, message, offset, replacement, code, length=None, at=None):
        """The payload with the bytes at `offset` replaced."""
        number, payload = encode(message)
        end = offset + (len(replacement) if length is None else length)
        self.bad(name, clauses, number, payload[:offset] + replacement + payload[end:], code, offset if at is None else at)


def handshakes(add):
    add.good("hello", "P-4.1", HELLO)
    add.good("hello_resuming", "P-4.1 C-10.1", but(HELLO, node=NODE, next_operation="42", oldest_unacked="40"))
    add.good("hello_all_acknowledged", "P-4.1", but(HELLO, node=NODE, next_operation="42", oldest_unacked="42"))
    add.good("hello_greatest_numbers", "P-4.1", but(HELLO, min_version=1, max_version=255, next_operation=U64,
                                                    oldest_unacked=U64, heartbeat_ms=2 ** 32 - 1))
    add.good("hello_versions_beyond", "P-4.1", but(HELLO, min_version=2, max_version=2))
    add.good("hello_heartbeat_0", "P-4.1 C-2.4", but(HELLO, heartbeat_ms=0))
    add.good("hello_no_capabilities", "P-4.1.1", but(HELLO, capabilities=[]))
    add.good("hello_unknown_capabilities", "P-4.1.1", but(HELLO, capabilities=["a", "lz4", "lz4hc", "\u00e9"]))
    many = ["c%02d" % n for n in range(64)]
    add.good("hello_64_capabilities", "P-3.6", but(HELLO, capabilities=many))
    add.good("hello_capability_of_32_bytes", "P-3.6", but(HELLO, capabilities=["c" * 32]))
    add.good("hello_agent_empty", "P-3.6", but(HELLO, agent=""))
    add.good("hello_agent_of_128_bytes", "P-3.6", but(HELLO, agent="\u00e9" * 64))
    for name in ("a", "0", "_", "-", "my-app_2", "d" * 64):
        add.good("hello_database_%s" % {"-": "dash", "_": "underscore"}.get(name, name[:8].replace("-", "_")), "P-1.8",
                 but(HELLO, database=name))
    add.good("welcome", "P-4.1", WELCOME)
    add.good("welcome_least", "P-4.1", but(
        WELCOME, version=1, node_decided="0", operation_window=1, heartbeat_ms=5000, work_frames="1", work_bytes="1",
        telemetry_frames="0", telemetry_bytes="0", request_limit=1, clock="0", position=POSITION_ZERO, agent="",
        capabilities=[]))
    add.good("welcome_most", "P-4.1", but(
        WELCOME, version=255, node_decided=U64, operation_window=1024, heartbeat_ms=60000, work_frames=U64,
        work_bytes=U64, telemetry_frames=U64, telemetry_bytes=U64, request_limit=65535, clock=U64, position="f" * 32,
        agent="a" * 128))
    add.cuts("hello", "P-4.1", HELLO, [
        ("kind", 0, 1), ("min_version", 1, 1), ("max_version", 2, 1), ("next_operation", 3, 8),
        ("oldest_unacked", 11, 8), ("heartbeat_ms", 19, 4), ("database", 23, 5), ("agent", 28, 6), ("node", 34, 1),
        ("capabilities", 35, 7)])
    add.cuts("welcome", "P-4.1", WELCOME, [
        ("kind", 0, 1), ("version", 1, 1), ("node_decided", 2, 8), ("operation_window", 10, 2), ("heartbeat_ms", 12, 4),
        ("work_frames", 16, 8), ("work_bytes", 24, 8), ("telemetry_frames", 32, 8), ("telemetry_bytes", 40, 8),
        ("request_limit", 48, 2), ("clock", 50, 8), ("position", 58, 16), ("connection", 74, 17), ("node", 91, 17),
        ("agent", 108, 14), ("capabilities", 122, 7)])
    for kind in (0, 3, 255):
        add.patched("handshake_kind_%d" % kind, "P-4.1 P-3.4", HELLO, 0, u8(kind), "invalid_field")
    hello = [
        ("min_version_0", "P-4.1", 1, u8(0), "invalid_field"),
        ("max_version_below_min", "P-4.1 P-3.7", 2, u8(0), "invalid_field"),
        ("next_operation_0", "P-4.1", 3, u64(0), "invalid_field"),
        ("oldest_unacked_0", "P-4.1", 11, u64(0), "invalid_field"),
        ("oldest_unacked_above_next", "P-4.1 P-3.7", 11, u64(2), "invalid_field"),
        ("database_is_an_int", "P-1.2", 23, b"\x02\xff\xff\xff\xff", "invalid_value"),
        ("database_not_utf8", "P-1.2", 24, b"\xff", "invalid_value"),
        ("database_unknown_tag", "P-1.2", 23, b"\xf0", "invalid_value"),
        ("database_upper_case", "P-1.8", 24, b"M", "invalid_name"),
        ("database_with_a_dot", "P-1.8", 24, b".", "invalid_name"),
        ("database_with_a_slash", "P-1.8", 24, b"/", "invalid_name"),
        ("database_with_a_line_feed_last", "P-1.8", 27, b"\n", "invalid_name"),
        ("agent_is_data", "P-1.2", 28, b"\x07", "truncated"),
        ("node_is_true", "P-1.2", 34, b"\x12", "invalid_value"),
    ]
    for name, clauses, offset, replacement, code in hello:
        at = {24: 23, 27: 23}.get(offset, offset)
        add.patched("hello_" + name, clauses, HELLO, offset, replacement, code, at=at)
    add.patched("hello_database_empty", "P-1.8", HELLO, 23, b"\x11", "invalid_name", 5)
    add.patched("hello_database_of_65_bytes", "P-1.8", HELLO, 23, encode_value("d" * 65), "invalid_name", 5)
    add.patched("hello_database_null", "P-1.2", HELLO, 23, b"\x0b", "invalid_value", 5)
    add.patched("hello_database_long_form", "P-1.2", HELLO, 23, b"\x01\0\0\0\x04main", "invalid_value", 5)
    add.patched("hello_agent_of_129_bytes", "P-3.6", HELLO, 28, encode_value("a" * 129), "invalid_field", 6)
    add.patched("hello_node_is_a_string", "P-1.2", HELLO, 34, b"\x2121"[:2], "invalid_value", 1)
    for name, capabilities, code in (
            ("unsorted", ["lz4", "a"], "invalid_field"), ("twice", ["a", "a"], "invalid_field"),
            ("65", ["c%02d" % n for n in range(65)], "invalid_field"), ("of_33_bytes", ["c" * 33], "invalid_field"),
            ("null", None, "invalid_value"), ("a_string", "lz4", "invalid_value"), ("of_ints", [1], "invalid_value"),
            ("a_dict", {"a": 1}, "invalid_value")):
        add.patched("hello_capabilities_" + name, "P-3.6 P-1.9" if code == "invalid_field" else "P-1.2", HELLO, 35,
                    encode_value(capabilities), code, 7)
    for name, clauses, offset, replacement in (
            ("operation_window_0", "P-4.1", 10, u16(0)), ("operation_window_1025", "P-4.1", 10, u16(1025))):
        add.patched("welcome_" + name, clauses, WELCOME, offset, replacement, "invalid_field")
    add.patched("welcome_node_null", "P-1.2 P-4.1", WELCOME, 91, b"\x0b", "invalid_value", 17)
    add.patched("welcome_connection_null", "P-1.2 P-4.1", WELCOME, 74, b"\x0b", "invalid_value", 17)
    add.patched("welcome_capabilities_unsorted", "P-1.9", WELCOME, 122, encode_value(["b", "a"]), "invalid_field", 7)


def operations(add):
    add.good("operation_insert", "P-4.2", OPERATION)
    add.good("operation_number_greatest", "P-4.2", but(OPERATION, number=U64))
    for level in ("accepted", "durable", "replicated"):
        add.good("operation_%s" % level, "P-4.2", but(OPERATION, ack_level=level))
    actions = {
        "insert_with_base_0": {"kind": "insert", "base": "0", "record": NOTE_A},
        "upsert": {"kind": "upsert", "record": NOTE_A},
        "upsert_with_base": {"kind": "upsert", "base": "41", "record": NOTE_A},
        "upsert_skip_unchanged": {"kind": "upsert", "skip_unchanged": True, "record": NOTE_A},
        "upsert_with_base_skip_unchanged": {"kind": "upsert", "base": U64, "skip_unchanged": True, "record": NOTE_A},
        "patch": {"kind": "patch", "id": ID_A, "remove": ["due", "title"], "set": BOARD},
        "patch_with_base": {"kind": "patch", "base": "7", "id": ID_A, "remove": [], "set": BOARD},
        "patch_of_nothing": {"kind": "patch", "id": ID_A, "remove": [], "set": encode_record({}).hex()},
        "delete": {"kind": "delete", "id": ID_A},
        "delete_with_base": {"kind": "delete", "base": "41", "id": ID_A},
        "check": {"kind": "check", "base": "41", "id": ID_A},
        "check_that_it_is_not_there": {"kind": "check", "base": "0", "id": ID_A},
        "drop": {"kind": "drop"},
        "insert_of_layout_2": {"kind": "insert", "record": encode_record(RECORD_A, 2).hex()},
        "insert_of_no_bytes": {"kind": "insert", "record": ""},
    }
    for name, action in actions.items():
        add.good("operation_%s" % name, "P-4.2 P-4.2.1", operation("1", action))
    add.good("operation_batch", "P-4.2", but(OPERATION, groups=[
        {"collection": "notes", "operations": [{"kind": "insert", "record": NOTE_A}, {"kind": "delete", "id": ID_B}]},
        {"collection": "boards", "operations": [{"kind": "drop"}, {"kind": "upsert", "record": BOARD}]},
        {"collection": "notes", "operations": [{"kind": "check", "base": "0", "id": ID_C}]}]))
    for name in ("a", "Z", "_", "A_9z", "c" * 64):
        add.good("operation_collection_%s" % {"Z": "upper", "_": "underscore"}.get(name, name[:4].lower()), "P-1.8",
                 but(OPERATION, groups=[{"collection": name, "operations": [{"kind": "drop"}]}]))
    record = len(NOTE_A) // 2
    add.cuts("operation", "P-4.2", OPERATION, [
        ("number", 0, 8), ("ack_level", 8, 1), ("groups", 9, 2), ("collection", 11, 6), ("operations", 17, 2),
        ("kind", 19, 1), ("record", 20, 8 + record)])
    patch = operation("9", {"kind": "patch", "base": "7", "id": ID_A, "remove": ["due"], "set": BOARD})
    add.cuts("operation_patch", "P-4.2", patch, [
        ("number", 0, 8), ("ack_level", 8, 1), ("groups", 9, 2), ("collection", 11, 6), ("operations", 17, 2),
        ("kind", 19, 1), ("base", 20, 8), ("id", 28, 16), ("remove", 44, 7), ("set", 51, 8 + len(BOARD) // 2)])
    add.patched("operation_number_0", "P-4.2 P-3.5", OPERATION, 0, u64(0), "invalid_field")
    for level in (3, 255):
        add.patched("operation_ack_level_%d" % level, "P-3.4", OPERATION, 8, u8(level), "invalid_field")
    add.patched("operation_no_groups", "P-3.4", OPERATION, 9, u16(0), "invalid_field")
    add.patched("operation_no_operations", "P-3.4", OPERATION, 17, u16(0), "invalid_field")
    add.patched("operation_lacks_a_group", "P-3.4", OPERATION, 9, u16(2), "truncated", at=28 + record)
    add.patched("operation_lacks_an_operation", "P-3.4", OPERATION, 17, u16(2), "truncated", at=28 + record)
    for name, replacement in (("digit_first", encode_value("1notes")), ("dash", encode_value("my-notes")),
                              ("empty", b"\x11"), ("of_65_bytes", encode_value("c" * 65)),
                              ("not_ascii", encode_value("n\u00f6te")), ("nul", encode_value("note\0"))):
        add.patched("operation_collection_" + name, "P-1.8", OPERATION, 11, replacement, "invalid_name", 6)
    add.patched("operation_collection_a_number", "P-1.2", OPERATION, 11, b"\x12\x05", "invalid_value", 6)
    for name, kind, clauses in (
            ("0", 0x00, "P-3.4"), ("7", 0x07, "P-3.4"), ("15", 0x0f, "P-3.4"), ("bit_4", 0x11, "P-4.2.1"),
            ("bit_5", 0x21, "P-4.2.1"), ("insert_skip_unchanged", 0x41, "P-4.2.1"),
            ("patch_skip_unchanged", 0x43, "P-4.2.1"), ("delete_skip_unchanged", 0x44, "P-4.2.1"),
            ("check_skip_unchanged", 0xc5, "P-4.2.1"), ("check_without_base", 0x05, "P-4.2.1"),
            ("drop_with_base", 0x86, "P-4.2.1"), ("drop_skip_unchanged", 0x46, "P-4.2.1")):
        add.patched("operation_kind_" + name, clauses, OPERATION, 19, u8(kind), "invalid_field")
    late = but(OPERATION, groups=[{"collection": "notes", "operations": [{"kind": "delete", "id": ID_A},
                                                                         {"kind": "drop"}]}])
    number, payload = encode(late)
    add.bad("operation_drop_not_first", "P-4.2.5", number, payload, "invalid_field", 36)
    add.patched("operation_record_crc", "P-1.6", OPERATION, 24, b"\0\0\0\0", "record_checksum_mismatch", at=20)
    add.patched("operation_record_damaged", "P-1.6", OPERATION, 28, b"C", "record_checksum_mismatch", at=20)
    add.patched("operation_record_too_large", "P-1.6", OPERATION, 20, u32(2 ** 20 + 1), "record_too_large")
    add.patched("operation_record_claims_4_gib", "P-1.6", OPERATION, 20, u32(2 ** 32 - 1), "record_too_large")
    add.patched("operation_record_longer_than_the_payload", "P-3.4", OPERATION, 20, u32(record + 1), "truncated")
    for name, remove, code in (("unsorted", ["b", "a"], "invalid_field"), ("twice", ["a", "a"], "invalid_field"),
                               ("twice_in_other_spelling", ["e\u0301", "\u00e9"], "invalid_field"),
                               ("by_byte", ["id", "createdAt"], "invalid_field"), ("null", None, "invalid_value"),
                               ("of_ints", [1], "invalid_value")):
        add.patched("operation_patch_removes_" + name, "P-4.2 P-1.9" if code == "invalid_field" else "P-1.2", patch, 44,
                    encode_value(remove), code, 7)
    add.patched("operation_patch_record_crc", "P-1.6", patch, 55, b"\0\0\0\0", "record_checksum_mismatch", at=51)
    add.bad("operation_first_of_two_faults", "P-3.7", "operation",
            u64(5) + u8(9) + u16(0), "invalid_field", 8)


def queries(add):
    get = but(QUERY, ids=[ID_A])
    add.good("query_get", "P-4.3", get)
    add.good("query_get_many", "P-4.3", but(QUERY, ids=[ID_B, ID_A, ID_C, ID_B]))
    add.good("query_get_at_least", "P-4.3", but(get, at_least=POSITION_42))
    add.good("query_get_no_credit", "P-4.3 P-9.6", but(get, frames="0", bytes="0"))
    add.good("query_get_most", "P-4.3", but(get, id=U64, frames=U64, bytes=U64))
    scan = {"is": "query", "id": "2", "frames": "16", "bytes": "1048576", "kind": "scan", "at_least": None,
            "collection": "notes", "reverse": False, "limit": "0", "lower": {"kind": "none"}, "upper": {"kind": "none"}}
    add.good("query_scan", "P-4.3", scan)
    add.good("query_scan_reverse", "P-4.3", but(scan, reverse=True, limit="10"))
    for lower in ("inclusive", "exclusive"):
        for upper in ("inclusive", "exclusive"):
            add.good("query_scan_%s_%s" % (lower, upper), "P-4.3", but(
                scan, limit=U64, lower={"kind": lower, "id": ID_A}, upper={"kind": upper, "id": ID_B}))
    add.good("query_scan_bounds_crossed", "P-4.3", but(scan, lower={"kind": "inclusive", "id": ID_B},
                                                       upper={"kind": "exclusive", "id": ID_A}))
    add.good("query_scan_at_least", "P-4.3", but(scan, at_least=POSITION_41))
    stats = {"is": "query", "id": "3", "frames": "1", "bytes": "1", "kind": "stats", "at_least": None, "collection": None}
    add.good("query_stats", "P-4.3", stats)
    add.good("query_stats_of_one", "P-4.3", but(stats, collection="notes"))
    add.good("query_stats_at_least", "P-4.3", but(stats, at_least=POSITION_ZERO))
    add.cuts("query_get", "P-4.3", but(get, at_least=POSITION_42), [
        ("id", 0, 8), ("frames", 8, 8), ("bytes", 16, 8), ("kind", 24, 1), ("at_least", 25, 1), ("position", 26, 16),
        ("collection", 42, 6), ("count", 48, 2), ("ids", 50, 16)])
    both = but(scan, lower={"kind": "inclusive", "id": ID_A}, upper={"kind": "exclusive", "id": ID_B})
    add.cuts("query_scan", "P-4.3", both, [
        ("id", 0, 8), ("frames", 8, 8), ("bytes", 16, 8), ("kind", 24, 1), ("at_least", 25, 1), ("collection", 26, 6),
        ("flags", 32, 1), ("limit", 33, 8), ("lower", 41, 1), ("lower_id", 42, 16), ("upper", 58, 1),
        ("upper_id", 59, 16)])
    add.cuts("query_stats", "P-4.3", but(stats, collection="notes"), [
        ("id", 0, 8), ("frames", 8, 8), ("bytes", 16, 8), ("kind", 24, 1), ("at_least", 25, 1), ("collection", 26, 6)])
    add.patched("query_id_0", "P-4.3 P-3.5", scan, 0, u64(0), "invalid_field")
    for kind in (0, 6, 255):
        add.patched("query_kind_%d" % kind, "P-3.4", scan, 24, u8(kind), "invalid_field")
    for kind in (4, 5):
        add.patched("query_kind_%d" % kind, "P-4.3.2", scan, 24, u8(kind), "not_supported")
        number, payload = encode(scan)
        add.bad("query_kind_%d_and_nothing" % kind, "P-4.3.2", number, payload[:24] + u8(kind), "not_supported", 24)
    for byte in (2, 255):
        add.patched("query_at_least_%d" % byte, "P-3.4", scan, 25, u8(byte), "invalid_field")
    add.patched("query_scan_flag_1", "P-3.4", scan, 32, u8(2), "invalid_field")
    add.patched("query_scan_flag_7", "P-3.4", scan, 32, u8(0x81), "invalid_field")
    add.patched("query_scan_lower_3", "P-3.4", both, 41, u8(3), "invalid_field")
    add.patched("query_scan_upper_3", "P-3.4", both, 58, u8(3), "invalid_field")
    add.patched("query_scan_collection_null", "P-1.2", scan, 26, b"\x0b", "invalid_value", 6)
    add.patched("query_scan_collection_name", "P-1.8", scan, 27, b"9", "invalid_name", at=26)
    add.patched("query_stats_collection_int", "P-1.2", stats, 26, b"\x12\x01", "invalid_value", 1)
    add.patched("query_stats_collection_empty", "P-1.8", stats, 26, b"\x11", "invalid_name", 1)
    add.patched("query_get_no_ids", "P-3.4", get, 32, u16(0), "invalid_field")
    add.patched("query_get_lacks_an_id", "P-3.7", get, 32, u16(2), "truncated", at=34)
    add.patched("query_get_one_id_more", "P-3.2", get, 50, ident(ID_B), "trailing_bytes")


def responses(add):
    add.good("query_response", "P-4.4", RESPONSE)
    add.good("query_response_not_the_last", "P-4.4", but(RESPONSE, last=False))
    add.good("query_response_no_rows", "P-4.4", but(RESPONSE, rows=[]))
    add.good("query_response_made_up", "P-4.4", but(RESPONSE, rows=[{"seq": "0", "record": encode_record(
        {"collection": "notes", "database": "main", "deletions": 0, "records": 2}).hex()}]))
    add.good("query_response_most", "P-4.4", but(RESPONSE, id=U64, position="f" * 32,
                                                 rows=[{"seq": U64, "record": NOTE_A}] * 3))
    record = len(NOTE_A) // 2
    one = but(RESPONSE, rows=[{"seq": "41", "record": NOTE_A}])
    add.cuts("query_response", "P-4.4", one, [
        ("id", 0, 8), ("flags", 8, 1), ("position", 9, 16), ("rows", 25, 2), ("seq", 27, 8), ("record", 35, 8 + record)])
    add.patched("query_response_id_0", "P-4.4 P-4.3", one, 0, u64(0), "invalid_field")
    add.patched("query_response_flag_1", "P-3.4", one, 8, u8(3), "invalid_field")
    add.patched("query_response_flag_7", "P-3.4", one, 8, u8(0x80), "invalid_field")
    add.patched("query_response_lacks_a_row", "P-3.4", one, 25, u16(2), "truncated", at=43 + record)
    add.patched("query_response_a_row_too_many", "P-3.2", one, 25, u16(0), "trailing_bytes", at=27)
    add.patched("query_response_record_crc", "P-1.6", one, 39, b"\1\2\3\4", "record_checksum_mismatch", at=35)
    add.patched("query_response_record_too_large", "P-1.6", one, 35, u32(2 ** 20 + 1), "record_too_large")


def subscriptions(add):
    add.good("subscribe", "P-4.5", SUBSCRIBE)
    for mode in ("all", "latest"):
        for start in ("now", "snapshot"):
            add.good("subscribe_%s_%s" % (mode, start), "P-4.5", but(SUBSCRIBE, mode=mode, start=start))
        add.good("subscribe_%s_after" % mode, "P-4.5", but(SUBSCRIBE, mode=mode, start="after", after=POSITION_42))
    add.good("subscribe_no_credit", "P-4.5 P-9.6", but(SUBSCRIBE, frames="0", bytes="0"))
    after = but(SUBSCRIBE, start="after", after=POSITION_42)
    add.cuts("subscribe", "P-4.5", {**{k: v for k, v in after.items() if k != "collection"}, "collection": "notes"}, [
        ("id", 0, 8), ("frames", 8, 8), ("bytes", 16, 8), ("mode", 24, 1), ("start", 25, 1), ("position", 26, 16),
        ("collection", 42, 6)])
    add.patched("subscribe_id_0", "P-4.5 P-3.5", SUBSCRIBE, 0, u64(0), "invalid_field")
    for byte in (0, 3, 255):
        add.patched("subscribe_mode_%d" % byte, "P-3.4", SUBSCRIBE, 24, u8(byte), "invalid_field")
    for byte in (3, 255):
        add.patched("subscribe_start_%d" % byte, "P-3.4", SUBSCRIBE, 25, u8(byte), "invalid_field")
    add.patched("subscribe_start_after_without_position", "P-3.4", SUBSCRIBE, 25, u8(2), "truncated", at=26)
    add.patched("subscribe_collection_name", "P-1.8", SUBSCRIBE, 27, b"-", "invalid_name", at=26)
    add.patched("subscribe_collection_null", "P-1.2", SUBSCRIBE, 26, b"\x0b", "invalid_value", 6)


def acks(add):
    add.good("ack", "P-4.6", ACK)
    for level in ("accepted", "durable", "replicated"):
        add.good("ack_%s" % level, "P-4.6", but(ACK, level=level))
    add.good("ack_telemetry", "P-4.6", but(ACK, lane="telemetry"))
    add.good("ack_unchanged", "P-4.6", but(ACK, unchanged="12"))
    add.good("ack_most", "P-4.6", but(ACK, number=U64, unchanged=U64, position="f" * 32))
    add.cuts("ack", "P-4.6", ACK, [("lane", 0, 1), ("level", 1, 1), ("number", 2, 8), ("unchanged", 10, 8),
                                   ("position", 18, 16)])
    add.patched("ack_lane_2", "P-3.4", ACK, 0, u8(2), "invalid_field")
    add.patched("ack_level_3", "P-3.4", ACK, 1, u8(3), "invalid_field")
    add.patched("ack_number_0", "P-4.6", ACK, 2, u64(0), "invalid_field")


def errors(add):
    add.good("error_of_an_operation", "P-4.7", ERROR)
    add.good("error_of_a_request", "P-4.7", but(ERROR, scope="request", id="9", code=202, message="", detail=None))
    add.good("error_of_the_connection", "P-4.7", but(ERROR, scope="connection", id="0", code=6, detail=None))
    add.good("error_with_everything", "P-4.7.1", but(ERROR, detail={
        "clock": {"$int": "112365469532160003"}, "item": 0, "offset": 20, "retry_after_ms": 1000, "versions": [1]}))
    add.good("error_with_unknown_keys", "P-4.7.1", but(ERROR, detail={"later": {"$double": "0x3ff0000000000000"}}))
    add.good("error_of_unknown_code", "P-4.7", but(ERROR, code=65535))
    add.good("error_message_of_1024_bytes", "P-3.6", but(ERROR, message="\u00e9" * 512))
    short = but(ERROR, message="no", detail=None)
    add.cuts("error", "P-4.7", short, [("scope", 0, 1), ("id", 1, 8), ("code", 9, 2), ("message", 11, 3), ("detail", 14, 1)])
    add.patched("error_scope_3", "P-3.4", short, 0, u8(3), "invalid_field")
    add.patched("error_of_the_connection_with_id", "P-4.7", short, 0, u8(0), "invalid_field", at=1)
    add.patched("error_of_an_operation_without_id", "P-4.7", short, 1, u64(0), "invalid_field")
    add.patched("error_of_a_request_without_id", "P-4.7", short, 0, u8(2) + u64(0), "invalid_field", at=1)
    add.patched("error_code_0", "P-4.7", short, 9, u16(0), "invalid_field")
    add.patched("error_message_null", "P-1.2", short, 11, b"\x0b", "invalid_value", 3)
    add.patched("error_message_of_1025_bytes", "P-3.6", short, 11, encode_value("m" * 1025), "invalid_field", 3)
    add.patched("error_detail_empty", "P-4.7 P-3.4", short, 14, b"\x19", "invalid_field", 1)
    add.patched("error_detail_a_string", "P-1.2", short, 14, b"\x21d", "invalid_value", 1)
    add.patched("error_detail_unsorted", "P-1.2", short, 14, b"\x09\0\2\0\1b\x12\1\0\1a\x12\1", "invalid_value", 1)


def events(add):
    put = {"kind": "put", "last": True, "seq": "42", "record": NOTE_A}
    changes = event("changes", changes=[put])
    add.good("event_put", "P-4.8", changes)
    add.good("event_transaction", "P-4.8 L-2.5", event("changes", changes=[
        but(put, last=False), {"kind": "delete", "last": False, "seq": "43", "id": ID_B},
        {"kind": "dropped", "last": True, "seq": "45"}]))
    add.good("event_delete", "P-4.8", event("changes", changes=[{"kind": "delete", "last": True, "seq": U64, "id": ID_B}]))
    add.good("event_dropped", "P-4.8.2", event("changes", changes=[{"kind": "dropped", "last": True, "seq": "44"}]))
    for kind in ("caught_up", "waiting", "heartbeat", "ended"):
        add.good("event_%s" % kind, "P-4.8", event(kind))
    add.good("event_reset_position_expired", "P-4.8 L-4.1", event("reset", code=300, oldest=POSITION_42))
    add.good("event_reset_position_unknown", "P-4.8 L-4.1", event("reset", code=204, oldest=POSITION_ZERO))
    record = len(NOTE_A) // 2
    add.cuts("event_put", "P-4.8", changes, [
        ("id", 0, 8), ("kind", 8, 1), ("position", 9, 16), ("changes", 25, 2), ("change", 27, 1), ("seq", 28, 8),
        ("record", 36, 8 + record)])
    gone = event("changes", changes=[{"kind": "delete", "last": True, "seq": "43", "id": ID_B}])
    add.cuts("event_delete", "P-4.8", gone, [
        ("id", 0, 8), ("kind", 8, 1), ("position", 9, 16), ("changes", 25, 2), ("change", 27, 1), ("seq", 28, 8),
        ("record_id", 36, 16)])
    reset = event("reset", code=300, oldest=POSITION_42)
    add.cuts("event_reset", "P-4.8", reset, [("id", 0, 8), ("kind", 8, 1), ("position", 9, 16), ("code", 25, 2),
                                             ("oldest", 27, 16)])
    add.patched("event_id_0", "P-4.8 P-4.5", changes, 0, u64(0), "invalid_field")
    for kind in (0, 7, 255):
        add.patched("event_kind_%d" % kind, "P-3.4", changes, 8, u8(kind), "invalid_field")
    add.patched("event_no_changes", "P-3.4", changes, 25, u16(0), "invalid_field")
    for kind in (0x00, 0x04, 0x80, 0x7f, 0xc1):
        add.patched("event_change_kind_%02x" % kind, "P-3.4", changes, 27, u8(kind), "invalid_field")
    add.patched("event_lacks_a_change", "P-3.4", changes, 25, u16(2), "truncated", at=44 + record)
    add.patched("event_record_crc", "P-1.6", changes, 40, b"\0\0\0\0", "record_checksum_mismatch", at=36)
    add.patched("event_reset_code_0", "P-4.8", reset, 25, u16(0), "invalid_field")
    add.patched("event_caught_up_with_changes", "P-3.2", changes, 8, u8(2), "trailing_bytes", at=25)


def small_ones(add):
    for kind in ("unsubscribe", "cancel"):
        m = {"is": kind, "id": "7"}
        add.good(kind, "P-4.9", m)
        add.good(kind + "_most", "P-4.9", but(m, id=U64))
        add.cuts(kind, "P-4.9", m, [("id", 0, 8)])
        add.patched(kind + "_id_0", "P-4.9", m, 0, u64(0), "invalid_field")
    add.good("ping", "P-4.9", {"is": "ping", "nonce": "1234605616436508552"})
    add.good("ping_0", "P-4.9", {"is": "ping", "nonce": "0"})
    add.cuts("ping", "P-4.9", {"is": "ping", "nonce": U64}, [("nonce", 0, 8)])
    add.good("pong", "P-4.9", {"is": "pong", "nonce": U64, "clock": "112365469532160003"})
    add.good("pong_of_a_client", "P-4.9 P-1.5", {"is": "pong", "nonce": "5", "clock": "0"})
    add.cuts("pong", "P-4.9", {"is": "pong", "nonce": "5", "clock": "1"}, [("nonce", 0, 8), ("clock", 8, 8)])
    bye = {"is": "goodbye", "code": 0, "retry_after_ms": 0, "message": ""}
    add.good("goodbye", "P-4.9", bye)
    add.good("goodbye_with_advice", "P-4.9", but(bye, code=503, retry_after_ms=1000, message="the server stops"))
    add.good("goodbye_most", "P-4.9 P-3.6", but(bye, code=65535, retry_after_ms=2 ** 32 - 1, message="m" * 1024))
    add.cuts("goodbye", "P-4.9", but(bye, message="bye"), [("code", 0, 2), ("retry_after_ms", 2, 4), ("message", 6, 4)])
    add.patched("goodbye_message_null", "P-1.2", bye, 6, b"\x0b", "invalid_value")
    add.patched("goodbye_message_of_1025_bytes", "P-3.6", bye, 6, encode_value("m" * 1025), "invalid_field", 1)
    credit = {"is": "credit", "scope": "request", "id": "9", "frames": "32", "bytes": "2097152"}
    add.good("credit_of_a_request", "P-4.9", credit)
    add.good("credit_of_the_work_lane", "P-4.9", but(credit, scope="work", id="0"))
    add.good("credit_of_the_telemetry_lane", "P-4.9", but(credit, scope="telemetry", id="0", frames=U64, bytes=U64))
    add.cuts("credit", "P-4.9", credit, [("scope", 0, 1), ("id", 1, 8), ("frames", 9, 8), ("bytes", 17, 8)])
    add.patched("credit_scope_3", "P-3.4", credit, 0, u8(3), "invalid_field")
    add.patched("credit_of_a_lane_with_id", "P-4.9", credit, 0, u8(0), "invalid_field", at=1)
    add.patched("credit_of_a_request_without_id", "P-4.9", credit, 1, u64(0), "invalid_field")


def extensions(add):
    extra = {"later": 1, "nested": {"!x": True}}
    for message in (HELLO, WELCOME, OPERATION, QUERY, RESPONSE, SUBSCRIBE, ACK, ERROR, event("caught_up"),
                    {"is": "unsubscribe", "id": "7"}, {"is": "ping", "nonce": "1"}, {"is": "pong", "nonce": "1", "clock": "0"},
                    {"is": "goodbye", "code": 0, "retry_after_ms": 0, "message": ""},
                    {"is": "credit", "scope": "work", "id": "0", "frames": "1", "bytes": "1"}, {"is": "cancel", "id": "7"}):
        add.good("%s_with_extension" % message["is"], "P-3.2 P-3.3", but(message, extension=extra))
    must = encode_value({"!must": 1, "a": 2})
    for message in (HELLO, OPERATION, QUERY, ACK, {"is": "ping", "nonce": "1"}):
        number, payload = encode(message)
        name, end = message["is"], len(payload)
        add.bad(name + "_with_extension_that_must_be_known", "P-3.3", number, payload + must, "unsupported_extension", end)
        add.bad(name + "_with_empty_dict", "P-3.2", number, payload + b"\x19", "trailing_bytes", end)
        add.bad(name + "_with_trailing_zero", "P-3.2", number, payload + b"\0", "trailing_bytes", end)
    number, payload = encode({"is": "ping", "nonce": "1"})
    one = encode_value({"a": 1})
    for name, rest, belonging in (
            ("two_dicts", one * 2, len(one)), ("a_string", b"\x21a", 0), ("null", b"\x0b", 0), ("a_dict_cut", one[:-1], 0),
            ("a_byte_behind_the_dict", one + b"\0", len(one)), ("a_dict_of_count_0", b"\x09\0\0", 0),
            ("a_dict_unsorted", b"\x09\0\2\0\1b\x12\1\0\1a\x12\1", 0),
            ("a_must_key_and_a_byte_behind", must + b"\0", len(must))):
        add.bad("ping_with_" + name, "P-3.2", number, payload + rest, "trailing_bytes", 8 + belonging)


def reserved(add):
    for name in ("telemetry", "auth"):
        add.bad(name, "P-2.8", name, b"", "not_supported", None)
        add.bad(name + "_with_bytes", "P-2.8", name, b"\0\1\2", "not_supported", None)
    for number in (0x00, 0x09, 0x0a, 0x0f, 0x18, 0x1f, 0x20, 0x2f, 0x30, 0x80, 0xff):
        add.bad("type_%02x" % number, "P-2.7", number, b"\0\1\2", "unknown_message_type", None)

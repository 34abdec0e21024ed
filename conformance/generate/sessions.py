"""sessions.json: whole connections, byte by byte, with both sides."""

import os
import re
import uuid

from blazebinary import encode_record, encode_value
from cases import Cases
from compression import last, payload as travelling, sequence as lz4_sequence
from messages import encode
from samples import (ACK, BOARD, HELLO, ID_A, ID_B, ID_C, NODE, NOTE_A, NOTE_B, OPERATION, POSITION_42,
                     QUERY, SUBSCRIBE, WELCOME, but, event, operation, position)
from script import Script
from wire import COMPRESSED, ENCRYPTED, REQUIRES_ACK, TYPES, frame, u16, u64, u8

SPECIFICATION = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "spec", "protocol.md")
RESUMING = but(HELLO, node=NODE)
BYE = {"is": "goodbye", "code": 0, "retry_after_ms": 0, "message": ""}
SCAN = {"is": "query", "id": "1", "frames": "16", "bytes": "1048576", "kind": "scan", "at_least": None, "collection": "notes",
        "reverse": False, "limit": "0", "lower": {"kind": "none"}, "upper": {"kind": "none"}}
ROW_A, ROW_B = {"seq": "41", "record": NOTE_A}, {"seq": "42", "record": NOTE_B}
PUT_A = {"kind": "put", "last": True, "seq": "43", "record": NOTE_A}


def ack(number, seq=42, level="durable", unchanged=0):
    return but(ACK, number=str(number), position=position(seq), level=level, unchanged=str(unchanged))


def refusal(number, code, text, item=0, **detail):
    return {"is": "error", "scope": "operation", "id": str(number), "code": code, "message": text,
            "detail": {"item": item, **detail}}


def request_error(request, code, text):
    return {"is": "error", "scope": "request", "id": str(request), "code": code, "message": text, "detail": None}


def connection_error(code, text):
    return {"is": "error", "scope": "connection", "id": "0", "code": code, "message": text, "detail": None}


def rows(request, *found, last=True, at=POSITION_42):
    return {"is": "query_response", "id": str(request), "last": last, "position": at, "rows": list(found)}


def get(request, *ids, **more):
    return but(QUERY, id=str(request), ids=list(ids or [ID_A]), **more)


def subscribe(request, **more):
    return but(SUBSCRIBE, id=str(request), **more)


def credit(scope, request, frames, size):
    return {"is": "credit", "scope": scope, "id": str(request), "frames": str(frames), "bytes": str(size)}


def told(request, kind, at=POSITION_42, **more):
    return event(kind, request, at, **more)


def insert(number, record=NOTE_A, **more):
    return operation(number, {"kind": "insert", "record": record}, **more)


def partings(script):
    return script.client(BYE).server(BYE)


def sessions():
    out = Cases("sessions.json", "Whole connections with both sides, frame by frame: of y_ no step breaks a rule, in n_ the "
                "receiver of the last step ends the connection with the code.")
    for make in (writing, reading, watching, ending, resuming, numbering, tolerating, in_order, metering, broken_by_clients,
                 broken_by_servers):
        make(out)
    return out


def add(out, name, clauses, script):
    prefix = "n_" if script.code else "y_"
    out.add(prefix + name, clauses, **script.members())


def writing(out):
    script = Script().greet().client(OPERATION).server(ACK)
    if [step["hex"] for step in script.steps] != session_of_the_specification():
        raise ValueError("the session is not that of P-11")
    add(out, "as_in_the_specification", "P-2.1 P-4.1 P-4.2 P-4.6", script)
    add(out, "put_get_goodbye", "P-7.3 C-5.5 C-11.2", partings(
        Script().greet().client(OPERATION).server(ACK).client(get(1)).server(rows(1, ROW_A))))
    add(out, "refused_put", "P-7.3 P-7.4 C-5.4 E-1.3", Script().greet().client(insert(1)).server(ack(1)).client(insert(2))
        .server(refusal(2, 106, "a record of this id exists")).server(ack(2)).client(insert(3, NOTE_B)).server(ack(3, 43)))
    add(out, "batch", "P-4.2 E-1.1", Script().greet().client(but(OPERATION, groups=[
        {"collection": "notes", "operations": [{"kind": "insert", "record": NOTE_A}, {"kind": "insert", "record": NOTE_B}]},
        {"collection": "boards", "operations": [{"kind": "delete", "id": ID_C}]}])).server(ack(1, 43, unchanged=1)))
    add(out, "refused_batch", "P-4.2.2 P-4.7.1 E-1.1", Script().greet().client(operation(
        1, {"kind": "upsert", "record": NOTE_A}, {"kind": "check", "base": "7", "id": ID_B}))
        .server(refusal(1, 108, "the record is at version 0", item=1)).server(ack(1, 41)))
    many = Script().greet()
    for number in range(1, 6):
        many.client(insert(number))
    add(out, "five_under_way_one_ack", "P-7.4 C-5.5", many.server(ack(5, 46)))
    some = Script().greet()
    for number in range(1, 5):
        some.client(insert(number))
    add(out, "refusals_among_others", "C-5.4 P-7.4", some.server(ack(1)).server(refusal(2, 106, "a record of this id exists"))
        .server(refusal(4, 106, "a record of this id exists")).server(ack(4, 43)))
    add(out, "unchanged", "P-4.2.3 E-1.4 E-1.6", Script().greet()
        .client(operation(1, {"kind": "upsert", "skip_unchanged": True, "record": NOTE_A})).server(ack(1, 41, unchanged=1))
        .client(operation(2, {"kind": "delete", "id": ID_C})).server(ack(2, 41, unchanged=2))
        .client(operation(3, {"kind": "delete", "id": ID_A})).server(ack(3, 42, unchanged=2)))
    add(out, "patch_and_delete", "P-4.2 P-4.2.2", Script().greet()
        .client(operation(1, {"kind": "patch", "base": "41", "id": ID_A, "remove": ["due"], "set": BOARD})).server(ack(1, 42))
        .client(operation(2, {"kind": "delete", "base": "42", "id": ID_A})).server(ack(2, 43)))
    add(out, "drop", "P-4.2.5 E-1.13", Script().greet()
        .client(operation(1, {"kind": "drop"}, {"kind": "insert", "record": NOTE_A})).server(ack(1, 44)))
    add(out, "accepted_then_durable", "C-5.5 C-5.6 C-5.7", Script().greet().client(insert(1, level="accepted"))
        .server(ack(1, level="accepted")).server(ack(1)))
    add(out, "durable_lags_behind_accepted", "C-5.5 C-5.9", Script().greet().client(insert(1, level="accepted"))
        .client(insert(2, level="accepted")).server(ack(2, 43, level="accepted")).server(ack(1)).server(ack(2, 43)))
    add(out, "malformed_operation_is_decided", "P-3.5 C-5.10 E-4.5", Script().greet()
        .frame("client", TYPES["operation"], malformed_operation(1))
        .server(refusal(1, 13, "the kind of an operation is not defined", offset=19)).server(ack(1, 41))
        .client(insert(2)).server(ack(2)))
    add(out, "operation_that_must_understand", "P-3.3 P-3.5", Script().greet()
        .frame("client", TYPES["operation"], encode(OPERATION)[1] + encode_value({"!must": 1}))
        .server({**refusal(1, 12, "an extension is not known"), "detail": None}).server(ack(1, 41)))
    add(out, "replicated_is_refused", "E-4.5 P-4.2", Script().greet().client(insert(1, level="replicated"))
        .server(refusal(1, 8, "this server does not replicate")).server(ack(1, 41)))
    big, answer = insert(1, UNIFORM), rows(1, {"seq": "42", "record": UNIFORM})
    add(out, "compressed_both_ways", "P-5.1 P-2.6 C-3.1", Script().greet().compressed("client", big, packed(big)).server(ACK)
        .client(get(1)).compressed("server", answer, packed(answer)))


# A record of 636 bytes, of which LZ4 leaves some 50.
UNIFORM = encode_record({"id": uuid.UUID(ID_A), "text": "ab" * 300}).hex()


def packed(message):
    """The payload of a message that holds UNIFORM once, as it travels compressed."""
    _, plain = encode(message)
    start = plain.index(b"ab" * 300)
    return travelling(len(plain), lz4_sequence(plain[:start + 2], 2, 593) + last(plain[start + 595:]))


def malformed_operation(number):
    plain = encode(insert(number))[1]
    return plain[:19] + u8(0x0f) + plain[20:]


def session_of_the_specification():
    with open(SPECIFICATION, encoding="utf-8") as file:
        session = re.search(r"```session\n(.*?)```", file.read(), re.DOTALL)[1]
    frames = session.split("#")[1:]
    return ["".join("".join(line.split(";")[0].split()) for line in lines.splitlines()[1:]) for lines in frames]


def reading(out):
    add(out, "get_what_is_not_there", "P-4.3.1", Script().greet().client(get(1, ID_C)).server(rows(1)))
    add(out, "get_several", "P-4.3.1", Script().greet().client(get(1, ID_B, ID_C, ID_A)).server(rows(1, ROW_B, ROW_A)))
    add(out, "get_own_write", "P-4.3", Script().greet().client(insert(1)).server(ACK)
        .client(get(1, at_least=POSITION_42)).server(rows(1, but(ROW_A, seq="42"))))
    add(out, "scan_in_two_frames", "P-4.4 P-4.4.2", Script().greet().client(SCAN)
        .server(rows(1, ROW_A, last=False)).server(rows(1, ROW_B)))
    add(out, "scan_ends_with_an_empty_frame", "P-4.4.2", Script().greet().client(SCAN)
        .server(rows(1, ROW_A, ROW_B, last=False)).server(rows(1)))
    add(out, "scan_backwards", "P-4.3.1", Script().greet().client(but(SCAN, reverse=True, limit="2"))
        .server(rows(1, ROW_B, ROW_A)))
    cost = 19 + len(encode(rows(1, ROW_A, last=False))[1])
    add(out, "scan_with_a_window_of_one_frame", "P-9.3 P-9.4 C-3.1", Script().greet().client(but(SCAN, frames="1"))
        .server(rows(1, ROW_A, last=False)).client(credit("request", 1, 2, 1048576 + cost)).server(rows(1, ROW_B)))
    add(out, "scan_with_a_window_of_one_byte", "P-9.4 C-3.1", Script().greet().client(but(SCAN, bytes="1"))
        .server(rows(1, ROW_A, last=False)).client(credit("request", 1, 17, 1 + cost)).server(rows(1, ROW_B)))
    add(out, "stats", "S-4.1 P-4.3", Script().greet().client(
        {"is": "query", "id": "1", "frames": "16", "bytes": "1048576", "kind": "stats", "at_least": None, "collection": None})
        .server(rows(1, {"seq": "0", "record": encode_record(
            {"collection": "notes", "database": "main", "deletions": 0, "records": 2}).hex()})))
    add(out, "two_requests_at_once", "P-10.1 P-7.6", Script().greet().client(SCAN).client(get(2)).server(rows(2, ROW_A))
        .server(rows(1, ROW_A, ROW_B)))
    add(out, "request_refused", "P-8.1 P-4.4.2", Script().greet().client(but(SCAN, collection="boards"))
        .server(request_error(1, 205, "no collection boards")).client(get(2)).server(rows(2, ROW_A)))
    add(out, "request_fails_half_way", "P-4.4.2 S-3.2", Script().greet().client(SCAN).server(rows(1, ROW_A, last=False))
        .server(request_error(1, 208, "the answer was read too slowly")))
    add(out, "malformed_request_is_refused", "P-3.5", Script().greet()
        .frame("client", TYPES["query"], encode(SCAN)[1][:24] + u8(9) + encode(SCAN)[1][25:])
        .server(request_error(1, 13, "the kind of a query is not defined")).client(get(2)).server(rows(2, ROW_A)))
    add(out, "reserved_query_is_refused", "P-4.3.2 P-3.5", Script().greet()
        .frame("client", TYPES["query"], encode(SCAN)[1][:24] + u8(5) + b"SELECT 1")
        .server(request_error(1, 8, "SQL is not supported")).client(get(2)).server(rows(2, ROW_A)))
    add(out, "malformed_subscribe_is_refused", "P-3.5", Script().greet()
        .frame("client", TYPES["subscribe"], encode(subscribe(1))[1][:24] + u8(3) + encode(subscribe(1))[1][25:])
        .server(request_error(1, 13, "the mode is not defined")).client(subscribe(2)).server(told(2, "caught_up")))
    add(out, "cancel", "P-4.9.1 C-6.5", Script().greet().client(but(SCAN, frames="1")).server(rows(1, ROW_A, last=False))
        .client({"is": "cancel", "id": "1"}).server(request_error(1, 202, "cancelled")))
    add(out, "cancel_of_what_has_ended", "P-4.9.1 C-6.5", Script().greet().client(get(1)).server(rows(1, ROW_A))
        .client({"is": "cancel", "id": "1"}).client(get(2)).server(rows(2, ROW_A)))
    add(out, "ids_with_gaps", "P-7.6", Script().greet().client(get(5)).server(rows(5, ROW_A)).client(get(900))
        .server(rows(900, ROW_A)))
    add(out, "too_many_requests", "P-7.7 C-6.3", Script().greet(welcome=but(WELCOME, request_limit=1))
        .client(but(SCAN, frames="1")).client(get(2)).server(request_error(2, 201, "one request at a time"))
        .server(rows(1, ROW_A)).client(get(3)).server(rows(3, ROW_A)))


def watching(out):
    add(out, "watch_a_change", "P-4.5 L-2.4 L-2.5", Script().greet().client(subscribe(1)).server(told(1, "caught_up"))
        .client(insert(1)).server(ack(1, 43)).server(told(1, "changes", position(43), changes=[PUT_A])))
    add(out, "watch_from_a_snapshot", "L-2.4 L-2.5", Script().greet().client(subscribe(1, start="snapshot"))
        .server(told(1, "changes", changes=[but(PUT_A, last=False, seq="41")])).server(told(1, "caught_up"))
        .server(told(1, "changes", position(43), changes=[{"kind": "delete", "last": True, "seq": "43", "id": ID_A}])))
    add(out, "watch_a_transaction_in_two_events", "L-2.6 L-2.5", Script().greet().client(subscribe(1))
        .server(told(1, "changes", position(43), changes=[but(PUT_A, last=False)]))
        .server(told(1, "changes", position(44), changes=[but(PUT_A, seq="44", record=NOTE_B)])))
    add(out, "watch_what_is_not_there_yet", "L-3.1", Script().greet().client(subscribe(1, collection="later"))
        .server(told(1, "waiting")).server(told(1, "caught_up"))
        .server(told(1, "changes", position(43), changes=[PUT_A])))
    add(out, "watch_a_drop", "P-4.8.2 L-8.1", Script().greet().client(subscribe(1)).server(told(1, "caught_up"))
        .server(told(1, "changes", position(43), changes=[{"kind": "dropped", "last": True, "seq": "43"}])))
    add(out, "watch_reset", "L-4.1 L-4.2 P-4.8.1", Script().greet().client(subscribe(1, start="after", after=position(7)))
        .server(told(1, "reset", position(7), code=300, oldest=position(30)))
        .client(subscribe(2, mode="latest", start="snapshot")).server(told(2, "caught_up")))
    add(out, "watch_heartbeat", "L-5.1", Script().greet().client(subscribe(1)).server(told(1, "caught_up"))
        .server(told(1, "heartbeat", position(99))))
    add(out, "unsubscribe", "P-4.9.1 C-6.5", Script().greet().client(subscribe(1)).server(told(1, "caught_up"))
        .client({"is": "unsubscribe", "id": "1"}).server(told(1, "ended")))
    add(out, "unsubscribe_without_credit", "C-3.5", Script().greet().client(subscribe(1, frames="1"))
        .server(told(1, "changes", changes=[but(PUT_A, seq="42")]))
        .client({"is": "unsubscribe", "id": "1"}).server(told(1, "ended")))
    add(out, "unsubscribe_without_bytes", "C-3.5", Script().greet().client(subscribe(1, bytes="50"))
        .server(told(1, "changes", changes=[but(PUT_A, seq="42")]))
        .client({"is": "unsubscribe", "id": "1"}).server(told(1, "ended")).client(get(2)).server(rows(2, ROW_A)))
    add(out, "unsubscribe_of_what_has_ended", "P-4.9.1", Script().greet()
        .client(subscribe(1, start="after", after=position(7)))
        .server(told(1, "reset", position(7), code=300, oldest=position(30))).client({"is": "unsubscribe", "id": "1"})
        .client(subscribe(2)).server(told(2, "caught_up")))
    add(out, "watch_two_collections", "L-7.1", Script().greet().client(subscribe(1)).client(subscribe(2, collection="boards"))
        .server(told(1, "caught_up")).server(told(2, "waiting")).server(told(2, "caught_up"))
        .server(told(1, "changes", position(43), changes=[PUT_A])))
    add(out, "watch_ends_with_an_error", "L-4.3", Script().greet().client(subscribe(1)).server(told(1, "caught_up"))
        .server(request_error(1, 506, "stored bytes are damaged")))


def ending(out):
    add(out, "goodbye_of_the_client", "C-11.2 P-8.4", partings(Script().greet()))
    add(out, "goodbye_of_the_client_with_work_under_way", "C-11.2", Script().greet().client(insert(1)).client(insert(2)).client(BYE)
        .server(refusal(2, 106, "a record of this id exists")).server(ack(2)).server(BYE))
    add(out, "goodbye_of_the_server", "C-11.2 S-7.1", Script().greet()
        .server(but(BYE, code=503, retry_after_ms=1000, message="the server stops")).client(but(BYE, code=503)))
    add(out, "goodbye_of_the_server_with_work_under_way", "C-11.1", Script().greet().client(insert(1)).client(insert(2))
        .server(but(BYE, code=503, retry_after_ms=1000, message="the server stops")).client(but(BYE, code=503))
        .server(refusal(1, 106, "a record of this id exists")).server(ack(2)))
    add(out, "last_words_of_the_client_after_its_goodbye", "C-1.3 C-11.1", Script().greet().client(insert(1)).client(BYE)
        .client(connection_error(6, "sequence 3 follows sequence 1")))
    add(out, "last_words_of_the_server_after_its_goodbye", "C-1.3 C-11.1", Script().greet().client(insert(1)).server(BYE)
        .client(BYE).server(connection_error(6, "sequence 3 follows sequence 1")))
    add(out, "goodbye_ends_requests", "C-11.5", Script().greet().client(subscribe(1)).server(told(1, "caught_up")).client(BYE)
        .server(BYE))
    add(out, "refused_at_the_door", "C-2.7 S-2.1", Script().client(but(HELLO, database="other"))
        .server(connection_error(400, "there is no database other")))
    add(out, "no_version_in_common", "C-2.3", Script().client(but(HELLO, min_version=2, max_version=3))
        .server(connection_error(2, "version 1 is spoken here")))
    add(out, "node_restored_from_a_copy", "C-2.6", Script()
        .client(but(RESUMING, next_operation="5", oldest_unacked="5"))
        .server(connection_error(403, "operation 5 of this node is decided")))
    add(out, "fenced", "C-2.7 S-2.2", Script().greet().client(OPERATION).server(ACK)
        .server(connection_error(405, "a newer connection of this node took over")))
    add(out, "read_only", "S-2.6 E-4.4", Script().greet().client(OPERATION)
        .server(connection_error(501, "the database takes no writes")))
    add(out, "cut_before_the_welcome", "C-10.1", Script().client(HELLO).cut().connect().client(HELLO).server(WELCOME)
        .client(OPERATION).server(ACK))


def resuming(out):
    back = but(RESUMING, next_operation="2")
    add(out, "cut_before_the_ack_decided", "C-10.1 C-5.8 E-4.2", Script().greet().client(OPERATION).cut().connect().client(back)
        .server(but(WELCOME, node_decided="1", position=POSITION_42)).client(OPERATION).server(ACK).client(insert(2, NOTE_B))
        .server(ack(2, 43)))
    add(out, "cut_before_the_ack_not_decided", "C-10.1 C-5.7", Script().greet().client(OPERATION).cut().connect().client(back)
        .server(WELCOME).client(OPERATION).server(ACK))
    script = Script().greet()
    for number in range(1, 5):
        script.client(insert(number))
    script.server(ack(1)).cut().connect().client(but(RESUMING, next_operation="5", oldest_unacked="2"))
    script.server(but(WELCOME, node_decided="3", position=position(43)))
    for number in range(2, 5):
        script.client(insert(number))
    add(out, "some_decided", "C-10.1 C-5.1", script.server(ack(4, 44)))
    add(out, "refusal_told_again", "C-5.8 E-4.2", Script().greet().client(OPERATION).client(insert(2)).server(ack(1))
        .server(refusal(2, 106, "a record of this id exists")).cut().connect()
        .client(but(RESUMING, next_operation="3", oldest_unacked="2")).server(but(WELCOME, node_decided="2"))
        .client(insert(2)).server(refusal(2, 106, "a record of this id exists")).server(ack(2)))
    add(out, "accepted_is_sent_again", "C-5.7", Script().greet().client(insert(1, level="accepted"))
        .server(ack(1, level="accepted")).cut().connect().client(back).server(WELCOME).client(insert(1, level="accepted"))
        .server(ack(1, level="accepted")).server(ack(1)))
    add(out, "nothing_pending", "C-10.1", Script().greet().client(OPERATION).server(ACK).cut().connect()
        .client(but(RESUMING, next_operation="2", oldest_unacked="2")).server(but(WELCOME, node_decided="1"))
        .client(insert(2, NOTE_B)).server(ack(2, 43)))
    add(out, "watch_goes_on", "C-6.8 L-6.1 L-1.2", Script().greet().client(subscribe(1, start="snapshot"))
        .server(told(1, "changes", changes=[but(PUT_A, last=False, seq="42")])).server(told(1, "caught_up"))
        .server(told(1, "changes", position(43), changes=[PUT_A])).cut().connect().client(RESUMING).server(WELCOME)
        .client(subscribe(1, start="after", after=position(43)))
        .server(told(1, "changes", position(45), changes=[but(PUT_A, seq="45", record=NOTE_B)])).server(told(1, "caught_up", position(45))))
    add(out, "watch_goes_on_behind_a_change", "L-1.3 L-2.6", Script().greet().client(subscribe(1))
        .server(told(1, "changes", position(44), changes=[but(PUT_A, last=False), but(PUT_A, seq="44", record=NOTE_B)]))
        .cut().connect().client(RESUMING).server(WELCOME).client(subscribe(1, start="after", after=position(43)))
        .server(told(1, "changes", position(44), changes=[but(PUT_A, seq="44", record=NOTE_B)])))
    add(out, "after_goodbye", "C-10.1 C-11.4", Script().greet().client(OPERATION)
        .server(but(BYE, code=503, retry_after_ms=1000, message="the server stops")).client(but(BYE, code=503)).server(ACK)
        .connect().client(but(RESUMING, next_operation="2", oldest_unacked="2")).server(but(WELCOME, node_decided="1")))


def numbering(out):
    last_one = 2 ** 24 - 1
    add(out, "sequence_wraps", "P-6.1 C-4.1", partings(
        Script(last_one - 1, last_one - 2).greet().client(OPERATION).server(ACK).client(insert(2, NOTE_B)).server(ack(2, 43))
        .client(get(1)).server(rows(1, ROW_A))))
    add(out, "sequence_begins_anywhere", "P-6.1 C-4.1", Script(12345, 0x800000).greet().client(OPERATION).server(ACK))
    add(out, "sequence_wraps_at_once", "P-6.1", Script(last_one, last_one).greet().client(OPERATION).server(ACK))
    for name, wrong in (("skipped", 2), ("repeated", 0), ("one_behind_the_wrap", 2 ** 24 - 1)):
        add(out, "client_sequence_%s" % name, "P-6.1 C-4.1", Script().greet().client(OPERATION, "sequence_gap", sequence=wrong))
        add(out, "server_sequence_%s" % name, "P-6.1 C-4.1", Script().greet().client(OPERATION)
            .server(ACK, "sequence_gap", sequence=wrong))
    add(out, "sequence_does_not_stop_at_the_end", "P-6.1", Script(last_one - 1, 0).greet().client(OPERATION).server(ACK)
        .client(insert(2), "sequence_gap", sequence=last_one))


def tolerating(out):
    add(out, "unknown_type_is_passed_over", "P-2.7 C-7.1 P-8.2", Script().greet().frame("client", 0x30, b"later")
        .server(connection_error(7, "unknown type")).client(OPERATION).server(ACK))
    add(out, "auth_is_passed_over", "P-2.8 P-8.2", Script().greet().frame("client", TYPES["auth"], b"\1\2")
        .server(connection_error(8, "reserved")).client(OPERATION).server(ACK))
    add(out, "extensions_are_passed_over", "P-3.3", Script().greet(but(HELLO, extension={"later": 1}), WELCOME)
        .client(but(OPERATION, extension={"trace": "abc"})).server(ACK))
    add(out, "extensions_of_the_server_are_passed_over", "P-3.3", Script().greet(HELLO, but(WELCOME, extension={"later": 1}))
        .client(OPERATION).server(but(ACK, extension={"took": 5})))
    add(out, "credit_for_what_has_ended", "C-6.7 P-9.3", Script().greet().client(get(1)).server(rows(1, ROW_A))
        .client(credit("request", 1, 32, 2097152)).client(credit("request", 77, 1, 1)).client(get(2)).server(rows(2, ROW_A)))
    add(out, "pong_that_fits_no_ping", "C-9.7", Script().greet().client({"is": "pong", "nonce": "99", "clock": "0"})
        .client(OPERATION).server({"is": "pong", "nonce": "98", "clock": "0"}).server(ACK))
    add(out, "ping_of_the_client", "P-4.9 C-9.7", Script().greet().client({"is": "ping", "nonce": "1"})
        .server({"is": "pong", "nonce": "1", "clock": WELCOME["clock"]}))
    add(out, "ping_of_the_server", "P-4.9 C-9.7 C-9.2", Script().greet().server({"is": "ping", "nonce": "1"})
        .client({"is": "pong", "nonce": "1", "clock": "0"}))
    add(out, "code_that_is_not_known", "P-4.7", Script().greet().client(OPERATION)
        .server(refusal(1, 199, "a reason of a later version")).server(ack(1, 41)))


def metering(out):
    cost = 19 + len(encode(OPERATION)[1])
    small = but(WELCOME, work_frames="2", work_bytes="1048576")
    add(out, "work_window_of_two_frames", "P-9.3 P-9.6 C-3.1", Script().greet(welcome=small).client(insert(1))
        .server(credit("work", 0, 3, 1048576 + cost)).server(ack(1)).client(insert(2))
        .server(credit("work", 0, 4, 1048576 + 2 * cost)).server(ack(2, 43)))
    add(out, "work_window_of_one_byte", "P-9.4 P-9.5", Script().greet(welcome=but(WELCOME, work_bytes="1"))
        .client(insert(1)).server(credit("work", 0, 257, 1 + cost)).server(ack(1)).client(insert(2))
        .server(credit("work", 0, 258, 1 + 2 * cost)).server(ack(2, 43)))
    add(out, "work_frames_exceeded", "P-9.4", Script().greet(welcome=small).client(insert(1)).client(insert(2))
        .client(insert(3), "credit_exceeded"))
    add(out, "work_bytes_exceeded", "P-9.4", Script().greet(welcome=but(WELCOME, work_bytes=str(cost))).client(insert(1))
        .client(insert(2), "credit_exceeded"))
    add(out, "request_spends_the_work_lane", "P-9.1", Script().greet(welcome=small).client(insert(1)).client(get(1))
        .client(subscribe(2), "credit_exceeded"))
    add(out, "answer_exceeds_its_frames", "P-9.4", Script().greet().client(but(SCAN, frames="1"))
        .server(rows(1, ROW_A, last=False)).server(rows(1, ROW_B), "credit_exceeded"))
    add(out, "answer_exceeds_its_bytes", "P-9.4", Script().greet().client(but(SCAN, bytes="50"))
        .server(rows(1, ROW_A, last=False)).server(rows(1, ROW_B), "credit_exceeded"))
    first, second = (rows(1, {"seq": seq, "record": UNIFORM}, last=seq == "42") for seq in ("41", "42"))
    add(out, "compressed_answer_exceeds_its_plain_bytes", "P-9.2 C-3.1", Script().greet().client(but(SCAN, bytes="300"))
        .compressed("server", first, packed(first)).compressed("server", second, packed(second), "credit_exceeded"))
    first, second = insert(1, UNIFORM), insert(2, UNIFORM)
    add(out, "compressed_work_exceeds_its_plain_bytes", "P-9.2 C-3.1", Script().greet(welcome=but(WELCOME, work_bytes="300"))
        .compressed("client", first, packed(first)).compressed("client", second, packed(second), "credit_exceeded"))
    add(out, "answer_without_credit", "P-9.4 P-9.6", Script().greet().client(but(SCAN, frames="0"))
        .server(rows(1), "credit_exceeded"))
    add(out, "events_exceed_their_frames", "P-9.1 P-9.4", Script().greet().client(subscribe(1, frames="1"))
        .server(told(1, "caught_up")).server(told(1, "heartbeat", position(50)), "credit_exceeded"))
    add(out, "reset_exceeds_credit", "P-9.1", Script().greet().client(subscribe(1, frames="0"))
        .server(told(1, "reset", code=300, oldest=POSITION_42), "credit_exceeded"))
    add(out, "work_limit_falls_in_frames", "P-9.3", Script().greet()
        .server(credit("work", 0, 255, 4194304), "invalid_credit"))
    add(out, "work_limit_falls_in_bytes", "P-9.3", Script().greet()
        .server(credit("work", 0, 300, 4194303), "invalid_credit"))
    add(out, "request_limit_falls", "P-9.3", Script().greet().client(but(SCAN, frames="4")).server(rows(1, ROW_A, last=False))
        .client(credit("request", 1, 3, 1048576), "invalid_credit"))
    add(out, "client_raises_the_work_lane", "P-9.3", Script().greet()
        .client(credit("work", 0, 1000, 8388608), "invalid_credit"))
    add(out, "server_raises_a_request", "P-9.3", Script().greet().client(SCAN)
        .server(credit("request", 1, 1000, 8388608), "invalid_credit"))
    add(out, "window_of_one_operation_exceeded", "P-7.2 C-5.2", Script().greet(welcome=but(WELCOME, operation_window=1))
        .client(insert(1)).client(insert(2), "operation_window_exceeded"))
    add(out, "accepted_does_not_move_the_window", "C-5.2", Script().greet(welcome=but(WELCOME, operation_window=1))
        .client(insert(1, level="accepted")).server(ack(1, level="accepted"))
        .client(insert(2), "operation_window_exceeded"))
    add(out, "window_of_one_operation", "P-7.2 C-5.2", Script().greet(welcome=but(WELCOME, operation_window=1))
        .client(insert(1)).server(ack(1)).client(insert(2)).server(ack(2, 43)))


def in_order(out):
    """P-2.10 to P-2.15: each last frame is wrong in two ways or more."""
    ping, no_ack, unread = TYPES["ping"], b"\1\2\3", b"\xff\xff\xff\xff\xff"
    for sender in ("client", "server"):
        foreign, other = ("ack", "event") if sender == "client" else ("query", "cancel")
        foreign, other = TYPES[foreign], TYPES[other]

        def fault(name, clauses, number, payload, code, flags=0, sequence=None):
            add(out, "%s_order_%s" % (sender, name), clauses, Script().greet()
                .frame(sender, number, payload, code, flags=flags, sequence=sequence))

        fault("sequence_before_flags", "P-2.11", ping, bytes(8), "sequence_gap", ENCRYPTED, 2)
        fault("sequence_before_type", "P-2.11", foreign, bytes(34), "sequence_gap", 0, 2)
        fault("sequence_before_an_unknown_type", "P-2.11", 0x30, b"", "sequence_gap", 0, 0)
        fault("flags_before_an_unknown_type", "P-2.12 Y-3.2", 0x30, b"", "unexpected_flag", ENCRYPTED)
        fault("ack_of_an_unknown_type", "P-2.12 P-2.6", 0x30, b"", "unexpected_flag", REQUIRES_ACK)
        fault("flags_before_role", "P-2.12 P-2.14", foreign, bytes(34), "unexpected_flag", ENCRYPTED)
        fault("flags_before_payload", "P-2.12", ping, no_ack, "unexpected_flag", REQUIRES_ACK)
        fault("compression_before_role", "P-2.14", foreign, unread, "bad_compression", COMPRESSED)
        fault("compression_before_payload", "P-2.14", ping, unread, "bad_compression", COMPRESSED)
        fault("role_before_payload", "P-2.14", foreign, no_ack, "unexpected_message")
        fault("role_before_another_payload", "P-2.14", other, no_ack, "unexpected_message")
        fault("second_handshake_before_payload", "P-2.14", TYPES["handshake"], no_ack, "unexpected_message")
    add(out, "unknown_type_is_passed_over_unread", "P-2.13", Script().greet()
        .frame("client", 0x30, unread, flags=COMPRESSED).server(connection_error(7, "unknown type")).client(OPERATION).server(ACK))
    add(out, "client_unknown_type_before_the_welcome", "P-2.13 C-2.2", Script().client(HELLO)
        .frame("client", 0x30, b"", "unexpected_message"))
    add(out, "server_unknown_type_before_the_welcome", "P-2.13 C-2.1", Script().client(HELLO)
        .frame("server", 0x30, b"", "unexpected_message"))
    add(out, "client_notice_after_its_goodbye", "C-11.1 P-8.2", Script().greet().client(insert(1)).client(BYE)
        .client(connection_error(7, "type 30 is unknown"), "unexpected_message"))
    add(out, "server_notice_after_its_goodbye", "C-11.1 P-8.2", Script().greet().client(insert(1)).server(BYE).client(BYE)
        .server(connection_error(7, "type 30 is unknown"), "unexpected_message"))
    add(out, "client_unknown_type_after_its_goodbye", "P-2.13 C-11.1", Script().greet().client(insert(1)).client(BYE)
        .frame("client", 0x30, b"", "unexpected_message"))
    add(out, "server_unknown_type_after_its_goodbye", "P-2.13 C-11.1", Script().greet().client(insert(1)).server(BYE).client(BYE)
        .frame("server", 0x30, b"", "unexpected_message"))
    wrong_kind = encode(SCAN)[1][:24] + u8(9) + encode(SCAN)[1][25:]
    add(out, "client_request_id_before_payload", "P-2.15 P-7.6", Script().greet().client(get(1)).server(rows(1, ROW_A))
        .frame("client", TYPES["query"], wrong_kind, "request_id_not_increasing"))
    add(out, "client_operation_number_before_payload", "P-2.15 P-7.1", Script().greet()
        .frame("client", TYPES["operation"], malformed_operation(2), "operation_number_gap"))
    add(out, "client_credit_before_payload", "P-2.15 P-9.4", Script().greet(welcome=but(WELCOME, work_frames="1"))
        .client(get(1)).frame("client", TYPES["query"], u64(2) + wrong_kind[8:], "credit_exceeded"))


def broken_by_clients(out):
    def fault(name, clauses, code, message, *before, welcome=WELCOME, hello=HELLO, **how):
        script = Script().greet(hello, welcome)
        for sender, earlier in before:
            script.say(sender, earlier)
        add(out, "client_" + name, clauses, script.client(message, code, **how))

    add(out, "client_begins_with_a_ping", "C-2.1 P-2.9", Script().client({"is": "ping", "nonce": "1"}, "unexpected_message"))
    add(out, "client_begins_with_an_operation", "C-2.1 P-2.9", Script().client(OPERATION, "unexpected_message"))
    add(out, "client_begins_with_a_welcome", "C-2.1 P-2.9", Script().client(WELCOME, "unexpected_message"))
    add(out, "client_does_not_wait_for_the_welcome", "C-2.2", Script().client(HELLO).client(OPERATION, "unexpected_message"))
    add(out, "client_says_hello_twice_at_once", "C-2.1", Script().client(HELLO).client(HELLO, "unexpected_message"))
    fault("says_hello_again", "C-2.1", "unexpected_message", HELLO)
    for message in (ACK, rows(1, ROW_A), told(1, "caught_up")):
        fault("sends_a_" + message["is"], "P-2.9 C-1.5", "unexpected_message", message)
    fault("begins_with_operation_2", "C-5.1 P-7.1", "operation_number_gap", insert(2))
    fault("repeats_a_number", "C-5.1 P-7.1", "operation_number_gap", insert(1), ("client", insert(1)))
    fault("skips_a_number", "C-5.1 P-7.1", "operation_number_gap", insert(3), ("client", insert(1)))
    fault("does_not_begin_with_the_oldest", "C-5.1 C-10.1", "operation_number_gap", insert(41),
          hello=but(RESUMING, next_operation="42", oldest_unacked="40"), welcome=but(WELCOME, node_decided="40"))
    fault("repeats_a_request_id", "P-7.6 C-6.1", "request_id_not_increasing", get(1), ("client", get(1)),
          ("server", rows(1, ROW_A)))
    fault("request_id_falls", "P-7.6 C-6.1", "request_id_not_increasing", subscribe(4), ("client", get(5)))
    fault("operation_without_its_flag", "P-2.6", "unexpected_flag", OPERATION, flags=0)
    fault("ping_that_requires_an_ack", "P-2.6", "unexpected_flag", {"is": "ping", "nonce": "1"}, flags=REQUIRES_ACK)
    fault("encrypted", "P-2.6", "unexpected_flag", get(1), flags=ENCRYPTED)
    fault("compressed_without_lz4", "P-2.6 P-4.1.1", "unexpected_flag", get(1), flags=COMPRESSED,
          welcome=but(WELCOME, capabilities=[]))
    fault("not_an_lz4_block", "P-5.2", "bad_compression", get(1), flags=COMPRESSED)
    fault("refuses_an_operation", "P-8.2", "unexpected_message", refusal(1, 106, "no"))
    fault("speaks_after_its_goodbye", "C-11.1", "unexpected_message", OPERATION, ("client", insert(1)), ("client", BYE))
    payloads = [
        ("ping_cut", "P-3.4 P-3.5", "ping", bytes(7), "truncated"),
        ("ping_with_more", "P-3.2 P-3.5", "ping", bytes(9), "trailing_bytes"),
        ("ping_that_must_be_understood", "P-3.3 P-3.5", "ping", bytes(8) + encode_value({"!x": 1}), "unsupported_extension"),
        ("operation_of_number_0", "P-3.5", "operation", encode(insert(0))[1], "invalid_field"),
        ("operation_number_cut", "P-3.5", "operation", bytes(7), "truncated"),
        ("query_of_id_0", "P-3.5", "query", encode(but(SCAN, id="0"))[1], "invalid_field"),
        ("subscribe_of_id_0", "P-3.5", "subscribe", encode(subscribe(0))[1], "invalid_field"),
        ("cancel_of_id_0", "P-3.5 P-4.9", "cancel", u64(0), "invalid_field"),
        ("credit_of_scope_3", "P-3.4 P-3.5", "credit", u8(3) + bytes(24), "invalid_field"),
        ("goodbye_of_null", "P-1.2 P-3.5", "goodbye", u16(0) + bytes(4) + b"\x0b", "invalid_value"),
    ]
    for name, clauses, kind, payload, code in payloads:
        add(out, "client_" + name, clauses, Script().greet().frame("client", TYPES[kind], payload, code))
    good = frame(TYPES["ping"], u64(1), 1)
    for name, clauses, raw, code in (
            ("damaged_on_the_way", "P-2.5", good[:18] + b"\xff" + good[19:], "frame_checksum_mismatch"),
            ("loses_its_place", "P-2.2", good[3:] + good[:3], "bad_magic"),
            ("frame_of_version_2", "P-2.2", frame(TYPES["ping"], u64(1), 1, version=2), "unsupported_version"),
            ("reserved_flag", "P-2.4", frame(TYPES["ping"], u64(1), 1, flags=0x10), "reserved_flags"),
            ("frame_too_large", "P-2.3", frame(TYPES["operation"], b"", 1, length=2097153)[:15], "payload_too_large")):
        add(out, "client_" + name, clauses, Script().greet().raw("client", raw, code))
    long_hello = frame(TYPES["handshake"], bytes(4097), 0)
    add(out, "client_hello_too_large", "P-2.3", Script().raw("client", long_hello[:15], "payload_too_large"))
    add(out, "client_hello_malformed", "P-3.5 C-2.1", Script().frame("client", TYPES["handshake"], encode(HELLO)[1][:-1], "truncated"))
    add(out, "client_hello_of_a_bad_name", "P-1.8", Script().client(but(HELLO, database="No"), "invalid_name"))


def broken_by_servers(out):
    def fault(name, clauses, code, message, *before, welcome=WELCOME, hello=HELLO, **how):
        script = Script().greet(hello, welcome)
        for sender, earlier in before:
            script.say(sender, earlier)
        add(out, "server_" + name, clauses, script.server(message, code, **how))

    error = refusal(1, 106, "a record of this id exists")
    add(out, "server_begins_with_an_ack", "C-2.1", Script().client(HELLO).server(ACK, "unexpected_message"))
    add(out, "server_begins_with_a_hello", "C-2.1 P-2.9", Script().client(HELLO).server(HELLO, "unexpected_message"))
    fault("welcomes_twice", "C-2.1", "unexpected_message", WELCOME)
    for message in (OPERATION, get(1), subscribe(1), {"is": "cancel", "id": "1"}, {"is": "unsubscribe", "id": "1"}):
        fault("sends_a_" + message["is"], "P-2.9 C-1.5", "unexpected_message", message)
    fault("acks_what_was_not_sent", "C-5.9 P-7.5", "impossible_ack", ack(1))
    fault("acks_too_much", "C-5.9 P-7.5", "impossible_ack", ack(2), ("client", insert(1)))
    fault("acks_less_than_before", "C-5.9", "impossible_ack", ack(1), ("client", insert(1)), ("client", insert(2)),
          ("server", ack(2)))
    fault("acks_less_as_accepted_than_before", "C-5.9 C-5.5", "impossible_ack", ack(1, level="accepted"),
          ("client", insert(1, level="accepted")), ("client", insert(2, level="accepted")),
          ("server", ack(2, 43, level="accepted")))
    fault("acks_less_as_accepted_than_is_durable", "C-5.9", "impossible_ack", ack(1, level="accepted"),
          ("client", insert(1)), ("client", insert(2)), ("server", ack(2, 43)))
    fault("refuses_what_was_not_sent", "C-5.9", "impossible_ack", error)
    fault("refuses_what_was_acked", "C-5.9 P-7.4", "impossible_ack", error, ("client", insert(1)), ("server", ack(1)))
    fault("refuses_twice", "C-5.9 C-5.4", "impossible_ack", error, ("client", insert(1)), ("server", error))
    fault("answers_what_was_not_asked", "C-6.7", "unexpected_message", rows(1, ROW_A))
    fault("tells_what_was_not_subscribed", "C-6.7", "unexpected_message", told(1, "caught_up"))
    fault("refuses_what_was_not_asked", "C-6.7", "unexpected_message", request_error(1, 205, "no"))
    fault("answers_what_has_ended", "C-6.7", "unexpected_message", rows(1, ROW_B), ("client", get(1)), ("server", rows(1, ROW_A)))
    fault("goes_on_after_the_reset", "P-4.8.1 C-6.7", "unexpected_message", told(1, "caught_up"),
          ("client", subscribe(1)), ("server", told(1, "reset", code=300, oldest=POSITION_42)))
    fault("tells_events_to_a_query", "C-6.7", "unexpected_message", told(1, "caught_up"), ("client", get(1)))
    fault("answers_a_subscription_with_rows", "C-6.7", "unexpected_message", rows(1, ROW_A), ("client", subscribe(1)))
    fault("encrypts", "P-2.6", "unexpected_flag", ACK, ("client", OPERATION), flags=ENCRYPTED)
    fault("requires_an_ack", "P-2.6", "unexpected_flag", ACK, ("client", OPERATION), flags=REQUIRES_ACK)
    fault("compresses_without_lz4", "P-2.6", "unexpected_flag", ACK, ("client", OPERATION), flags=COMPRESSED,
          welcome=but(WELCOME, capabilities=[]))
    fault("goes_on_after_its_goodbye", "C-11.1 P-8.4", "unexpected_message", told(1, "caught_up"), ("client", insert(1)),
          ("client", subscribe(1)), ("server", BYE), ("client", BYE))
    damaged = encode(rows(1, ROW_A))[1]
    damaged = damaged[:-1] + u8(damaged[-1] ^ 1)
    add(out, "server_damages_a_record", "P-1.6 P-3.5", Script().greet().client(get(1))
        .frame("server", TYPES["query_response"], damaged, "record_checksum_mismatch"))
    extra = (bytes.fromhex(NOTE_A) + b"\0").hex()
    fault("sends_a_record_that_is_not_canonical", "P-3.8 P-1.6", "invalid_value", rows(1, ROW_B, but(ROW_A, record=extra)),
          ("client", get(1)))
    fault("tells_a_record_that_is_not_canonical", "P-3.8 P-1.6", "invalid_value",
          told(1, "changes", position(43), changes=[but(PUT_A, record=extra)]), ("client", subscribe(1)))
    fault("tells_of_a_record_that_is_cut", "P-3.8", "invalid_value",
          told(1, "changes", position(43), changes=[but(PUT_A, record=NOTE_A[:-2])]), ("client", subscribe(1)))
    fault("moves_within_an_answer", "P-3.9 P-4.4", "invalid_field", rows(1, ROW_B, at=position(43)),
          ("client", SCAN), ("server", rows(1, ROW_A, last=False)))
    fault("ends_a_subscription_unasked", "P-3.9 P-4.9.1", "unexpected_message", told(1, "ended"), ("client", subscribe(1)))
    add(out, "server_ack_malformed", "P-3.5", Script().greet().client(OPERATION)
        .frame("server", TYPES["ack"], encode(ACK)[1][:-1], "truncated"))
    good = frame(TYPES["ack"], encode(ACK)[1], 1)
    for name, clauses, raw, code in (
            ("damaged_on_the_way", "P-2.5", good[:18] + b"\xff" + good[19:], "frame_checksum_mismatch"),
            ("is_something_else", "P-2.2", b"HTTP/1.1 400 Bad Request\r\n\r\n", "bad_magic"),
            ("frame_too_large", "P-2.3", frame(TYPES["event"], b"", 1, length=2097153)[:15], "payload_too_large")):
        add(out, "server_" + name, clauses, Script().greet().client(OPERATION).raw("server", raw, code))
    add(out, "server_is_something_else_at_once", "P-2.2", Script().client(HELLO).raw("server", b"HTTP/1.1 400 Bad Request\r\n\r\n", "bad_magic"))
    add(out, "server_welcome_too_large", "P-2.3", Script().client(HELLO)
        .raw("server", frame(TYPES["handshake"], bytes(4097), 0)[:15], "payload_too_large"))
    add(out, "server_welcomes_another_node", "C-2.5", Script().client(RESUMING).server(but(WELCOME, node=ID_A), "invalid_field"))

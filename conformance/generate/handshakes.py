"""handshakes.json: what each side makes of the other's Handshake (C-2)."""

from cases import Cases
from messages import encode
from samples import HELLO, ID_A, NODE, WELCOME, but
from wire import Fault

VERSION, LEAST_HEARTBEAT, GREATEST_HEARTBEAT = 1, 5000, 60000
U64 = str(2 ** 64 - 1)


def check_identity(hello, decided):
    """C-2.6."""
    if decided >= int(hello["next_operation"]):
        raise Fault("identity_reused")
    if int(hello["oldest_unacked"]) > decided + 1:
        raise Fault("identity_expired")


def answer(hello, server):
    """What a server's Welcome must say (C-2.3, C-2.4, C-2.6, P-4.1)."""
    if not hello["min_version"] <= VERSION <= hello["max_version"]:
        raise Fault("unsupported_version")
    check_identity(hello, int(server["node_decided"]))
    welcome = {"version": VERSION, "node_decided": server["node_decided"],
               "heartbeat_ms": min(max(hello["heartbeat_ms"], LEAST_HEARTBEAT), GREATEST_HEARTBEAT),
               "capabilities": [name for name in hello["capabilities"] if name in server["capabilities"]]}
    return welcome if hello["node"] is None else but(welcome, node=hello["node"])


def judge(hello, welcome):
    """What a client checks of a Welcome that is well-formed (C-2.5, C-2.6)."""
    fits = (hello["min_version"] <= welcome["version"] <= hello["max_version"]
            and LEAST_HEARTBEAT <= welcome["heartbeat_ms"] <= GREATEST_HEARTBEAT
            and hello["node"] in (None, welcome["node"])
            and all(name in hello["capabilities"] for name in welcome["capabilities"]))
    if not fits:
        raise Fault("invalid_field")
    check_identity(hello, int(welcome["node_decided"]))


def handshakes():
    out = Cases("handshakes.json", "What a server answers to a Hello (role server), and what a client makes of a Welcome "
                "(role client).")
    servers(out)
    clients(out)
    return out


def servers(out):
    def case(name, clauses, hello, decided=0, capabilities=("lz4",), code=None):
        server = {"node_decided": str(decided), "capabilities": list(capabilities)}
        members = {"role": "server", "hello_hex": encode(hello)[1], "hello": hello, "server": server}
        try:
            members["welcome"] = answer(hello, server)
        except Fault as fault:
            members["code"] = fault.code
        if members.get("code") != code:
            raise ValueError("%s: %s" % (name, members.get("code")))
        out.add("%s_server_%s" % ("n" if code else "y", name), clauses, **members)

    resuming = but(HELLO, node=NODE, next_operation="42", oldest_unacked="40")
    case("new_node", "C-2.1 P-4.1", HELLO)
    case("without_capabilities", "P-4.1.1", but(HELLO, capabilities=[]))
    case("unknown_capabilities", "P-4.1.1", but(HELLO, capabilities=["a", "lz4", "zstd"]))
    case("capability_it_lacks", "P-4.1.1", HELLO, capabilities=())
    for proposed in (0, 1, 4999, 5000, 15000, 60000, 60001, 2 ** 32 - 1):
        case("heartbeat_%d" % proposed, "C-2.4", but(HELLO, heartbeat_ms=proposed))
    case("versions_1_to_3", "P-4.1 C-2.3", but(HELLO, max_version=3))
    case("versions_1_to_255", "P-4.1 C-2.3", but(HELLO, max_version=255))
    case("versions_2_to_3", "C-2.3", but(HELLO, min_version=2, max_version=3), code="unsupported_version")
    case("version_255", "C-2.3", but(HELLO, min_version=255, max_version=255), code="unsupported_version")
    case("known_node_without_operations", "C-2.6", but(HELLO, node=NODE))
    case("all_decided", "C-2.6", resuming, 41)
    case("some_decided", "C-2.6", resuming, 40)
    case("none_pending_decided", "C-2.6", resuming, 39)
    case("all_acknowledged", "C-2.6", but(resuming, oldest_unacked="42"), 41)
    case("first_ever_pending", "C-2.6", but(HELLO, node=NODE, next_operation="4", oldest_unacked="1"), 0)
    case("greatest_numbers", "C-2.6", but(HELLO, node=NODE, next_operation=U64, oldest_unacked=U64), 2 ** 64 - 2)
    case("decided_next", "C-2.6", resuming, 42, code="identity_reused")
    case("decided_far_beyond", "C-2.6", resuming, 2 ** 64 - 1, code="identity_reused")
    case("decided_of_a_new_count", "C-2.6", but(HELLO, node=NODE), 1, code="identity_reused")
    case("outcome_not_known", "C-2.6", resuming, 38, code="identity_expired")
    case("nothing_known", "C-2.6", resuming, 0, code="identity_expired")
    case("acknowledged_is_not_known", "C-2.6", but(resuming, oldest_unacked="42"), 40, code="identity_expired")


def clients(out):
    def case(name, clauses, hello, welcome, code=None):
        found = None
        try:
            judge(hello, welcome)
        except Fault as fault:
            found = fault.code
        if found != code:
            raise ValueError("%s: %s" % (name, found))
        members = {"code": code} if code else {}
        out.add("%s_client_%s" % ("n" if code else "y", name), clauses, role="client", hello_hex=encode(hello)[1], hello=hello,
                welcome_hex=encode(welcome)[1], welcome=welcome, **members)

    resuming = but(HELLO, node=NODE, next_operation="42", oldest_unacked="40")
    case("new_node", "C-2.1", HELLO, WELCOME)
    case("no_shared_capability", "P-4.1.1", HELLO, but(WELCOME, capabilities=[]))
    for heartbeat in (5000, 60000):
        case("heartbeat_%d" % heartbeat, "C-2.4 C-2.5", HELLO, but(WELCOME, heartbeat_ms=heartbeat))
    for window in (1, 1024):
        case("operation_window_%d" % window, "P-4.1", HELLO, but(WELCOME, operation_window=window))
    case("no_clock", "P-1.5", HELLO, but(WELCOME, clock="0"))
    for decided in (39, 40, 41):
        case("decided_%d_of_39_to_41" % decided, "C-2.6", resuming, but(WELCOME, node_decided=str(decided)))
    case("all_acknowledged", "C-2.6", but(resuming, oldest_unacked="42"), but(WELCOME, node_decided="41"))
    for heartbeat in (0, 4999, 60001, 2 ** 32 - 1):
        case("heartbeat_%d" % heartbeat, "C-2.5", HELLO, but(WELCOME, heartbeat_ms=heartbeat), "invalid_field")
    for version in (0, 2, 255):
        case("version_%d" % version, "C-2.5", HELLO, but(WELCOME, version=version), "invalid_field")
    case("capability_not_offered", "C-2.5", but(HELLO, capabilities=[]), WELCOME, "invalid_field")
    case("one_capability_not_offered", "C-2.5", HELLO, but(WELCOME, capabilities=["lz4", "zstd"]), "invalid_field")
    case("another_node", "C-2.5", but(HELLO, node=NODE), but(WELCOME, node=ID_A), "invalid_field")
    case("decided_next", "C-2.6", resuming, but(WELCOME, node_decided="42"), "identity_reused")
    case("decided_of_a_new_node", "C-2.6", HELLO, but(WELCOME, node_decided="1"), "identity_reused")
    case("outcome_not_known", "C-2.6", resuming, but(WELCOME, node_decided="38"), "identity_expired")
    case("nothing_known", "C-2.6", resuming, WELCOME, "identity_expired")

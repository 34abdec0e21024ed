meta:
  id: blaze
  title: BLAZE, version 1
  application: BlazeDB
  license: MIT OR Apache-2.0
  ks-version: '0.11'
  endian: be
doc: |
  One direction of a connection of BLAZE, version 1 (spec/protocol.md), as it travelled over TCP, TLS or a Unix socket: frames
  one behind another, with their messages, and the records and values of BlazeBinary (spec/blazebinary.md) in them. It also
  reads captures (spec/capture.md), which are frames too.

  What Kaitai cannot say is left to the reader: checksums are read and not compared, the block of a compressed payload is not
  decoded (decode it, and read it as the type `message` with the frame's type), and limits other than those of fields are
  not checked.
seq:
  - id: frames
    type: frame
    repeat: eos
types:
  frame:
    seq:
      - id: magic
        contents: BLAZE
      - id: version
        type: u1
        valid: 1
      - id: type
        type: u1
        enum: message_type
      - id: length
        type: u4
        doc: of the payload as it travels
        valid:
          max: 2097152
      - id: reserved
        type: b5
        valid: 0
      - id: requires_ack
        type: b1
      - id: encrypted
        type: b1
      - id: compressed
        type: b1
      - id: sequence
        type: b24
      - id: payload
        type: payload(type.to_i, compressed)
        size: length
      - id: crc
        type: u4
        doc: CRC-32 (IEEE) of all bytes of the frame before it
  payload:
    params:
      - id: message_type
        type: u1
      - id: compressed
        type: bool
    seq:
      - id: plain_length
        type: u4
        if: compressed
      - id: block
        size-eos: true
        if: compressed
        doc: one LZ4 block, which becomes `plain_length` bytes
      - id: message
        type: message(message_type)
        if: not compressed
  message:
    doc: A plain payload.
    params:
      - id: message_type
        type: u1
    seq:
      - id: body
        type:
          switch-on: message_type
          cases:
            0x01: handshake
            0x02: operation
            0x03: query
            0x04: query_response
            0x05: subscribe
            0x07: ack
            0x08: error
            0x10: event
            0x11: unsubscribe
            0x12: ping
            0x13: pong
            0x15: goodbye
            0x16: credit
            0x17: cancel
            0x2a: capture_header
            0x2b: capture_entry
            _: opaque
      - id: extension
        type: value
        if: not _io.eof
        doc: a dict; keys that begin with "!" must be understood
  opaque:
    doc: A payload that is not defined, or one of another kind of file.
    seq:
      - id: bytes
        size-eos: true

  # Parts of messages

  position:
    seq:
      - id: epoch
        type: u4
      - id: partition
        type: u4
      - id: seq
        type: u8
  clock:
    seq:
      - id: unix_ms_high
        type: u2
      - id: unix_ms_low
        type: u4
      - id: counter
        type: u2
    instances:
      unix_ms:
        value: unix_ms_high * 0x100000000 + unix_ms_low
  text_value:
    doc: A string value; where a field may be null, also that.
    seq:
      - id: tag
        type: u1
        valid:
          expr: _ == 0x01 or _ == 0x0b or _ == 0x11 or (_ > 0x20 and _ < 0x30)
      - id: long_length
        type: u4
        if: tag == 0x01
      - id: text
        type: str
        encoding: UTF-8
        size: 'tag == 0x01 ? long_length : tag > 0x20 ? tag - 0x20 : 0'
        if: tag != 0x0b
  uuid_value:
    doc: A uuid value; where a field may be null, also that.
    seq:
      - id: tag
        type: u1
        valid:
          any-of: [0x05, 0x0b]
      - id: uuid
        size: 16
        if: tag == 0x05
  strings:
    doc: An array of strings.
    seq:
      - id: tag
        type: u1
        valid:
          any-of: [0x08, 0x18]
      - id: full_count
        type: u2
        if: tag == 0x08
      - id: items
        type: text_value
        repeat: expr
        repeat-expr: count
    instances:
      count:
        value: 'tag == 0x08 ? full_count : 0'
  record:
    doc: A record as it travels.
    seq:
      - id: length
        type: u4
        valid:
          max: 1048576
      - id: crc
        type: u4
        doc: CRC-32 of the record's bytes
      - id: body
        type: record_body
        size: length
        if: length >= 8
      - id: no_record
        size: length
        if: length < 8
        doc: too short for a record; a server refuses it alone
  record_body:
    seq:
      - id: magic
        contents: BLAZE
      - id: layout
        type: u1
        valid:
          any-of: [1, 2]
      - id: field_count
        type: u2
      - id: fields
        type: field
        repeat: expr
        repeat-expr: field_count
      - id: checksum
        type: u4
        if: layout == 2
        doc: CRC-32 of the record's bytes before it
  field:
    seq:
      - id: key
        type: u1
        enum: common_field
      - id: name
        type: name
        if: key == common_field::written_out
      - id: value
        type: value
  name:
    seq:
      - id: length
        type: u2
      - id: text
        type: str
        encoding: UTF-8
        size: length
  value:
    seq:
      - id: tag
        type: u1
        enum: tag
      - id: length
        type: u4
        if: tag == tag::string or tag == tag::data
      - id: count
        if: tag == tag::array or tag == tag::dict or tag == tag::vector
        type:
          switch-on: tag
          cases:
            'tag::vector': u4
            _: u2
      - id: as_string
        type: str
        encoding: UTF-8
        size: 'tag == tag::string ? length : tag.to_i - 0x20'
        if: tag == tag::string or (tag.to_i > 0x20 and tag.to_i < 0x30)
      - id: as_int
        if: tag == tag::integer or tag == tag::small_integer
        type:
          switch-on: tag
          cases:
            'tag::integer': s8
            _: u1
      - id: as_double
        type: f8
        if: tag == tag::double_number
      - id: as_bool
        type: u1
        if: tag == tag::boolean
      - id: as_uuid
        size: 16
        if: tag == tag::uuid
      - id: as_date
        type: f8
        if: tag == tag::date
        doc: seconds since 2001-01-01T00:00:00Z
      - id: as_data
        size: length
        if: tag == tag::data
      - id: as_items
        type: u4
        repeat: expr
        repeat-expr: count
        if: tag == tag::vector
        doc: each the upper four bytes of a double whose lower four bytes are zero
      - id: values
        type: value
        repeat: expr
        repeat-expr: count
        if: tag == tag::array
      - id: entries
        type: entry
        repeat: expr
        repeat-expr: count
        if: tag == tag::dict
  entry:
    seq:
      - id: key
        type: name
      - id: value
        type: value

  # Messages

  handshake:
    seq:
      - id: kind
        type: u1
        enum: handshake_kind
      - id: body
        type:
          switch-on: kind
          cases:
            'handshake_kind::hello': hello
            'handshake_kind::welcome': welcome
  hello:
    seq:
      - id: min_version
        type: u1
      - id: max_version
        type: u1
      - id: next_operation
        type: u8
      - id: oldest_unacked
        type: u8
      - id: heartbeat_ms
        type: u4
      - id: database
        type: text_value
      - id: agent
        type: text_value
      - id: node
        type: uuid_value
      - id: capabilities
        type: strings
  welcome:
    seq:
      - id: version
        type: u1
      - id: node_decided
        type: u8
      - id: operation_window
        type: u2
      - id: heartbeat_ms
        type: u4
      - id: work_frames
        type: u8
      - id: work_bytes
        type: u8
      - id: telemetry_frames
        type: u8
      - id: telemetry_bytes
        type: u8
      - id: request_limit
        type: u2
      - id: clock
        type: clock
      - id: position
        type: position
      - id: connection
        type: uuid_value
      - id: node
        type: uuid_value
      - id: agent
        type: text_value
      - id: capabilities
        type: strings
  operation:
    seq:
      - id: number
        type: u8
      - id: ack_level
        type: u1
        enum: ack_level
      - id: group_count
        type: u2
      - id: groups
        type: group
        repeat: expr
        repeat-expr: group_count
  group:
    seq:
      - id: collection
        type: text_value
      - id: operation_count
        type: u2
      - id: operations
        type: op
        repeat: expr
        repeat-expr: operation_count
  op:
    seq:
      - id: has_base
        type: b1
      - id: skip_unchanged
        type: b1
      - id: reserved
        type: b2
        valid: 0
      - id: kind
        type: b4
        enum: operation_kind
        valid:
          in-enum: true
      - id: base
        type: u8
        if: has_base
      - id: id
        size: 16
        if: kind == operation_kind::patch or kind == operation_kind::delete or kind == operation_kind::check
      - id: removed
        type: strings
        if: kind == operation_kind::patch
      - id: record
        type: record
        if: kind == operation_kind::insert or kind == operation_kind::upsert or kind == operation_kind::patch
  query:
    seq:
      - id: id
        type: u8
      - id: frames
        type: u8
      - id: bytes
        type: u8
      - id: kind
        type: u1
        enum: query_kind
      - id: at_least
        type: u1
        if: is_defined
        valid:
          max: 1
      - id: position
        type: position
        if: is_defined and at_least == 1
      - id: body
        if: is_defined
        type:
          switch-on: kind
          cases:
            'query_kind::get': get
            'query_kind::scan': scan
            'query_kind::stats': stats
      - id: rest
        size-eos: true
        if: not is_defined
        doc: of a kind that is reserved
    instances:
      is_defined:
        value: kind == query_kind::get or kind == query_kind::scan or kind == query_kind::stats
  get:
    seq:
      - id: collection
        type: text_value
      - id: count
        type: u2
      - id: ids
        size: 16
        repeat: expr
        repeat-expr: count
  scan:
    seq:
      - id: collection
        type: text_value
      - id: reserved
        type: b7
        valid: 0
      - id: reverse
        type: b1
      - id: limit
        type: u8
      - id: lower
        type: bound
      - id: upper
        type: bound
  bound:
    seq:
      - id: kind
        type: u1
        enum: bound_kind
        valid:
          in-enum: true
      - id: id
        size: 16
        if: kind != bound_kind::none
  stats:
    seq:
      - id: collection
        type: text_value
  query_response:
    seq:
      - id: id
        type: u8
      - id: reserved
        type: b7
        valid: 0
      - id: last
        type: b1
      - id: position
        type: position
      - id: row_count
        type: u2
      - id: rows
        type: row
        repeat: expr
        repeat-expr: row_count
  row:
    seq:
      - id: seq
        type: u8
      - id: record
        type: record
  subscribe:
    seq:
      - id: id
        type: u8
      - id: frames
        type: u8
      - id: bytes
        type: u8
      - id: mode
        type: u1
        enum: subscription_mode
      - id: start
        type: u1
        enum: subscription_start
      - id: position
        type: position
        if: start == subscription_start::after
      - id: collection
        type: text_value
  ack:
    seq:
      - id: lane
        type: u1
        enum: lane
      - id: level
        type: u1
        enum: ack_level
      - id: number
        type: u8
      - id: unchanged
        type: u8
      - id: position
        type: position
  error:
    seq:
      - id: scope
        type: u1
        enum: error_scope
      - id: id
        type: u8
      - id: code
        type: u2
        enum: error_code
      - id: message
        type: text_value
      - id: detail
        type: value
  event:
    seq:
      - id: id
        type: u8
      - id: kind
        type: u1
        enum: event_kind
        valid:
          in-enum: true
      - id: position
        type: position
      - id: change_count
        type: u2
        if: kind == event_kind::changes
      - id: changes
        type: change
        repeat: expr
        repeat-expr: change_count
        if: kind == event_kind::changes
      - id: code
        type: u2
        enum: error_code
        if: kind == event_kind::reset
      - id: oldest
        type: position
        if: kind == event_kind::reset
  change:
    seq:
      - id: last
        type: b1
        doc: of its transaction
      - id: kind
        type: b7
        enum: change_kind
        valid:
          in-enum: true
      - id: seq
        type: u8
      - id: record
        type: record
        if: kind == change_kind::put
      - id: id
        size: 16
        if: kind == change_kind::delete
  unsubscribe:
    seq:
      - id: id
        type: u8
  cancel:
    seq:
      - id: id
        type: u8
  ping:
    seq:
      - id: nonce
        type: u8
  pong:
    seq:
      - id: nonce
        type: u8
      - id: clock
        type: clock
  goodbye:
    seq:
      - id: code
        type: u2
        enum: error_code
      - id: retry_after_ms
        type: u4
      - id: message
        type: text_value
  credit:
    seq:
      - id: scope
        type: u1
        enum: credit_scope
      - id: id
        type: u8
      - id: frames
        type: u8
      - id: bytes
        type: u8

  # Captures

  capture_header:
    seq:
      - id: format
        type: u2
        valid: 1
      - id: started_us
        type: u8
        doc: microseconds since 1970-01-01T00:00:00Z
      - id: target
        type: name
      - id: agent
        type: name
  capture_entry:
    seq:
      - id: chain
        size: 8
        doc: of all frames before this one
      - id: elapsed_us
        type: u8
        doc: since `started_us`
      - id: connection
        type: u4
      - id: kind
        type: u1
        enum: capture_kind
        valid:
          in-enum: true
      - id: bytes
        size-eos: true
        doc: the bytes of one side, or a text
enums:
  message_type:
    0x01: handshake
    0x02: operation
    0x03: query
    0x04: query_response
    0x05: subscribe
    0x06: telemetry
    0x07: ack
    0x08: error
    0x10: event
    0x11: unsubscribe
    0x12: ping
    0x13: pong
    0x14: auth
    0x15: goodbye
    0x16: credit
    0x17: cancel
    0x20: segment_header
    0x21: commit
    0x22: seal
    0x2a: capture_header
    0x2b: capture_entry
  handshake_kind:
    1: hello
    2: welcome
  ack_level:
    0: accepted
    1: durable
    2: replicated
  operation_kind:
    1: insert
    2: upsert
    3: patch
    4: delete
    5: check
    6: drop
  query_kind:
    1: get
    2: scan
    3: stats
    4: structured
    5: sql
  bound_kind:
    0: none
    1: inclusive
    2: exclusive
  subscription_mode:
    1: all
    2: latest
  subscription_start:
    0: now
    1: snapshot
    2: after
  lane:
    0: work
    1: telemetry
  error_scope:
    0: connection
    1: operation
    2: request
  event_kind:
    1: changes
    2: caught_up
    3: reset
    4: waiting
    5: heartbeat
    6: ended
  change_kind:
    1: put
    2: delete
    3: dropped
  credit_scope:
    0: work
    1: telemetry
    2: request
  capture_kind:
    1: opened
    2: from_client
    3: from_server
    4: client_ended
    5: server_ended
    6: closed
  tag:
    0x01: string
    0x02: integer
    0x03: double_number
    0x04: boolean
    0x05: uuid
    0x06: date
    0x07: data
    0x08: array
    0x09: dict
    0x0a: vector
    0x0b: null_value
    0x11: empty_string
    0x12: small_integer
    0x18: empty_array
    0x19: empty_dict
    0x21: short_string_1
    0x22: short_string_2
    0x23: short_string_3
    0x24: short_string_4
    0x25: short_string_5
    0x26: short_string_6
    0x27: short_string_7
    0x28: short_string_8
    0x29: short_string_9
    0x2a: short_string_10
    0x2b: short_string_11
    0x2c: short_string_12
    0x2d: short_string_13
    0x2e: short_string_14
    0x2f: short_string_15
  common_field:
    0x01: id
    0x02: created_at
    0x03: updated_at
    0x04: user_id
    0x05: team_id
    0x06: title
    0x07: description
    0x08: status
    0x09: priority
    0x0a: assigned_to
    0x0b: tags
    0x0c: completed_at
    0x0d: due_date
    0x0e: start_date
    0x0f: category
    0x10: name
    0x11: email
    0x12: password
    0x13: username
    0x14: first_name
    0x15: last_name
    0x16: age
    0x17: phone
    0x18: address
    0x19: city
    0x1a: state
    0x1b: zip
    0x1c: country
    0x1d: organization_id
    0x1e: project_id
    0x1f: task_id
    0x20: bug_id
    0x21: issue_id
    0x22: comment_id
    0x23: attachment_id
    0x24: version_id
    0x25: parent_id
    0x26: child_ids
    0x27: metadata
    0x28: config
    0x29: settings
    0x2a: preferences
    0x2b: type
    0x2c: kind
    0x2d: label
    0x2e: value
    0x2f: count
    0x30: total
    0x31: sum
    0x32: average
    0x33: min
    0x34: max
    0x35: is_active
    0x36: is_deleted
    0x37: is_public
    0x38: is_private
    0x39: is_archived
    0x3a: is_favorite
    0xff: written_out
  # Rendered from errors.json (tests/suite/generated.rs): edit that.
  error_code:
    0: none
    1: bad_magic
    2: unsupported_version
    3: reserved_flags
    4: payload_too_large
    5: frame_checksum_mismatch
    6: sequence_gap
    7: unknown_message_type
    8: not_supported
    9: unexpected_flag
    10: truncated
    11: trailing_bytes
    12: unsupported_extension
    13: invalid_field
    14: invalid_value
    15: bad_compression
    16: unexpected_message
    17: handshake_timeout
    18: heartbeat_timeout
    19: write_stalled
    20: credit_exceeded
    21: invalid_credit
    22: control_flood
    23: impossible_ack
    100: operation_number_gap
    101: operation_window_exceeded
    102: record_checksum_mismatch
    103: invalid_record
    104: record_too_large
    105: invalid_id
    106: already_exists
    107: not_found
    108: precondition_failed
    109: id_is_fixed
    110: transaction_too_large
    111: clock_ahead
    112: invalid_name
    200: request_id_not_increasing
    201: too_many
    202: cancelled
    203: position_not_reached
    204: position_unknown
    205: unknown_collection
    206: resources_exceeded
    207: deadline_exceeded
    208: snapshot_expired
    300: position_expired
    301: collection_dropped
    302: epoch_changed
    400: unknown_database
    401: unauthenticated
    402: forbidden
    403: identity_reused
    404: identity_expired
    405: fenced
    500: internal
    501: read_only
    502: disk_full
    503: shutting_down
    504: too_busy
    505: too_many_connections
    506: corrupted

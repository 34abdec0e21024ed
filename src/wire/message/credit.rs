//! `16` Credit: the other side may send more.
//!
//! | field | |
//! |---|---|
//! | scope | u8: 0 work lane, 1 telemetry lane (server to client), 2 request (client to server) |
//! | id | u64: the request's; 0 for a lane |
//! | frames, bytes | u64, u64: absolute limits, never falling |

use crate::wire::credit_limit::{CreditLimit, Lane};
use crate::wire::message_error::{MessageError, MessageErrorKind as Kind};
use crate::wire::payload::PayloadReader;

const WORK: u8 = 0;
const TELEMETRY: u8 = 1;
const REQUEST: u8 = 2;

/// New limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// Of what.
    pub scope: CreditScope,
    /// How much may have been sent in all.
    pub limit: CreditLimit,
}

/// What a Credit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CreditScope {
    /// What the client sends in a lane.
    Lane(Lane),
    /// What the server sends for a request of this id.
    Request(u64),
}

impl Credit {
    pub(super) fn read(reader: &mut PayloadReader<'_>) -> Result<Self, MessageError> {
        let scope = reader.choice("scope", |byte| (byte <= REQUEST).then_some(byte))?;
        let at = reader.offset();
        let scope = match (scope, reader.u64()?) {
            (WORK, 0) => CreditScope::Lane(Lane::Work),
            (TELEMETRY, 0) => CreditScope::Lane(Lane::Telemetry),
            (REQUEST, id @ 1..) => CreditScope::Request(id),
            _ => return Err(Kind::Inconsistent { field: "id" }.at(at)),
        };
        Ok(Self { scope, limit: CreditLimit::read(reader)? })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        let (scope, id) = match self.scope {
            CreditScope::Lane(Lane::Work) => (WORK, 0),
            CreditScope::Lane(Lane::Telemetry) => (TELEMETRY, 0),
            CreditScope::Request(id) => (REQUEST, id),
        };
        out.push(scope);
        out.extend_from_slice(&id.to_be_bytes());
        self.limit.write(out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Message;
    use super::super::testing::{any as of, check, rejects, round_trip};
    use super::*;

    #[test]
    fn each_scope_is_read_and_written() {
        let limit = CreditLimit { frames: 256, bytes: 1 << 20 };
        for (hex, scope) in [
            ("00 0000000000000000", CreditScope::Lane(Lane::Work)),
            ("01 0000000000000000", CreditScope::Lane(Lane::Telemetry)),
            ("02 0000000000000102", CreditScope::Request(258)),
        ] {
            check(
                &format!("{hex} 0000000000000100 0000000000100000"),
                Message::Credit(Credit { scope, limit }),
            );
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        rejects(0x16, "03", 0, Kind::UnknownValue { field: "scope", value: 3 });
        for hex in ["00 0000000000000001", "01 0000000000000001", "02 0000000000000000"] {
            rejects(0x16, hex, 1, Kind::Inconsistent { field: "id" });
        }
    }

    proptest! {
        #[test]
        fn credits_come_back(scope in 0u8..3, id in 1u64.., limit in of::credit()) {
            let scope = match scope {
                0 => CreditScope::Lane(Lane::Work),
                1 => CreditScope::Lane(Lane::Telemetry),
                _ => CreditScope::Request(id),
            };
            round_trip(&Message::Credit(Credit { scope, limit }));
        }
    }
}

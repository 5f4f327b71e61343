//! Which trace a span belongs to. Nothing is stored and nothing is sent along for it: the trace of a piece of work is the id
//! of that work, which the request that began it and each server that works on it know anyway.

use crate::adapters::random;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// 128 bits, never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(u128);

/// 64 bits, never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(u64);

impl TraceId {
    /// The trace of the work with that id: the bits of the UUID, so that whoever knows the one finds the other. What is no
    /// UUID gives the same trace everywhere as well.
    pub fn of(id: &str) -> Self {
        match Uuid::parse_str(id) {
            Ok(uuid) if !uuid.is_nil() => Self(uuid.as_u128()),
            _ => {
                let mut bytes = [0; 16];
                bytes.copy_from_slice(&Sha256::digest(id.as_bytes())[..16]);
                Self(u128::from_be_bytes(bytes).max(1))
            }
        }
    }

    /// The span that began it all. The second half of the trace, so that each server knows it without asking.
    pub fn root(self) -> SpanId {
        SpanId(((self.0 & u128::from(u64::MAX)) as u64).max(1))
    }

    /// The last 56 bits: what those who take a part of all traces go by, all alike.
    pub fn lot(self) -> u64 {
        (self.0 & ((1 << 56) - 1)) as u64
    }

    pub fn hex(self) -> String {
        format!("{:032x}", self.0)
    }
}

impl SpanId {
    pub fn drawn() -> Self {
        Self(u64::from_be_bytes(random()).max(1))
    }

    pub fn hex(self) -> String {
        format!("{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_of_a_piece_of_work_is_its_id() {
        let id = "0198c1de-7b4a-7c3e-9a10-0123456789ab";
        assert_eq!(TraceId::of(id).hex(), id.replace('-', ""));
        assert_eq!(TraceId::of(id).root().hex(), "9a100123456789ab");
        assert_eq!(TraceId::of(id), TraceId::of(&id.to_uppercase()));
    }

    #[test]
    fn what_is_no_uuid_has_a_trace_as_well_and_none_is_all_zero() {
        let nil = Uuid::nil().to_string();
        for id in ["", "order 7", nil.as_str()] {
            let trace = TraceId::of(id);
            assert_eq!(trace, TraceId::of(id));
            assert_ne!(trace.hex(), "0".repeat(32));
        }
        assert_ne!(TraceId::of("order 7"), TraceId::of("order 8"));
        assert_eq!(TraceId::of("00000000-0000-0001-0000-000000000000").root().hex(), format!("{:016x}", 1));
    }
}

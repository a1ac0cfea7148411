//! The header `traceparent` (W3C Trace Context): the span that a request belongs to.

use std::fmt;

use http::{HeaderMap, HeaderName};

/// The name of the header.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The length of a value of version 00.
// 2 + 1 + 32 + 1 + 16 + 1 + 2: version, trace, span and flags in hex, separated by hyphens.
const LENGTH: usize = 55;
/// The bit in the flags that says the caller records this trace.
const SAMPLED: u8 = 1;

/// A span of another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: u128,
    /// The span in it.
    pub span_id: u64,
    /// Whether the trace is recorded.
    pub is_sampled: bool,
}

impl TraceContext {
    /// Starts a new trace, which is recorded.
    #[must_use]
    pub fn new() -> Self {
        Self {
            // 0 is invalid.
            trace_id: rand::random::<u128>().max(1),
            span_id: new_span_id(),
            is_sampled: true,
        }
    }

    /// The span of a request that this process sends: in the trace that the variable `TRACEPARENT`
    /// names, or in a new one.
    #[must_use]
    pub fn outgoing() -> Self {
        Self::continuing(std::env::var("TRACEPARENT").ok().as_deref())
    }

    /// A new span in the trace that `value` names, or in a new trace if it names none.
    fn continuing(value: Option<&str>) -> Self {
        let parent = value.and_then(|value| Self::parse(value.as_bytes()));
        parent.map_or_else(Self::new, |parent| Self {
            span_id: new_span_id(),
            ..parent
        })
    }

    /// The span that a request belongs to. `None` unless exactly one header names a valid one.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(&TRACEPARENT).iter();
        let (value, None) = (values.next()?, values.next()) else {
            return None;
        };
        Self::parse(value.as_bytes())
    }

    /// Parses a value. Of a version later than 00, only the fields of version 00 are read, as W3C
    /// Trace Context 4.3 asks.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(LENGTH)?;
        let mut parts = known.split(|byte| *byte == b'-');
        let mut part = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            // `from_str_radix` would also accept a sign and upper-case digits, which are invalid
            // here (W3C Trace Context 3.2.2).
            let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            let text = std::str::from_utf8(part).ok()?;
            part.iter()
                .all(is_hex)
                .then(|| u128::from_str_radix(text, 16).ok())?
        };
        let (version, trace_id, span_id, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        let is_length_right = match version {
            0 => rest.is_empty(),
            // Version ff is invalid (W3C Trace Context 3.2.2.1).
            0xff => false,
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        let span_id = u64::try_from(span_id).ok()?;
        let flags = u8::try_from(flags).ok()?;
        (is_length_right && trace_id != 0 && span_id != 0).then_some(Self {
            trace_id,
            span_id,
            is_sampled: flags & SAMPLED != 0,
        })
    }
}

impl Default for TraceContext {
    fn default() -> Self {
        Self::new()
    }
}

/// The value of the header.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            span_id,
            is_sampled,
        } = self;
        write!(
            f,
            "00-{trace_id:032x}-{span_id:016x}-{:02x}",
            // The other flags have no meaning in version 00, and a sender has to set them to zero.
            u8::from(*is_sampled)
        )
    }
}

/// Returns a random id. W3C Trace Context declares 0 invalid.
pub(super) fn new_span_id() -> u64 {
    rand::random::<u64>().max(1)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const VALUE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_standard_is_read_and_written() {
        let read = TraceContext::parse(VALUE.as_bytes()).unwrap();
        assert_eq!(read.to_string(), VALUE);
        assert_eq!(
            (read.trace_id, read.span_id, read.is_sampled),
            (
                0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
                0x00f0_67aa_0ba9_02b7,
                true
            )
        );
        let unsampled = VALUE.replace("-01", "-00");
        assert!(
            !TraceContext::parse(unsampled.as_bytes())
                .unwrap()
                .is_sampled
        );
        let later = VALUE.replacen("00", "cc", 1) + "-what-is-new";
        assert_eq!(TraceContext::parse(later.as_bytes()), Some(read));
    }

    #[test]
    fn what_is_no_value_is_not_taken() {
        for value in [
            "",
            VALUE.strip_suffix('1').unwrap(),
            &format!("{VALUE}-"),
            &format!("{VALUE}0"),
            &VALUE.to_uppercase(),
            &VALUE.replacen("00", "ff", 1),
            &VALUE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &VALUE.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &VALUE.replace('-', "_"),
            &VALUE.replacen("4b", "+b", 1),
            &(VALUE.replacen("00", "01", 1) + "x"),
        ] {
            assert_eq!(TraceContext::parse(value.as_bytes()), None, "{value}");
        }
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, HeaderValue::from_static(VALUE));
        assert!(TraceContext::of(&headers).is_some());
        // Two headers, even equal ones, do not name exactly one span.
        headers.append(TRACEPARENT, HeaderValue::from_static(VALUE));
        assert_eq!(TraceContext::of(&headers), None);
    }

    #[test]
    fn a_trace_is_continued_in_another_span() {
        let next = TraceContext::continuing(Some(VALUE));
        let before = TraceContext::parse(VALUE.as_bytes()).unwrap();
        assert_eq!((next.trace_id, next.is_sampled), (before.trace_id, true));
        assert_ne!(next.span_id, before.span_id);
        assert_ne!(
            TraceContext::continuing(Some("x")).trace_id,
            before.trace_id
        );
    }

    proptest! {
        #[test]
        fn no_value_panics_and_each_that_is_read_is_written_back(value in "[0-9a-f-]{50,60}") {
            if let Some(read) = TraceContext::parse(value.as_bytes()) {
                prop_assert_eq!(TraceContext::parse(read.to_string().as_bytes()), Some(read));
            }
        }
    }
}

//! Which trace does a request belong to, and how is that said to the next one? The `traceparent` of W3C
//! Trace Context, read without allocating and written again. It mints no ids: chance comes from the edges.

use std::fmt::{self, Write};
use std::num::{NonZeroU64, NonZeroU128};

/// The header that carries it.
pub const TRACEPARENT: &str = "traceparent";

/// What all work for one request has in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(pub NonZeroU128);

/// One piece of that work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId(pub NonZeroU64);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// On whose behalf a request is made: the value of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    pub trace: TraceId,
    pub span: SpanId,
    /// Whoever made the trace wants it recorded.
    pub sampled: bool,
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// Length of a value of version 00: version, trace, span and flags, with a dash between.
const LENGTH: usize = 55;

impl TraceParent {
    /// `None`: the value is none, and a trace of our own is begun, as the standard wants it.
    pub fn parse(value: &str) -> Option<TraceParent> {
        let bytes = value.as_bytes();
        let (known, rest) = bytes.split_at_checked(LENGTH)?;
        let version = hex(&known[..2])?;
        // Later versions may say more behind another dash.
        let ends = if version == 0 { rest.is_empty() } else { rest.first().is_none_or(|next| *next == b'-') };
        let apart = [2, 35, 52].iter().all(|dash| known[*dash] == b'-');
        if version == 0xff || !ends || !apart {
            return None;
        }
        let trace = TraceId(NonZeroU128::new(hex(&known[3..35])?)?);
        let span = SpanId(NonZeroU64::new(u64::try_from(hex(&known[36..52])?).ok()?)?);
        Some(TraceParent { trace, span, sampled: hex(&known[53..])? & 1 == 1 })
    }

    /// The header's value.
    pub fn header(&self) -> String {
        let mut value = String::with_capacity(LENGTH);
        // Writing to a string does not fail.
        let _ = write!(value, "{self}");
        value
    }

    /// The one that was kept with an entry.
    pub fn among(headers: &[(String, String)]) -> Option<TraceParent> {
        let (_, value) = headers.iter().find(|(name, _)| name == TRACEPARENT)?;
        TraceParent::parse(value)
    }
}

/// Lower case only, as the standard wants it.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |value: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    })
}

/// A piece of work: what it is called in its trace, and for whom it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub trace: TraceId,
    pub id: SpanId,
    /// `None`: the trace begins here.
    pub parent: Option<SpanId>,
    pub sampled: bool,
}

impl Span {
    /// Recorded like everything of which nobody says otherwise: servers behind us that follow the flag would
    /// record nothing any more.
    pub fn first(trace: TraceId, id: SpanId) -> Span {
        Span { trace, id, parent: None, sampled: true }
    }

    pub fn below(parent: TraceParent, id: SpanId) -> Span {
        Span { trace: parent.trace, id, parent: Some(parent.span), sampled: parent.sampled }
    }

    /// What is said to whoever is asked for a part of it.
    pub fn as_parent(&self) -> TraceParent {
        TraceParent { trace: self.trace, span: self.id, sampled: self.sampled }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_value_is_read_and_written_alike() {
        for flags in ["00", "01"] {
            let value = format!("{}{flags}", &GOOD[..53]);
            assert_eq!(TraceParent::parse(&value).unwrap().header(), value);
        }
        let parent = TraceParent::parse(GOOD).unwrap();
        assert_eq!(parent.trace.to_string(), &GOOD[3..35]);
        assert!(parent.sampled);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = |end: &str| TraceParent::parse(&format!("cc{}{end}", &GOOD[2..]));
        assert_eq!(later(""), TraceParent::parse(GOOD));
        assert_eq!(later("-what-the-future-is-like"), TraceParent::parse(GOOD));
        assert_eq!(later("."), None);
    }

    #[test]
    fn what_is_no_value_is_none() {
        let zero_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let zero_span = format!("{}-{}-01", &GOOD[..35], "0".repeat(16));
        let more = format!("{GOOD}-more");
        let upper = GOOD.to_uppercase();
        let dashes = GOOD.replace('-', "_");
        let forbidden = format!("ff{}", &GOOD[2..]);
        let not_hex = GOOD.replace('f', "g");
        let umlaut = GOOD.replace("4b", "ä");
        let short = &GOOD[..54];
        let all =
            ["", "00", short, &more, &upper, &dashes, &forbidden, &zero_trace, &zero_span, &not_hex, &umlaut];
        for value in all {
            assert_eq!(TraceParent::parse(value), None, "{value}");
        }
    }

    #[test]
    fn a_part_belongs_to_the_trace_and_names_itself() {
        let parent = TraceParent::parse(GOOD).unwrap();
        let span = Span::below(parent, SpanId(NonZeroU64::MIN));
        assert_eq!(span.parent, Some(parent.span));
        assert_eq!(span.as_parent().to_string(), format!("{}0000000000000001-01", &GOOD[..36]));
        assert_eq!(Span::first(parent.trace, parent.span).as_parent(), parent);
    }
}

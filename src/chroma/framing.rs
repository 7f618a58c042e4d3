//! How does an answer of HTTP/1.1 begin, and where does its body end? Read off bytes that came, by the rules of
//! RFC 9112; the parsing of the head is `httparse`'s. It reads from nothing and keeps no connection.

use bytes::{Buf, Bytes, BytesMut};
use httparse::{EMPTY_HEADER, Response, Status};

/// No head of a node's is longer.
const LONGEST_HEAD: usize = 64 << 10;
const MOST_FIELDS: usize = 100;
/// No size of a chunk, with its extension, is longer.
const LONGEST_LINE: usize = 4 << 10;
/// In bytes; see `data`.
const SMALL: usize = 16 << 10;

/// What cannot be understood, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is no HTTP/1.1: {0}")]
pub(super) struct Malformed(pub(super) &'static str);

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Names and values as they came.
    pub(super) fields: Vec<(Bytes, Bytes)>,
    pub(super) framing: Framing,
    /// Whether another request may follow on the connection.
    pub(super) reusable: bool,
}

/// What is still to come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes; none at the end.
    Length(u64),
    Chunked(Chunk),
    /// All that comes before the connection is closed.
    UntilClose,
}

/// Where in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    Size,
    Data(u64),
    /// The line end after data.
    Gap,
    Trailer,
}

/// What comes next of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Data(Bytes),
    /// Nothing, before more was read.
    Wanting,
    End,
}

/// Takes the head off what was read; `None` while it is incomplete. What a server says beforehand (1xx) is
/// passed over.
pub(super) fn head(read: &mut BytesMut, asked: &str) -> Result<Option<Head>, Malformed> {
    loop {
        let Some((head, length)) = parsed(read, asked)? else {
            return if read.len() > LONGEST_HEAD { Err(Malformed("its head is too long")) } else { Ok(None) };
        };
        read.advance(length);
        match head.status {
            101 => return Err(Malformed("it changes the protocol")),
            100..200 => {}
            _ => return Ok(Some(head)),
        }
    }
}

/// A whole head and its length.
fn parsed(read: &[u8], asked: &str) -> Result<Option<(Head, usize)>, Malformed> {
    let mut space = [EMPTY_HEADER; MOST_FIELDS];
    let mut response = Response::new(&mut space);
    let length = match response.parse(read) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(Malformed("its head cannot be read")),
    };
    let (status, version) = (response.code.unwrap_or_default(), response.version.unwrap_or_default());
    let bytes = Bytes::copy_from_slice(&read[..length]);
    let begin = read.as_ptr().addr();
    let part = |part: &[u8]| {
        let at = part.as_ptr().addr() - begin;
        if part.is_empty() { Bytes::new() } else { bytes.slice(at..at + part.len()) }
    };
    let fields = response.headers.iter().map(|field| (part(field.name.as_bytes()), part(field.value)));
    let fields: Vec<_> = fields.collect();
    let framing = framing(&fields, status, asked)?;
    let closes = named(&fields, "connection", "close") || version == 0;
    let both = given(&fields, "transfer-encoding").next().and(given(&fields, "content-length").next());
    let reusable = !closes && both.is_none() && framing != Framing::UntilClose;
    Ok(Some((Head { status, fields, framing, reusable }, length)))
}

type Fields = [(Bytes, Bytes)];

fn given<'a>(fields: &'a Fields, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let named = fields.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
    named.map(|(_, value)| &value[..])
}

/// Whether a list that may be spread over several fields has this word.
fn named(fields: &Fields, name: &str, word: &str) -> bool {
    let words = given(fields, name).flat_map(|value| value.split(|byte| *byte == b','));
    words.map(<[u8]>::trim_ascii).any(|found| found.eq_ignore_ascii_case(word.as_bytes()))
}

fn framing(fields: &Fields, status: u16, asked: &str) -> Result<Framing, Malformed> {
    if asked == "HEAD" || matches!(status, 100..200 | 204 | 304) {
        return Ok(Framing::Length(0));
    }
    if let Some(last) = given(fields, "transfer-encoding").last() {
        let chunked = last.len() >= 7 && last[last.len() - 7..].eq_ignore_ascii_case(b"chunked");
        return Ok(if chunked { Framing::Chunked(Chunk::Size) } else { Framing::UntilClose });
    }
    let mut length = None;
    for value in given(fields, "content-length") {
        let told = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let told = told.and_then(|text| text.parse::<u64>().ok()).ok_or(Malformed("its length is none"))?;
        if length.is_some_and(|length| length != told) {
            return Err(Malformed("it has two lengths"));
        }
        length = Some(told);
    }
    Ok(length.map_or(Framing::UntilClose, Framing::Length))
}

impl Framing {
    /// In bytes, where it is told beforehand.
    pub(super) fn length(self) -> Option<u64> {
        if let Framing::Length(length) = self { Some(length) } else { None }
    }

    /// Takes the next piece of the body off what was read.
    pub(super) fn next(&mut self, read: &mut BytesMut) -> Result<Piece, Malformed> {
        match self {
            Framing::Length(0) => Ok(Piece::End),
            Framing::Length(left) => Ok(data(left, read)),
            Framing::UntilClose => {
                let mut endless = u64::MAX;
                Ok(data(&mut endless, read))
            }
            Framing::Chunked(chunk) => chunk.next(read),
        }
    }

    /// Whether the body is whole when the connection is closed now.
    pub(super) fn may_end(self) -> bool {
        matches!(self, Framing::UntilClose | Framing::Length(0))
    }
}

/// At most so much as is left.
fn data(left: &mut u64, read: &mut BytesMut) -> Piece {
    if read.is_empty() {
        return Piece::Wanting;
    }
    let taken = usize::try_from(*left).map_or(read.len(), |left| left.min(read.len()));
    *left -= taken as u64;
    // A part of little is copied, so that the buffer stays one for the next answer.
    if taken <= SMALL {
        let small = Bytes::copy_from_slice(&read[..taken]);
        read.advance(taken);
        return Piece::Data(small);
    }
    Piece::Data(read.split_to(taken).freeze())
}

impl Chunk {
    fn next(&mut self, read: &mut BytesMut) -> Result<Piece, Malformed> {
        loop {
            match self {
                Chunk::Data(0) => *self = Chunk::Gap,
                Chunk::Data(left) => return Ok(data(left, read)),
                Chunk::Size | Chunk::Gap | Chunk::Trailer => {
                    let Some(line) = line(read)? else { return Ok(Piece::Wanting) };
                    match self {
                        Chunk::Size => match size(&line)? {
                            0 => *self = Chunk::Trailer,
                            size => *self = Chunk::Data(size),
                        },
                        Chunk::Gap if line.is_empty() => *self = Chunk::Size,
                        Chunk::Trailer if !line.is_empty() => {}
                        Chunk::Trailer => return Ok(Piece::End),
                        Chunk::Gap | Chunk::Data(_) => return Err(Malformed("a chunk is longer than told")),
                    }
                }
            }
        }
    }
}

/// Taken off without its end; `None` while it is incomplete.
fn line(read: &mut BytesMut) -> Result<Option<BytesMut>, Malformed> {
    match read.iter().take(LONGEST_LINE).position(|byte| *byte == b'\n') {
        Some(end) => {
            let mut line = read.split_to(end + 1);
            line.truncate(end);
            if line.last() == Some(&b'\r') {
                line.truncate(end - 1);
            }
            Ok(Some(line))
        }
        None if read.len() >= LONGEST_LINE => Err(Malformed("a line of its body is too long")),
        None => Ok(None),
    }
}

fn size(line: &[u8]) -> Result<u64, Malformed> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| all);
    text.and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or(Malformed("the size of a chunk is none"))
}

#[cfg(test)]
mod tests;

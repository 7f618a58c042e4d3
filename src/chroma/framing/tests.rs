//! What is made of answers, however their bytes are cut, and what is refused.

use proptest::prelude::*;

use super::*;

fn read(text: &str, asked: &str) -> Result<Option<Head>, Malformed> {
    head(&mut BytesMut::from(text), asked)
}

/// Status, reusable, the body, and what is left behind it.
fn told(pieces: &[&[u8]], asked: &str) -> Result<(u16, bool, Vec<u8>, Vec<u8>), Malformed> {
    let (mut buffer, mut known, mut body) = (BytesMut::new(), None::<Head>, Vec::new());
    let mut ended = false;
    for piece in pieces {
        buffer.extend_from_slice(piece);
        if known.is_none() {
            known = head(&mut buffer, asked)?;
        }
        let Some(head) = &mut known else { continue };
        while !ended {
            match head.framing.next(&mut buffer)? {
                Piece::Data(data) => body.extend_from_slice(&data),
                Piece::Wanting => break,
                Piece::End => ended = true,
            }
        }
    }
    let head = known.expect("a whole head");
    assert!(ended || head.framing.may_end(), "{:?}", head.framing);
    Ok((head.status, head.reusable, body, buffer.to_vec()))
}

const ANSWERS: [(&str, &str, u16, bool, &str, &str); 10] = [
    ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcX", "GET", 200, true, "abc", "X"),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: x, Close\r\n\r\nabc",
        "POST",
        200,
        false,
        "abc",
        "",
    ),
    ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", "HEAD", 200, true, "", ""),
    ("HTTP/1.1 204 No Content\r\n\r\n", "GET", 204, true, "", ""),
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 \r\ncontent-length: 1\r\n\r\na", "POST", 201, true, "a", ""),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nt: r\r\n\r\nX",
        "GET",
        200,
        true,
        "abc0123456789",
        "X",
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET",
        200,
        false,
        "",
        "",
    ),
    ("HTTP/1.1 200 OK\r\n\r\nabc", "GET", 200, false, "abc", ""),
    ("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na", "GET", 200, false, "a", ""),
    ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nab", "GET", 200, true, "ab", ""),
];

#[test]
fn answers_of_every_kind_end_where_they_end() {
    for (text, asked, status, reusable, body, left) in ANSWERS {
        let expected = (status, reusable, body.as_bytes().to_vec(), left.as_bytes().to_vec());
        assert_eq!(told(&[text.as_bytes()], asked), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(LONGEST_HEAD));
    for text in [
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        long.as_str(),
    ] {
        assert!(read(text, "GET").is_err(), "{text}");
    }
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let endless = "1".repeat(LONGEST_LINE);
    for body in ["x\r\n", "\r\n", "1\r\nab\r\n", "fffffffffffffffff\r\n", endless.as_str()] {
        assert!(told(&[chunked.as_bytes(), body.as_bytes()], "GET").is_err(), "{body}");
    }
}

#[test]
fn fields_are_kept_as_they_came() {
    let head = read("HTTP/1.1 200 OK\r\nX-A: 1\r\nb:\r\nx-a:  2 \r\ncontent-length: 0\r\n\r\n", "GET");
    let fields = head.unwrap().unwrap().fields;
    let shown: Vec<_> = fields.iter().map(|(n, v)| (&n[..], &v[..])).collect();
    let expected: [(&[u8], &[u8]); 4] =
        [(b"X-A", b"1"), (b"b", b""), (b"x-a", b"2"), (b"content-length", b"0")];
    assert_eq!(shown, expected);
}

#[test]
fn a_body_that_breaks_off_is_not_whole() {
    assert!(!Framing::Length(1).may_end() && !Framing::Chunked(Chunk::Trailer).may_end());
    assert!(Framing::UntilClose.may_end() && Framing::Length(0).may_end());
}

proptest! {
    /// However the network cuts it.
    #[test]
    fn cut_anywhere_it_is_the_same(which in 0..ANSWERS.len(), cuts in prop::collection::vec(0usize..120, 0..6)) {
        let (text, asked, ..) = ANSWERS[which];
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
        prop_assert_eq!(told(&pieces, asked), told(&[text.as_bytes()], asked));
    }
}

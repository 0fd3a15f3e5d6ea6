//! The header fields of an HTTP/1 answer, read byte by byte as Go's `net/textproto` reads them: [`HeaderFields`].
//!
//! Folded lines, blanks before the colon, bare line feeds and any number of fields are taken, as by Go. A value is kept
//! only where it matters.

/// How much is kept of a `Location`. Go keeps all of it.
const MAX_LOCATION: usize = 64 * 1024;

/// How much is kept of another value: they are short words and numbers.
const MAX_VALUE: usize = 1024;

/// The longest name that matters: `Transfer-Encoding`, and one byte by which a longer name differs.
const MAX_NAME: usize = 18;

/// Why a head cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FieldError {
    #[error("not an HTTP answer")]
    Malformed,
    /// More is not kept, though the kubelet follows it.
    #[error("a {0} of more than {1} bytes")]
    Long(&'static str, usize),
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Length(u64),
    Chunked,
    UntilTheEnd,
}

/// A field whose value matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    ContentLength,
    Location,
    Trailer,
    TransferEncoding,
}

/// Where in the head the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum HeadPlace {
    /// Before the first field, which may not be a continuation.
    #[default]
    First,
    LineStart,
    Name,
    Value,
    /// The blanks that a continuation begins with.
    Continuation,
    /// Behind a carriage return that ends a line.
    LineEnd,
    /// Behind the one that ends the head.
    HeadEnd,
    Done,
}

/// The fields of one head, as far as they have been read.
#[derive(Debug, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a flaw of its own, and a head may have several"
)]
pub(super) struct HeaderFields {
    place: HeadPlace,
    name: Vec<u8>,
    /// The value that is being read, if it matters.
    wanted: Option<(Name, Value)>,
    location: Option<Value>,
    content_length: Option<Value>,
    transfer_encoding: Option<Value>,
    /// Lengths that differ.
    has_lengths: bool,
    /// Encodings one after the other.
    has_encodings: bool,
    has_bad_trailer: bool,
    /// One of these is too long to be kept.
    is_cut: bool,
}

/// A value without the blanks around it.
#[derive(Debug, Default)]
struct Value {
    text: Vec<u8>,
    /// Where the line began that is being read: blanks at the ends of lines are no part of a value.
    line: usize,
    /// How much is kept.
    bound: usize,
    is_cut: bool,
}

impl HeaderFields {
    pub(super) fn is_done(&self) -> bool {
        self.place == HeadPlace::Done
    }

    /// Reads on up to the end of the head. Returns how many of the bytes belong to it.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, FieldError> {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            self.place = self.step(*byte)?;
            rest = after;
            if self.is_done() {
                break;
            }
            if self.place == HeadPlace::Value && self.wanted.is_none() {
                let end = rest.iter().position(|byte| !is_in_value(*byte));
                rest = rest.get(end.unwrap_or(rest.len())..).unwrap_or_default();
            }
        }
        Ok(bytes.len() - rest.len())
    }

    fn step(&mut self, byte: u8) -> Result<HeadPlace, FieldError> {
        match (self.place, byte) {
            (HeadPlace::LineStart, b' ' | b'\t') => {
                if let Some((_, value)) = &mut self.wanted {
                    value.begin_line();
                }
                Ok(HeadPlace::Continuation)
            }
            (HeadPlace::Continuation, b' ' | b'\t') => Ok(HeadPlace::Continuation),
            (HeadPlace::First | HeadPlace::LineStart, b'\r') => Ok(HeadPlace::HeadEnd),
            (HeadPlace::First | HeadPlace::LineStart | HeadPlace::HeadEnd, b'\n') => {
                self.end_field();
                Ok(HeadPlace::Done)
            }
            (HeadPlace::First | HeadPlace::LineStart, _) if is_name(byte) => {
                self.end_field();
                self.name.clear();
                self.name.push(byte);
                Ok(HeadPlace::Name)
            }
            (HeadPlace::Name, b':') => {
                self.wanted = name(&self.name).map(|name| (name, Value::of(name)));
                Ok(HeadPlace::Value)
            }
            // A name with a blank is read over: it is no name that matters.
            (HeadPlace::Name, _) if is_name(byte) || byte == b' ' => {
                if self.name.len() < MAX_NAME {
                    self.name.push(byte);
                }
                Ok(HeadPlace::Name)
            }
            (HeadPlace::Value | HeadPlace::Continuation, b'\r') => Ok(HeadPlace::LineEnd),
            (HeadPlace::Value | HeadPlace::Continuation | HeadPlace::LineEnd, b'\n') => {
                if let Some((_, value)) = &mut self.wanted {
                    value.end_line();
                }
                Ok(HeadPlace::LineStart)
            }
            (HeadPlace::Value | HeadPlace::Continuation, _) if is_in_value(byte) => {
                if let Some((_, value)) = &mut self.wanted {
                    value.append(byte);
                }
                Ok(HeadPlace::Value)
            }
            _ => Err(FieldError::Malformed),
        }
    }

    /// Keeps the value that has been read.
    fn end_field(&mut self) {
        let Some((name, value)) = self.wanted.take() else {
            return;
        };
        self.is_cut |= value.is_cut && name != Name::Location;
        let kept = match name {
            Name::Trailer => {
                self.has_bad_trailer |= value.names_what_no_trailer_may();
                return;
            }
            Name::Location => &mut self.location,
            Name::ContentLength => &mut self.content_length,
            Name::TransferEncoding => &mut self.transfer_encoding,
        };
        match (&kept, name) {
            (None, _) => *kept = Some(value),
            // Of several the first is taken.
            (Some(_), Name::Location | Name::Trailer) => {}
            (Some(first), Name::ContentLength) => {
                self.has_lengths |= first.text.trim_ascii() != value.text.trim_ascii();
            }
            (Some(_), Name::TransferEncoding) => self.has_encodings = true,
        }
    }

    /// How the end of the body is told, or why the answer cannot be read.
    pub(super) fn body(&self, status: u16, has_chunks: bool) -> Result<Body, FieldError> {
        if self.is_cut {
            return Err(FieldError::Long("header field", MAX_VALUE));
        }
        let chunked = match &self.transfer_encoding {
            // HTTP/1.0 has no such thing.
            Some(_) if !has_chunks => false,
            Some(value) if value.text.eq_ignore_ascii_case(b"chunked") && !self.has_encodings => {
                true
            }
            Some(_) => return Err(FieldError::Malformed),
            None => false,
        };
        if self.has_lengths {
            return Err(FieldError::Malformed);
        }
        let length = match &self.content_length {
            Some(value) => Some(parse_length(&value.text)?),
            None => None,
        };
        if chunked && self.has_bad_trailer {
            return Err(FieldError::Malformed);
        }
        Ok(match (status, length) {
            (100..200 | 204 | 304, _) => Body::Length(0),
            _ if chunked => Body::Chunked,
            (_, Some(length)) => Body::Length(length),
            (_, None) => Body::UntilTheEnd,
        })
    }

    /// The first `Location`.
    pub(super) fn location(self) -> Result<Option<Vec<u8>>, FieldError> {
        match self.location {
            Some(value) if value.is_cut => Err(FieldError::Long("Location", MAX_LOCATION)),
            location => Ok(location.map(|value| value.text)),
        }
    }
}

impl Value {
    fn of(name: Name) -> Self {
        Self {
            bound: match name {
                Name::Location => MAX_LOCATION,
                Name::ContentLength | Name::Trailer | Name::TransferEncoding => MAX_VALUE,
            },
            ..Self::default()
        }
    }

    fn append(&mut self, byte: u8) {
        if self.text.is_empty() && is_blank(byte) {
            return;
        }
        if self.text.len() < self.bound {
            self.text.push(byte);
        } else {
            self.is_cut = true;
        }
    }

    fn begin_line(&mut self) {
        self.append(b' ');
        self.line = self.text.len();
    }

    fn end_line(&mut self) {
        while self.text.len() > self.line && self.text.last().copied().is_some_and(is_blank) {
            self.text.pop();
        }
    }

    fn names_what_no_trailer_may(&self) -> bool {
        let forbidden = ["Transfer-Encoding", "Trailer", "Content-Length"];
        let mut names = self.text.split(|byte| *byte == b',');
        names.any(|name| {
            let name = name.trim_ascii();
            forbidden
                .iter()
                .any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
        })
    }
}

fn parse_length(text: &[u8]) -> Result<u64, FieldError> {
    let text = text.trim_ascii();
    if !text.iter().all(u8::is_ascii_digit) {
        return Err(FieldError::Malformed);
    }
    let text = str::from_utf8(text).map_err(|_| FieldError::Malformed)?;
    // Go's length has a sign.
    let length: i64 = text.parse().map_err(|_| FieldError::Malformed)?;
    Ok(length.unsigned_abs())
}

fn name(text: &[u8]) -> Option<Name> {
    let names = [
        ("Content-Length", Name::ContentLength),
        ("Location", Name::Location),
        ("Trailer", Name::Trailer),
        ("Transfer-Encoding", Name::TransferEncoding),
    ];
    let (_, name) = names
        .into_iter()
        .find(|(name, _)| text.eq_ignore_ascii_case(name.as_bytes()))?;
    Some(name)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Anything but control characters: bytes that are not ASCII are taken, whatever they mean.
fn is_in_value(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What matters of a head, and how much of the text was its.
    type Taken = (Result<Body, ()>, Option<Vec<u8>>, usize);

    /// A head, taken in pieces of so many bytes.
    fn taken(text: &[u8], piece: usize) -> Option<Taken> {
        let mut fields = HeaderFields::default();
        let mut used = 0;
        for piece in text.chunks(piece) {
            used += fields.take(piece).ok()?;
            if fields.is_done() {
                let body = fields.body(200, true).map_err(drop);
                return Some((body, fields.location().ok()?, used));
            }
        }
        None
    }

    proptest! {
        #[test]
        fn a_head_reads_the_same_whole_and_in_pieces(
            lines in prop::collection::vec(
                prop::sample::select(vec![
                    "Location: /x", "location:", " y \t", "Content-Length: 2", "Transfer-Encoding:chunked", "X-A : b",
                    "Trailer: Trailer", "\t", "\r", "x", ":", "X-B: c\u{e9}\td", "X: \u{1}",
                ]),
                0..8,
            ),
            end in prop::sample::select(vec!["\r\n", "\n"]),
            piece in 1..9_usize,
        ) {
            let mut text = lines.join(end);
            text.push_str(&[end, end, "body"].concat());
            prop_assert_eq!(taken(text.as_bytes(), piece), taken(text.as_bytes(), text.len()));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1..9_usize) {
            taken(&bytes, piece);
        }
    }

    #[test]
    fn of_a_long_value_a_bounded_part_is_kept() {
        let mut fields = HeaderFields::default();
        fields.take(b"Location: ").unwrap();
        for _ in 0..1000 {
            fields.take(&[b'x'; 1024]).unwrap();
        }
        let kept = fields
            .wanted
            .as_ref()
            .map(|(_, value)| value.text.capacity());
        assert!(kept.is_some_and(|kept| kept <= MAX_LOCATION), "{kept:?}");
    }
}

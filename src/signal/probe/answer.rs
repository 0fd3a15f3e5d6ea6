//! An HTTP/1 answer, read as Go's `net/http` reads it for the kubelet: [`AnswerReader`].
//!
//! Of the head only what matters to a probe is kept, so that memory is bounded however long the head is.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use super::fields::{Body, FieldError, HeaderFields};

/// How much of a body is read, as by the kubelet.
pub(super) const MAX_BODY: usize = 10 * 1024;

/// How long the heads of one answer may be together, as in Go's `Transport.MaxResponseHeaderBytes`.
const MAX_HEAD: usize = 10 << 20;

/// The size of Go's read buffer. Trailers may not be longer, and lines of chunk sizes neither.
const BUFFER: usize = 4096;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    #[error("not an HTTP answer")]
    Malformed,
    #[error("the head of the answer is longer than 10 MiB")]
    LongHead,
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error("read")]
    Read(#[from] io::Error),
}

/// What a probe needs to know of a head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AnswerHead {
    pub(super) status: u16,
    pub(super) location: Option<Vec<u8>>,
    body: Body,
}

/// The answer on one connection.
pub(super) struct AnswerReader<S> {
    stream: BufReader<S>,
    /// How much more of heads may come.
    left: usize,
}

impl<S: AsyncRead + Unpin> AnswerReader<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream: BufReader::with_capacity(BUFFER, stream),
            left: MAX_HEAD,
        }
    }

    /// Reads the head of the final answer; those of interim ones are skipped.
    pub(super) async fn head(&mut self) -> Result<AnswerHead, AnswerError> {
        loop {
            let (status, has_chunks) = parse_status_line(&self.status_line().await?)?;
            let mut fields = HeaderFields::default();
            while !fields.is_done() {
                let bytes = read_some(&mut self.stream).await?;
                let used = fields.take(bytes)?;
                self.consume(used)?;
            }
            let body = fields.body(status, has_chunks)?;
            if !matches!(status, 100 | 102..=199) {
                let location = match status {
                    301..=303 | 307 | 308 => fields.location()?,
                    _ => None,
                };
                return Ok(AnswerHead {
                    status,
                    location,
                    body,
                });
            }
        }
    }

    fn consume(&mut self, used: usize) -> Result<(), AnswerError> {
        self.stream.consume(used);
        self.left = self.left.checked_sub(used).ok_or(AnswerError::LongHead)?;
        Ok(())
    }

    /// Reads a line of which only the beginning matters. Blanks before the status are read over, as many as there are.
    async fn status_line(&mut self) -> Result<Vec<u8>, AnswerError> {
        const ENOUGH: usize = 64;
        let mut line = Vec::with_capacity(ENOUGH);
        loop {
            let bytes = read_some(&mut self.stream).await?;
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(bytes.len(), |end| end + 1);
            for byte in bytes.iter().take(end.unwrap_or(used)) {
                let is_further_blank = *byte == b' ' && line.ends_with(b" ");
                if line.len() < ENOUGH && !is_further_blank {
                    line.push(*byte);
                }
            }
            self.consume(used)?;
            if end.is_some() {
                return Ok(line);
            }
        }
    }

    /// Reads a body to its end, or up to [`MAX_BODY`].
    pub(super) async fn body(&mut self, head: &AnswerHead) -> Result<(), AnswerError> {
        match head.body {
            Body::Length(length) => {
                let wanted =
                    usize::try_from(length).map_or(MAX_BODY, |length| length.min(MAX_BODY));
                self.skip(wanted).await
            }
            Body::Chunked => self.chunks().await,
            Body::UntilTheEnd => {
                let mut read = 0;
                while read < MAX_BODY {
                    let some = self.stream.fill_buf().await?.len();
                    if some == 0 {
                        break;
                    }
                    self.stream.consume(some);
                    read += some;
                }
                Ok(())
            }
        }
    }

    async fn skip(&mut self, mut bytes: usize) -> Result<(), AnswerError> {
        while bytes > 0 {
            let some = read_some(&mut self.stream).await?.len().min(bytes);
            self.stream.consume(some);
            bytes -= some;
        }
        Ok(())
    }

    async fn chunks(&mut self) -> Result<(), AnswerError> {
        let mut left = MAX_BODY;
        // How many bytes came beyond those that Go allows for the data that came.
        let mut excess: i64 = 0;
        loop {
            let line = self.chunk_line().await?;
            let length = parse_chunk_size(&line)?;
            let overhead = i64::try_from(line.len()).unwrap_or(i64::MAX) + 2;
            // Go's own sum, which wraps around.
            let data = i64::from_ne_bytes(length.to_ne_bytes());
            let allowed = data.wrapping_mul(2).wrapping_add(16);
            excess = excess.wrapping_add(overhead).wrapping_sub(allowed).max(0);
            if excess > 16 * 1024 {
                return Err(AnswerError::Malformed);
            }
            if length == 0 {
                return self.trailer().await;
            }
            let wanted = usize::try_from(length).map_or(left, |length| length.min(left));
            self.skip(wanted).await?;
            left -= wanted;
            if left == 0 {
                return Ok(());
            }
            let mut end = [0; 2];
            self.stream.read_exact(&mut end).await?;
            if end != *b"\r\n" {
                return Err(AnswerError::Malformed);
            }
        }
    }

    /// The line before a chunk, without its end.
    async fn chunk_line(&mut self) -> Result<Vec<u8>, AnswerError> {
        let line = self.read_up_to_buffer(|line| line.ends_with(b"\n")).await?;
        let line = line.strip_suffix(b"\r\n").ok_or(AnswerError::Malformed)?;
        if line.contains(&b'\r') {
            return Err(AnswerError::Malformed);
        }
        Ok(line.to_vec())
    }

    async fn trailer(&mut self) -> Result<(), AnswerError> {
        let is_end = |text: &[u8]| text == b"\r\n" || text.ends_with(b"\r\n\r\n");
        let text = self.read_up_to_buffer(is_end).await?;
        if text == b"\r\n" {
            return Ok(());
        }
        let mut fields = HeaderFields::default();
        fields.take(&text)?;
        if fields.is_done() {
            Ok(())
        } else {
            Err(AnswerError::Malformed)
        }
    }

    /// Reads until `is_end`, at most as much as Go's buffer holds.
    async fn read_up_to_buffer(
        &mut self,
        is_end: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, AnswerError> {
        let mut text = Vec::new();
        while !is_end(&text) {
            if text.len() == BUFFER {
                return Err(AnswerError::Malformed);
            }
            text.push(self.stream.read_u8().await?);
        }
        Ok(text)
    }
}

/// What is there to be read: at least one byte.
async fn read_some<S: AsyncBufRead + Unpin>(stream: &mut S) -> Result<&[u8], AnswerError> {
    match stream.fill_buf().await? {
        [] => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        bytes => Ok(bytes),
    }
}

/// The status that a first line says, and whether its version of HTTP has chunks.
fn parse_status_line(line: &[u8]) -> Result<(u16, bool), AnswerError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let (Some(version), Some(digits)) = (words.next(), words.next()) else {
        return Err(AnswerError::Malformed);
    };
    let Some([major, b'.', minor]) = version.strip_prefix(b"HTTP/") else {
        return Err(AnswerError::Malformed);
    };
    let are_digits = [major, minor]
        .into_iter()
        .chain(digits)
        .all(u8::is_ascii_digit);
    if !are_digits || digits.len() != 3 {
        return Err(AnswerError::Malformed);
    }
    let status = digits
        .iter()
        .fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    Ok((status, (*major, *minor) >= (b'1', b'1')))
}

fn parse_chunk_size(line: &[u8]) -> Result<u64, AnswerError> {
    let mut size = line;
    while let Some((b' ' | b'\t', before)) = size.split_last() {
        size = before;
    }
    let size = size.split(|byte| *byte == b';').next().unwrap_or_default();
    if size.is_empty() || size.len() > 16 || !size.iter().all(u8::is_ascii_hexdigit) {
        return Err(AnswerError::Malformed);
    }
    let text = str::from_utf8(size).map_err(|_| AnswerError::Malformed)?;
    u64::from_str_radix(text, 16).map_err(|_| AnswerError::Malformed)
}

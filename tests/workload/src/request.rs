//! One connection to an `http://` address, and requests on it.

use std::error::Error as _;
use std::io;
use std::str::FromStr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;

use crate::counts::ErrorKind;

/// How much of a body is read. Bodies here are a line; what is longer is an endless one.
const BODY_LIMIT: usize = 64 * 1024;

/// Where requests go.
#[derive(Clone, Debug)]
pub struct Target {
    host: String,
    port: u16,
    authority: HeaderValue,
    path: Uri,
}

/// Why a text is no target.
#[derive(Debug, thiserror::Error)]
#[error("read address: `{0}` is not http://host[:port][/path]")]
pub struct NoTarget(String);

impl FromStr for Target {
    type Err = NoTarget;

    fn from_str(text: &str) -> Result<Self, NoTarget> {
        let wrong = || NoTarget(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        if uri.scheme_str() != Some("http") || authority.host().is_empty() {
            return Err(wrong());
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            // IPv6 addresses stand in brackets, which are not part of them.
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| wrong())?,
            path: path.parse().map_err(|_| wrong())?,
        })
    }
}

impl Target {
    /// The same host, another path.
    #[must_use]
    pub fn at(&self, path: &'static str) -> Self {
        Self {
            path: Uri::from_static(path),
            ..self.clone()
        }
    }
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name has no address.
    #[error("resolve {0}")]
    Resolve(String, #[source] io::Error),
    /// No connection.
    #[error("connect to {0}")]
    Connect(String, #[source] io::Error),
    /// No whole answer.
    #[error("exchange a request and an answer")]
    Exchange(#[source] hyper::Error),
    /// A body without end.
    #[error("read the body: longer than {BODY_LIMIT} bytes")]
    TooLong,
}

impl Error {
    /// The kind under which it is counted.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Resolve(..) => ErrorKind::Resolve,
            Self::TooLong => ErrorKind::TooLong,
            Self::Connect(_, error) => kind_of(error),
            Self::Exchange(error) => match error
                .source()
                .and_then(<dyn std::error::Error>::downcast_ref)
            {
                Some(error) => kind_of(error),
                None if error.is_incomplete_message()
                    || error.is_canceled()
                    || error.is_closed() =>
                {
                    ErrorKind::Closed
                }
                None => ErrorKind::Other,
            },
        }
    }
}

fn kind_of(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ErrorKind::Refused,
        io::ErrorKind::ConnectionReset => ErrorKind::Reset,
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionAborted => ErrorKind::Closed,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            ErrorKind::Unreachable
        }
        io::ErrorKind::TimedOut => ErrorKind::Timeout,
        _ => ErrorKind::Other,
    }
}

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

/// A connection; dropped, it is closed.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    // Never read: it is here so that the task which moves the bytes ends with the connection.
    _driver: JoinSet<()>,
}

impl Connection {
    /// Resolves the name, as at every call, and connects to the first address.
    pub async fn open(target: &Target) -> Result<Self, Error> {
        let name = || format!("{}:{}", target.host, target.port);
        let address = lookup_host((target.host.as_str(), target.port))
            .await
            .and_then(|mut found| found.next().ok_or_else(|| io::ErrorKind::NotFound.into()))
            .map_err(|error| Error::Resolve(name(), error))?;
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| Error::Connect(name(), error))?;
        // Without it requests are slower, no more.
        let _ = stream.set_nodelay(true);
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(Error::Exchange)?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // The error reaches the task that waits for the answer, too.
            let _ = connection.await;
        });
        Ok(Self {
            sender,
            _driver: driver,
        })
    }

    /// Whether another request can be sent; waits until that is known.
    pub async fn usable(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(
        &mut self,
        target: &Target,
        method: Method,
        body: String,
        keep: bool,
    ) -> Result<Answer, Error> {
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = target.path.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, target.authority.clone());
        if !keep {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let response = self
            .sender
            .send_request(request)
            .await
            .map_err(Error::Exchange)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY_LIMIT);
        let body = body.collect().await.map_err(cut)?.to_bytes();
        Ok(Answer { status, body })
    }
}

/// What [`Limited`] says is boxed: either its own limit or the error of the body within.
fn cut(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    match error.downcast::<hyper::Error>() {
        Ok(error) => Error::Exchange(*error),
        Err(error) => {
            debug_assert!(error.is::<LengthLimitError>(), "{error}");
            Error::TooLong
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails")]

    use super::*;

    #[test]
    fn an_address_gives_host_port_and_path() {
        let target: Target = "http://web.shop:81/a?b=c".parse().unwrap();
        assert_eq!((target.host.as_str(), target.port), ("web.shop", 81));
        assert_eq!(target.authority, "web.shop:81");
        assert_eq!(target.path, "/a?b=c");
        let short: Target = "http://[::1]".parse().unwrap();
        assert_eq!((short.host.as_str(), short.port), ("::1", 80));
        assert_eq!(short.path, "/");
    }

    #[test]
    fn an_address_that_is_not_plain_http_is_refused() {
        for text in ["https://web/", "web:80", "/path", "http://:80/", ""] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}

//! The requests of a probe, and its redirects, as the kubelet's prober and Go's client send and follow them.

use std::net::{IpAddr, SocketAddr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue, Request, Uri};

use super::url::ProbeUrl;
use crate::core::policy::{HttpProbe, Scheme};

/// Why a probe cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadRequest {
    #[error("header {0} cannot be sent")]
    Header(String),
    /// Go sends some requests that no request of the library may be.
    #[error("the request cannot be sent by HTTP/2: {0}")]
    Http2(http::Error),
}

/// A header of a request; the name is in the form that Go sends, such as `User-Agent`.
type Header = (String, Vec<u8>);

/// What the requests of all probes of a policy have in common.
#[derive(Debug)]
pub(super) struct RequestTemplate {
    scheme: &'static str,
    path: String,
    /// `Host`, if the policy sets it.
    host: Option<Vec<u8>>,
    user_agent: Vec<u8>,
    /// All others, by name.
    headers: Vec<Header>,
    /// Whether `Connection: close` is added to what the policy says of the connection.
    closes: bool,
}

impl RequestTemplate {
    pub(super) fn new(probe: &HttpProbe) -> Result<Self, BadRequest> {
        for (name, value) in &probe.headers {
            if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value).is_err() {
                return Err(BadRequest::Header(name.clone()));
            }
        }
        let given: Vec<Header> = probe
            .headers
            .iter()
            .map(|(name, value)| (canonical(name), value.trim_ascii().as_bytes().to_vec()))
            .collect();
        let first = |name: &str| {
            let given = given.iter().find(|(given, _)| given == name);
            given.map(|(_, value)| value.clone())
        };
        let mut headers: Vec<Header> = given
            .iter()
            .filter(|(name, _)| !WRITTEN_APART.contains(&&**name))
            .cloned()
            .collect();
        match first("Accept") {
            None => headers.push(("Accept".to_owned(), b"*/*".to_vec())),
            Some(accept) if accept.is_empty() => headers.retain(|(name, _)| name != "Accept"),
            Some(_) => {}
        }
        headers.sort_by(|one, other| one.0.cmp(&other.0));
        let closes = !first("Connection").is_some_and(|value| has_token(&value, "close"))
            && !given
                .iter()
                .any(|(name, value)| name == "Connection" && has_token(value, "upgrade"));
        Ok(Self {
            scheme: match probe.scheme {
                Scheme::Http => "http",
                Scheme::Https => "https",
            },
            path: probe.path.clone(),
            host: first("Host").filter(|host| !host.is_empty()),
            user_agent: first("User-Agent").unwrap_or_else(|| super::super::USER_AGENT.into()),
            headers,
            closes,
        })
    }

    /// The first request to a pod.
    pub(super) fn first(&self, address: SocketAddr) -> Hop {
        Hop {
            ip: address.ip(),
            port: address.port(),
            url: ProbeUrl::of_probe(self.scheme, &address.to_string(), &self.path),
            host: self.host.clone(),
            referer: None,
        }
    }

    /// The request to send at a hop, as HTTP/1.1.
    pub(super) fn http1(&self, hop: &Hop) -> Vec<u8> {
        let mut text = b"GET ".to_vec();
        text.extend(hop.url.request_target());
        text.extend_from_slice(b" HTTP/1.1");
        let mut line = |name: &str, value: &[u8]| {
            text.extend_from_slice(b"\r\n");
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value);
        };
        line("Host", hop.host());
        if !self.user_agent.is_empty() {
            line("User-Agent", &self.user_agent);
        }
        for (name, value) in self.headers(hop) {
            line(&name, &value);
        }
        if self.closes {
            line("Connection", b"close");
        }
        text.extend_from_slice(b"\r\n\r\n");
        text
    }

    /// The request to send at a hop, as HTTP/2.
    pub(super) fn http2(&self, hop: &Hop) -> Result<Request<()>, BadRequest> {
        let uri = Uri::builder()
            .scheme("https")
            .authority(hop.host())
            .path_and_query(hop.url.request_target())
            .build()
            .map_err(BadRequest::Http2)?;
        let mut request = Request::builder().uri(uri);
        if !self.user_agent.is_empty() {
            request = request.header("user-agent", &self.user_agent[..]);
        }
        for (name, value) in self.headers(hop) {
            if !OF_ONE_CONNECTION.contains(&&*name) {
                request = request.header(name, value);
            }
        }
        request.body(()).map_err(BadRequest::Http2)
    }

    fn headers(&self, hop: &Hop) -> Vec<Header> {
        let mut headers = self.headers.clone();
        if let Some(user) = &hop.url.user {
            let is_given = |(name, value): &Header| name == "Authorization" && !value.is_empty();
            if !headers.iter().any(is_given) {
                let password = user.password.as_deref().unwrap_or_default();
                let text = [&user.name[..], b":", password].concat();
                let value = format!("Basic {}", STANDARD.encode(text));
                set(&mut headers, "Authorization", value.into_bytes());
            }
        }
        if let Some(referer) = &hop.referer
            && !headers
                .iter()
                .any(|(name, value)| name == "Referer" && !value.is_empty())
        {
            set(&mut headers, "Referer", referer.clone());
        }
        headers
    }
}

/// Headers that Go writes itself, before all others or, because a probe has no body, not at all.
const WRITTEN_APART: [&str; 5] = [
    "Host",
    "User-Agent",
    "Content-Length",
    "Transfer-Encoding",
    "Trailer",
];

/// Headers of HTTP/1 that HTTP/2 does not have.
const OF_ONE_CONNECTION: [&str; 4] = ["Connection", "Keep-Alive", "Proxy-Connection", "Upgrade"];

fn set(headers: &mut Vec<Header>, name: &str, value: Vec<u8>) {
    headers.retain(|(given, _)| given != name);
    headers.push((name.to_owned(), value));
    headers.sort_by(|one, other| one.0.cmp(&other.0));
}

/// A header's name in the form that Go sends: a capital at the beginning and behind each `-`.
fn canonical(name: &str) -> String {
    let mut is_first = true;
    let letter = |letter: char| {
        let form = if is_first {
            letter.to_ascii_uppercase()
        } else {
            letter.to_ascii_lowercase()
        };
        is_first = letter == '-';
        form
    };
    name.chars().map(letter).collect()
}

fn has_token(value: &[u8], token: &str) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|given| given.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// One request of a probe: the first, or one that a redirect leads to. All go to the pod's own address.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    ip: IpAddr,
    port: u16,
    url: ProbeUrl,
    /// `Host`, where it is not that of the URL.
    host: Option<Vec<u8>>,
    referer: Option<Vec<u8>>,
}

/// Where an answer redirects to.
#[derive(Debug)]
pub(super) enum Redirect {
    /// Nowhere: it is the final answer.
    None,
    /// To the same host: the redirect is followed.
    Here(Box<Hop>),
    /// To another host: the redirect is not followed.
    Elsewhere,
    /// To an invalid place.
    Broken,
}

impl Hop {
    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }

    pub(super) fn is_https(&self) -> bool {
        self.url.scheme == "https"
    }

    /// What is sent as `Host`: nothing, if it could not be one.
    fn host(&self) -> &[u8] {
        let host = self.host.as_deref().unwrap_or(&self.url.host);
        let may_stand =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"!$%&'()*+,-.:;=[]_~".contains(byte);
        if host.iter().all(may_stand) {
            host
        } else {
            b""
        }
    }

    /// Where an answer redirects to. As in the kubelet only the host decides, not the port, and a `Host` header is kept only
    /// for a relative redirect.
    pub(super) fn redirect(&self, status: u16, location: Option<&[u8]>) -> Redirect {
        let (301..=303 | 307 | 308, Some(location)) = (status, location) else {
            return Redirect::None;
        };
        if location.is_empty() {
            return Redirect::None;
        }
        let Ok(reference) = ProbeUrl::parse(location) else {
            return Redirect::Broken;
        };
        let url = self.url.resolve(&reference);
        let (host, port) = url.host_and_port();
        if host != self.ip.to_string().as_bytes() {
            return Redirect::Elsewhere;
        }
        let port = match (&*url.scheme, port) {
            ("http", b"") => Some(80),
            ("https", b"") => Some(443),
            ("http" | "https", port) => {
                str::from_utf8(port).ok().and_then(|port| port.parse().ok())
            }
            _ => None,
        };
        let Some(port) = port else {
            return Redirect::Broken;
        };
        let goes_in_the_clear = self.is_https() && url.scheme == "http";
        Redirect::Here(Box::new(Self {
            ip: self.ip,
            port,
            host: self.host.clone().filter(|_| !reference.is_absolute()),
            referer: (!goes_in_the_clear).then(|| self.url.without_user()),
            url,
        }))
    }
}

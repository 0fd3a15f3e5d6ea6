//! The requests of a probe, and its redirects.

use std::net::{IpAddr, SocketAddr};

use http_body_util::Empty;
use hyper::{
    Request, Response,
    body::Bytes,
    header::{ACCEPT, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT},
};
use url::{Host, Url};

use crate::core::policy::{HttpProbe, Scheme};

/// Why a probe cannot be sent as it is configured.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadRequest {
    #[error("header {0} cannot be sent")]
    Header(String),
    #[error("path cannot be sent")]
    Path,
}

/// What the requests of all probes of a policy have in common.
#[derive(Debug)]
pub(super) struct RequestTemplate {
    scheme: &'static str,
    path: String,
    host: Option<HeaderValue>,
    headers: HeaderMap,
}

impl RequestTemplate {
    pub(super) fn new(probe: &HttpProbe) -> Result<Self, BadRequest> {
        let mut headers = HeaderMap::new();
        for (name, value) in &probe.headers {
            let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value))
            else {
                return Err(BadRequest::Header(name.clone()));
            };
            headers.append(name, value);
        }
        let host = headers.remove(HOST).filter(|host| !host.is_empty());
        default(&mut headers, USER_AGENT, super::super::USER_AGENT);
        default(&mut headers, ACCEPT, "*/*");
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let scheme = match probe.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let template = Self {
            scheme,
            path: probe.path.clone(),
            host,
            headers,
        };
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 1));
        template.first(anywhere).map(|_| template)
    }

    /// The first request to a pod.
    pub(super) fn first(&self, address: SocketAddr) -> Result<Hop, BadRequest> {
        let url = format!("{}://{address}{}", self.scheme, self.path);
        let mut url = Url::parse(&url).map_err(|_| BadRequest::Path)?;
        url.set_fragment(None);
        let host = match &self.host {
            Some(host) => host.clone(),
            None => header(&address.to_string())?,
        };
        Ok(Hop {
            ip: address.ip(),
            url,
            host,
        })
    }

    /// The request to send at a hop.
    pub(super) fn request(&self, hop: &Hop) -> Result<Request<Empty<Bytes>>, BadRequest> {
        let path = match hop.url.query() {
            Some(query) => format!("{}?{query}", hop.url.path()),
            None => hop.url.path().to_owned(),
        };
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = path.parse().map_err(|_| BadRequest::Path)?;
        request.headers_mut().insert(HOST, hop.host.clone());
        request.headers_mut().extend(self.headers.clone());
        Ok(request)
    }
}

/// Sets a header unless it is set; a header that is set to an empty text is not sent.
fn default(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    match headers.get(&name) {
        None => drop(headers.insert(name, HeaderValue::from_static(value))),
        Some(set) if set.is_empty() => drop(headers.remove(name)),
        Some(_) => {}
    }
}

fn header(text: &str) -> Result<HeaderValue, BadRequest> {
    HeaderValue::from_str(text).map_err(|_| BadRequest::Header("Host".to_owned()))
}

/// One request of a probe: the first, or one that a redirect leads to. All go to the pod's own address.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    ip: IpAddr,
    url: Url,
    host: HeaderValue,
}

/// Where an answer redirects to.
#[derive(Debug)]
pub(super) enum Redirect {
    /// Nowhere: it is the final answer.
    None,
    /// To the same host: the redirect is followed.
    Here(Hop),
    /// To another host: the redirect is not followed.
    Elsewhere,
    /// To an invalid place.
    Broken,
}

impl Hop {
    pub(super) fn address(&self) -> SocketAddr {
        // Only http and https are possible here, and both have a default port.
        SocketAddr::new(
            self.ip,
            self.url.port_or_known_default().unwrap_or_default(),
        )
    }

    pub(super) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Where an answer redirects to. As in the kubelet only the host decides, not the port, and a `Host` header is kept only
    /// for a relative redirect.
    pub(super) fn redirect<B>(&self, answer: &Response<B>) -> Redirect {
        let location = answer.headers().get(LOCATION);
        let (301..=303 | 307 | 308, Some(location)) = (answer.status().as_u16(), location) else {
            return Redirect::None;
        };
        let Ok(location) = std::str::from_utf8(location.as_bytes()) else {
            return Redirect::Broken;
        };
        if location.is_empty() {
            return Redirect::None;
        }
        let Ok(mut url) = self.url.join(location) else {
            return Redirect::Broken;
        };
        if !self.is_here(&url) {
            return Redirect::Elsewhere;
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Redirect::Broken;
        }
        url.set_fragment(None);
        let host = match Url::parse(location) {
            Err(_) => Ok(self.host.clone()),
            Ok(_) => authority(&url),
        };
        host.map_or(Redirect::Broken, |host| {
            Redirect::Here(Self {
                ip: self.ip,
                url,
                host,
            })
        })
    }

    fn is_here(&self, url: &Url) -> bool {
        match url.host() {
            Some(Host::Ipv4(ip)) => self.ip == ip,
            Some(Host::Ipv6(ip)) => self.ip == ip,
            Some(Host::Domain(_)) | None => false,
        }
    }
}

/// Host and port in the form of a `Host` header.
fn authority(url: &Url) -> Result<HeaderValue, BadRequest> {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => header(&format!("{host}:{port}")),
        None => header(host),
    }
}

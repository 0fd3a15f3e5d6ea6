//! The client itself: through a proxy or not, with errors that say what could not be reached.
//!
//! kube builds much the same, but signs in to no SOCKS proxy, and reports an error without the server's name.

use std::fmt;

use http::{HeaderValue, Uri, header};
use hyper::rt::{Read, Write};
use hyper_util::{
    client::{
        legacy::{
            Builder,
            connect::{
                Connection, HttpConnector,
                proxy::{SocksV5, Tunnel},
            },
        },
        proxy::matcher::{Intercept, Matcher},
    },
    rt::TokioExecutor,
};
use kube::{
    Config, Error,
    client::{AuthError, Body, ClientBuilder, ConfigExt, DynBody},
};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt as _, util::BoxService};

/// The port of a SOCKS proxy whose address has none.
const SOCKS_PORT: u16 = 1080;

/// Sends a request, and gives the answer.
pub(super) type Connected = BoxService<http::Request<Body>, http::Response<Box<DynBody>>, BoxError>;

/// A request that got no answer.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// By the server, or by the proxy on the way to it.
    #[error("reach {server}{}", through(.proxy.as_deref()))]
    Unreached {
        /// The server as it is configured.
        server: String,
        /// The proxy, without credentials.
        proxy: Option<String>,
        source: BoxError,
    },
    /// The user's credentials could not be had.
    #[error("sign in{}", .program.as_ref().map(CredentialPlugin::to_string).unwrap_or_default())]
    SignIn {
        program: Option<CredentialPlugin>,
        source: Box<AuthError>,
    },
}

/// The program of a kubeconfig that provides credentials.
#[derive(Clone, Debug)]
pub struct CredentialPlugin {
    pub command: String,
    /// Where to get it, as the kubeconfig says.
    pub install_hint: Option<String>,
}

impl fmt::Display for CredentialPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " with the credential plugin {:?}", self.command)
    }
}

fn through(proxy: Option<&str>) -> String {
    match proxy {
        Some(proxy) => format!(" through the proxy {proxy}"),
        None => String::new(),
    }
}

/// A client without any layer on it.
pub fn connect(mut config: Config) -> Result<ClientBuilder<Connected>, Error> {
    // The API server's audit log has it.
    let name = HeaderValue::from_static(concat!("pod-quarantine/", env!("CARGO_PKG_VERSION")));
    config.headers.push((header::USER_AGENT, name));
    let exec = config.auth_info.exec.as_ref();
    let program = exec.and_then(|exec| {
        Some(CredentialPlugin {
            command: exec.command.clone()?,
            install_hint: exec.install_hint.clone(),
        })
    });
    let built = build(config, program.clone());
    built.map_err(|error| match error {
        Error::Auth(source) => Error::Service(Box::new(ConnectionError::SignIn {
            program,
            source: Box::new(source),
        })),
        error => error,
    })
}

fn build(
    config: Config,
    program: Option<CredentialPlugin>,
) -> Result<ClientBuilder<Connected>, Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(config.connect_timeout);
    let Some(proxy) = &config.proxy_url else {
        return over(tcp, config, None, program);
    };
    let Some(proxy) = parts(proxy) else {
        return Err(Error::Service(
            "the address of the proxy cannot be read".into(),
        ));
    };
    let (mut uri, scheme) = (proxy.uri().clone(), proxy.uri().scheme_str());
    let is_socks = matches!(scheme, Some("socks5" | "socks5h"));
    if is_socks && uri.port().is_none() {
        uri = with_port(uri, SOCKS_PORT)?;
    }
    let named = Some(uri.to_string().trim_end_matches('/').to_owned());
    if is_socks {
        let mut socks = SocksV5::new(uri, tcp);
        if let Some((user, password)) = proxy.raw_auth() {
            socks = socks.with_auth(user.to_owned(), password.to_owned());
        }
        return over(socks, config, named, program);
    }
    if scheme == Some("https") {
        // As in Go, the proxy is believed by the authority of the cluster.
        let tls = config.rustls_https_connector_with_connector(tcp)?;
        return over(tunnel(uri, tls, &proxy), config, named, program);
    }
    over(tunnel(uri, tcp, &proxy), config, named, program)
}

/// The address of a proxy without credentials, and these.
fn parts(proxy: &Uri) -> Option<Intercept> {
    let all = Matcher::builder().all(proxy.to_string()).build();
    all.intercept(&Uri::from_static("https://any"))
}

fn with_port(uri: Uri, port: u16) -> Result<Uri, Error> {
    let mut parts = uri.into_parts();
    if let Some(authority) = &parts.authority {
        let authority = format!("{authority}:{port}")
            .parse()
            .map_err(http::Error::from);
        parts.authority = Some(authority.map_err(Error::HttpError)?);
    }
    Uri::from_parts(parts).map_err(|error| Error::HttpError(error.into()))
}

/// A tunnel by CONNECT: also to a server without TLS, of which Go asks the proxy itself.
fn tunnel<C>(uri: Uri, connector: C, proxy: &Intercept) -> Tunnel<C> {
    let tunnel = Tunnel::new(uri, connector);
    match proxy.basic_auth() {
        Some(credentials) => tunnel.with_auth(credentials.clone()),
        None => tunnel,
    }
}

/// The rest of the client, over what opens its connections.
fn over<C>(
    connector: C,
    mut config: Config,
    proxy: Option<String>,
    program: Option<CredentialPlugin>,
) -> Result<ClientBuilder<Connected>, Error>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let server = config.cluster_url.to_string();
    let server = server.trim_end_matches('/').to_owned();
    // Both kinds of tunnel would take 443 for the port of every server without one.
    if proxy.is_some()
        && config.cluster_url.scheme_str() == Some("http")
        && config.cluster_url.port().is_none()
    {
        config.cluster_url = with_port(config.cluster_url, 80)?;
    }
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let client = Builder::new(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    let service = service
        .map_err(move |error: BoxError| named(error, &server, proxy.as_deref(), program.as_ref()));
    let service = service.map_response(|answer: http::Response<_>| {
        answer.map(|body| {
            Box::new(http_body_util::BodyExt::map_err(body, BoxError::from)) as Box<DynBody>
        })
    });
    Ok(ClientBuilder::new(
        service.boxed(),
        config.default_namespace,
    ))
}

/// An error, with what it is about.
fn named(
    error: BoxError,
    server: &str,
    proxy: Option<&str>,
    program: Option<&CredentialPlugin>,
) -> BoxError {
    match error.downcast::<AuthError>() {
        Ok(source) => Box::new(ConnectionError::SignIn {
            program: program.cloned(),
            source,
        }),
        Err(source) => Box::new(ConnectionError::Unreached {
            server: server.to_owned(),
            proxy: proxy.map(ToOwned::to_owned),
            source,
        }),
    }
}

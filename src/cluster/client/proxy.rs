//! Which proxy is between this program and the API server: decided as client-go decides it.
//!
//! A kubeconfig's `proxy-url` counts always. Without one, the environment counts as for Go's `http.ProxyFromEnvironment`
//! (`golang.org/x/net/http/httpproxy`). kube's own reader and hyper-util's matcher follow curl: other names win, ports in
//! `NO_PROXY` are unknown, and the loopback is proxied.

use std::net::IpAddr;

use http::Uri;
use ipnet::IpNet;

/// The schemes of a kubeconfig's `proxy-url`.
const OF_KUBECONFIG: &[&str] = &["http", "https", "socks5"];

/// The schemes of a proxy in the environment.
const OF_ENVIRONMENT: &[&str] = &["http", "https", "socks5", "socks5h"];

/// A proxy's address that cannot be used. It is not repeated here, as it may have a password in it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "read {place}: expected the address of a proxy, such as http://proxy:3128, with one of the schemes {schemes}"
)]
pub struct BadProxy {
    place: &'static str,
    schemes: String,
}

/// The proxy on the way to a server, with the credentials in its address. `named`: the cluster's `proxy-url`;
/// `environment`: the value of a variable.
pub fn proxy_of(
    server: &Uri,
    named: Option<&str>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<Uri>, BadProxy> {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        return parse(named, "proxy-url of the cluster", OF_KUBECONFIG).map(Some);
    }
    // The upper case wins, and an empty value is none. (In Go's newer module the lower case wins; kubectl 1.36 has this.)
    let first_of = |names: [&'static str; 2]| {
        let mut values = names.into_iter().filter_map(|name| {
            let value = environment(name).filter(|value| !value.is_empty());
            value.map(|value| (name, value))
        });
        values.next()
    };
    let https = server.scheme_str() == Some("https");
    let found = first_of(if https {
        ["HTTPS_PROXY", "https_proxy"]
    } else {
        ["HTTP_PROXY", "http_proxy"]
    });
    let Some((name, value)) = found else {
        return Ok(None);
    };
    let exceptions = first_of(["NO_PROXY", "no_proxy"]);
    let exceptions = exceptions.map(|(_, value)| value).unwrap_or_default();
    let host = server.host().unwrap_or_default();
    let port = server.port_u16().unwrap_or(if https { 443 } else { 80 });
    if is_excepted(&exceptions, host, port) {
        return Ok(None);
    }
    let has_scheme = value.contains("://");
    let address = if has_scheme {
        value
    } else {
        format!("http://{value}")
    };
    parse(&address, name, OF_ENVIRONMENT).map(Some)
}

fn parse(address: &str, place: &'static str, schemes: &[&str]) -> Result<Uri, BadProxy> {
    let bad = || BadProxy {
        place,
        schemes: schemes.join(", "),
    };
    let uri: Uri = address.parse().map_err(|_| bad())?;
    let scheme = uri.scheme_str().unwrap_or_default();
    if !schemes.contains(&scheme) || uri.host().is_none_or(str::is_empty) {
        return Err(bad());
    }
    Ok(uri)
}

/// Whether nothing is between this program and that host: the loopback, or an entry of `NO_PROXY` that names it.
fn is_excepted(exceptions: &str, host: &str, port: u16) -> bool {
    let host = without_brackets(host);
    let address = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    if host == "localhost" || address.is_some_and(|ip| ip.is_loopback()) {
        return true;
    }
    let host = host.to_ascii_lowercase();
    let mut entries = exceptions.split(',').map(str::trim);
    entries.any(|entry| excepts(&entry.to_ascii_lowercase(), &host, address, port))
}

/// Whether one entry of `NO_PROXY` names the host: `*`, a network, an address, or a domain; the last two with a port or
/// without.
fn excepts(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(network) = entry.parse::<IpNet>() {
        return address.is_some_and(|ip| network.contains(&ip));
    }
    let (named, only) = match split_port(entry) {
        Some((named, only)) => (without_brackets(named), Some(only)),
        None => (entry, None),
    };
    let is_port = only.is_none_or(|only| only.is_empty() || only == port.to_string());
    if let Ok(named) = named.parse::<IpAddr>() {
        return address == Some(named.to_canonical()) && is_port;
    }
    // `.a.b` and `*.a.b` are what is below `a.b`; `a.b` is that and `a.b` itself.
    let below = named.strip_prefix('*').filter(|rest| rest.starts_with('.'));
    let below = below.unwrap_or(named);
    let (domain, itself) = match below.strip_prefix('.') {
        Some(domain) => (domain, false),
        None => (below, true),
    };
    if named.is_empty() || address.is_some() {
        return false;
    }
    let is_below = host
        .strip_suffix(domain)
        .is_some_and(|left| left.ends_with('.'));
    (is_below || (itself && host == domain)) && is_port
}

/// `host:port` or `[address]:port` in two; `None` where there is no port.
fn split_port(entry: &str) -> Option<(&str, &str)> {
    let (named, port) = entry.rsplit_once(':')?;
    let is_bracketed = named.starts_with('[') && named.ends_with(']');
    (is_bracketed || !named.contains(':')).then_some((named, port))
}

fn without_brackets(host: &str) -> &str {
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    inner.unwrap_or(host)
}

//! The way to the API server: which proxy, which files, which cluster and user, and what an error says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use http::Uri;
use pod_quarantine::cluster::proxy_of;

/// The proxy on the way to a server, with these variables.
fn proxy(
    server: &str,
    named: Option<&str>,
    variables: &[(&str, &str)],
) -> Result<Option<String>, String> {
    let server: Uri = server.parse().unwrap();
    let value = |name: &str| {
        let mut all = variables.iter();
        all.find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    };
    let found = proxy_of(&server, named, value).map_err(|bad| bad.to_string())?;
    Ok(found.map(|uri| uri.to_string()))
}

#[test]
fn a_proxy_is_chosen_as_in_go() {
    let (https, plain) = ("https://api.shop.example:6443", "http://api.shop.example");
    let upper = ("HTTPS_PROXY", "http://upper:1");
    for (server, named, variables, expected) in [
        (https, None, &[] as &[_], None),
        (https, None, &[upper], Some("http://upper:1/")),
        (
            https,
            None,
            &[upper, ("https_proxy", "http://lower:2")],
            Some("http://upper:1/"),
        ),
        (
            https,
            None,
            &[("HTTPS_PROXY", ""), ("https_proxy", "http://lower:2")],
            Some("http://lower:2/"),
        ),
        (
            https,
            None,
            &[("HTTPS_PROXY", "bare:3")],
            Some("http://bare:3/"),
        ),
        (
            https,
            None,
            &[("HTTPS_PROXY", "socks5h://s:4")],
            Some("socks5h://s:4/"),
        ),
        (https, None, &[("HTTP_PROXY", "http://plain:5")], None),
        (https, None, &[("ALL_PROXY", "http://all:6")], None),
        (plain, None, &[upper], None),
        (
            plain,
            None,
            &[("HTTP_PROXY", "http://plain:5")],
            Some("http://plain:5/"),
        ),
        (
            plain,
            None,
            &[("http_proxy", "http://plain:7")],
            Some("http://plain:7/"),
        ),
        // The kubeconfig's counts whatever the environment says.
        (
            https,
            Some("http://own:8"),
            &[upper, ("NO_PROXY", "*")],
            Some("http://own:8/"),
        ),
        (
            "https://127.0.0.1:6443",
            Some("socks5://own:9"),
            &[],
            Some("socks5://own:9/"),
        ),
        (https, Some(""), &[upper], Some("http://upper:1/")),
    ] {
        let found = proxy(server, named, variables);
        assert_eq!(
            found,
            Ok(expected.map(ToOwned::to_owned)),
            "{server} {named:?} {variables:?}"
        );
    }
    for (named, variables, place) in [
        (Some("ftp://own"), &[] as &[_], "proxy-url of the cluster"),
        (Some("own:8"), &[], "proxy-url of the cluster"),
        (Some("socks5h://own:8"), &[], "proxy-url of the cluster"),
        (None, &[("HTTPS_PROXY", "http://secret@")], "HTTPS_PROXY"),
        (None, &[("https_proxy", "ftp://secret")], "https_proxy"),
    ] {
        let why = proxy(https, named, variables).unwrap_err();
        assert!(
            why.starts_with(&format!("read {place}: expected the address")),
            "{why}"
        );
        assert!(!why.contains("secret") && !why.contains("own"), "{why}");
    }
}

/// Rows of `golang.org/x/net/http/httpproxy`'s own test, and what Kubernetes is reached by.
#[test]
fn no_proxy_is_read_as_in_go() {
    let list = "foobar.com, .barbaz.net, 192.168.1.1, 192.168.1.2:81, 192.168.1.3:80, 10.0.0.0/30, 2001:db8::52:0:1, [2001:db8::52:0:2]:443, [2001:db8::52:0:3]:80, 2002:db8:a::45/64, [bad, :80, , *.wild.io, Upper.COM:6443";
    for (host, is_proxied) in [
        ("localhost", false),
        ("127.0.0.1", false),
        ("127.0.0.2:6443", false),
        ("[::1]:6443", false),
        ("LOCALHOST", true),
        ("[2001:db8::52:0:1]", false),
        ("[2001:db8::52:0:2]", false),
        ("[2001:db8::52:0:3]", true),
        ("[2002:db8:a::123]", false),
        ("[fe80::424b:c8be:1643:a1b6]", true),
        ("barbaz.net", true),
        ("www.barbaz.net", false),
        ("foobar.com", false),
        ("www.foobar.com", false),
        ("FooBar.com", false),
        ("foofoobar.com", true),
        ("baz.com", true),
        ("192.168.1.1", false),
        ("192.168.1.1:6443", false),
        ("192.168.1.2", true),
        ("192.168.1.2:81", false),
        ("192.168.1.3", true),
        ("192.168.1.5", true),
        ("10.0.0.2", false),
        ("10.0.0.6", true),
        ("wild.io", true),
        ("a.wild.io", false),
        ("upper.com:6443", false),
        ("upper.com", true),
        ("badwild.io", true),
    ] {
        let variables = [("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", list)];
        let found = proxy(&format!("https://{host}"), None, &variables).unwrap();
        assert_eq!(found.is_some(), is_proxied, "{host}");
        let variables = [("HTTPS_PROXY", "http://p:1"), ("no_proxy", "*, other")];
        assert_eq!(
            proxy(&format!("https://{host}"), None, &variables),
            Ok(None)
        );
    }
    let both = [
        ("HTTPS_PROXY", "http://p:1"),
        ("NO_PROXY", "other"),
        ("no_proxy", "*"),
    ];
    assert!(proxy("https://host", None, &both).unwrap().is_some());
}

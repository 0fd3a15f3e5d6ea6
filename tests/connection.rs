//! The way to the API server: which proxy, which files, which cluster and user, and what an error says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Command;

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

/// The exit code of the plugin, and its standard error.
fn failed(words: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-quarantine"));
    command
        .arg("list")
        .args(words)
        .env("KUBECONFIG", "/nowhere");
    for name in ["http_proxy", "https_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    for name in ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"] {
        command.env_remove(name);
    }
    let ended = command.envs(environment.iter().copied()).output().unwrap();
    (
        ended.status.code(),
        String::from_utf8(ended.stderr).unwrap(),
    )
}

#[test]
fn an_error_names_the_server_and_the_proxy() {
    let refused = |server: &str| {
        format!(
            "The connection to the server {server} was refused - did you specify the right host or port?\n"
        )
    };
    let (server, other) = ("https://127.0.0.1:1", "https://api.shop.invalid");
    let named = |environment: &[(&str, &str)], words: &[&str]| {
        let (code, said) = failed(words, environment);
        assert_eq!(code, Some(1), "{said}");
        said
    };
    assert_eq!(named(&[], &["-s", server]), refused("127.0.0.1:1"));
    let proxy = [("HTTPS_PROXY", "http://me:secret@127.0.0.1:1")];
    assert_eq!(
        named(&proxy, &["-s", other]),
        refused("api.shop.invalid through the proxy http://127.0.0.1:1")
    );
    // The library does not say why its own connection failed.
    let proxy = [("https_proxy", "socks5://me:secret@127.0.0.1")];
    let said = named(&proxy, &["-s", other]);
    let begins = "Unable to connect to the server api.shop.invalid through the proxy socks5://127.0.0.1:1080: ";
    assert!(said.starts_with(begins), "{said}");
    let unknown = named(&[], &["-s", other]);
    let begins = "Unable to connect to the server api.shop.invalid: ";
    assert!(unknown.starts_with(begins), "{unknown}");
}

#[test]
fn an_error_names_the_files_without_a_cluster_and_the_program_that_is_missing() {
    let (code, said) = failed(&[], &[("KUBECONFIG", "/nowhere:/neither")]);
    assert_eq!(code, Some(1));
    assert_eq!(
        said,
        "error: no kubeconfig names a cluster: none is in /nowhere, /neither\n"
    );
    let path = std::env::temp_dir().join(format!("exec-{}", std::process::id()));
    let kubeconfig = "{ clusters: [{ name: a, cluster: { server: 'https://127.0.0.1:1' } }],
        users: [{ name: a, user: { exec: { command: no-such-program, installHint: get it, interactiveMode: Never } } }],
        contexts: [{ name: a, context: { cluster: a, user: a } }], current-context: a }";
    std::fs::write(&path, kubeconfig).unwrap();
    let (code, said) = failed(&["--kubeconfig", path.to_str().unwrap()], &[]);
    std::fs::remove_file(path).unwrap();
    assert_eq!(code, Some(1));
    for piece in [
        "credential plugin \"no-such-program\": ",
        "No such file",
        "\nget it\n",
    ] {
        assert!(said.contains(piece), "{said}");
    }
}

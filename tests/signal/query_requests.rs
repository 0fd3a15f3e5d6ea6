//! How Prometheus is asked.

use pod_quarantine::core::judge::Answer::{Good, None};

use crate::{
    query_answers::vector,
    rig::{Rig, query_of, quick_query, silent_pod},
    server::{Server, answer},
};

fn good() -> impl Fn(&crate::server::Asked) -> crate::server::Reply + Send + Sync + 'static {
    vector(&[("a", "0.01")])
}

#[tokio::test]
async fn a_query_is_a_form_that_is_posted() {
    let server = Server::start(good()).await;
    let (mut query, prometheus) = quick_query(&server);
    r#"rate(x{a=~"5..", b="&+%"}[1m]) > 0"#.clone_into(&mut query.query);
    let mut rig = Rig::query((query, prometheus));
    rig.put(silent_pod("a"));
    assert_eq!(rig.answer().await.0, Good);
    let asked = server.asked().remove(0);
    let head = asked.head.to_lowercase();
    assert!(
        head.starts_with("post /api/v1/query http/1.1\r\n"),
        "{head}"
    );
    let version = env!("CARGO_PKG_VERSION");
    for line in [
        "content-type: application/x-www-form-urlencoded".to_owned(),
        format!("user-agent: pod-quarantine/{version}"),
        format!("host: {}", server.address),
    ] {
        assert!(head.contains(&line), "{line} not in {head}");
    }
    assert!(!head.contains("authorization"), "{head}");
    let sent: Vec<_> = url::form_urlencoded::parse(asked.body.as_bytes()).collect();
    assert_eq!(sent[0].0, "query");
    assert_eq!(sent[0].1, r#"rate(x{a=~"5..", b="&+%"}[1m]) > 0"#);
    assert_eq!((&*sent[1].0, &*sent[1].1), ("timeout", "100ms"));
}

#[tokio::test]
async fn a_path_before_the_api_is_kept() {
    for (given, sent) in [
        ("", "/api/v1/query"),
        ("/", "/api/v1/query"),
        ("/prometheus", "/prometheus/api/v1/query"),
        ("/select/0/prometheus/", "/select/0/prometheus/api/v1/query"),
    ] {
        let server = Server::start(good()).await;
        let mut rig = Rig::query(query_of(&format!("http://{}{given}", server.address)));
        rig.put(silent_pod("a"));
        rig.answer().await;
        let head = server.asked().remove(0).head;
        assert!(
            head.starts_with(&format!("POST {sent} HTTP/1.1\r\n")),
            "{head}"
        );
    }
}

#[tokio::test]
async fn the_token_is_read_for_each_query_and_headers_are_sent() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("signal-token-{}", std::process::id()));
    let server = Server::start(good()).await;
    let (query, mut prometheus) = quick_query(&server);
    prometheus.bearer_token_file = Some(file.to_str().unwrap().to_owned());
    prometheus.headers = vec![("X-Scope-OrgID".to_owned(), "shop".to_owned())];
    let mut rig = Rig::query((query, prometheus));
    rig.put(silent_pod("a"));
    let (answer, saw) = rig.answer().await;
    assert_eq!(answer, None);
    assert!(
        saw.starts_with("Prometheus: read bearerTokenFile: "),
        "{saw}"
    );
    assert!(rig.observed().errors.contains_key("file"));
    assert_eq!(server.connections(), 0, "asked without the token");
    for token in ["first\n", "second"] {
        std::fs::write(&file, token).unwrap();
        rig.forget();
        rig.answer().await;
        assert_eq!(rig.answer().await.0, Good);
        let head = server.asked().pop().unwrap().head.to_lowercase();
        let line = format!("authorization: bearer {}\r\n", token.trim());
        assert!(format!("{head}\r\n").contains(&line), "{head}");
        assert!(head.contains("x-scope-orgid: shop"), "{head}");
    }
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn a_query_and_its_secrets_do_not_follow_a_redirect() {
    let other = Server::start(good()).await;
    let there = format!("307 Go\r\nlocation: http://{}/api/v1/query", other.address);
    let server = Server::start(move |_| answer(&there, "")).await;
    let mut rig = Rig::query(quick_query(&server));
    rig.put(silent_pod("a"));
    assert_eq!(
        rig.answer().await,
        (None, "Prometheus: HTTP 307".to_owned())
    );
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn a_missing_server_says_nothing_about_any_pod() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = closed.local_addr().unwrap();
    drop(closed);
    for (url, cause, saw) in [
        (
            format!("http://{nobody}"),
            "connection",
            "connection refused",
        ),
        (
            "http://prometheus.invalid:9090".to_owned(),
            "dns",
            "the name prometheus.invalid does not resolve",
        ),
        (
            "no address".to_owned(),
            "request",
            "the request cannot be sent: url",
        ),
    ] {
        let (mut query, mut prometheus) = query_of(&url);
        query.interval *= 30;
        prometheus.timeout = query.interval;
        let mut rig = Rig::query((query, prometheus));
        rig.put(silent_pod("a"));
        let (answer, said) = rig.answer().await;
        assert_eq!(answer, None);
        assert!(said.starts_with(&format!("Prometheus: {saw}")), "{said}");
        let causes: Vec<_> = rig.observed().errors.into_keys().collect();
        assert_eq!(causes, [cause]);
    }
}

//! How Prometheus is asked.

use pod_quarantine::core::judge::Answer::{Good, None};

use crate::{
    query_answers::vector,
    rig::{Rig, query_of, quick_query, silent_pod},
    server::{Asked, Reply, Server, answer},
};

fn good() -> impl Fn(&Asked) -> Reply + Send + Sync + 'static {
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

/// Answers one method, and refuses the other like this.
fn only(method: &'static str, refusal: &'static str) -> impl Fn(&Asked) -> Reply + Send + Sync {
    let good = good();
    move |asked| {
        if asked.head.starts_with(method) {
            good(asked)
        } else {
            answer(refusal, "no")
        }
    }
}

/// The methods of all requests.
fn methods(server: &Server) -> Vec<String> {
    let asked = server.asked();
    let method = |asked: &Asked| asked.head.split(' ').next().unwrap().to_owned();
    asked.iter().map(method).collect()
}

/// The path of a request, and the parameters of its query string.
fn target(asked: &Asked) -> (String, Vec<(String, String)>) {
    let target = asked.head.split(' ').nth(1).unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned();
    (path.to_owned(), pairs.collect())
}

#[tokio::test]
async fn a_server_that_takes_no_form_is_asked_with_a_get() {
    for refusal in ["403 Forbidden", "405 Not Allowed", "501 Not Implemented"] {
        let server = Server::start(only("GET", refusal)).await;
        let (mut query, mut prometheus) = quick_query(&server);
        r#"rate(x{a=~"5..", b="&+%"}[1m]) > 0"#.clone_into(&mut query.query);
        prometheus.headers = vec![("X-Scope-OrgID".to_owned(), "shop".to_owned())];
        let mut rig = Rig::query((query, prometheus));
        rig.put(silent_pod("a"));
        assert_eq!(rig.answer().await.0, Good, "{refusal}");
        assert_eq!(rig.observed().errors.len(), 0, "{refusal}");
        let asked = &server.asked()[1];
        let head = asked.head.to_lowercase();
        assert!(head.contains("x-scope-orgid: shop"), "{head}");
        assert!(!head.contains("content-type"), "{head}");
        assert_eq!(asked.body, "");
        let (path, sent) = target(asked);
        assert_eq!(path, "/api/v1/query");
        let sent: Vec<_> = sent
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let query = r#"rate(x{a=~"5..", b="&+%"}[1m]) > 0"#;
        assert_eq!(sent, [("query", query), ("timeout", "100ms")]);
    }
}

#[tokio::test]
async fn a_server_that_takes_forms_again_is_posted_to_again() {
    let server = Server::start(only("GET", "405 Not Allowed")).await;
    let mut rig = Rig::query(quick_query(&server));
    rig.put(silent_pod("a"));
    assert_eq!(rig.answer().await.0, Good);
    server.now(only("POST", "405 Not Allowed"));
    rig.forget();
    rig.answer().await;
    assert_eq!(rig.answer().await.0, Good);
    assert_eq!(methods(&server).pop().unwrap(), "POST");
}

#[tokio::test]
async fn an_answer_that_says_nothing_of_the_method_is_not_asked_for_twice() {
    for status in [
        "400 Bad", "401 Who", "404 None", "422 No", "500 Oh", "503 Busy",
    ] {
        let server = Server::start(only("GET", status)).await;
        let mut rig = Rig::query(quick_query(&server));
        rig.put(silent_pod("a"));
        let said = format!("Prometheus: HTTP {}", &status[..3]);
        assert_eq!(rig.answer().await, (None, said));
        rig.answer().await;
        assert!(
            methods(&server).iter().all(|method| method == "POST"),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_server_that_refuses_both_methods_says_nothing_about_any_pod() {
    let server = Server::start(|_| answer("403 Forbidden", "no")).await;
    let mut rig = Rig::query(quick_query(&server));
    rig.put(silent_pod("a"));
    assert_eq!(
        rig.answer().await,
        (None, "Prometheus: HTTP 403".to_owned())
    );
    let causes: Vec<_> = rig.observed().errors.into_keys().collect();
    assert_eq!(causes, ["status"]);
}

/// A proxy in front of tenants reads `namespace` there, whatever the method.
#[tokio::test]
async fn parameters_are_in_the_query_string_of_each_request() {
    let server = Server::start(only("GET", "405 Not Allowed")).await;
    let (query, mut prometheus) = query_of(&format!("http://{}/tenants/", server.address));
    let parameters = [
        ("namespace", "shop"),
        ("extra_filters[]", r#"{team="a&b"}"#),
    ];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
    prometheus.parameters = parameters.to_vec();
    let mut rig = Rig::query((query, prometheus));
    rig.put(silent_pod("a"));
    assert_eq!(rig.answer().await.0, Good);
    let asked = server.asked();
    let (path, sent) = target(&asked[0]);
    assert_eq!(
        (&*path, sent),
        ("/tenants/api/v1/query", parameters.to_vec())
    );
    assert!(!asked[0].body.contains("namespace"), "{:?}", asked[0]);
    let (path, sent) = target(&asked[1]);
    assert_eq!(path, "/tenants/api/v1/query");
    assert_eq!(sent[..2], parameters);
    assert_eq!(sent[2], ("query".to_owned(), "up".to_owned()));
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

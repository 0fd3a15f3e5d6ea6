//! What a probe sends.

use pod_quarantine::core::{judge::Answer::Good, policy::HttpProbe};

use crate::{
    rig::{Rig, pod, quick_probe},
    server::{Server, ok},
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The lines of the first request of a probe, and where it was sent.
async fn sent(probe: HttpProbe) -> (Vec<String>, String) {
    let server = Server::start(|_| ok("")).await;
    let mut rig = Rig::probe(probe);
    rig.put(pod("a", server.address));
    assert_eq!(rig.answer().await, (Good, "HTTP 200".to_owned()));
    let head = server.asked().remove(0).head;
    let lines = head.lines().map(str::to_owned).collect();
    (lines, server.address.to_string())
}

fn with(headers: &[(&str, &str)]) -> HttpProbe {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    HttpProbe {
        headers: headers.iter().map(owned).collect(),
        ..quick_probe()
    }
}

#[tokio::test]
async fn a_probe_sends_what_the_kubelet_sends_under_its_own_name() {
    let (mut lines, address) = sent(quick_probe()).await;
    assert_eq!(lines.remove(0), "GET /healthz HTTP/1.1");
    lines.sort();
    let mut expected = [
        format!("Host: {address}"),
        format!("User-Agent: pod-quarantine/{VERSION}"),
        "Accept: */*".to_owned(),
        "Connection: close".to_owned(),
    ];
    expected.sort();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn headers_are_sent_as_written_repeated_ones_too() {
    let headers = [
        ("X-Team", "a"),
        ("x-team", "b"),
        ("User-Agent", "kube-probe/1.36"),
        ("Accept", "application/json"),
    ];
    let (lines, _) = sent(with(&headers)).await;
    for line in [
        "X-Team: a",
        "X-Team: b",
        "User-Agent: kube-probe/1.36",
        "Accept: application/json",
    ] {
        let times = lines.iter().filter(|sent| *sent == line).count();
        assert_eq!(times, 1, "{line} in {lines:?}");
    }
}

#[tokio::test]
async fn an_empty_header_takes_the_default_away() {
    let (lines, _) = sent(with(&[("User-Agent", ""), ("Accept", "")])).await;
    assert!(!lines.iter().any(|line| line.starts_with("User-Agent")));
    assert!(!lines.iter().any(|line| line.starts_with("Accept")));
}

#[tokio::test]
async fn a_host_header_is_the_host_of_the_request() {
    let (lines, _) = sent(with(&[("Host", "shop.example")])).await;
    let hosts: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("Host"))
        .collect();
    assert_eq!(hosts, ["Host: shop.example"]);
}

#[tokio::test]
async fn path_and_query_are_sent_as_the_kubelet_sends_them() {
    for (path, sent_path) in [
        ("/", "/"),
        ("/a/b?c=d&e=f", "/a/b?c=d&e=f"),
        ("/a b", "/a%20b"),
        ("/a%20b", "/a%20b"),
        ("/ä", "/%C3%A4"),
        // To Go, a host that the pod's own replaces.
        ("//a", "/"),
        ("/a/../b", "/a/../b"),
        ("/%2e/'", "/%2e/'"),
        ("/|", "/%7C"),
        ("/a\\b", "/a%5Cb"),
        ("/a#b", "/a"),
        ("/@127.0.0.2:1", "/@127.0.0.2:1"),
    ] {
        let mut probe = quick_probe();
        path.clone_into(&mut probe.path);
        let (lines, _) = sent(probe).await;
        assert_eq!(lines[0], format!("GET {sent_path} HTTP/1.1"));
    }
}

#[tokio::test]
async fn every_probe_has_a_connection_of_its_own() {
    let server = Server::start(|_| ok("")).await;
    let mut rig = Rig::probe(quick_probe());
    rig.put(pod("a", server.address));
    for _ in 0..5 {
        assert_eq!(rig.answer().await.0, Good);
    }
    assert!(server.connections() >= 5);
    assert_eq!(server.connections(), server.asked().len());
}

//! Redirects: followed on the pod's own address, never away from it.

use futures::future::join_all;
use pod_quarantine::core::judge::Answer::{self, Bad, Good};

use crate::{
    rig::{Rig, pod, quick_probe},
    server::{Asked, Reply, Server, ok},
};

fn redirect(status: u16, location: &str) -> Reply {
    let text = format!("HTTP/1.1 {status} Go\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    Reply::Bytes(text.into_bytes())
}

fn path(asked: &Asked) -> &str {
    asked.head.split(' ').nth(1).unwrap()
}

/// The first answer about a pod of that behaviour, and what it was asked for that.
async fn first_answer(
    behave: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (Answer, String, Vec<Asked>) {
    let server = Server::start(behave).await;
    let mut probe = quick_probe();
    // So that there is one probe, not a second one while the first is looked at.
    probe.period *= 6;
    probe.timeout *= 5;
    probe.headers = vec![("X-Team".to_owned(), "shop".to_owned())];
    let mut rig = Rig::probe(probe);
    rig.put(pod("a", server.address));
    let (answer, saw) = rig.answer().await;
    (answer, saw, server.asked())
}

#[tokio::test]
async fn a_redirect_to_another_host_is_good_and_not_followed() {
    let other = Server::start(|_| ok("")).await;
    let hosts = ["localhost", "127.0.0.2", "[::1]", "shop.example"];
    join_all(hosts.map(async |host| {
        let away = format!("http://{host}:{}/", other.address.port());
        let (answer, saw, asked) = first_answer(move |_| redirect(302, &away)).await;
        assert_eq!(
            (answer, &*saw),
            (Good, "HTTP 302, redirect to another host not followed"),
            "{host}"
        );
        assert_eq!(asked.len(), 1, "{host}");
    }))
    .await;
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn a_redirect_on_the_same_host_is_followed_with_the_same_headers() {
    let statuses = [301, 302, 303, 307, 308];
    let cases = statuses.map(|status| [(status, "200 OK", Good), (status, "500 Oh", Bad)]);
    join_all(
        cases
            .into_iter()
            .flatten()
            .map(async |(status, there, answer)| {
                let (said, saw, asked) = first_answer(move |asked| match path(asked) {
                    "/healthz" => redirect(status, "live?deep=1#top"),
                    _ => crate::server::answer(there, ""),
                })
                .await;
                assert_eq!(said, answer, "{status}: {saw}");
                assert_eq!(asked.len(), 2);
                assert_eq!(path(&asked[1]), "/live?deep=1");
                assert!(asked[1].head.contains("X-Team: shop"), "{}", asked[1].head);
            }),
    )
    .await;
}

#[tokio::test]
async fn the_same_host_on_another_port_is_the_same_host() {
    let other = Server::start(|_| crate::server::answer("503 Oh", "")).await;
    let there = format!("http://{}/", other.address);
    let (answer, saw, _) = first_answer(move |_| redirect(302, &there)).await;
    assert_eq!((answer, &*saw), (Bad, "HTTP 503"));
    let host = format!("Host: {}", other.address);
    assert!(other.asked()[0].head.contains(&host));
}

#[tokio::test]
async fn a_circle_of_redirects_is_bad_after_ten_requests() {
    let (answer, saw, asked) = first_answer(|_| redirect(302, "/healthz")).await;
    assert_eq!((answer, &*saw), (Bad, "too many redirects"));
    assert_eq!(asked.len(), 10);
}

#[tokio::test]
async fn nine_redirects_on_the_same_host_are_followed() {
    let (answer, saw, asked) = first_answer(|asked| match path(asked).len() {
        // /healthz, then /, /x, /xx and so on.
        8 if path(asked) == "/healthz" => redirect(302, "/"),
        9 => ok(""),
        _ => redirect(302, &format!("{}x", path(asked))),
    })
    .await;
    assert_eq!((answer, &*saw), (Good, "HTTP 200"));
    assert_eq!(asked.len(), 10);
}

#[tokio::test]
async fn a_redirect_without_a_location_is_good_and_not_followed() {
    let (answer, saw, _) = first_answer(|_| crate::server::answer("302 Found", "")).await;
    assert_eq!((answer, &*saw), (Good, "HTTP 302"));
}

#[tokio::test]
async fn a_redirect_with_an_invalid_location_is_bad() {
    for location in ["http://[", "ftp://127.0.0.1/"] {
        let (answer, saw, _) = first_answer(move |_| redirect(302, location)).await;
        assert_eq!((answer, &*saw), (Bad, "HTTP 302 with an invalid Location"));
    }
}

#[tokio::test]
async fn a_host_header_goes_along_with_a_relative_redirect() {
    let server = Server::start(|asked| match path(asked) {
        "/healthz" => redirect(302, "/live"),
        _ if asked.head.contains("Host: shop.example\r\n") => ok(""),
        _ => crate::server::answer("421 Misdirected", ""),
    })
    .await;
    let mut probe = quick_probe();
    probe.headers = vec![("host".to_owned(), "shop.example".to_owned())];
    let mut rig = Rig::probe(probe);
    rig.put(pod("a", server.address));
    assert_eq!(rig.answer().await, (Good, "HTTP 200".to_owned()));
}

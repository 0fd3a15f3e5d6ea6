//! HTTPS: probes take any certificate, queries only what they are observed to trust.

use std::sync::Arc;

use pod_quarantine::core::{
    judge::Answer::{Bad, Good, None},
    policy::Scheme,
};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    query_answers::vector,
    rig::{Rig, pod, query_of, quick_probe, silent_pod},
    server::{Server, ok},
};

/// A server's side, with a certificate for `name` that it signed itself; and that certificate as PEM.
fn acceptor(name: &str) -> (TlsAcceptor, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.into())
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), certificate.pem())
}

#[tokio::test]
async fn an_https_probe_takes_any_certificate() {
    let (tls, _) = acceptor("someone-else.example");
    let server = Server::start_with(Some(tls), |_| ok("fine")).await;
    let mut probe = quick_probe();
    probe.scheme = Scheme::Https;
    probe.timeout *= 5;
    let mut rig = Rig::probe(probe);
    rig.put(pod("a", server.address));
    assert_eq!(rig.answer().await, (Good, "HTTP 200".to_owned()));
    assert!(
        server.asked()[0]
            .head
            .contains(&format!("Host: {}", server.address))
    );
}

#[tokio::test]
async fn an_https_probe_of_a_plain_pod_is_bad_and_says_why() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let plain = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
            drop(tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await);
            drop(tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1024]).await);
        }
    });
    let mut probe = quick_probe();
    probe.scheme = Scheme::Https;
    let mut rig = Rig::probe(probe);
    rig.put(pod("a", address));
    let (answer, saw) = rig.answer().await;
    assert_eq!(answer, Bad);
    assert!(saw.starts_with("TLS: "), "{saw}");
    plain.abort();
}

#[tokio::test]
async fn a_plain_probe_of_an_https_pod_is_bad() {
    let (tls, _) = acceptor("a");
    let server = Server::start_with(Some(tls), |_| ok("")).await;
    let mut rig = Rig::probe(quick_probe());
    rig.put(pod("a", server.address));
    assert_eq!(rig.answer().await.0, Bad);
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_query_trusts_only_the_current_ca_file() {
    let (tls, pem) = acceptor("127.0.0.1");
    let (_, strange) = acceptor("127.0.0.1");
    let server = Server::start_with(Some(tls), vector(&[("a", "0.01")])).await;
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("signal-ca");
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join(format!("{}.pem", std::process::id()));
    let (mut query, mut prometheus) = query_of(&format!("https://{}", server.address));
    query.interval *= 2;
    prometheus.ca_file = Some(file.to_str().unwrap().to_owned());
    let mut rig = Rig::query((query, prometheus));
    rig.put(silent_pod("a"));
    for (content, answer, saw) in [
        (Option::None, None, "Prometheus: read caFile: "),
        (Some(&*strange), None, "Prometheus: TLS: "),
        (
            Some("not PEM"),
            None,
            "Prometheus: use caFile: there is no certificate",
        ),
        (Some(&*pem), Good, "0.01 is not above"),
    ] {
        if let Some(content) = content {
            let new = directory.join(format!("{}.new", std::process::id()));
            std::fs::write(&new, content).unwrap();
            std::fs::rename(&new, &file).unwrap();
        }
        rig.forget();
        rig.answer().await;
        let said = rig.answer().await;
        assert!(
            said.0 == answer && said.1.starts_with(saw),
            "{said:?}, not {saw}"
        );
    }
    std::fs::remove_file(&file).unwrap();
    let causes: Vec<_> = rig.observed().errors.into_keys().collect();
    assert_eq!(causes, ["file", "tls"]);
}

#[tokio::test]
async fn a_query_without_a_ca_file_trusts_public_authorities_only() {
    let (tls, _) = acceptor("127.0.0.1");
    let server = Server::start_with(Some(tls), vector(&[("a", "0.01")])).await;
    let mut rig = Rig::query(query_of(&format!("https://{}", server.address)));
    rig.put(silent_pod("a"));
    let (answer, saw) = rig.answer().await;
    assert_eq!(answer, None);
    assert!(saw.starts_with("Prometheus: TLS: "), "{saw}");
}

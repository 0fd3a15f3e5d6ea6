//! The same probes by the kubelet's own prober and by the agent's, of the same servers: they ask the same, and make the
//! same of what they get.
//!
//! The program `prober` is the prober of the Kubernetes that the test cluster is made of, and TLS servers of all kinds
//! (`tests/cluster/modules/prober`).

mod cases;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};

use futures::{StreamExt, stream};
use pod_quarantine::core::{
    judge::Answer::{self, Bad, Good, None},
    policy::Scheme,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use self::cases::{OK, answers, redirect, redirects, requests, tls};
use crate::{
    rig::{Rig, pod, quick_probe},
    server::{Asked, Reply, Server},
};

/// Where the agent has no answer and the kubelet has one: the case, the cause that the metric has, and why. The
/// documentation has the same reasons.
const DIFFERENCES: [(&str, &str, &str); 14] = [
    ("exchange by X25519MLKEM768", "tls", ONLY_POST_QUANTUM),
    ("certificate of 100 KB", "tls", LONG_CERTIFICATES),
    ("TLS 1.0", "tls", NOTHING_IN_COMMON),
    ("TLS 1.1", "tls", NOTHING_IN_COMMON),
    ("ECDHE-RSA-3DES", "tls", NOTHING_IN_COMMON),
    ("ECDHE-RSA-AES128-CBC-SHA256", "tls", NOTHING_IN_COMMON),
    ("RSA exchange, CBC", "tls", NOTHING_IN_COMMON),
    ("RSA exchange, GCM", "tls", NOTHING_IN_COMMON),
    ("another protocol by ALPN", "tls", NOTHING_IN_COMMON),
    ("alert: handshake failure", "tls", NOTHING_IN_COMMON),
    ("alert: protocol version", "tls", NOTHING_IN_COMMON),
    ("a head of 1 MiB by HTTP/2", "size", LONG_HTTP2_HEAD),
    ("a Location of 100 KB", "size", LONG_LOCATION),
    ("a length of 2000 zeros", "size", LONG_FIELD),
];
const ONLY_POST_QUANTUM: &str = "The agent does not speak the post-quantum key exchanges; a server that takes no other is `none`.";
const LONG_CERTIFICATES: &str =
    "Certificates of more than 64 KB are `none`; the kubelet reads 256 KB.";
const NOTHING_IN_COMMON: &str = "A server that finds nothing in the agent's offer that it speaks is `none`, where the kubelet says failure.";
const LONG_HTTP2_HEAD: &str = "A head of more than 256 KiB by HTTP/2 is `none`; the kubelet reads 10 MiB, as both do by HTTP/1.";
const LONG_LOCATION: &str = "A `Location` of more than 64 KiB is `none`; the kubelet follows it.";
const LONG_FIELD: &str =
    "A `Content-Length`, `Transfer-Encoding` or `Trailer` of more than 1 KiB is `none`.";

/// How many probes of the agent run at once.
const AT_ONCE: usize = 64;

/// The kubelet's prober; it ends when dropped.
struct Kubelet {
    _program: Child,
    asks: ChildStdin,
    says: Lines<BufReader<ChildStdout>>,
    /// Where its TLS servers listen.
    servers: BTreeMap<String, u16>,
}

impl Kubelet {
    async fn start() -> Self {
        let mut program = Command::new("prober")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("start `prober`: `make test` builds it and puts it on the PATH");
        let asks = program.stdin.take().unwrap();
        let mut says = BufReader::new(program.stdout.take().unwrap()).lines();
        let ports = says.next_line().await.unwrap().unwrap();
        Self {
            _program: program,
            asks,
            says,
            servers: serde_json::from_str(&ports).unwrap(),
        }
    }

    async fn probe(&mut self, case: &Case) -> (Answer, String) {
        let scheme: &str = case.scheme.into();
        let asked = json!({
            "Address": case.address.ip(),
            "Port": case.address.port(),
            "Scheme": scheme,
            "Path": case.path,
            "Headers": case.headers,
            "Timeout": case.timeout().as_millis(),
        });
        let line = format!("{asked}\n");
        self.asks.write_all(line.as_bytes()).await.unwrap();
        let said = self.says.next_line().await.unwrap().unwrap();
        let said: Value = serde_json::from_str(&said).unwrap();
        let answer = match said["result"].as_str().unwrap() {
            "success" | "warning" => Good,
            "failure" => Bad,
            _ => None,
        };
        (answer, format!("{} {}", said["output"], said["error"]))
    }
}

/// A probe of a server.
struct Case {
    name: String,
    address: SocketAddr,
    scheme: Scheme,
    path: String,
    headers: Vec<(String, String)>,
    never_ends: bool,
    /// The server, where it is one of this test.
    server: Option<Server>,
}

impl Case {
    async fn of(name: &str, behave: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let server = Server::start(behave).await;
        Self {
            name: name.to_owned(),
            address: server.address,
            scheme: Scheme::Http,
            path: "/healthz".to_owned(),
            headers: Vec::new(),
            never_ends: false,
            server: Some(server),
        }
    }

    async fn answering(name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::of(name, move |_| Reply::Bytes(bytes.clone())).await
    }

    async fn asking(path: &str, headers: &[(&str, &str)]) -> Self {
        let mut case = Self::answering(&format!("asking {path} {headers:?}"), OK).await;
        path.clone_into(&mut case.path);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        case.headers = headers.iter().map(owned).collect();
        case
    }

    async fn redirecting(name: &str, location: &[u8]) -> Self {
        let location = location.to_vec();
        Self::of(name, move |asked| {
            let port = asked.head.split_once("Host: 127.0.0.1:");
            let port = port
                .and_then(|(_, rest)| rest.split("\r\n").next())
                .unwrap_or("80");
            let target = asked.head.split(' ').nth(1).unwrap();
            if target != "/healthz" {
                return Reply::Bytes(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_vec());
            }
            let text = String::from_utf8_lossy(&location);
            let location = if text.contains("PORT") {
                text.replace("PORT", port).into_bytes()
            } else {
                location.clone()
            };
            redirect(&location)
        })
        .await
    }

    fn tls(name: &str, port: u16, path: &str) -> Self {
        Self {
            name: name.to_owned(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            scheme: Scheme::Https,
            path: path.to_owned(),
            headers: Vec::new(),
            never_ends: false,
            server: Option::None,
        }
    }

    fn timeout(&self) -> Duration {
        // So long that a busy machine is not taken for a server that does not answer.
        Duration::from_millis(if self.never_ends { 500 } else { 10_000 })
    }

    /// What the agent makes of it, and the causes that the metric has.
    async fn probe_by_the_agent(&self) -> (Answer, String, Vec<&'static str>) {
        let mut probe = quick_probe();
        probe.scheme = self.scheme;
        self.path.clone_into(&mut probe.path);
        self.headers.clone_into(&mut probe.headers);
        // So that there is one probe, not a second one before the first is looked at.
        probe.period *= 20;
        probe.timeout = self.timeout();
        let mut rig = Rig::probe(probe);
        rig.put(pod(&self.name, self.address));
        let (answer, saw) = rig.patient_answer().await;
        (answer, saw, rig.observed().errors.into_keys().collect())
    }

    /// What the server was asked since.
    fn asked(&self, since: usize) -> Vec<String> {
        let asked = self.server.as_ref().map(Server::asked).unwrap_or_default();
        asked
            .into_iter()
            .skip(since)
            .map(|asked| without_agent(&asked.head))
            .collect()
    }
}

/// A request without the name of who sends it, which differs on purpose.
fn without_agent(head: &str) -> String {
    let lines = head.split("\r\n");
    let kept: Vec<_> = lines
        .filter(|line| {
            !line.starts_with("User-Agent: kube-probe")
                && !line.starts_with("User-Agent: pod-quarantine")
        })
        .collect();
    kept.join("\r\n")
}

/// Whether requests are those of one probe, of two, and so on: on a busy machine a next probe may have begun.
fn is_row_of(asked: &[String], one: &[String]) -> bool {
    asked.len() >= one.len()
        && asked
            .iter()
            .zip(one.iter().cycle())
            .all(|(asked, one)| asked == one)
}

/// Asks both, and compares what they asked and what they say.
async fn compare(kubelet: &mut Kubelet, cases: Vec<Case>) {
    let mut theirs = Vec::new();
    for case in &cases {
        let said = kubelet.probe(case).await;
        theirs.push((said, case.asked(0)));
    }
    let ours: Vec<_> = stream::iter(cases.iter().map(Case::probe_by_the_agent))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut wrong = Vec::new();
    for ((case, (theirs, their_asked)), ours) in cases.iter().zip(theirs).zip(ours) {
        let name = &case.name;
        let asked = case.asked(their_asked.len());
        match DIFFERENCES.iter().find(|(different, ..)| different == name) {
            Some((_, cause, _)) if ours.0 == None && ours.2 == [*cause] && theirs.0 != None => {}
            Some(_) => wrong.push(format!(
                "{name}: the difference has changed: {theirs:?}, {ours:?}"
            )),
            Option::None if ours.0 != theirs.0 => {
                wrong.push(format!(
                    "{name}: the kubelet says {theirs:?}, the agent {ours:?}"
                ));
            }
            Option::None if !is_row_of(&asked, &their_asked) => wrong.push(format!(
                "{name}: the kubelet asks {their_asked:#?}, the agent {asked:#?}"
            )),
            Option::None => {}
        }
    }
    println!("{} cases compared", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_mean_what_they_mean_to_the_kubelet() {
    compare(&mut Kubelet::start().await, answers().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_lead_where_they_lead_the_kubelet() {
    compare(&mut Kubelet::start().await, redirects().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_the_kubelets_byte_for_byte() {
    compare(&mut Kubelet::start().await, requests().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_servers_of_all_kinds_are_what_they_are_to_the_kubelet() {
    let mut kubelet = Kubelet::start().await;
    let cases = tls(&kubelet.servers);
    compare(&mut kubelet, cases).await;
}

/// Texts that differ from others by a few edits, the same ones in every run of so many.
struct Edits(u64);

impl Edits {
    /// How many are tried: `PARITY_CASES=2000` tries more.
    fn cases() -> usize {
        let given = std::env::var("PARITY_CASES").ok();
        given.map_or(60, |cases| cases.parse().unwrap())
    }

    fn below(&mut self, bound: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((number ^ (number >> 31)) % u64::try_from(bound).unwrap()).unwrap()
    }

    fn text(&mut self, texts: &[&[u8]], pieces: &[&[u8]]) -> Vec<u8> {
        let mut text = texts[self.below(texts.len())].to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(text.len() + 1);
            let end = (at + self.below(4) * self.below(2)).min(text.len());
            text.splice(at..end, pieces[self.below(pieces.len())].iter().copied());
        }
        text
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_with_faults_mean_what_they_mean_to_the_kubelet() {
    let mut edits = Edits(1);
    let texts: [&[u8]; 4] = [
        b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\nX-A: b\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX-A: b\r\n  c\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.0 204 No\nX-A:b\n\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n0a;x=y\r\n0123456789\r\n0\r\nX-A: b\r\n\r\n",
    ];
    let pieces: [&[u8]; 24] = [
        b"",
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b":",
        b";",
        b",",
        b"0",
        b"2",
        b"f",
        b"-",
        b"+",
        b"\0",
        b"\xe9",
        b"(",
        b"X-A",
        b"\r\n ",
        b"Content-Length: 2\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"chunked",
        b"HTTP/1.1 100 C\r\n\r\n",
        b"Trailer: Content-Length\r\n",
    ];
    let mut cases = Vec::new();
    for _ in 0..Edits::cases() {
        let text = edits.text(&texts, &pieces);
        cases.push(Case::answering(&text.escape_ascii().to_string(), text).await);
    }
    compare(&mut Kubelet::start().await, cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_and_redirects_with_faults_are_the_kubelets() {
    let mut edits = Edits(2);
    let texts: [&[u8]; 4] = [
        b"/a/b/../c/./d?e=f&g=h#i",
        b"http://127.0.0.1:PORT/a//b/?c#d",
        b"//u:p@127.0.0.1:PORT/a%2fb/%2e%2E/c",
        b"a/b;c/../../d",
    ];
    let pieces: [&[u8]; 30] = [
        b"",
        b"/",
        b"//",
        b"/..",
        b"/.",
        b".",
        b"%2e",
        b"%",
        b"%zz",
        b"%41",
        b"?",
        b"#",
        b":",
        b"@",
        b"[",
        b"]",
        b"\\",
        b" ",
        b"|",
        b"'",
        b"\"",
        b"*",
        b"u:p@",
        b"{",
        b"^",
        b"\xc3\xa4",
        b"+",
        b"&",
        b"http:",
        b"0",
    ];
    let mut cases = Vec::new();
    for _ in 0..Edits::cases() {
        let text = edits.text(&texts, &pieces);
        cases.push(Case::redirecting(&text.escape_ascii().to_string(), &text).await);
        let path = String::from_utf8_lossy(&text).into_owned();
        cases.push(Case::asking(&format!("/{path}"), &[]).await);
    }
    compare(&mut Kubelet::start().await, cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_probe_is_a_whole_handshake() {
    let kubelet = Kubelet::start().await;
    for name in ["TLS 1.2", "TLS 1.3"] {
        // Says 500 to a session that is resumed.
        let case = Case::tls(name, kubelet.servers[name], "/resumed");
        let mut probe = quick_probe();
        probe.scheme = Scheme::Https;
        case.path.clone_into(&mut probe.path);
        probe.timeout = case.timeout();
        let mut rig = Rig::probe(probe);
        rig.put(pod("a", case.address));
        for _ in 0..5 {
            assert_eq!(
                rig.patient_answer().await,
                (Good, "HTTP 200".to_owned()),
                "{name}"
            );
        }
    }
}

#[test]
fn the_documentation_has_every_difference_with_its_reason() {
    let text = include_str!("../../../docs/policy-file.md");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (case, _, reason) in DIFFERENCES {
        assert!(text.contains(reason), "{case}: {reason}");
    }
}

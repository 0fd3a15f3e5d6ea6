//! The example of the policy file, asked of a real Prometheus that scrapes two real pods.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use pod_quarantine::core::judge::Answer::{Bad, Good, None};
use tokio::{
    process::{Child, Command},
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    probe_answers::workload,
    rig::{LONG, Rig, query_of, silent_pod},
    server::{Asked, Reply, Server, answer},
};

/// As in the policy file that the documentation shows, over a shorter time.
const QUERY: &str = r#"
(  sum by (namespace, pod) (rate(http_requests_total{code=~"5.."}[10s]))
or 0 * sum by (namespace, pod) (rate(http_requests_total[10s])) )
/  sum by (namespace, pod) (rate(http_requests_total[10s]))
"#;

/// A running Prometheus; it ends when dropped.
struct Prometheus {
    url: String,
    directory: PathBuf,
    _program: Child,
}

impl Prometheus {
    fn start(name: &str, pods: &[(&str, SocketAddr)]) -> Self {
        let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("signal-prometheus-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let config = directory.join("prometheus.yaml");
        std::fs::write(&config, scraping(pods)).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let log = std::fs::File::create(directory.join("log")).unwrap();
        let program = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("start `prometheus`: it must be installed and on the PATH (Debian: apt-get install prometheus)");
        Self {
            url: format!("http://{address}"),
            directory,
            _program: program,
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            drop(std::fs::remove_dir_all(&self.directory));
        }
    }
}

fn scraping(pods: &[(&str, SocketAddr)]) -> String {
    let mut text = "global: { scrape_interval: 1s, scrape_timeout: 1s }\n\
                    scrape_configs:\n- job_name: pods\n  static_configs:\n"
        .to_owned();
    for (pod, address) in pods {
        let target =
            format!("  - targets: ['{address}']\n    labels: {{ namespace: shop, pod: {pod} }}\n");
        text.push_str(&target);
    }
    text
}

async fn traffic(address: SocketAddr) {
    loop {
        crate::server::get(address, "/").await;
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_query_separates_a_pod_with_errors_from_a_pod_without() {
    let good = workload("127.0.0.1", "ok").await;
    let bad = workload(
        "127.0.0.1",
        r#"{"traffic": {"answer": {"status": 500}, "share": 0.3}}"#,
    )
    .await;
    let idle = workload("127.0.0.1", "ok").await;
    let pods = [
        ("good", good.traffic),
        ("bad", bad.traffic),
        ("idle", idle.traffic),
    ];
    let mut users = JoinSet::new();
    users.spawn(traffic(good.traffic));
    users.spawn(traffic(bad.traffic));
    let prometheus = Prometheus::start("example", &pods);

    let (mut query, server) = query_of(&prometheus.url);
    QUERY.clone_into(&mut query.query);
    query.interval = Duration::from_millis(500);
    let mut rig = Rig::query((query, server));
    for pod in ["good", "bad", "idle", "not-scraped"] {
        rig.put(silent_pod(pod));
    }
    let begun = Instant::now();
    let mut round = rig.round(4).await;
    while (round["uid-good"].0, round["uid-bad"].0) != (Good, Bad) {
        assert_ne!(round["uid-good"].0, Bad, "{round:?}");
        assert!(
            begun.elapsed() < 2 * LONG,
            "{round:?}, see {:?}",
            prometheus.directory
        );
        round = rig.round(4).await;
    }
    assert_eq!(round["uid-good"].1, "0 is not above 0.05");
    assert!(round["uid-bad"].1.ends_with(" is above 0.05"), "{round:?}");
    assert_eq!(round["uid-not-scraped"], (None, "no series".to_owned()));
    // Nothing was asked of it: it has no series, or nothing divided by nothing.
    assert_eq!(round["uid-idle"].0, None, "{round:?}");

    drop(prometheus);
    rig.forget();
    rig.round(4).await;
    let round = rig.round(4).await;
    let gone = (None, "Prometheus: connection refused".to_owned());
    assert!(round.values().all(|said| *said == gone), "{round:?}");
}

/// As a port for tenants: it lets reads through that name their namespace in the query string, and nothing else.
fn tenants_only(prometheus: SocketAddr) -> impl Fn(&Asked) -> Reply + Send + Sync + 'static {
    move |asked| {
        let request = asked.head.lines().next().unwrap();
        if !request.starts_with("GET ") {
            return answer("403 Forbidden", "Forbidden (verb=create)");
        }
        if !request.contains("?namespace=shop&") {
            return answer("400 Bad Request", "namespace is missing");
        }
        let mut stream = TcpStream::connect(prometheus).unwrap();
        let text = format!("{request}\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Reply::Bytes(bytes)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_answers_through_a_port_for_tenants_that_only_reads() {
    let pod = workload("127.0.0.1", "ok").await;
    let prometheus = Prometheus::start("tenants", &[("a", pod.traffic)]);
    let address = prometheus.url.strip_prefix("http://").unwrap();
    let port = Server::start(tenants_only(address.parse().unwrap())).await;
    let (mut query, mut server) = query_of(&format!("http://{}", port.address));
    "max by (namespace, pod) (up) * 0.5".clone_into(&mut query.query);
    query.interval = Duration::from_millis(500);
    server.parameters = vec![("namespace".to_owned(), "shop".to_owned())];
    let mut rig = Rig::query((query, server));
    rig.put(silent_pod("a"));
    let begun = Instant::now();
    let mut said = rig.answer().await;
    while said.0 == None {
        assert!(
            begun.elapsed() < LONG,
            "{said:?}, see {:?}",
            prometheus.directory
        );
        said = rig.answer().await;
    }
    assert_eq!(said, (Bad, "0.5 is above 0.05".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_prometheus_refuses_is_reported_and_blames_no_pod() {
    let pod = workload("127.0.0.1", "ok").await;
    let prometheus = Prometheus::start("refusal", &[("a", pod.traffic)]);
    let (mut query, server) = query_of(&prometheus.url);
    "sum by (namespace, pod (up)".clone_into(&mut query.query);
    query.interval = Duration::from_millis(500);
    let mut rig = Rig::query((query, server));
    rig.put(silent_pod("a"));
    let begun = Instant::now();
    let mut said = rig.answer().await;
    while !said
        .1
        .starts_with("Prometheus: HTTP 400: invalid parameter \"query\"")
    {
        assert_eq!(said.0, None);
        assert!(
            begun.elapsed() < LONG,
            "{said:?}, see {:?}",
            prometheus.directory
        );
        said = rig.answer().await;
    }
    assert_eq!(said.0, None);
}

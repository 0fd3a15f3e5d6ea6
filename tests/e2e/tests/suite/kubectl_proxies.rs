//! Proxies to the API server, beside the real kubectl, and the agent behind them.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use test_e2e::{Ask, Forward, Labels, PROBE, Scene, Stage};

use crate::kubectl::{Directory, admin};

/// No address belongs to it: whoever reaches it has come through a proxy.
const NOWHERE: &str = "api.shop.invalid";

/// The admin's kubeconfig with another server, which has the certificate of the real one, and perhaps a proxy.
fn kubeconfig(stage: &Stage, server: &str, proxy: Option<&str>) -> anyhow::Result<Value> {
    let mut kubeconfig = admin(stage)?;
    let cluster = &mut kubeconfig["clusters"][0]["cluster"];
    cluster["server"] = server.into();
    cluster["tls-server-name"] = "kubernetes".into();
    if let Some(proxy) = proxy {
        cluster["proxy-url"] = proxy.into();
    }
    Ok(kubeconfig)
}

/// Runs both; the exit codes, and what each asked of the proxies.
async fn both(
    stage: &Stage,
    proxies: &[&Forward],
    environment: &[(&str, &str)],
) -> anyhow::Result<[(Option<i32>, Vec<Vec<String>>); 2]> {
    let asked = || {
        proxies
            .iter()
            .map(|proxy| proxy.asked())
            .collect::<Vec<_>>()
    };
    asked();
    let plugin = stage.plugin().await?;
    let words = ["--request-timeout=10s", "-n", "kube-system"];
    let kubectl = [&["get", "pods"], &words[..]].concat();
    let none: [&str; 1] = ["--help"];
    let (kubectl, _) = plugin.beside_kubectl(&kubectl, &none, environment).await?;
    let of_kubectl = asked();
    let own = [&["list"], &words[..]].concat();
    let (_, own) = plugin
        .beside_kubectl(&["options"], &own, environment)
        .await?;
    println!(
        "{environment:?}: {:?} {of_kubectl:?} {}",
        own.code,
        own.err.trim_end()
    );
    Ok([(kubectl.code, of_kubectl), (own.code, asked())])
}

#[tokio::test]
async fn the_proxy_of_a_kubeconfig_is_asked_as_by_kubectl() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let directory = Directory::new("proxy-url")?;
    let connect = Forward::open(&stage, Ask::Connect).await?;
    let tls = Forward::open(&stage, Ask::ConnectOverTls).await?;
    let socks = Forward::open(&stage, Ask::Socks5).await?;
    let (a, b, c) = (connect.address(), tls.address(), socks.address());
    let url = stage.cluster.api_server_url().await?;
    let nowhere = format!("https://{NOWHERE}");
    let all = [("HTTPS_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "*")];
    for (number, (server, proxy, environment, expected)) in [
        (&*nowhere, format!("http://{a}"), &[] as &[_], Some(0)),
        (
            &nowhere,
            format!("http://user:pass%40word@{a}"),
            &[],
            Some(0),
        ),
        (&nowhere, format!("https://{b}"), &[], Some(0)),
        (
            &nowhere,
            format!("https://user:pass%40word@{b}"),
            &[],
            Some(0),
        ),
        (&nowhere, format!("socks5://{c}"), &[], Some(0)),
        (
            &nowhere,
            format!("socks5://user:pass%40word@{c}"),
            &[],
            Some(0),
        ),
        (&url, format!("socks5://{c}"), &[], Some(0)),
        // It counts whatever the environment says, on the way to the loopback, too.
        (&url, format!("http://{a}"), &all, Some(0)),
        (
            "https://127.0.0.1:6443",
            format!("http://{a}"),
            &all,
            Some(0),
        ),
        (&nowhere, "http://127.0.0.1:1".to_owned(), &[], Some(1)),
        (&nowhere, format!("socks5h://{c}"), &[], Some(1)),
        (&nowhere, format!("ftp://{a}"), &[], Some(1)),
    ]
    .into_iter()
    .enumerate()
    {
        let kubeconfig = kubeconfig(&stage, server, Some(&proxy))?;
        let path = directory.write(&number.to_string(), &kubeconfig.to_string())?;
        let environment = [environment, &[("KUBECONFIG", path.as_str())]].concat();
        let [kubectl, own] = both(&stage, &[&connect, &tls, &socks], &environment).await?;
        ensure!(kubectl == own, "{server} {proxy}: {kubectl:?} {own:?}");
        ensure!(own.0 == expected, "{server} {proxy}: {own:?}");
        let is_asked = own.1.iter().any(|asked| !asked.is_empty());
        ensure!(
            is_asked == (expected == Some(0)),
            "{server} {proxy}: {own:?}"
        );
    }
    Ok(())
}

#[expect(clippy::too_many_lines, reason = "a table, row by row")]
#[tokio::test]
async fn the_proxies_of_the_environment_are_asked_as_by_kubectl() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let directory = Directory::new("environment")?;
    let connect = Forward::open(&stage, Ask::Connect).await?;
    let socks = Forward::open(&stage, Ask::Socks5).await?;
    let http = format!("http://{}", connect.address());
    let bare = connect.address().to_string();
    let socks5 = format!("socks5://{}", socks.address());
    let socks5h = format!("socks5h://{}", socks.address());
    let (none, one, two) = ([0, 0], [1, 0], [0, 1]);
    let by_address = stage.cluster.api_server_url().await?;
    let by_name = format!("https://{NOWHERE}:6443");
    let on_loopback = "https://127.0.0.1:6443".to_owned();
    for (server, environment, expected) in [
        (&by_address, &[] as &[(&str, &str)], none),
        (&by_address, &[("HTTPS_PROXY", &*http)], one),
        (&by_address, &[("https_proxy", &http)], one),
        (&by_address, &[("HTTPS_PROXY", &bare)], one),
        (&by_address, &[("HTTPS_PROXY", &socks5)], two),
        (&by_address, &[("HTTPS_PROXY", &socks5h)], two),
        (
            &by_address,
            &[("HTTPS_PROXY", &http), ("https_proxy", &socks5)],
            one,
        ),
        (
            &by_address,
            &[("HTTPS_PROXY", ""), ("https_proxy", &socks5)],
            two,
        ),
        (&by_address, &[("HTTP_PROXY", &http)], none),
        (&by_address, &[("ALL_PROXY", &http)], none),
        (&by_name, &[("HTTPS_PROXY", &http)], one),
        (&by_name, &[("HTTPS_PROXY", &socks5)], two),
        (
            &by_name,
            &[("HTTPS_PROXY", &http), ("NO_PROXY", "example,.other")],
            one,
        ),
        (&on_loopback, &[("HTTPS_PROXY", &http)], none),
        (
            &by_address,
            &[("HTTPS_PROXY", &http), ("NO_PROXY", "192.168.77.1")],
            none,
        ),
        (
            &by_address,
            &[("HTTPS_PROXY", &http), ("no_proxy", "192.168.77.1:6443")],
            none,
        ),
        (
            &by_address,
            &[("HTTPS_PROXY", &http), ("NO_PROXY", "192.168.77.1:443")],
            one,
        ),
        (
            &by_address,
            &[
                ("HTTPS_PROXY", &http),
                ("NO_PROXY", "10.0.0.0/8, 192.168.0.0/16"),
            ],
            none,
        ),
        (
            &by_address,
            &[("HTTPS_PROXY", &http), ("NO_PROXY", "192.168.78.0/24")],
            one,
        ),
        (
            &by_address,
            &[("HTTPS_PROXY", &http), ("NO_PROXY", "*")],
            none,
        ),
        (
            &by_address,
            &[("HTTPS_PROXY", &http), ("NO_PROXY", ".1,a,,b,[x")],
            one,
        ),
        (
            &by_address,
            &[("HTTPS_PROXY", &http), ("NO_PROXY", "x"), ("no_proxy", "*")],
            one,
        ),
        (
            &by_name,
            &[("HTTPS_PROXY", &http), ("NO_PROXY", "shop.invalid")],
            none,
        ),
        (
            &by_name,
            &[("HTTPS_PROXY", &http), ("NO_PROXY", ".SHOP.invalid")],
            none,
        ),
        (
            &by_name,
            &[("HTTPS_PROXY", &http), ("NO_PROXY", "*.shop.invalid:6443")],
            none,
        ),
        (
            &by_name,
            &[("HTTPS_PROXY", &http), ("NO_PROXY", ".api.shop.invalid")],
            one,
        ),
        (
            &by_name,
            &[("HTTPS_PROXY", &http), ("NO_PROXY", "op.invalid")],
            one,
        ),
    ] {
        let path = directory.write("config", &kubeconfig(&stage, server, None)?.to_string())?;
        let environment = [environment, &[("KUBECONFIG", path.as_str())]].concat();
        let [kubectl, own] = both(&stage, &[&connect, &socks], &environment).await?;
        ensure!(
            kubectl == own,
            "{server} {environment:?}: {kubectl:?} {own:?}"
        );
        let asked: Vec<usize> = own.1.iter().map(Vec::len).collect();
        ensure!(asked == expected, "{server} {environment:?}: {own:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_agent_is_asked_through_a_proxy_too() -> anyhow::Result<()> {
    let scene = Scene::set("proxy-why", 2, Labels::NoToggle, PROBE).await?;
    scene.seen_good().await?;
    let directory = Directory::new("proxy-why")?;
    for ask in [Ask::Connect, Ask::ConnectOverTls, Ask::Socks5] {
        let proxy = Forward::open(&scene.stage, ask).await?;
        let scheme = match ask {
            Ask::Connect => "http",
            Ask::ConnectOverTls => "https",
            Ask::Socks5 => "socks5",
        };
        let url = format!("{scheme}://{}", proxy.address());
        let kubeconfig = kubeconfig(&scene.stage, &format!("https://{NOWHERE}"), Some(&url))?;
        directory.write("config", &kubeconfig.to_string())?;
        let plugin = scene.stage.plugin().await?;
        let plugin = plugin.with_kubeconfig(directory.0.join("config"));
        let (pod, namespace) = (&scene.pods[0], scene.namespace());
        let agent = scene.agent.namespace();
        let line = format!("why {pod} -n {namespace} --agent-namespace {agent}");
        let said = plugin.run(&line).await?.done()?;
        crate::plugin::has(&said, &["web (mode enforce): healthy"])?;
        assert_eq!(proxy.asked(), [format!("{NOWHERE}:443")], "{ask:?}");
    }
    scene.clear().await
}

#[tokio::test]
async fn the_agent_goes_through_the_proxies_of_its_environment_and_says_once_that_it_trusts_anyone()
-> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let rights = stage.rights("proxy-agent").await?;
    let proxy = Forward::open(&stage, Ask::Connect).await?;
    let url = format!("http://{}", proxy.address());
    let mut kubeconfig = kubeconfig(&stage, &format!("https://{NOWHERE}"), None)?;
    let cluster = &mut kubeconfig["clusters"][0]["cluster"];
    cluster["insecure-skip-tls-verify"] = true.into();
    let cluster = cluster.as_object_mut().context("no cluster")?;
    cluster.remove("certificate-authority");
    kubeconfig["users"][0]["user"] = json!({ "token": rights.token });
    let policy = PROBE.replace("$NAMESPACE", rights.agent.namespace());
    let environment = [("HTTPS_PROXY", &*url), ("NO_PROXY", "10.0.0.0/8")];
    let process = rights
        .start_reaching(&policy, "--leader-elect", &kubeconfig, &environment)
        .await?;
    process.ready().await?;
    assert_eq!(proxy.asked(), [format!("{NOWHERE}:443")]);
    proxy.down();
    let log = process.log()?;
    let said = |text: &str| log.matches(text).count();
    assert_eq!(
        said("the certificate of the API server is not verified"),
        1,
        "{log}"
    );
    assert_eq!(said("bypassed"), 0, "{log}");
    drop(process);
    rights.agent.uninstall().await
}

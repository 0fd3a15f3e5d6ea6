//! The plugin beside the real kubectl: the same kubeconfigs and the same flags reach the same API server, or fail for the
//! same reason.

use std::path::Path;

use anyhow::ensure;
use serde_json::{Value, json};
use test_e2e::{Plugin, Ran, Stage};

/// A directory that goes with this.
pub(crate) struct Directory(pub(crate) std::path::PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> anyhow::Result<String> {
        let path = self.0.join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The admin's kubeconfig.
pub(crate) fn admin(stage: &Stage) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(stage.cluster.kubeconfig())?;
    Ok(serde_json::from_str(&text)?)
}

/// The last line of standard error: above it, kubectl says of each attempt that it has failed.
fn last_line(ran: &Ran) -> &str {
    ran.err.trim_end().lines().next_back().unwrap_or_default()
}

/// What is compared with kubectl, besides whether it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compared {
    /// The last line of standard error.
    Error,
    /// Standard output.
    Output,
    /// That it ends with 2, as a mistake in the command line.
    Usage,
    Nothing,
}
use Compared::{Error, Nothing, Output, Usage};

async fn compare(
    plugin: &Plugin,
    words: &[&str],
    environment: &[(&str, &str)],
    compared: Compared,
) -> anyhow::Result<()> {
    let kubectl = [&["get", "pods"], words].concat();
    let own = [&["list"], words].concat();
    let (kubectl, own) = plugin.beside_kubectl(&kubectl, &own, environment).await?;
    let told = format!("{words:?} {environment:?}\nkubectl: {kubectl:#?}\nplugin: {own:#?}");
    println!(
        "{words:?} {environment:?}: {:?} {:?} {}",
        kubectl.code,
        own.code,
        last_line(&own)
    );
    ensure!((kubectl.code == Some(0)) == (own.code == Some(0)), "{told}");
    ensure!((own.code == Some(2)) == (compared == Usage), "{told}");
    match compared {
        Error => ensure!(last_line(&kubectl) == last_line(&own), "{told}"),
        Output => ensure!(kubectl.out == own.out, "{told}"),
        Usage | Nothing => {}
    }
    Ok(())
}

#[tokio::test]
async fn a_kubeconfig_is_read_as_by_kubectl() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let plugin = stage.plugin().await?;
    let directory = Directory::new("kubeconfigs")?;
    let admin = admin(&stage)?;
    let mut cluster = admin.clone();
    for key in ["users", "contexts"] {
        cluster[key] = json!([]);
    }
    cluster["current-context"] = "".into();
    // The authority beside the kubeconfig, by a relative path.
    let authority = admin["clusters"][0]["cluster"]["certificate-authority"].as_str();
    std::fs::copy(authority.unwrap_or_default(), directory.0.join("ca.crt"))?;
    cluster["clusters"][0]["cluster"]["certificate-authority"] = "ca.crt".into();
    let mut rest = admin.clone();
    rest["clusters"] = json!([]);
    let mut refused = admin.clone();
    refused["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1".into();
    let mut nowhere = admin.clone();
    nowhere["current-context"] = "nowhere".into();
    for (name, kubeconfig) in [
        ("good", &admin),
        ("cluster", &cluster),
        ("rest", &rest),
        ("refused", &refused),
        ("nowhere", &nowhere),
    ] {
        directory.write(name, &kubeconfig.to_string())?;
    }
    directory.write("bad", "{")?;
    directory.write("empty", "")?;
    for (list, compared) in [
        ("good", Nothing),
        ("missing:good", Nothing),
        ("good:missing", Nothing),
        (":good:", Nothing),
        ("good:good", Nothing),
        ("empty:good", Nothing),
        ("cluster:rest", Nothing),
        ("rest:cluster", Nothing),
        ("good:refused", Nothing),
        ("good:nowhere", Nothing),
        ("refused:good", Error),
        ("nowhere:good", Nothing),
        ("good:bad", Nothing),
        ("bad:good", Nothing),
        ("missing:absent", Nothing),
        ("empty", Nothing),
        ("rest", Nothing),
    ] {
        let paths = list.split(':').map(|name| match name {
            "" => String::new(),
            name => directory.path(name),
        });
        let paths = paths.collect::<Vec<_>>().join(":");
        compare(&plugin, &[], &[("KUBECONFIG", &paths)], compared).await?;
    }
    let (good, missing) = (directory.path("good"), directory.path("missing"));
    for (explicit, listed) in [(&good, &missing), (&missing, &good)] {
        let words = ["--kubeconfig", explicit];
        compare(&plugin, &words, &[("KUBECONFIG", listed)], Nothing).await?;
    }
    let home = directory.0.join("home");
    std::fs::create_dir_all(home.join(".kube"))?;
    std::fs::write(home.join(".kube/config"), admin.to_string())?;
    let home = home.display().to_string();
    compare(
        &plugin,
        &[],
        &[("KUBECONFIG", ""), ("HOME", &home)],
        Nothing,
    )
    .await?;
    // Not an empty list, but a list of nothing.
    compare(
        &plugin,
        &[],
        &[("KUBECONFIG", ":"), ("HOME", &home)],
        Nothing,
    )
    .await
}

#[tokio::test]
async fn every_flag_of_kubectl_about_the_api_server_is_there() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let options = stage.cluster.kubectl(&["options"]).await?;
    let options = String::from_utf8(options.stdout)?;
    let help = stage.plugin().await?.run("list --help").await?.done()?;
    // Nothing of the plugin's: its own caches, log, profile and preferences, and a check of versions.
    let without = [
        "--cache-dir",
        "--disable-compression",
        "--kuberc",
        "--log-flush-frequency",
        "--match-server-version",
        "--profile",
        "--profile-output",
        "--v",
        "--vmodule",
        "--warnings-as-errors",
    ];
    let mut known = 0;
    for line in options.lines() {
        let words = line.split([' ', ',', '=']);
        for flag in words.filter(|word| word.starts_with("--")) {
            let is_there = help.contains(&format!("{flag} ")) || help.contains(&format!("{flag}["));
            ensure!(is_there != without.contains(&flag), "{flag}\n{help}");
            known += usize::from(is_there);
        }
    }
    ensure!(known > 15, "{options}");
    Ok(())
}

/// Tests that run alone: they would disturb the others.
mod alone {
    use super::*;

    #[expect(clippy::too_many_lines, reason = "a table, row by row")]
    #[tokio::test]
    async fn a_flag_means_what_it_means_to_kubectl() -> anyhow::Result<()> {
        // Alone: agents of other tests would count its pods.
        let stage = Stage::open_alone().await?;
        let plugin = stage.plugin().await?;
        let namespace = stage.namespace("kubectl-flags").await?;
        let name = namespace.name();
        let quiet = stage.quiet(name, 2).await?;
        // A pod with the label alone counts as quarantined, too.
        for pod in quiet.names().await? {
            let label = json!({ "metadata": { "labels": { "pod-quarantine.io/state": "quarantined", "shown": "yes" } } });
            let (params, patch) = (
                kube::api::PatchParams::default(),
                kube::api::Patch::Merge(&label),
            );
            stage.pods(name).patch(&pod, &params, &patch).await?;
        }
        let directory = Directory::new("flags")?;
        let mut more = admin(&stage)?;
        let mut other = more["clusters"][0].clone();
        other["name"] = "refused".into();
        other["cluster"]["server"] = "https://127.0.0.1:1".into();
        let mut plugin_user = more["users"][0].clone();
        plugin_user["name"] = "missing-program".into();
        plugin_user["user"] = json!({ "exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "no-such-credential-program",
        "installHint": "get it from the shop",
        "interactiveMode": "Never",
    } });
        let of = |value: &mut Value, more: Value| {
            if let Some(all) = value.as_array_mut() {
                all.push(more);
            }
        };
        of(&mut more["clusters"], other);
        of(&mut more["users"], plugin_user);
        of(&mut more["users"], json!({ "name": "nobody", "user": {} }));
        let path = directory.write("config", &more.to_string())?;
        let environment = [("KUBECONFIG", path.as_str())];
        let url = stage.cluster.api_server_url().await?;
        let authority = more["clusters"][0]["cluster"]["certificate-authority"].as_str();
        let authority = authority.unwrap_or_default().to_owned();
        let mut differences = Vec::new();
        for (line, compared) in [
            // Which pods.
            (&*format!("-n {name} -o name"), Output),
            (&format!("-n{name} -oname"), Output),
            (&format!("-n={name} -o=name"), Output),
            (&format!("--namespace={name} --output=name"), Output),
            (&format!("-n {name} -A -o name -l shown=yes"), Output),
            ("-An nowhere -oname --selector=shown", Output),
            (&format!("-n {name} --all-namespaces=false -o name"), Output),
            ("--all-namespaces=true -o name -l shown", Output),
            (&format!("-A=t -n {name} -o name -l shown"), Output),
            ("--all-namespaces=perhaps", Usage),
            (&format!("-n {name} -o name -l shown=no"), Output),
            (&format!("-n {name} -o name -l shown!=no,shown"), Output),
            (&format!("-n {name} -l shown==a=b"), Usage),
            (&format!("-n {name} -l in("), Usage),
            (&format!("-n {name} --no-headers=perhaps"), Usage),
            (
                &format!("-n {name} -o jsonpath={{.items[*].missing}}."),
                Output,
            ),
            (&format!("-n {name} -o jsonpath=text"), Output),
            (&format!("-n {name} -o jsonpath={{.items[7]}}"), Nothing),
            ("-o jsonpath={.items", Usage),
            ("-o jsonpath", Usage),
            ("-o table", Usage),
            ("--nonsense", Usage),
            // Which cluster, and as whom.
            ("--context test-cluster", Nothing),
            ("--context nowhere", Nothing),
            ("--cluster test-cluster", Nothing),
            ("--cluster nowhere", Nothing),
            ("--cluster refused", Error),
            ("--user admin", Nothing),
            ("--user nowhere", Error),
            ("--user nobody", Nothing),
            ("--user missing-program", Nothing),
            ("--as ann", Error),
            ("--as ann --as-group system:masters", Nothing),
            (
                "--as=ann --as-group=a --as-group=system:masters --as-uid=7 --as-user-extra=k=v",
                Nothing,
            ),
            ("--as ann --as-group a,system:masters", Error),
            ("--as-group system:masters", Nothing),
            ("--as-uid 7", Nothing),
            ("--as ann --as-user-extra k", Usage),
            ("--token wrong", Error),
            (
                "--user missing-program --token admin-of-the-test-cluster",
                Nothing,
            ),
            ("--username a --password b", Nothing),
            ("-s https://127.0.0.1:1", Error),
            (&format!("--server {url}"), Nothing),
            (
                &format!("--server={url} --certificate-authority={authority}"),
                Nothing,
            ),
            ("--certificate-authority /nowhere", Nothing),
            ("--insecure-skip-tls-verify", Nothing),
            ("--insecure-skip-tls-verify=false", Nothing),
            ("--tls-server-name kubernetes.default.svc", Nothing),
            ("--tls-server-name shop.example", Nothing),
            (
                "--insecure-skip-tls-verify --tls-server-name shop.example",
                Nothing,
            ),
            (
                "--client-certificate /nowhere --client-key /nowhere",
                Nothing,
            ),
            ("--request-timeout 0", Nothing),
            ("--request-timeout 20", Nothing),
            ("--request-timeout=1m", Nothing),
            ("--request-timeout soon", Usage),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            if let Err(difference) = compare(&plugin, &words, &environment, compared).await {
                differences.push(difference.to_string());
            }
        }
        ensure!(differences.is_empty(), "{}", differences.join("\n\n"));
        // Of a missing program, both say which, and where to get it.
        let words = ["--user", "missing-program"];
        let kubectl = [&["get", "pods"], &words[..]].concat();
        let own = [&["list"], &words[..]].concat();
        let (kubectl, own) = plugin.beside_kubectl(&kubectl, &own, &environment).await?;
        for ran in [&kubectl, &own] {
            for said in ["no-such-credential-program", "get it from the shop"] {
                ensure!(ran.err.contains(said), "{ran:#?}");
            }
        }
        let headed = plugin
            .run(&format!("list -n {name} -o wide"))
            .await?
            .done()?;
        let bare = plugin
            .run(&format!("list -n {name} -o wide --no-headers"))
            .await?
            .done()?;
        assert_eq!(headed.lines().count(), 3, "{headed}");
        assert_eq!(bare.lines().count(), 2, "{bare}");
        assert!(
            headed.starts_with("POD ") && !bare.contains("POD "),
            "{headed}{bare}"
        );
        assert!(Path::new(&path).is_file());
        namespace.delete().await
    }
}

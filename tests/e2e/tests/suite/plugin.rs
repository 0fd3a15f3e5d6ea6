//! `kubectl quarantine` on a real cluster: what it lists, explains and asks for, and how it ends.

use anyhow::ensure;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use pod_quarantine::core::keys;
use serde_json::{Value, json};
use test_e2e::{Labels, PROBE, Plugin, Scene, Stage, changed};

/// More of the four pods may be out than may be elsewhere.
fn roomy() -> String {
    changed(
        PROBE,
        &[
            (
                "workload: { max: 2, minReady: 0% }",
                "workload: { max: 4, minReady: 0% }",
            ),
            ("ttl: 1h", "ttl: 9h30m"),
        ],
    )
}

/// Sees that a text has all these pieces.
pub(crate) fn has(text: &str, pieces: &[&str]) -> anyhow::Result<()> {
    for piece in pieces {
        ensure!(text.contains(piece), "{piece:?} is not in:\n{text}");
    }
    Ok(())
}

fn items(text: &str) -> anyhow::Result<Vec<Value>> {
    let value: Value = serde_json::from_str(text)?;
    Ok(value["items"].as_array().cloned().unwrap_or_default())
}

async fn other_forms(plugin: &Plugin, scene: &Scene, held: &str) -> anyhow::Result<()> {
    let namespace = scene.namespace();
    // The other forms, through kubectl itself.
    let line = format!("quarantine list -n {namespace} -o name");
    let names = plugin.through_kubectl(&line).await?.done()?;
    let mut expected: Vec<String> = scene.pods.iter().map(|pod| format!("pod/{pod}")).collect();
    expected.sort();
    assert_eq!(names.lines().collect::<Vec<_>>(), expected);
    let everywhere = plugin.through_kubectl("quarantine list -A").await?.done()?;
    has(&everywhere, &["NAMESPACE   ", namespace, held])?;
    let json = plugin
        .run(&format!("list -n {namespace} -o json"))
        .await?
        .done()?;
    let item = items(&json)?.into_iter().find(|item| item["name"] == *held);
    let item = item.unwrap_or_default();
    assert_eq!(item["policy"], "web");
    assert_eq!(item["held"], true);
    assert_eq!(item["services"], json!(["web"]));
    let yaml = plugin
        .run(&format!("list -n {namespace} -o yaml"))
        .await?
        .done()?;
    has(&yaml, &["kind: QuarantinedPodList", "quarantinedAt: "])?;
    let wide = plugin
        .run(&format!("list -n {namespace} -o wide"))
        .await?
        .done()?;
    println!("{wide}");
    let agent = format!("{}/default", scene.agent.namespace());
    has(
        &wide,
        &[
            "NODE",
            "RESTARTS",
            "LEFT SERVICES",
            "EXPIRES",
            "manual (web)",
            &agent,
            "Running",
        ],
    )?;
    Ok(())
}

/// Tests that run alone: they would disturb the others.
mod alone {
    use super::*;

    #[tokio::test]
    async fn a_quarantined_pod_is_listed_whatever_became_of_its_record() -> anyhow::Result<()> {
        // Alone: agents that start meanwhile would take the damaged record for one of theirs.
        let stage = Stage::open_alone().await?;
        let scene = Scene::set_on(stage, "plugin-list", 4, Labels::NoToggle, &roomy()).await?;
        let plugin = scene.stage.plugin().await?;
        let namespace = scene.namespace();
        let nothing = plugin.run(&format!("list -n {namespace}")).await?;
        has(&nothing.err, &["No quarantined pods found in", namespace])?;
        assert_eq!(nothing.done()?, "");

        let [held, damaged, unlabelled, plain] = &scene.pods[..] else {
            anyhow::bail!("{:?}", scene.pods)
        };
        scene.quarantine_all_manually(&scene.pods).await?;
        let line = format!("hold pod/{held} -n {namespace} --for 12h30m");
        has(&plugin.run(&line).await?.done()?, &["held until"])?;
        scene.annotate(damaged, keys::RECORD, Some("{")).await?;
        let unlabel: Value = json!({ "metadata": { "labels": { keys::STATE: null } } });
        scene
            .stage
            .pods(namespace)
            .patch(unlabelled, &PatchParams::default(), &Patch::Merge(&unlabel))
            .await?;

        let table = plugin.run(&format!("list -n {namespace}")).await?.done()?;
        println!("{table}");
        let mut lines = table.lines();
        let heads = lines.next().unwrap_or_default();
        has(
            heads,
            &[
                "POD   ",
                "WORKLOAD",
                "POLICY",
                "REASON",
                "AGE",
                "TIME LEFT",
                "HELD",
            ],
        )?;
        let rows: Vec<&str> = lines.collect();
        assert_eq!(rows.len(), 4, "{table}");
        let row = |pod: &str| {
            let mut rows = rows.iter();
            rows.find(|row| row.starts_with(pod))
                .copied()
                .unwrap_or_default()
        };
        has(
            row(held),
            &["Deployment/web   manual   ", "to be looked into", "12h"],
        )?;
        has(row(damaged), &["<unknown>", "record damaged", "never"])?;
        has(row(unlabelled), &["(state label removed)", "never"])?;
        has(row(plain), &["to be looked into", "9h", "no"])?;

        other_forms(&plugin, &scene, held).await?;

        // What kubectl's own completion asks for.
        let line = format!(
            "__complete quarantine release -n {namespace} {}",
            &plain[..8]
        );
        let pods = plugin.through_kubectl(&line).await?.done()?;
        has(&pods, &[plain, ":4"])?;
        let commands = plugin
            .through_kubectl("__complete quarantine re")
            .await?
            .done()?;
        has(&commands, &["release\nresume\n:4"])?;

        scene.namespace_mode(Some("off")).await?;
        let off = plugin.run(&format!("list -n {namespace}")).await?;
        has(&off.err, &["the mode is off: nothing is touched"])?;
        has(&off.done()?, &["paused (off)"])?;
        scene.clear().await
    }
}

#[tokio::test]
async fn a_pod_is_quarantined_held_and_released_manually() -> anyhow::Result<()> {
    let scene = Scene::set("plugin-hand", 3, Labels::NoToggle, PROBE).await?;
    let plugin = scene.stage.plugin().await?;
    let (namespace, pod) = (scene.namespace(), &scene.pods[0]);
    let add = |name: &'static str| ["add", name, "-n", namespace, "--reason", "wrong prices"];
    let printed = plugin
        .run_words(&["add", pod, "-n", namespace, "--reason", "wrong prices"])
        .await?;
    let printed = printed.done()?;
    has(
        &printed,
        &[&format!("pod/{pod} quarantined, kept until 20")],
    )?;
    let out = scene.web.quarantined(pod).await?;
    assert_eq!(&*test_e2e::record(&out)?.reason, "wrong prices");
    let again = plugin
        .run(&format!("add {pod} -n {namespace} --reason again"))
        .await?;
    has(&again.refused()?, &["is already quarantined"])?;
    let missing = plugin.run_words(&add("web-0")).await?.refused()?;
    has(
        &missing,
        &["Error from server (NotFound): pods \"web-0\" not found"],
    )?;

    let hold = |pod: &Pod| {
        let annotations = pod.metadata.annotations.clone().unwrap_or_default();
        annotations.get(keys::HOLD).cloned()
    };
    plugin
        .run(&format!("hold {pod} -n {namespace}"))
        .await?
        .done()?;
    assert_eq!(hold(&scene.web.pod(pod).await?).as_deref(), Some("true"));
    plugin
        .run(&format!("hold {pod} -n {namespace} --for 4h"))
        .await?
        .done()?;
    let until: jiff::Timestamp = hold(&scene.web.pod(pod).await?)
        .unwrap_or_default()
        .parse()?;
    let left = until.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((14_300..=14_400).contains(&left), "{left} s");
    plugin
        .run(&format!("hold {pod} -n {namespace} --off"))
        .await?
        .done()?;
    assert_eq!(hold(&scene.web.pod(pod).await?), None);

    let printed = plugin
        .run(&format!("release {pod} -n {namespace}"))
        .await?
        .done()?;
    assert_eq!(printed, format!("pod/{pod} released\n"));
    scene.back(pod).await?;
    for command in ["release", "hold"] {
        let again = plugin
            .run(&format!("{command} {pod} -n {namespace}"))
            .await?;
        has(&again.refused()?, &["is not quarantined"])?;
    }
    let annotations = scene.web.pod(pod).await?.metadata.annotations;
    let annotations = annotations.unwrap_or_default();
    for command in [keys::RELEASE, keys::HOLD] {
        assert!(!annotations.contains_key(command), "{command} was written");
    }
    scene.clear().await
}

#[tokio::test]
async fn a_refused_command_is_explained_and_remains_on_the_pod() -> anyhow::Result<()> {
    let policy = changed(
        PROBE,
        &[(
            "workload: { max: 2, minReady: 0% }",
            "workload: { max: 1, minReady: 0% }",
        )],
    );
    let scene = Scene::set("plugin-no", 3, Labels::NoToggle, &policy).await?;
    let plugin = scene.stage.plugin().await?;
    let namespace = scene.namespace();
    let [pod, other, _] = &scene.pods[..] else {
        anyhow::bail!("{:?}", scene.pods)
    };
    scene.web.switch(pod, "unready").await?;
    plugin
        .run(&format!("add {pod} -n {namespace} --reason x"))
        .await?
        .done()?;
    let line = format!("add {other} -n {namespace} --reason x");
    let refused = plugin.run(&line).await?.refused()?;
    println!("{refused}");
    has(
        &refused,
        &[
            "not quarantined: policy web (x): the limit of its workload is reached",
            "the command remains on the pod; remove it with: kubectl -n",
        ],
    )?;
    // Asked once more, the answer is the same, although the agent gives it once.
    has(
        &plugin.run(&line).await?.refused()?,
        &["limit of its workload is reached"],
    )?;
    scene.untouched(other).await?;

    scene
        .until("it is not Ready", async || {
            let status = scene.web.pod(pod).await?.status.unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            let mut ready = conditions.iter().filter(|one| one.type_ == "Ready");
            ensure!(ready.any(|one| one.status == "False"), "it is");
            Ok(())
        })
        .await?;
    let refused = plugin
        .run(&format!("release {pod} -n {namespace}"))
        .await?
        .refused()?;
    println!("{refused}");
    has(
        &refused,
        &[
            "not released: the pod is not Ready",
            "the command remains on the pod",
        ],
    )?;
    let out = scene.web.pod(pod).await?;
    assert!(
        out.metadata
            .labels
            .unwrap_or_default()
            .contains_key(keys::STATE)
    );
    let line = format!("release {pod} {other} -n {namespace} --force -o json");
    let ran = plugin.run(&line).await?;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let items = items(&ran.out)?;
    assert_eq!(items[0]["done"], true, "{items:?}");
    // Once there is room, the other one goes: what was asked stands.
    let _ = items[1];
    scene.web.quarantined(other).await?;
    scene.clear().await
}

#[tokio::test]
async fn no_answer_comes_where_no_agent_runs() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let plugin = stage.plugin().await?;
    let namespace = stage.namespace("plugin-nobody").await?;
    let name = namespace.name();
    let pods = stage.quiet(name, 1).await?.names().await?;
    let line = format!("add {} -n {name} --reason x --timeout 2s", pods[0]);
    let refused = plugin.run(&line).await?.refused()?;
    // Agents of other tests say that their files leave such a pod alone.
    ensure!(
        refused.contains("no agent has answered within 2s") || refused.contains("by-hand"),
        "{refused}"
    );
    let line = format!("add {} -n {name} --reason x --no-wait", pods[0]);
    has(&plugin.run(&line).await?.done()?, &["quarantine requested"])?;
    namespace.delete().await
}

#[tokio::test]
async fn mistakes_end_with_2_and_scripts_complete() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let plugin = stage.plugin().await?;
    for line in [
        "",
        "remove x",
        "add x",
        "why a/b",
        "hold x --for 1M",
        "list -o table",
    ] {
        let ran = plugin.run(line).await?;
        assert_eq!(ran.code, Some(2), "{line}: {ran:?}");
        has(&ran.err, &["--help"])?;
        assert_eq!(ran.out, "");
    }
    has(
        &plugin.run("--help").await?.done()?,
        &["list", "why", "add", "release", "hold", "pause", "resume"],
    )?;
    for shell in ["bash", "zsh", "fish"] {
        let script = plugin.run(&format!("completion {shell}")).await?.done()?;
        has(&script, &["kubectl-quarantine", "release"])?;
    }
    let elsewhere = plugin.run("list --context nowhere").await?.refused()?;
    has(&elsewhere, &["error: context \"nowhere\" does not exist"])?;
    let elsewhere = plugin.run("list --kubeconfig /nowhere").await?.refused()?;
    has(&elsewhere, &["error: read /nowhere: "])?;
    Ok(())
}

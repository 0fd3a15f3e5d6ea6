//! `kubectl quarantine list --watch`.

use std::time::Duration;

use anyhow::ensure;
use test_e2e::{Ask, Forward, Labels, PROBE, Scene, changed};

use crate::kubectl::{Directory, admin};

#[tokio::test]
async fn a_watch_prints_what_changes_and_outlives_its_connection() -> anyhow::Result<()> {
    let policy = changed(
        PROBE,
        &[(
            "workload: { max: 2, minReady: 0% }",
            "workload: { max: 4, minReady: 0% }",
        )],
    );
    let scene = Scene::set("plugin-watch", 4, Labels::NoToggle, &policy).await?;
    let directory = Directory::new("watch")?;
    let proxy = Forward::open(&scene.stage, Ask::Connect).await?;
    let mut kubeconfig = admin(&scene.stage)?;
    let cluster = &mut kubeconfig["clusters"][0]["cluster"];
    cluster["proxy-url"] = format!("http://{}", proxy.address()).into();
    directory.write("config", &kubeconfig.to_string())?;
    let through = scene.stage.plugin().await?;
    let through = through.with_kubeconfig(directory.0.join("config"));
    let [first, second, third, _] = &scene.pods[..] else {
        anyhow::bail!("{:?}", scene.pods)
    };
    scene.quarantine_manually(first).await?;
    let namespace = scene.namespace();
    let table = directory.0.join("table");
    let names = directory.0.join("names");
    let mut watching = through.start(&format!("list -n {namespace} -w"), &table)?;
    let line = format!("list -n {namespace} -w --no-headers -o jsonpath={{.name}}={{.ended}};");
    let mut naming = through.start(&line, &names)?;
    let printed = async |texts: &[&str]| {
        scene
            .until(&format!("{texts:?} is printed"), async || {
                let text = std::fs::read_to_string(&table)?;
                let mut rest = &text[..];
                for piece in texts {
                    let at = rest.find(piece);
                    let at = at.ok_or_else(|| anyhow::anyhow!("{piece} is not in:\n{text}"))?;
                    rest = &rest[at..];
                }
                Ok(())
            })
            .await
    };
    printed(&["POD  ", first]).await?;
    scene.quarantine_manually(second).await?;
    printed(&[first, second]).await?;
    let plugin = scene.stage.plugin().await?;
    plugin
        .run(&format!("hold {second} -n {namespace}"))
        .await?
        .done()?;
    printed(&[second, "yes"]).await?;

    proxy.down();
    scene.quarantine_manually(third).await?;
    printed(&["the watch was interrupted, and begins again: "]).await?;
    proxy.up();
    printed(&["the watch was interrupted, and begins again: ", third]).await?;
    let line = format!("release {first} -n {namespace} --force");
    plugin.run(&line).await?.done()?;
    printed(&[third, first, "released"]).await?;
    scene
        .stage
        .pods(namespace)
        .delete(third, &kube::api::DeleteParams::default())
        .await?;
    printed(&["released", third, "deleted"]).await?;

    let text = std::fs::read_to_string(&table)?;
    println!("{text}");
    // Each state once: what has not changed is not printed again when the pods are listed again.
    assert_eq!(text.matches("POD  ").count(), 1, "{text}");
    let rows = |pod: &str| text.lines().filter(|line| line.starts_with(pod)).count();
    ensure!(rows(first) == 2, "{text}");
    for child in [&mut watching, &mut naming] {
        ensure!(child.try_wait()?.is_none(), "it has ended");
        let pid = child.id().unwrap_or_default().to_string();
        let sent = tokio::process::Command::new("kill")
            .args(["-INT", &pid])
            .status();
        ensure!(sent.await?.success());
        let ended = tokio::time::timeout(Duration::from_secs(5), child.wait()).await??;
        ensure!(!ended.success(), "{ended}");
    }
    let text = std::fs::read_to_string(&names)?;
    for piece in [
        format!("{first}=null;"),
        format!("{first}=released;"),
        format!("{third}=deleted;"),
    ] {
        ensure!(text.contains(&piece), "{piece} is not in {text}");
    }
    scene.clear().await
}

#[tokio::test]
async fn a_watch_without_the_right_to_it_ends_with_the_servers_words() -> anyhow::Result<()> {
    let scene = Scene::set("watch-no", 1, Labels::NoToggle, PROBE).await?;
    let plugin = scene.stage.plugin().await?;
    let namespace = scene.namespace();
    let refused = plugin
        .run(&format!("list -w -n {namespace} --as ann"))
        .await?;
    crate::plugin::has(
        &refused.refused()?,
        &["Error from server (Forbidden): pods is forbidden"],
    )?;
    let wrong = plugin
        .run(&format!("list -w -n {namespace} -l in("))
        .await?;
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    scene.clear().await
}

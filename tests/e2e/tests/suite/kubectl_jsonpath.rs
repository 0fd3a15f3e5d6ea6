//! Templates of `-o jsonpath=`, beside the real kubectl.

use anyhow::ensure;
use pod_quarantine::plugin::jsonpath::Template;
use serde_json::Value;
use test_e2e::Stage;

const TEMPLATES: &[&str] = &[
    "text",
    ".items",
    "{.kind}",
    "{ .kind }",
    "{$.kind}{@.kind}",
    "{.kind}{.apiVersion}",
    "{.kind.name}",
    "{.missing}",
    "{.items[*].metadata.name}",
    "{.items[*]['metadata.name', 'status.phase']}",
    "{.items[0].metadata['name','namespace']}",
    "{.items[0]['metadata']['name']}",
    "{.items[0].metadata.labels}",
    "{.items[0].spec.containers}",
    "{.items[0].spec.containers[0].image}",
    "{.items[-1].metadata.name}",
    "{.items[-1:].metadata.name}",
    "{.items[:1].metadata.name}",
    "{.items[0:2].metadata.name}",
    "{.items[0:2:2].metadata.name}",
    "{.items[::2].metadata.name}",
    "{.items[].metadata.name}",
    "{.items[1:1].metadata.name}",
    "{.items[0,1].metadata.name}",
    "{.items[0, -1].metadata.name}",
    "{.items[9].metadata.name}",
    "{.items[-9].metadata.name}",
    "{.items[1:0].metadata.name}",
    "{.items[0:9].metadata.name}",
    "{.items[0:1:0].metadata.name}",
    "{.items[0:1:-1].metadata.name}",
    "{.metadata[0]}",
    "{.kind[0]}",
    "{.items[*].spec.terminationGracePeriodSeconds}",
    "{..image}",
    "{..metadata.name}",
    "{.items..name}",
    "{.items[0]..containers[*].name}",
    "{...name}",
    "{.items[?(@.metadata.name)].metadata.namespace}",
    "{.items[?(@.metadata.missing)].metadata.name}",
    "{.items[?(@.spec.terminationGracePeriodSeconds==30)].metadata.name}",
    "{.items[?(@.spec.terminationGracePeriodSeconds!=30)].metadata.name}",
    "{.items[?(@.spec.terminationGracePeriodSeconds>29)].metadata.name}",
    "{.items[?(@.spec.terminationGracePeriodSeconds>=31)].metadata.name}",
    "{.items[?(@.spec.terminationGracePeriodSeconds<=30)].metadata.name}",
    "{.items[?(@.spec.terminationGracePeriodSeconds==\"30\")].metadata.name}",
    "{.items[?(@.spec.terminationGracePeriodSeconds==30.5)].metadata.name}",
    "{.items[?(@.spec.terminationGracePeriodSeconds=30)].metadata.name}",
    "{.items[?(@.spec.enableServiceLinks==true)].metadata.name}",
    "{.items[?(@.spec.enableServiceLinks>false)].metadata.name}",
    "{.items[?(@.spec==1)].metadata.name}",
    "{.items[?(@.status.phase==\"Pending\")].metadata.labels.app}",
    "{.items[?(@.status.phase=='Pending')].kind}",
    "{.items[?(@.status.phase!=\")\")].kind}",
    "{.items[?(@.metadata.labels.app==\"shop\")].kind}",
    "{.items[*].spec.containers[?(@.name)].name}",
    "{.metadata[?(@.name)]}",
    "{range .items[*]}{.metadata.name}{\"\\n\"}{end}",
    "{range .items[*]}[{.metadata.name},{.kind}] {end}after",
    "{range .items[*]}{range .spec.containers[*]}{.name}:{end};{end}",
    "{range .items[*]}{.metadata.name}{range .status.conditions[*]} {.type}={.status}{end}{'\\n'}{end}{.kind}",
    "{range .missing[*]}{.name}{end}none",
    "{range .items[?(@.kind==\"X\")]}{.metadata.name}{end}none",
    "{range .items[*]}{.metadata.name}",
    "{range .items[0]}{.kind}{end}{range .items[1]}{.metadata.name}{end}",
    "{end}",
    "{hello}",
    "{true}{false}{1}{-2}{1.5}{+3}",
    "{\"a\\tb\\\"c\\u00e9\\x41\\101\\\\\"}",
    "{'it''s'}",
    "{\"\\q\"}",
    "{\"open}",
    "{'a' .kind}",
    "{.kind 'a'}",
    "{.items[0].metadata.labels.a\\.b}",
    "{.items[0].metadata.labels.pod-quarantine\\.io/other}",
    "{.items[0].metadata.labels['pod-quarantine\\.io/other']}",
    "{.kind",
    "{.items[0}",
    "{.items[x]}",
    "{.items[?(@.a}",
    "{.items[?(@.a)}",
    "{^}",
    "{1.2.3}",
    "{{.kind}}",
    "}{.kind}",
    "{}",
    "{.}",
    "{@}",
    "{.items[0].metadata.ownerReferences[0].controller}",
    "{.items[*].status.missing[0]}",
    "{.kind.*}",
    "{.items[0].spec.containers[0].name.*}",
];

/// Whether both are the same, but for the order in which Go goes through a map.
fn in_any_order(template: &str, one: &str, other: &str) -> bool {
    let words = |text: &str| {
        let mut words: Vec<String> = text.split(' ').map(ToOwned::to_owned).collect();
        words.sort();
        words
    };
    one == other || (template.contains("..") && words(one) == words(other))
}

#[tokio::test]
async fn a_template_prints_what_it_prints_in_kubectl() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let namespace = stage.namespace("kubectl-jsonpath").await?;
    let name = namespace.name();
    let quiet = stage.quiet(name, 3).await?;
    let pods = quiet.names().await?;
    let labels = serde_json::json!({ "metadata": { "labels": {
        "pod-quarantine.io/other": "x", "a.b": "dotted",
    } } });
    let (params, patch) = (
        kube::api::PatchParams::default(),
        kube::api::Patch::Merge(&labels),
    );
    stage.pods(name).patch(&pods[0], &params, &patch).await?;
    let value = stage
        .cluster
        .kubectl(&[
            "get",
            "pods",
            "-n",
            name,
            "-o",
            "json",
            "--show-managed-fields",
        ])
        .await?;
    let value: Value = serde_json::from_slice(&value.stdout)?;
    let mut different = Vec::new();
    for template in TEMPLATES {
        let format = format!("-ojsonpath={template}");
        let kubectl = stage
            .cluster
            .kubectl(&["get", "pods", "-n", name, &format])
            .await?;
        let out = String::from_utf8_lossy(&kubectl.stdout);
        let err = String::from_utf8_lossy(&kubectl.stderr);
        let own = Template::parse(template).and_then(|template| template.fill(&value));
        let is_same = match &own {
            Ok(text) => kubectl.status.success() && in_any_order(template, text, &out),
            Err(mistake) => {
                let mistake = mistake.to_string();
                let why = mistake
                    .rsplit_once("\": ")
                    .map_or(&*mistake, |(_, why)| why);
                // Go prints the whole value here.
                let why = why.strip_prefix("map[string]interface {} ").unwrap_or(why);
                !kubectl.status.success() && err.contains(why)
            }
        };
        if !is_same {
            different.push(format!(
                "{template}\nkubectl: {out}{err:.200}\nplugin: {own:?}"
            ));
        }
    }
    ensure!(different.is_empty(), "{}", different.join("\n\n"));
    namespace.delete().await
}

//! The Helm chart says what the kustomization says, and refuses values that say something wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that meets the unexpected fails, and says where"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use serde_json::{Value, json};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/pod-quarantine");

/// What the program prints; its error, if it fails.
fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} is on the PATH of `make test`: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stderr))
    }
}

fn template(options: &[&str]) -> Result<String, String> {
    let mut arguments = vec![
        "template",
        "pod-quarantine",
        CHART,
        "--namespace",
        "pod-quarantine",
    ];
    arguments.extend(options);
    output("helm", &arguments)
}

/// The objects by kind and name, without what Helm alone adds, and without what a namespace or a version is called.
fn objects(yaml: &str) -> BTreeMap<(String, String), Value> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap();
    let mut by_name = BTreeMap::new();
    for mut object in objects {
        let is_hook = object
            .pointer("/metadata/annotations/helm.sh~1hook")
            .is_some();
        if object.is_null() || is_hook || object["kind"] == "Namespace" {
            continue;
        }
        strip(&mut object);
        // Helm puts the objects into the agent's namespace, kustomize writes it.
        if let Some(Value::Object(meta)) = object.get_mut("metadata")
            && meta
                .get("namespace")
                .is_some_and(|name| name == "pod-quarantine")
        {
            meta.remove("namespace");
        }
        let text = |pointer| {
            object
                .pointer(pointer)
                .unwrap()
                .as_str()
                .unwrap()
                .to_owned()
        };
        let key = (text("/kind"), text("/metadata/name"));
        // The policy files differ on purpose.
        if key.0 != "ConfigMap" {
            by_name.insert(key, object);
        }
    }
    by_name
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for key in ["instance", "version", "managed-by"] {
                map.remove(&format!("app.kubernetes.io/{key}"));
            }
            map.remove("helm.sh/chart");
            if let Some(Value::String(image)) = map.get_mut("image") {
                *image = image.split(':').next().unwrap().to_owned();
            }
            map.values_mut().for_each(strip);
        }
        Value::Array(values) => values.iter_mut().for_each(strip),
        _ => {}
    }
}

#[test]
fn the_chart_has_the_objects_of_the_kustomization() {
    let budget = "--set=podDisruptionBudget.enabled=false".to_owned();
    let values = |set: &str| format!("--values={CHART}/ci/{set}-values.yaml");
    for (folder, options) in [
        ("base", vec![budget.clone()]),
        ("overlays/observe", vec![budget.clone(), values("observe")]),
        ("overlays/ha", vec![values("ha")]),
        (
            "overlays/namespaced",
            vec![budget.clone(), values("namespaced")],
        ),
    ] {
        // Which account it is about is nothing that an overlay can change.
        let flow_schema = ["--set=flowSchema.enabled=false"];
        let options = options.iter().map(String::as_str).chain(flow_schema);
        let options: Vec<&str> = options.collect();
        let kustomization = Path::new(DEPLOY).join(folder).display().to_string();
        let kustomized = output("kubectl", &["kustomize", &kustomization]).unwrap();
        let (expected, found) = (objects(&kustomized), objects(&template(&options).unwrap()));
        let keys = |objects: &BTreeMap<(String, String), Value>| {
            objects.keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(keys(&found), keys(&expected), "{folder}");
        for (key, expected) in expected {
            assert_eq!(found[&key], expected, "{key:?} of {folder}");
        }
    }
}

/// What is used of the rights in the cluster is proven by the audit log of all tests. In a namespace they are the same, but for
/// what is of no namespace.
#[test]
fn the_rights_in_a_watched_namespace_are_those_in_the_cluster_but_for_nodes_and_a_list_of_namespaces()
 {
    let rules = |file: &str, kind: &str| {
        let text = std::fs::read_to_string(format!("{DEPLOY}/{file}")).unwrap();
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let object = objects.into_iter().find(|object| object["kind"] == kind);
        let mut rights = BTreeSet::new();
        for rule in object.unwrap()["rules"].as_array().unwrap() {
            let texts =
                |key: &str| -> Vec<String> { serde_json::from_value(rule[key].clone()).unwrap() };
            for group in texts("apiGroups") {
                for resource in texts("resources") {
                    let each = texts("verbs").into_iter();
                    rights.extend(each.map(|verb| (group.clone(), resource.clone(), verb)));
                }
            }
        }
        rights
    };
    let mut expected = rules("base/rbac.yaml", "ClusterRole");
    expected.retain(|(_, resource, _)| resource != "nodes" && resource != "namespaces");
    let namespace = (String::new(), "namespaces".to_owned(), "get".to_owned());
    expected.insert(namespace);
    let found = rules("overlays/namespaced/watched/rbac.yaml", "Role");
    assert_eq!(found, expected);
}

/// The blocks of docs/install.md about two watched namespaces: by kustomize, and by Helm.
#[test]
fn the_page_about_installing_watches_two_namespaces() {
    let page = std::fs::read_to_string(format!("{DEPLOY}/../docs/install.md")).unwrap();
    let (_, page) = page.split_once("\n## Some namespaces alone\n").unwrap();
    let block = |info: &str| {
        let (_, block) = page.split_once(&format!("```{info}\n")).unwrap();
        block.split("```").next().unwrap().to_owned()
    };
    let place = std::env::temp_dir().join(format!("two-namespaces-{}", std::process::id()));
    let there = |path: &str| place.join(path).display().to_string();
    std::fs::create_dir_all(&place).unwrap();
    output("cp", &["-r", DEPLOY, &there("deploy")]).unwrap();
    let ops = place.join("deploy/ops");
    std::fs::create_dir_all(&ops).unwrap();
    let base = there("deploy/base/config.yaml");
    output("cp", &[&base, &ops.display().to_string()]).unwrap();
    let watched = there("deploy/overlays/namespaced/watched");
    let blog = there("deploy/ops/blog");
    output("cp", &["-r", &watched, &blog]).unwrap();
    let file = ops.join("blog/kustomization.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("namespace: shop", "namespace: blog")).unwrap();
    std::fs::write(ops.join("kustomization.yaml"), block("yaml")).unwrap();
    let values = ops.join("values.yaml");
    std::fs::write(&values, block("yaml helm")).unwrap();

    let kustomized = output("kubectl", &["kustomize", &ops.display().to_string()]).unwrap();
    let rendered = template(&[&format!("--values={}", values.display())]).unwrap();
    for (yaml, arguments) in [
        (kustomized, json!(["run", "--watch-namespace=shop,blog"])),
        (
            rendered,
            json!(["run", "--watch-namespace=shop", "--watch-namespace=blog"]),
        ),
    ] {
        let objects: Vec<Value> = serde_saphyr::from_multiple(&yaml).unwrap();
        let bound = objects.iter().filter(|object| {
            object["kind"] == "RoleBinding"
                && object["metadata"]["name"] == "pod-quarantine-watched"
        });
        let bound: BTreeSet<(&str, &str)> = bound
            .map(|binding| {
                let subject = &binding["subjects"][0]["namespace"];
                let namespace = &binding["metadata"]["namespace"];
                (namespace.as_str().unwrap(), subject.as_str().unwrap())
            })
            .collect();
        let expected = ["blog", "shop"].map(|namespace| (namespace, "pod-quarantine"));
        assert_eq!(bound, BTreeSet::from(expected));
        let of_cluster = ["ClusterRole", "ClusterRoleBinding", "FlowSchema"];
        let of_cluster = objects.iter().find(|object| {
            let is_hook = object["metadata"]["annotations"]["helm.sh/hook"].is_string();
            !is_hook && of_cluster.contains(&object["kind"].as_str().unwrap_or_default())
        });
        assert_eq!(of_cluster, None);
        let deployment = objects.iter().find(|object| object["kind"] == "Deployment");
        let agent = &deployment.unwrap()["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(agent["args"], arguments);
    }
    std::fs::remove_dir_all(&place).unwrap();
}

/// A file that is left out by mistake renders nothing, and Helm says nothing.
#[test]
fn the_chart_has_one_test_and_hooks_before_and_after() {
    let rendered = template(&[]).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap();
    let hooks = objects.iter().filter_map(|object| {
        let hook = object.pointer("/metadata/annotations/helm.sh~1hook")?;
        let runs = ["Job", "Pod"].contains(&object["kind"].as_str()?);
        hook.as_str().filter(|_| runs)
    });
    let mut hooks: Vec<&str> = hooks.collect();
    hooks.sort_unstable();
    let expected = [
        "post-delete",
        "pre-delete",
        "pre-install,pre-upgrade",
        "test",
    ];
    assert_eq!(hooks, expected);
}

#[test]
fn the_values_have_the_schema_of_the_policy_file() {
    let read = |path: &str| -> Value {
        let text = std::fs::read_to_string(path).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let values = read(&format!("{CHART}/values.schema.json"));
    let mut config = read(concat!(env!("CARGO_MANIFEST_DIR"), "/config/schema.json"));
    config.as_object_mut().unwrap().remove("$schema");
    assert_eq!(values["properties"]["config"], config);
}

#[test]
fn the_alerts_of_the_chart_are_those_of_the_rule_file() {
    let read = |path: String| -> Value {
        serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let rule = read(format!("{DEPLOY}/alerts/prometheusrule.yaml"));
    assert_eq!(read(format!("{CHART}/files/alerts.yaml")), rule["spec"]);
}

#[test]
fn a_value_that_is_misspelt_or_wrong_is_refused_by_its_name() {
    for (wrong, named) in [
        ("config.modus=observe", "modus"),
        ("config.mode=enforced", "mode"),
        ("config.limits.cluster.max=0", "max"),
        ("replica=3", "replica"),
        ("image.digest=latest", "digest"),
        ("watchNamespaces={shop,shop}", "watchNamespaces"),
        ("watchNamespaces={Shop}", "watchNamespaces"),
    ] {
        let error = template(&[&format!("--set={wrong}")]).expect_err(wrong);
        assert!(error.contains(named), "{wrong}: {error}");
    }
}

/// Where a program is that `make test` builds for these tests.
fn tool(name: &str) -> String {
    let directory = std::env::var("CHART_TOOLS").expect("CHART_TOOLS: `make test` sets it");
    format!("{directory}/{name}")
}

/// The options of each set of values in `ci`, and of none.
fn sets() -> Vec<Vec<String>> {
    let files = Path::new(CHART).join("ci").read_dir().unwrap();
    let sets = files.map(|set| vec![format!("--values={}", set.unwrap().path().display())]);
    sets.chain([Vec::new()]).collect()
}

#[test]
fn each_set_of_values_is_the_same_to_helm_4_and_3_and_passes_the_lint_of_both() {
    let helm_3 = tool("helm");
    for set in sets() {
        let set: Vec<&str> = set.iter().map(String::as_str).collect();
        let rendered = template(&set).unwrap();
        let release = [
            "template",
            "pod-quarantine",
            CHART,
            "--namespace=pod-quarantine",
            // A program that was built from its module does not know which one it is for.
            "--kube-version=1.34.0",
        ];
        let rendered_by_3 = output(&helm_3, &[&release, &set[..]].concat()).unwrap();
        let read = |yaml: &str| -> Vec<Value> { serde_saphyr::from_multiple(yaml).unwrap() };
        let (objects, objects_by_3) = (read(&rendered), read(&rendered_by_3));
        assert!(objects.len() > 5, "{rendered}");
        assert_eq!(objects, objects_by_3, "{set:?}");
        for helm in ["helm", &helm_3] {
            let lint = [
                "lint",
                "--strict",
                "--quiet",
                "--kube-version=1.34.0",
                CHART,
            ];
            output(helm, &[&lint, &set[..]].concat()).unwrap();
        }
    }
}

#[test]
fn all_objects_pass_the_strict_schemas_of_every_supported_kubernetes() {
    let schemas = std::env::var("SCHEMAS").expect("SCHEMAS: `make test` sets it");
    let place = std::env::temp_dir().join(format!("objects-{}", std::process::id()));
    std::fs::create_dir_all(&place).unwrap();
    let mut files = Vec::new();
    for set in sets() {
        let set: Vec<&str> = set.iter().map(String::as_str).collect();
        // The kinds of the Prometheus operator are not Kubernetes' own.
        let without = [
            "--set=monitoring.podMonitor.enabled=false",
            "--set=monitoring.prometheusRule.enabled=false",
        ];
        files.push(template(&[&set[..], &without].concat()).unwrap());
    }
    for folder in [
        "base",
        "overlays/observe",
        "overlays/ha",
        "overlays/namespaced",
    ] {
        let folder = format!("{DEPLOY}/{folder}");
        files.push(output("kubectl", &["kustomize", &folder]).unwrap());
    }
    // One that must not pass.
    let wrong = files[0].replacen("\n  replicas: ", "\n  replica: ", 1);
    files.push(wrong);
    let mut paths = Vec::new();
    for (number, text) in files.iter().enumerate() {
        let path = place.join(format!("{number}.yaml"));
        std::fs::write(&path, text).unwrap();
        paths.push(path);
    }
    for version in ["1.34", "1.35", "1.36", "1.37"] {
        let validated = Command::new("python3")
            .args([
                "-m",
                "kubernetes_validate",
                "--strict",
                "--kubernetes-version",
                version,
            ])
            .args(&paths)
            .env("PYTHONPATH", &schemas)
            .output()
            .unwrap();
        let said = [validated.stdout, validated.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        let passed = said
            .lines()
            .filter(|line| line.contains(" passed for resource "));
        assert!(passed.count() > 100, "{version}: {said}");
        let failed: Vec<&str> = said
            .lines()
            .filter(|line| !line.contains(" passed "))
            .collect();
        assert_eq!(failed.len(), 1, "{version}: {failed:#?}");
        assert!(failed[0].contains("'replica' was unexpected"), "{failed:?}");
    }
    std::fs::remove_dir_all(&place).unwrap();
}

#[test]
fn the_readme_of_the_chart_is_made_of_its_values() {
    let root = format!("--chart-search-root={CHART}");
    let made = output(
        &tool("helm-docs"),
        &["--dry-run", "--log-level=error", &root],
    )
    .unwrap();
    let committed = std::fs::read_to_string(format!("{CHART}/README.md")).unwrap();
    assert_eq!(
        made.trim(),
        committed.trim(),
        "`make chart-readme` writes it"
    );
}

#[test]
fn the_chart_passes_its_own_tests() {
    let passed = output(&tool("helm-unittest"), &[CHART]).unwrap();
    assert!(passed.contains("5 passed, 5 total"), "{passed}");
}

fn chart() -> Value {
    let text = std::fs::read_to_string(format!("{CHART}/Chart.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

#[test]
fn the_chart_is_of_the_agents_version() {
    assert_eq!(chart()["appVersion"], json!(env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_changes_of_the_chart_are_those_of_the_changelog() {
    let text = chart()["annotations"]["artifacthub.io/changes"].clone();
    let changes: Vec<BTreeMap<String, String>> =
        serde_saphyr::from_str(text.as_str().unwrap()).unwrap();
    let changes = changes
        .iter()
        .map(|change| format!("- {}: {}", change["kind"], change["description"]));
    let changelog = include_str!("../CHANGELOG.md");
    let (_, versions) = changelog.split_once("\n## ").unwrap();
    let latest = versions.split("\n## ").next().unwrap();
    let (heading, latest) = latest.split_once('\n').unwrap();
    assert!(heading.starts_with(env!("CARGO_PKG_VERSION")), "{heading}");
    let latest: Vec<&str> = latest.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(changes.collect::<Vec<_>>(), latest);
}

//! Who may sign in to the API server: static tokens, and a kubeconfig for each.

use std::fmt::Write as _;

use serde_json::json;

use crate::layout::{API_SERVER, Layout};

/// File name, user and groups. Kubernetes binds the `system:` users to their roles by itself; the others are bound in
/// `manifests/`.
const USERS: [(&str, &str, &str); 7] = [
    ("admin", "admin", "system:masters"),
    (
        "kube-controller-manager",
        "system:kube-controller-manager",
        "",
    ),
    ("kube-scheduler", "system:kube-scheduler", ""),
    ("kube-proxy", "system:kube-proxy", ""),
    ("coredns", "coredns", ""),
    ("metrics-server", "metrics-server", ""),
    ("prometheus", "prometheus", ""),
];

/// The kubelet's, which the node authorizer and the `NodeRestriction` admission know by its name and group.
const KUBELET: (&str, &str, &str) = ("kubelet", "system:node:node", "system:nodes");

/// Writes the token file, the kubeconfigs and Prometheus's token. Nothing but this namespace can reach the API server, so
/// that a token need not be hard to guess; it differs from user to user.
pub(crate) fn write(layout: &Layout) -> anyhow::Result<()> {
    let mut tokens = String::new();
    for (file, user, groups) in USERS.into_iter().chain([KUBELET]) {
        let token = token(file);
        let _ = writeln!(tokens, "{token},{user},{user},\"{groups}\"");
        let name = if file == "admin" {
            "kubeconfig".to_owned()
        } else {
            format!("kubeconfigs/{file}")
        };
        layout.write(&name, &kubeconfig(layout, user, &token))?;
    }
    layout.write("tokens.csv", &tokens)?;
    layout.write("prometheus.token", &token("prometheus"))
}

fn token(user: &str) -> String {
    format!("{user}-of-the-test-cluster")
}

/// JSON is YAML.
fn kubeconfig(layout: &Layout, user: &str, token: &str) -> String {
    let authority = layout.argument("certificates/ca.crt");
    format!(
        "{:#}\n",
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test-cluster", "cluster": {"server": API_SERVER, "certificate-authority": authority}}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "test-cluster", "context": {"cluster": "test-cluster", "user": user}}],
            "current-context": "test-cluster",
        })
    )
}

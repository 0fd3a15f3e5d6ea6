//! etcd, the API server, the controllers and the scheduler.

use super::{flags, kubernetes};
use crate::layout::{AUDIT_LOG, Layout, NODE_ADDRESS, SERVICE_NETWORK};
use crate::process::Launch;

pub(super) const AUDIT_CONFIGURATION: (&str, &str) =
    ("audit.yaml", include_str!("../../config/audit.yaml"));

pub(super) fn etcd(layout: &Layout) -> Launch {
    let mut arguments = flags(&[
        ("name", "etcd"),
        ("data-dir", &layout.argument("etcd")),
        ("listen-client-urls", "http://127.0.0.1:2379"),
        ("advertise-client-urls", "http://127.0.0.1:2379"),
        ("listen-peer-urls", "http://127.0.0.1:2380"),
        ("initial-advertise-peer-urls", "http://127.0.0.1:2380"),
        ("initial-cluster", "etcd=http://127.0.0.1:2380"),
        ("listen-metrics-urls", "http://127.0.0.1:2381"),
        ("quota-backend-bytes", "4294967296"),
        ("auto-compaction-retention", "10m"),
        ("log-level", "warn"),
    ]);
    // The data goes with the cluster: it need not survive the machine.
    arguments.push("--unsafe-no-fsync".into());
    Launch {
        program: kubernetes(layout, "server"),
        arguments,
        environment: Vec::new(),
    }
}

pub(super) fn api_server(layout: &Layout) -> Launch {
    let certificate = |name: &str| layout.argument(&format!("certificates/{name}"));
    let arguments = flags(&[
        ("etcd-servers", "http://127.0.0.1:2379"),
        ("advertise-address", NODE_ADDRESS),
        ("secure-port", "6443"),
        ("service-cluster-ip-range", SERVICE_NETWORK),
        ("allow-privileged", "true"),
        ("authorization-mode", "Node,RBAC"),
        ("enable-admission-plugins", "NodeRestriction"),
        ("token-auth-file", &layout.argument("tokens.csv")),
        ("client-ca-file", &certificate("ca.crt")),
        ("tls-cert-file", &certificate("kube-apiserver.crt")),
        ("tls-private-key-file", &certificate("kube-apiserver.key")),
        (
            "service-account-issuer",
            "https://kubernetes.default.svc.cluster.local",
        ),
        ("service-account-key-file", &certificate("tokens.pub")),
        (
            "service-account-signing-key-file",
            &certificate("tokens.key"),
        ),
        ("kubelet-certificate-authority", &certificate("ca.crt")),
        (
            "kubelet-client-certificate",
            &certificate("kubelet-client.crt"),
        ),
        ("kubelet-client-key", &certificate("kubelet-client.key")),
        ("kubelet-preferred-address-types", "InternalIP"),
        ("enable-aggregator-routing", "true"),
        (
            "requestheader-client-ca-file",
            &certificate("front-proxy-ca.crt"),
        ),
        ("requestheader-allowed-names", "front-proxy-client"),
        ("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
        ("requestheader-group-headers", "X-Remote-Group"),
        ("requestheader-username-headers", "X-Remote-User"),
        (
            "proxy-client-cert-file",
            &certificate("front-proxy-client.crt"),
        ),
        (
            "proxy-client-key-file",
            &certificate("front-proxy-client.key"),
        ),
        ("cert-dir", &layout.argument("certificates")),
        ("audit-policy-file", &layout.argument("audit.yaml")),
        ("audit-log-path", &layout.argument(AUDIT_LOG)),
        // It ends its watches when it is asked to stop, and does not wait a minute for them.
        ("shutdown-watch-termination-grace-period", "1s"),
    ]);
    Launch {
        program: kubernetes(layout, "kube-apiserver"),
        arguments,
        environment: Vec::new(),
    }
}

pub(super) fn controller_manager(layout: &Layout) -> Launch {
    let certificate = |name: &str| layout.argument(&format!("certificates/{name}"));
    let kubeconfig = layout.component_kubeconfig("kube-controller-manager");
    let arguments = flags(&[
        ("kubeconfig", &kubeconfig),
        ("authentication-kubeconfig", &kubeconfig),
        ("authorization-kubeconfig", &kubeconfig),
        ("bind-address", "127.0.0.1"),
        ("leader-elect", "false"),
        ("use-service-account-credentials", "true"),
        (
            "service-account-private-key-file",
            &certificate("tokens.key"),
        ),
        ("root-ca-file", &certificate("ca.crt")),
        ("cluster-signing-cert-file", &certificate("ca.crt")),
        ("cluster-signing-key-file", &certificate("ca.key")),
    ]);
    Launch {
        program: kubernetes(layout, "kube-controller-manager"),
        arguments,
        environment: Vec::new(),
    }
}

pub(super) fn scheduler(layout: &Layout) -> Launch {
    let kubeconfig = layout.component_kubeconfig("kube-scheduler");
    let arguments = flags(&[
        ("kubeconfig", &kubeconfig),
        ("authentication-kubeconfig", &kubeconfig),
        ("authorization-kubeconfig", &kubeconfig),
        ("bind-address", "127.0.0.1"),
        ("leader-elect", "false"),
    ]);
    Launch {
        program: kubernetes(layout, "kube-scheduler"),
        arguments,
        environment: Vec::new(),
    }
}

//! Queries that are right, as people write them for single pods: `check` has nothing to say about them.

use pod_quarantine::config;

/// From the README, from dashboards and alerts of kube-prometheus, and from guides to Istio, Envoy and OpenTelemetry.
const RIGHT: [&str; 24] = [
    r#"(  sum by (namespace, pod) (rate(http_requests_total{code=~"5.."}[1m]))
       or 0 * sum by (namespace, pod) (rate(http_requests_total[1m])) )
       /  sum by (namespace, pod) (rate(http_requests_total[1m]))"#,
    r#"1 - (  sum by (namespace, pod) (rate(http_requests_total{code!~"5.."}[1m]))
       or 0 * sum by (namespace, pod) (rate(http_requests_total[1m])) )
       /  sum by (namespace, pod) (rate(http_requests_total[1m]))"#,
    r#"sum by (namespace, pod) (rate(http_requests_total{job="podinfo"}[1m]))"#,
    r#"sum by (namespace, pod) (rate(istio_requests_total{reporter="destination"}[5m]))"#,
    r#"histogram_quantile(0.95, sum by (namespace, pod, le) (
       rate(istio_request_duration_milliseconds_bucket{reporter="destination"}[5m])))"#,
    "histogram_quantile(0.99, sum by (namespace, pod) (rate(http_request_duration_seconds[5m])))",
    "histogram_fraction(0.5, +Inf, sum by (namespace, pod) (rate(http_request_duration_seconds[5m])))",
    r#"sum by (namespace, pod) (rate(lag_sum{status="ok"}[5m])) / sum by (namespace, pod) (rate(lag_count{status="ok"}[5m]))"#,
    "sum by (namespace, pod) (rate(errors_total[5m])) / (sum by (namespace, pod) (rate(requests_total[5m])) > 0)",
    r#"sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{container!="",container!="POD"}[5m]))
       / sum by (namespace, pod) (kube_pod_container_resource_limits{resource="cpu"})"#,
    "sum by (namespace, pod) (increase(container_cpu_cfs_throttled_periods_total[5m]))
       / sum by (namespace, pod) (increase(container_cpu_cfs_periods_total[5m]))",
    r#"max by (namespace, pod) (container_memory_working_set_bytes{container!=""})"#,
    r#"container_memory_working_set_bytes{container="app"}"#,
    r#"sum by (namespace, pod) (kube_pod_status_phase{phase=~"Pending|Unknown|Failed"})"#,
    r#"min_over_time(sum by (namespace, pod) (kube_pod_status_phase{phase=~"Pending|Unknown|Failed"})[15m:1m])"#,
    r#"sum by (namespace, pod) (
         max by (namespace, pod) (kube_pod_status_phase{job="kube-state-metrics", phase=~"Pending|Unknown|Failed"})
         * on (namespace, pod) group_left (owner_kind) topk by (namespace, pod) (
             1, max by (namespace, pod, owner_kind) (kube_pod_owner{owner_kind!="Job"})))"#,
    r#"kube_pod_status_ready{condition="false"}"#,
    r#"max by (namespace, pod) (kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"}) or 0 * kube_pod_info"#,
    "sum by (namespace, pod) (increase(kube_pod_container_status_restarts_total[10m]))",
    "up * on (instance) group_left (namespace, pod) label_replace(kube_pod_info, \"instance\", \"$1:9090\", \"pod_ip\", \"(.*)\")",
    "kube_pod_info * on (node) group_right (namespace, pod) sum by (node) (node_network_receive_errs_total)",
    r#"sum by (namespace, pod) (rate(errors_total[5m])) unless on (namespace, pod) kube_pod_labels{label_canary="true"}"#,
    r#"label_replace(label_replace(
         sum by ("k8s.namespace.name", "k8s.pod.name") (rate({"http.server.request.duration_count"}[1m])),
         "pod", "$1", "k8s.pod.name", "(.*)"), "namespace", "$1", "k8s.namespace.name", "(.*)")"#,
    "(sum by (namespace, pod) (rate(errors_total[5m])) > bool 0.1) * (sum by (namespace, pod) (up) > bool 0)",
];

#[test]
fn a_query_that_is_right_gets_no_warning() {
    for query in RIGHT {
        let file = serde_json::json!({
            "prometheus": { "url": "http://prometheus:9090" },
            "policies": [{
                "name": "web", "pods": { "matchLabels": { "tier": "web" } },
                "prometheus": { "query": query, "above": 1 },
            }],
        });
        let checked = config::check_text("right.yaml", &file.to_string());
        let checked = checked.unwrap_or_else(|errors| panic!("{query}: {errors}"));
        let said: Vec<_> = checked
            .warnings
            .iter()
            .map(|warning| &*warning.message)
            .collect();
        assert_eq!(said, [""; 0], "{query}");
    }
}

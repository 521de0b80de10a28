//! The alerts of the records that are written.

/// The alerts that come again and again.
pub(crate) const ALERTS: [&str; 40] = [
    "HighMemoryUsage",
    "HighCpuUsage",
    "PodCrashLooping",
    "PodNotReady",
    "ContainerOomKilled",
    "DeploymentReplicasMismatch",
    "StatefulSetReplicasMismatch",
    "DaemonSetRolloutStuck",
    "HorizontalAutoscalerMaxedOut",
    "JobFailed",
    "CronJobTooLong",
    "NodeNotReady",
    "NodeDiskPressure",
    "NodeMemoryPressure",
    "NodeFilesystemAlmostFull",
    "NodeClockSkew",
    "PersistentVolumeFillingUp",
    "PersistentVolumeErrors",
    "PersistentVolumeClaimPending",
    "ImagePullBackOff",
    "KubeletTooManyPods",
    "KubeletClientErrors",
    "ApiServerLatencyHigh",
    "ApiServerErrorsHigh",
    "EtcdLeaderChanges",
    "EtcdDatabaseSizeLarge",
    "CoreDnsErrors",
    "IngressErrorsHigh",
    "IngressLatencyHigh",
    "CertificateExpiringSoon",
    "ServiceEndpointDown",
    "HttpErrorRateHigh",
    "RequestLatencyHigh",
    "QueueBacklogGrowing",
    "ConsumerLagHigh",
    "DatabaseConnectionsExhausted",
    "DatabaseReplicationLag",
    "CacheHitRateLow",
    "ThrottledContainer",
    "QuotaAlmostExceeded",
];

/// One of the alerts that come again and again.
pub(crate) fn known_alert(number: u64) -> &'static str {
    let index = usize::try_from(number % ALERTS.len() as u64).unwrap_or(0);
    ALERTS.get(index).copied().unwrap_or_default()
}

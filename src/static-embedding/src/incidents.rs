//! Checks that the model tells incidents apart.

use crate::tests::similarity;

/// Minimum margin of the least similar pair of one incident over any pair of two incidents.
const REPEATED_MARGIN: f32 = 0.4;
const REWORDED_MARGIN: f32 = 0.1;

const REPEATED: [(&str, &str); 10] = [
    (
        "KubePodCrashLooping\nPod checkout-7d9f8b6c5-x2k4p restarted 14 times: OOMKilled at its limit of 512Mi\nRaise the memory limit to 1Gi",
        "KubePodCrashLooping\nPod checkout-5c6b9d7f44-q8zvn restarted 23 times: OOMKilled at its limit of 768Mi\nRaise the memory limit to 2Gi",
    ),
    (
        "HighMemoryUsage\nContainer api-server uses 93% of its memory limit since 10:42\nRestart the deployment",
        "HighMemoryUsage\nContainer api-server uses 97% of its memory limit since 03:17\nRestart the deployment",
    ),
    (
        "NodeDiskPressure\nNode ip-10-0-12-7 has 4% disk left, images fill /var/lib/containerd\nPrune unused images",
        "NodeDiskPressure\nNode ip-10-0-31-212 has 2% disk left, images fill /var/lib/containerd\nPrune unused images",
    ),
    (
        "KubeDeploymentReplicasMismatch\nDeployment payments has 2 of 5 replicas: image registry.example/payments:1.42.0 cannot be pulled\nRoll back to the previous revision",
        "KubeDeploymentReplicasMismatch\nDeployment payments has 1 of 6 replicas: image registry.example/payments:1.43.1 cannot be pulled\nRoll back to the previous revision",
    ),
    (
        "CertificateExpiry\nThe certificate of shop.example.com expires in 6 days, cert-manager failed the DNS challenge\nRenew the certificate",
        "CertificateExpiry\nThe certificate of shop.example.com expires in 2 days, cert-manager failed the DNS challenge\nRenew the certificate",
    ),
    (
        "PostgresConnectionsExhausted\n98 of 100 connections in use, 61 of them idle in transaction from orders-6bd7f\nTerminate idle transactions",
        "PostgresConnectionsExhausted\n100 of 100 connections in use, 74 of them idle in transaction from orders-84c1a\nTerminate idle transactions",
    ),
    (
        "KafkaConsumerLag\nGroup billing is 48210 messages behind on topic invoices, partition 3 has no consumer\nScale the consumer to 6 replicas",
        "KafkaConsumerLag\nGroup billing is 190344 messages behind on topic invoices, partition 7 has no consumer\nScale the consumer to 8 replicas",
    ),
    (
        "IngressHigh5xxRate\n12.4% of the requests to /api/cart answered 502 in the last 5 minutes, upstream refuses connections\nRestart the cart service",
        "IngressHigh5xxRate\n31.9% of the requests to /api/cart answered 502 in the last 5 minutes, upstream refuses connections\nRestart the cart service",
    ),
    (
        "KubeJobFailed\nJob nightly-export-28931040 failed after 3 attempts: the bucket denied the write\nRotate the service account's key",
        "KubeJobFailed\nJob nightly-export-28932480 failed after 3 attempts: the bucket denied the write\nRotate the service account's key",
    ),
    (
        "PersistentVolumeFillingUp\nVolume data-prometheus-0 in monitoring is 91% full and will be full in 4 hours\nExpand the volume to 200Gi",
        "PersistentVolumeFillingUp\nVolume data-prometheus-1 in monitoring is 96% full and will be full in 1 hour\nExpand the volume to 300Gi",
    ),
];

/// The same kind of incident in other words.
const REWORDED: [(&str, &str); 8] = [
    (
        "KubePodCrashLooping\nPod checkout-7d9f8b6c5-x2k4p restarted 14 times: OOMKilled at its limit of 512Mi\nRaise the memory limit to 1Gi",
        "PodCrashLoop\nContainer checkout was OOMKilled again and again, its memory limit is too low\nIncrease the memory limit",
    ),
    (
        "HighMemoryUsage\nContainer api-server uses 93% of its memory limit since 10:42\nRestart the deployment",
        "MemoryUsageHigh\nMemory of api-server close to the limit\nRolling restart of the deployment",
    ),
    (
        "NodeDiskPressure\nNode ip-10-0-12-7 has 4% disk left, images fill /var/lib/containerd\nPrune unused images",
        "NodeFilesystemAlmostFull\nThe disk of the node is full of unused container images\nPrune images on the node",
    ),
    (
        "CertificateExpiry\nThe certificate of shop.example.com expires in 6 days, cert-manager failed the DNS challenge\nRenew the certificate",
        "CertManagerCertificateExpirySoon\nCertificate for shop.example.com was not renewed: DNS challenge failed\nIssue the certificate again",
    ),
    (
        "PostgresConnectionsExhausted\n98 of 100 connections in use, 61 of them idle in transaction from orders-6bd7f\nTerminate idle transactions",
        "PostgresTooManyConnections\nIdle transactions of orders hold most connections\nTerminate the idle connections",
    ),
    (
        "KafkaConsumerLag\nGroup billing is 48210 messages behind on topic invoices, partition 3 has no consumer\nScale the consumer to 6 replicas",
        "ConsumerGroupLagging\nThe billing consumer falls behind on invoices, too few consumers for the partitions\nScale up the billing consumer",
    ),
    (
        "KubeDeploymentReplicasMismatch\nDeployment payments has 2 of 5 replicas: image registry.example/payments:1.42.0 cannot be pulled\nRoll back to the previous revision",
        "ImagePullBackOff\nThe image of deployment payments cannot be pulled from registry.example\nRoll the deployment back to the last revision",
    ),
    (
        "PersistentVolumeFillingUp\nVolume data-prometheus-0 in monitoring is 91% full and will be full in 4 hours\nExpand the volume to 200Gi",
        "PVCAlmostFull\nThe volume of prometheus in monitoring is nearly full\nExpand the persistent volume",
    ),
];

#[track_caller]
fn assert_apart(near: &[(&str, &str)], margin: f32) {
    let near: Vec<f32> = near
        .iter()
        .map(|(left, right)| similarity(left, right))
        .collect();
    let texts: Vec<&str> = REPEATED.iter().map(|(text, _)| *text).collect();
    let mut far = Vec::new();
    for (index, left) in texts.iter().enumerate() {
        for right in texts.iter().skip(index + 1) {
            far.push(similarity(left, right));
        }
    }
    let farthest = near.iter().copied().fold(f32::INFINITY, f32::min);
    let nearest = far.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    assert!(
        farthest - nearest >= margin,
        "the same down to {farthest}, others up to {nearest}\nthe same {near:.2?}\nothers {far:.2?}"
    );
}

#[test]
fn an_incident_that_repeats_is_nearer_than_any_other() {
    assert_apart(&REPEATED, REPEATED_MARGIN);
}

#[test]
fn an_incident_in_other_words_is_nearer_than_any_other() {
    assert_apart(&REWORDED, REWORDED_MARGIN);
}

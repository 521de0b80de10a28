//! kubectl as a user of a cluster.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::project;

/// Timeout of a command and of [`Kubectl::until`].
const WAIT_MAX: Duration = Duration::from_secs(90);

const POLL: Duration = Duration::from_millis(300);

/// kubectl for one cluster.
#[derive(Clone)]
pub struct Kubectl {
    kubeconfig: PathBuf,
}

/// Output of a command.
#[derive(Debug)]
pub struct Output {
    /// Whether the exit code was 0.
    pub is_success: bool,
    /// Its standard output.
    pub text: String,
    /// Its standard error.
    pub errors: String,
}

impl Kubectl {
    /// Creates one for commands that need no cluster.
    pub fn without_cluster(folder: &Path) -> Self {
        Self::new(folder.join("kubeconfig"))
    }

    pub(crate) fn new(kubeconfig: PathBuf) -> Self {
        Self { kubeconfig }
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs a command.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "").await
    }

    /// Runs a command with a standard input.
    pub async fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let program = std::env::var_os("KUBECTL").unwrap_or_else(|| "kubectl".into());
        let mut child = Command::new(program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--cache-dir")
            .arg(self.kubeconfig.with_file_name("cache"))
            .args(arguments)
            .current_dir(project())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("kubectl runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = input.to_owned();
        let write = tokio::spawn(async move {
            // A command that fails at once does not read it.
            stdin.write_all(input.as_bytes()).await.ok();
        });
        let output = tokio::time::timeout(WAIT_MAX, child.wait_with_output()).await;
        let output = output
            .unwrap_or_else(|_| panic!("kubectl {arguments:?} takes too long"))
            .expect("kubectl runs");
        write.await.expect("the input is written");
        let text = |bytes| String::from_utf8(bytes).expect("kubectl writes UTF-8");
        Output {
            is_success: output.status.success(),
            text: text(output.stdout),
            errors: text(output.stderr),
        }
    }

    /// Runs a command that must succeed, and returns its standard output.
    pub async fn done(&self, arguments: &[&str]) -> String {
        self.done_with(arguments, "").await
    }

    /// Like [`Self::done`], with a standard input.
    pub async fn done_with(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run_with(arguments, input).await;
        assert!(output.is_success, "kubectl {arguments:?}: {output:?}");
        output.text
    }

    /// Returns the output of `kubectl kustomize` for a folder.
    pub async fn kustomize(&self, folder: &str) -> String {
        let output = self.run(&["kustomize", folder]).await;
        assert!(output.is_success && output.errors.is_empty(), "{output:?}");
        output.text
    }

    /// Applies an object of the test.
    pub async fn apply(&self, object: &Value) {
        let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.done_with(&apply, &object.to_string()).await;
    }

    /// Applies objects as the runbook does, and returns the output with its warnings.
    pub async fn apply_text(&self, objects: &str) -> Output {
        let apply = ["apply", "--server-side", "--validate=strict", "-f", "-"];
        self.run_with(&apply, objects).await
    }

    /// Returns the result of `get` as JSON.
    pub async fn get(&self, arguments: &[&str]) -> Value {
        let arguments = [&["get", "--output=json"], arguments].concat();
        serde_json::from_str(&self.done(&arguments).await).expect("JSON")
    }

    /// Returns the items of a list.
    pub async fn list(&self, arguments: &[&str]) -> Vec<Value> {
        let mut list = self.get(arguments).await;
        match list["items"].take() {
            Value::Array(items) => items,
            other => panic!("{arguments:?}: {other}"),
        }
    }

    /// Repeats a `get` until `is_wanted` accepts the result, and returns it.
    pub async fn until(&self, arguments: &[&str], is_wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + WAIT_MAX;
        loop {
            let output = self
                .run(&[&["get", "--output=json"], arguments].concat())
                .await;
            let answer = serde_json::from_str(&output.text).unwrap_or_default();
            if output.is_success && is_wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < until, "not so: {arguments:?}: {output:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Returns whether a user in `groups` passes `kubectl auth can-i`.
    pub async fn can(&self, user: &str, groups: &[&str], question: &[&str]) -> bool {
        let mut arguments = vec!["auth", "can-i", "--as", user];
        for group in groups {
            arguments.extend(["--as-group", group]);
        }
        arguments.extend(question);
        let output = self.run(&arguments).await;
        match output.text.trim() {
            "yes" => true,
            "no" => false,
            _ => panic!("{arguments:?}: {output:?}"),
        }
    }

    /// Returns a token of a service account. `more` may name audiences; the default is the API
    /// server.
    pub async fn token(&self, namespace: &str, account: &str, more: &[&str]) -> String {
        let arguments = [&["create", "token", "-n", namespace, account], more].concat();
        self.done(&arguments).await.trim().to_owned()
    }
}

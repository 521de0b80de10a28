use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::TcpStream;

const START_TIME_MAX: Duration = Duration::from_secs(20);

pub(super) struct Nginx {
    pub(super) url: String,
    child: Child,
    folder: TempDir,
}

/// Treatment of a request that a replica did not answer.
pub(super) enum Unanswered {
    /// Repeats it at the other replica, writes too: a record that arrives twice is stored once.
    ToTheOther,
    /// Answers 502.
    ToTheCaller,
}

impl Nginx {
    pub(super) async fn start(replicas: [SocketAddr; 2], unanswered: Unanswered) -> Self {
        let program = std::env::var_os("NGINX_COMMAND")
            .expect("NGINX_COMMAND is not set: run the tests with `cargo xtask test`");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let folder = tempfile::tempdir().expect("a folder for nginx");
        let path = folder.path();
        let config = configuration(address, replicas, &unanswered);
        fs::write(path.join("nginx.conf"), config).expect("nginx.conf");
        let child = Command::new(program)
            .arg("-p")
            .arg(path)
            .arg("-c")
            .arg(path.join("nginx.conf"))
            .arg("-e")
            .arg(path.join("error.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("NGINX_COMMAND runs");
        let mut nginx = Self {
            url: format!("http://{address}"),
            child,
            folder,
        };
        let begun = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            let ended = nginx.child.try_wait().expect("a child");
            let log = nginx.read("error.log");
            assert!(ended.is_none(), "nginx ended: {log}");
            assert!(
                begun.elapsed() < START_TIME_MAX,
                "nginx does not listen: {log}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        nginx
    }

    /// Returns each request's replicas with their statuses.
    pub(super) fn tries(&self) -> Vec<Vec<(String, String)>> {
        let log = self.read("access.log");
        let request = |line: &str| {
            let (addresses, statuses) = line.split_once('|').expect("two columns");
            let pairs = addresses.split(", ").zip(statuses.split(", "));
            pairs
                .map(|(address, status)| (address.to_owned(), status.to_owned()))
                .collect()
        };
        log.lines().map(request).collect()
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Configures one process of this user with all files in its folder.
///
/// Free nginx does not probe readiness. After failed requests it avoids a replica for a second.
fn configuration(
    address: SocketAddr,
    [one, other]: [SocketAddr; 2],
    unanswered: &Unanswered,
) -> String {
    let next = match unanswered {
        Unanswered::ToTheOther => "error timeout http_503 non_idempotent",
        Unanswered::ToTheCaller => "off",
    };
    format!(
        r#"
daemon off;
master_process off;
pid nginx.pid;
events {{ worker_connections 256; }}
http {{
    log_format tries "$upstream_addr|$upstream_status";
    access_log access.log tries;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream replicas {{
        server {one} max_fails=3 fail_timeout=1s;
        server {other} max_fails=3 fail_timeout=1s;
        keepalive 8;
    }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://replicas;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_connect_timeout 1s;
            proxy_next_upstream {next};
        }}
    }}
}}
"#
    )
}

//! How responses are put on the wire.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use e2e::TestApp;

/// Some hundred requests show a host that sends the head while the component writes the body.
const REQUESTS: usize = 300;

/// For a packet.
const WAIT_MAX: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn head_and_body_of_a_response_share_a_packet() {
    let app = TestApp::start().await;
    let mut stream = TcpStream::connect(app.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    let request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for number in 1..=REQUESTS {
        stream.write_all(request).unwrap();
        let mut packet = [0; 4096];
        let length = stream.read(&mut packet).unwrap();
        let packet = String::from_utf8_lossy(&packet[..length]);
        let (head, body) = packet.split_once("\r\n\r\n").expect("a whole head");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(
            body.ends_with('}'),
            "response {number} has this much of its body with its head: {body:?}"
        );
    }
}

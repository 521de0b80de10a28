//! A stand-in for an OpenAI embeddings server, with its faults.

mod dense;
mod server;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub use dense::{DENSE_DIMENSIONS, DENSE_MODEL, vector_of};
use server::too_many_for_tei;
pub use server::{SERVERS, Server};

/// Response to a request. A request is answered with 400 unless its input is a text or an array of
/// texts, as in OpenAI's API.
#[derive(Clone, Debug)]
pub enum Reply {
    /// [`vector_of`] each text in this many dimensions, in base64.
    Base64(usize),
    /// The same in decimals, whatever the request asks for.
    Decimals(usize),
    /// The response of another server.
    As(Server),
    /// Responds normally to at most this many texts; else as text-embeddings-inference.
    Bounded(usize),
    /// Refuses requests with a text that contains this; else responds normally.
    Refusing(String),
    /// Responds normally, but with the last text first.
    Shuffled,
    /// Responds normally, but without the last text.
    Incomplete,
    /// A fixed response.
    Answer {
        /// The status.
        status: u16,
        /// Additional headers, a line each.
        headers: String,
        /// The body.
        body: String,
    },
    /// Waits, then responds normally.
    Late(Duration),
    /// Responds normally, but waits before each byte of the body.
    Dribble(Duration),
    /// Closes the connection in the middle of the body.
    Cut,
    /// Reads the request and closes the connection.
    Close,
    /// Reads the request and never responds.
    Silence,
}

impl Reply {
    /// Returns a status with a typical error body.
    pub fn status(status: u16) -> Self {
        Self::status_with(status, "")
    }

    /// The same with additional headers.
    pub fn status_with(status: u16, headers: impl Into<String>) -> Self {
        Self::Answer {
            status,
            headers: headers.into(),
            body: json!({"error": {"message": "made to fail", "type": "test"}}).to_string(),
        }
    }

    /// Returns status 200 with `body`.
    pub fn body(body: impl Into<String>) -> Self {
        Self::Answer {
            status: 200,
            headers: String::new(),
            body: body.into(),
        }
    }

    /// Returns a response with this vector in base64.
    pub fn components(components: &[f32]) -> Self {
        Self::body(list([encode(components)]))
    }
}

/// A received request.
#[derive(Clone, Debug)]
pub struct Received {
    /// The request line and the headers.
    pub head: String,
    /// The body, which must be JSON.
    pub body: Value,
}

impl Received {
    /// Returns the texts to embed; `None` if the input is empty or not of texts.
    pub fn texts(&self) -> Option<Vec<String>> {
        let items = match &self.body["input"] {
            Value::Array(items) => items.as_slice(),
            item => std::slice::from_ref(item),
        };
        let text = |item: &Value| item.as_str().filter(|t| !t.is_empty()).map(str::to_owned);
        let texts: Option<Vec<_>> = items.iter().map(text).collect();
        texts.filter(|texts| !texts.is_empty())
    }

    /// Returns a header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// A stand-in server. Dropping it stops it.
pub struct Embedder {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    is_endless: bool,
    received: Vec<Received>,
}

impl Script {
    fn turn(&mut self, received: Received) -> Reply {
        self.received.push(received);
        let reply = self.replies.front().cloned().expect("a reply");
        if self.is_endless {
            self.replies.rotate_left(1);
        } else if self.replies.len() > 1 {
            self.replies.pop_front();
        }
        reply
    }
}

impl Embedder {
    /// Starts a server on a free loopback port that responds normally.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await.expect("a free port")
    }

    /// Starts a server at `address` that responds normally.
    ///
    /// # Errors
    ///
    /// The address is in use or invalid.
    pub async fn start_at(address: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr().expect("an address");
        let script = Arc::new(Mutex::new(Script::default()));
        let shared = script.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let script = shared.clone();
                // Ignore clients that disconnect.
                tokio::spawn(async move { serve(stream, &script).await });
            }
        });
        let embedder = Self {
            address,
            script,
            task,
        };
        embedder.reply_with([Reply::Base64(1536)]);
        Ok(embedder)
    }

    /// Returns the server's `scheme://host:port`.
    pub fn host(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the base URL of the API.
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.host())
    }

    /// Forgets earlier requests and sets the next replies. The last one repeats.
    pub fn reply_with(&self, replies: impl IntoIterator<Item = Reply>) {
        *lock(&self.script) = Script {
            replies: replies.into_iter().collect(),
            ..Script::default()
        };
    }

    /// Like [`Self::reply_with`], but all replies repeat in turn.
    pub fn reply_in_turn(&self, replies: impl IntoIterator<Item = Reply>) {
        *lock(&self.script) = Script {
            replies: replies.into_iter().collect(),
            is_endless: true,
            received: Vec::new(),
        };
    }

    /// Returns the requests since the replies were last set.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.script).received.clone()
    }
}

impl Drop for Embedder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(stream: TcpStream, script: &Mutex<Script>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let received = read_request(&mut stream).await?;
    let reply = lock(script).turn(received.clone());
    let Some(texts) = received.texts() else {
        stream.write_all(refusal().as_bytes()).await?;
        return stream.shutdown().await;
    };
    let vectors = || texts.iter().map(|text| vector_of(text, DENSE_DIMENSIONS));
    let well = || list(vectors().map(|vector| encode(&vector)));
    let answer = match &reply {
        Reply::Base64(dimensions) => {
            let vectors = texts.iter().map(|text| vector_of(text, *dimensions));
            ok(&list(vectors.map(|vector| encode(&vector))))
        }
        Reply::Decimals(dimensions) => {
            let vectors = texts.iter().map(|text| vector_of(text, *dimensions));
            ok(&list(vectors.map(|vector| json!(vector))))
        }
        Reply::As(server) => server.reply(&received, &texts),
        Reply::Bounded(texts_max) if texts.len() > *texts_max => {
            too_many_for_tei(texts.len(), *texts_max)
        }
        Reply::Refusing(part) if texts.iter().any(|text| text.contains(part)) => refusal(),
        Reply::Bounded(_) | Reply::Refusing(_) => ok(&well()),
        Reply::Shuffled => ok(&edited(&well(), |items| items.reverse())),
        Reply::Incomplete => ok(&edited(&well(), |items| {
            items.pop();
        })),
        Reply::Answer {
            status,
            headers,
            body,
        } => answer(*status, headers, body),
        Reply::Late(pause) => {
            tokio::time::sleep(*pause).await;
            ok(&well())
        }
        Reply::Dribble(_) => ok(&well()),
        Reply::Cut => {
            let whole = ok(&well());
            whole.split_at(whole.len() / 2).0.to_owned()
        }
        Reply::Close => return Ok(()),
        Reply::Silence => {
            // Wait until the client disconnects.
            stream.read_u8().await?;
            return Ok(());
        }
    };
    match reply {
        Reply::Dribble(pause) => dribble(&mut stream, &answer, pause).await?,
        _ => stream.write_all(answer.as_bytes()).await?,
    }
    stream.shutdown().await
}

async fn dribble(
    stream: &mut BufReader<TcpStream>,
    answer: &str,
    pause: Duration,
) -> io::Result<()> {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    stream
        .write_all(format!("{head}\r\n\r\n").as_bytes())
        .await?;
    for byte in body.bytes() {
        tokio::time::sleep(pause).await;
        stream.write_u8(byte).await?;
    }
    Ok(())
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<Received> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut received = Received {
        head,
        body: Value::Null,
    };
    let length = received.header("content-length").unwrap_or("0");
    let mut body = vec![0; length.parse().expect("a length")];
    stream.read_exact(&mut body).await?;
    received.body = serde_json::from_slice(&body).expect("a body of JSON");
    Ok(received)
}

fn ok(body: &str) -> String {
    answer(200, "content-type: application/json\r\n", body)
}

fn answer(status: u16, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Status\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// The normal response: an item per text, numbered.
fn list(embeddings: impl IntoIterator<Item = Value>) -> String {
    let item =
        |(index, embedding)| json!({"object": "embedding", "index": index, "embedding": embedding});
    let data: Vec<_> = embeddings.into_iter().enumerate().map(item).collect();
    json!({
        "object": "list",
        "data": data,
        "model": "whatever the server calls it",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    })
    .to_string()
}

/// A normal response with its items changed.
fn edited(list: &str, edit: impl FnOnce(&mut Vec<Value>)) -> String {
    let mut list: Value = serde_json::from_str(list).expect("a list");
    edit(list["data"].as_array_mut().expect("items"));
    list.to_string()
}

fn refusal() -> String {
    let message = "'$.input' is invalid. Please check the API reference.";
    let body = json!({"error": {
        "message": message, "type": "invalid_request_error", "param": null, "code": null,
    }});
    answer(400, "content-type: application/json\r\n", &body.to_string())
}

fn encode(components: &[f32]) -> Value {
    let bytes: Vec<u8> = components.iter().flat_map(|c| c.to_le_bytes()).collect();
    json!(STANDARD.encode(bytes))
}

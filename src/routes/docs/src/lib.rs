//! `GET /docs`: Swagger UI for the OpenAPI document. The page works without the internet.

use http::Method;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use web::{Access, Answer, Body, Endpoint, Problem, Request};

const ENDPOINT: Endpoint = Endpoint {
    template: "/docs",
    methods: &[Method::GET, Method::HEAD],
    access: Access::OPEN,
    body: Body::Ignored,
};

/// The page loads only from this service. Swagger UI's style sheet embeds small images.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

macro_rules! swagger_ui {
    ($file:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/", $file))
    };
}

#[http_component]
async fn handle(request: IncomingRequest, response: ResponseOutparam) {
    web::serve(&ENDPOINT, request, response, read_docs).await;
}

fn read_docs(request: &Request) -> Result<Answer, Problem> {
    let (content_type, body): (_, &[u8]) = match request.path() {
        "/docs" => (HTML, include_bytes!("page.html")),
        "/docs/initialize.js" => (JAVASCRIPT, include_bytes!("initialize.js")),
        "/docs/swagger-ui-bundle.js" => (JAVASCRIPT, swagger_ui!("swagger-ui-bundle.js")),
        "/docs/swagger-ui.css" => (CSS, swagger_ui!("swagger-ui.css")),
        "/docs/favicon-32x32.png" => ("image/png", swagger_ui!("favicon-32x32.png")),
        "/docs/NOTICE" => (PLAIN, swagger_ui!("NOTICE")),
        _ => return Err(Problem::no_such_path()),
    };
    Ok(Answer::file(content_type, body)
        .with("content-security-policy", CONTENT_SECURITY_POLICY)
        .with("referrer-policy", "no-referrer"))
}

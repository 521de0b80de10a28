//! `POST /api/v1/holds` and `POST /api/v1/holds/{id}/release`: place and release holds;
//! `GET /api/v1/holds` and `GET /api/v1/holds/{id}`: return them.

use http::Method;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use web::{
    Access, Answer, Body, Endpoint, HOLDS_PATH, Problem, RELEASE_SEGMENT, Request, find_hold,
    list_holds, place_hold, release_hold,
};

type Handler = fn(&Request) -> Result<Answer, Problem>;

const LIST: Endpoint = Endpoint {
    template: "/api/v1/holds",
    methods: &[Method::GET, Method::HEAD, Method::POST],
    access: Access::READ,
    body: Body::Ignored,
};

const PLACE: Endpoint = Endpoint {
    access: Access::HOLD,
    body: Body::Json,
    ..LIST
};

const ONE: Endpoint = Endpoint {
    template: "/api/v1/holds/{id}",
    methods: &[Method::GET, Method::HEAD],
    ..LIST
};

const RELEASE: Endpoint = Endpoint {
    template: "/api/v1/holds/{id}/release",
    methods: &[Method::POST],
    ..PLACE
};

const NOTHING: Endpoint = Endpoint {
    template: "/...",
    methods: &[],
    access: Access::OPEN,
    body: Body::Ignored,
};

#[http_component]
async fn handle(request: IncomingRequest, response: ResponseOutparam) {
    let is_post = request.method().to_string() == "POST";
    let (endpoint, answer) = choose(&web::path_of(&request), is_post);
    web::serve(endpoint, request, response, answer).await;
}

fn choose(path: &str, is_post: bool) -> (&'static Endpoint, Handler) {
    let below = path.strip_prefix(HOLDS_PATH).map(|below| below.split('/'));
    // The first segment is what precedes the first slash.
    let segments: Vec<_> = below.into_iter().flatten().skip(1).collect();
    match segments.as_slice() {
        [] if is_post => (&PLACE, place_hold),
        [] => (&LIST, list_holds),
        [_] => (&ONE, find_hold),
        [_, RELEASE_SEGMENT] => (&RELEASE, release_hold),
        _ => (&NOTHING, |_| Err(Problem::no_such_path())),
    }
}

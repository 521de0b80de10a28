//! `GET /log/v1/tile/...`: serves tiles and entries of the log (c2sp.org/tlog-tiles).

use http::Method;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use tlog::TilePath;
use web::{Access, Answer, Body, Endpoint, Problem, ProblemType, Request};

const PREFIX: &str = "/log/v1/tile/";

const ENDPOINT: Endpoint = Endpoint {
    template: "/log/v1/tile/{tile}",
    methods: &[Method::GET, Method::HEAD],
    access: Access::READ,
    body: Body::Ignored,
};

#[http_component]
async fn handle(request: IncomingRequest, response: ResponseOutparam) {
    web::serve(&ENDPOINT, request, response, find_tile).await;
}

fn find_tile(request: &Request) -> Result<Answer, Problem> {
    request.refuse_parameters()?;
    let path = request.path().strip_prefix(PREFIX);
    let path = path.and_then(TilePath::parse).ok_or_else(|| {
        Problem::new(
            ProblemType::NotFound,
            "there is no such tile: a path is tile/LEVEL/INDEX or tile/entries/INDEX, with the \
             index in groups of three digits, and .p/WIDTH if the tile is partial",
        )
    })?;
    // Where the rounds write, so that a tile is there as soon as a checkpoint needs it.
    let tile = web::writer_database()?
        .find_log_tile(&path)?
        .ok_or_else(|| {
            Problem::new(
                ProblemType::NotFound,
                format!("the log does not have the tile {path} yet"),
            )
        })?;
    Ok(Answer::text("application/octet-stream", tile).immutable())
}

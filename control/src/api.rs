//! The local API: HTTP and JSON on `<run-dir>/control.sock`. Only root and our own user may connect; bodies, headers,
//! connections and time are bounded, so that no client can hang the daemon.
use crate::apply::ApplyError;
use crate::driver::{Driver, Source};
use crate::{config, view};
use axum::body::Bytes;
use axum::body::HttpBody;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Headers must be complete by then.
const HEADERS: Duration = Duration::from_secs(2);
/// Then the body must be complete by then.
const BODY: Duration = Duration::from_secs(5);
/// A whole connection: request, work and answer. Applying has its own, shorter limit for each step.
const CONNECTION: Duration = Duration::from_secs(30);
/// Connections at once.
const CONNECTIONS: usize = 32;

/// An error as programs read it.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// [`view::VERSION`].
    pub version: u32,
    /// In words; one line for each problem of a file.
    pub error: String,
}

fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    (status, Json(body)).into_response()
}

fn failure(status: StatusCode, error: impl ToString) -> Response {
    answer(status, &ErrorBody { version: view::VERSION, error: error.to_string() })
}

fn status_of(error: &ApplyError) -> StatusCode {
    match error {
        ApplyError::Faulty(_) => StatusCode::UNPROCESSABLE_ENTITY,
        ApplyError::Away(_) | ApplyError::Link(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::CONFLICT,
    }
}

/// The routes.
pub fn router(driver: Driver) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route(
            "/v1/sa",
            get(|state| region(state, |region| answer(StatusCode::OK, &view::sas(region)))),
        )
        .route("/v1/policy", get(|state| region(state, policies)))
        .route(
            "/v1/counters",
            get(|state| region(state, |region| answer(StatusCode::OK, &view::counters(region)))),
        )
        .route("/v1/interfaces", get(interfaces))
        .route("/v1/events", get(events))
        .route("/v1/apply", post(apply))
        .route("/v1/diff", post(diff))
        .layer(DefaultBodyLimit::disable()) // `whole` has a limit of its own
        .layer(middleware::from_fn(whole))
        .with_state(driver)
}

/// Reads the body to its end, within bounds of size and time, before anything else happens.
async fn whole(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let too_large = || {
        let limit = config::node::SIZE_LIMIT;
        failure(StatusCode::PAYLOAD_TOO_LARGE, format!("the request has more than {limit} octets"))
    };
    if body.size_hint().lower() > config::node::SIZE_LIMIT as u64 {
        return too_large();
    }
    match tokio::time::timeout(BODY, axum::body::to_bytes(body, config::node::SIZE_LIMIT)).await {
        Ok(Ok(octets)) => next.run(Request::from_parts(head, octets.into())).await,
        Ok(Err(_)) => too_large(),
        Err(_) => {
            failure(StatusCode::REQUEST_TIMEOUT, "the request did not come to its end in time")
        }
    }
}

async fn status(State(driver): State<Driver>) -> Response {
    let link = driver.shared.link();
    match driver.shared.region() {
        Some(region) => answer(StatusCode::OK, &view::status(&region, Some(link))),
        None => failure(StatusCode::SERVICE_UNAVAILABLE, away(&driver)),
    }
}

async fn interfaces(State(driver): State<Driver>) -> Response {
    let link = driver.shared.link();
    let view = |r: &sadb::Region| answer(StatusCode::OK, &view::interfaces(r, Some(&link)));
    region(State(driver.clone()), view).await
}

async fn region(
    State(driver): State<Driver>,
    view: impl FnOnce(&sadb::Region) -> Response,
) -> Response {
    match driver.shared.region() {
        Some(region) => view(&region),
        None => failure(StatusCode::SERVICE_UNAVAILABLE, away(&driver)),
    }
}

fn away(driver: &Driver) -> String {
    let why = driver.shared.link().problem.unwrap_or_else(|| "not yet attached".to_owned());
    format!("no data plane was attached since postern-control started: {why}")
}

fn policies(region: &sadb::Region) -> Response {
    match view::policies(region) {
        Ok(policies) => answer(StatusCode::OK, &policies),
        Err(corrupt) => failure(StatusCode::INTERNAL_SERVER_ERROR, corrupt),
    }
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn events(State(driver): State<Driver>, Query(After { after }): Query<After>) -> Response {
    let events = driver.shared.log.lock().map(|log| log.after(after)).unwrap_or_default();
    answer(StatusCode::OK, &serde_json::json!({ "version": view::VERSION, "events": events }))
}

#[derive(Deserialize)]
struct DryRun {
    #[serde(default)]
    dry_run: bool,
}

async fn apply(
    State(driver): State<Driver>,
    Query(DryRun { dry_run }): Query<DryRun>,
    body: Bytes,
) -> Response {
    change(&driver, body, dry_run).await
}

async fn diff(State(driver): State<Driver>, body: Bytes) -> Response {
    change(&driver, body, true).await
}

/// An empty body means the file that control was started with.
async fn change(driver: &Driver, body: Bytes, dry_run: bool) -> Response {
    let source = match std::str::from_utf8(&body) {
        Ok("") => Source::File,
        Ok(text) => Source::Text(Zeroizing::new(text.to_owned())),
        Err(error) => {
            return failure(StatusCode::UNPROCESSABLE_ENTITY, format!("not UTF-8: {error}"));
        }
    };
    match driver.apply(source, dry_run).await {
        Ok(outcome) => answer(StatusCode::OK, &outcome),
        Err(error) => failure(status_of(&error), error),
    }
}

/// Listens at `path` with mode 0600, in place of a socket that nobody listens on. Whoever calls holds the lock that says
/// that there is no other control.
///
/// # Errors
/// Of the system calls.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves until it is dropped.
pub async fn serve(listener: UnixListener, driver: Driver) {
    let router = router(driver);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) if welcome(&stream) => {
                let router = router.clone();
                tokio::spawn(async move {
                    let _permit = permit;
                    let _ = tokio::time::timeout(CONNECTION, connection(stream, router)).await;
                });
            }
            Ok(_) => {
                tracing::warn!("a connection of another user to the control socket was refused")
            }
            // Out of descriptors, most likely: others must end first.
            Err(error) => {
                tracing::warn!("accept on the control socket: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Root and our own user.
fn welcome(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}

async fn connection(stream: UnixStream, router: Router) {
    let service = TowerToHyperService::new(router);
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .keep_alive(false)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!("control socket: {error}");
    }
}

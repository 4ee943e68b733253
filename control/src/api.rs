//! The local API: HTTP and JSON on `<run-dir>/control.sock`. Only root and our own user may connect; bodies, headers,
//! connections and time are bounded, so that no client can hang the daemon.
use crate::apply::ApplyError;
use crate::driver::{Driver, Source};
use crate::events::{EventView, News};
use crate::keying::{Word, export};
use crate::{config, keying, view};
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
use ike::action::{Order, Rekey};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Headers must be complete by then.
const HEADERS: Duration = Duration::from_secs(2);
/// Then the body must be complete by then.
const BODY: Duration = Duration::from_secs(5);
/// A whole connection: request, work and answer. Applying has its own, shorter limit for each step.
const CONNECTION: Duration = Duration::from_secs(30);
/// How long somebody may wait for an event.
const WAIT: Duration = Duration::from_secs(20);
/// Between two looks for an event.
const LOOK: Duration = Duration::from_millis(50);
/// How long the thread that speaks IKE may take to answer.
const ASK: Duration = Duration::from_secs(2);
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
        .route("/v1/ike", get(ike))
        .route("/v1/why", get(why))
        .route("/v1/keys", get(keys))
        .route("/v1/up", post(up))
        .route("/v1/down", post(down))
        .route("/v1/rekey", post(rekey))
        .route("/v1/log", post(level))
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
    /// Seconds to wait for one when there is none.
    #[serde(default)]
    wait: u64,
}

/// Events behind a number.
#[derive(Debug, Serialize, Deserialize)]
pub struct Events {
    /// [`view::VERSION`].
    pub version: u32,
    /// The oldest first.
    pub events: Vec<EventView>,
    /// Events before the first of these that the asker missed: they are not kept any more.
    #[serde(default)]
    pub lost: u64,
}

async fn events(
    State(driver): State<Driver>,
    Query(After { after, wait }): Query<After>,
) -> Response {
    let until = Instant::now() + Duration::from_secs(wait).min(WAIT);
    loop {
        let news = driver.shared.log.lock().map(|log| log.after(after)).unwrap_or_default();
        let News { events, lost } = news;
        if !events.is_empty() || Instant::now() >= until {
            return answer(StatusCode::OK, &Events { version: view::VERSION, events, lost });
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn ike(State(driver): State<Driver>) -> Response {
    let look = driver.speaker.look(|engine, now| (engine.status(), now, engine.half_open()));
    match tokio::time::timeout(ASK, look).await {
        Ok(Some((status, now, half_open))) => {
            answer(StatusCode::OK, &keying::view::view(&status, now, half_open, &driver.shared))
        }
        _ => silent(),
    }
}

fn silent() -> Response {
    failure(StatusCode::SERVICE_UNAVAILABLE, "the thread that speaks IKE does not answer")
}

#[derive(Deserialize)]
struct Of {
    of: String,
}

/// The last failure of a connection, or with an address.
async fn why(State(driver): State<Driver>, Query(Of { of }): Query<Of>) -> Response {
    let name = of.clone();
    let look = driver.speaker.look(move |engine, now| {
        let why = match name.parse() {
            Ok(address) => engine.why_address(address),
            Err(_) => engine.why_connection(&name),
        };
        why.map(|why| keying::view::why(why, now))
    });
    match tokio::time::timeout(ASK, look).await {
        Ok(Some(Some(why))) => answer(StatusCode::OK, &why),
        Ok(Some(None)) => {
            let known =
                of.parse::<std::net::IpAddr>().is_ok() || configured(&driver, &of, None).is_ok();
            match known {
                true => failure(
                    StatusCode::NOT_FOUND,
                    format!("nothing failed with {of} that is remembered"),
                ),
                false => failure(StatusCode::NOT_FOUND, unknown(&driver, &of)),
            }
        }
        _ => silent(),
    }
}

async fn keys(State(driver): State<Driver>) -> Response {
    if !driver.shared.key_export.load(std::sync::atomic::Ordering::Relaxed) {
        let why = "the configuration does not allow it; add ike: {allow_key_export: true} and apply, for tests only. \
                   Keys of SAs that are up already are not kept before that";
        return failure(StatusCode::FORBIDDEN, why);
    }
    tracing::warn!("KEYS ARE EXPORTED: whoever has them can decrypt the traffic of all tunnels");
    let look = driver.speaker.look(|engine, _| engine.keys());
    let Ok(Some(sessions)) = tokio::time::timeout(ASK, look).await else { return silent() };
    let lineages = driver.shared.lineages.lock();
    let esp = || lineages.values().flat_map(|booked| &booked.keys);
    let tables = export::Tables {
        version: view::VERSION,
        ikev2_decryption_table: sessions.iter().filter_map(export::ike_line).collect(),
        esp_sa: esp().filter_map(export::EspKeys::line).collect(),
        esp_sa_4_5: esp().filter_map(export::EspKeys::line_4_5).collect(),
    };
    answer(StatusCode::OK, &tables)
}

#[derive(Deserialize)]
struct Which {
    connection: String,
    child: Option<String>,
    /// `child`, `ike` or `reauth`; only for rekey.
    what: Option<String>,
}

/// Whether it is configured.
fn configured(driver: &Driver, connection: &str, child: Option<&str>) -> Result<(), String> {
    let all = driver.shared.connections.lock().map(|all| all.clone()).unwrap_or_default();
    let Some((_, children)) = all.iter().find(|(name, _)| name == connection) else {
        return Err(unknown(driver, connection));
    };
    match child {
        Some(child) if !children.iter().any(|(name, _)| name == child) => {
            let names: Vec<_> = children.iter().map(|(name, _)| name.as_str()).collect();
            let near = config::problem::suggestion(child, &names);
            Err(format!("{connection} has no child {child}; {near}"))
        }
        _ => Ok(()),
    }
}

fn unknown(driver: &Driver, connection: &str) -> String {
    let all = driver.shared.connections.lock().map(|all| all.clone()).unwrap_or_default();
    let names: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
    let near = config::problem::suggestion(connection, &names);
    format!("no connection {connection} is negotiated; {near}")
}

/// What was ordered, and behind which event its outcome will stand.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ordered {
    /// [`view::VERSION`].
    pub version: u32,
    /// The newest event before the order.
    pub after: u64,
}

fn ordered(driver: &Driver, which: &Which, order: Order) -> Response {
    if let Err(why) = configured(driver, &which.connection, which.child.as_deref()) {
        return failure(StatusCode::NOT_FOUND, why);
    }
    let after = driver.shared.log.lock().map(|log| log.last()).unwrap_or_default();
    driver.speaker.order(order);
    answer(StatusCode::OK, &Ordered { version: view::VERSION, after })
}

async fn up(State(driver): State<Driver>, Query(which): Query<Which>) -> Response {
    let (connection, child) = named(&which);
    ordered(&driver, &which, Order::Up { connection, child })
}

async fn down(State(driver): State<Driver>, Query(which): Query<Which>) -> Response {
    let (connection, child) = named(&which);
    ordered(&driver, &which, Order::Down { connection, child })
}

async fn rekey(State(driver): State<Driver>, Query(which): Query<Which>) -> Response {
    let (connection, child) = named(&which);
    let what = match which.what.as_deref() {
        Some("ike") => Rekey::Ike,
        Some("reauth") => Rekey::Reauthenticate,
        _ => Rekey::Child(child),
    };
    ordered(&driver, &which, Order::Rekey { connection, what })
}

fn named(which: &Which) -> (Arc<str>, Option<Arc<str>>) {
    (Arc::from(which.connection.as_str()), which.child.as_deref().map(Arc::from))
}

#[derive(Deserialize)]
struct LevelOf {
    peer: String,
    level: String,
}

async fn level(
    State(driver): State<Driver>,
    Query(LevelOf { peer, level }): Query<LevelOf>,
) -> Response {
    if peer.parse::<std::net::IpAddr>().is_err()
        && let Err(why) = configured(&driver, &peer, None)
    {
        return failure(StatusCode::NOT_FOUND, why);
    }
    match level.parse() {
        Ok(level) => {
            driver.speaker.say(Word::Level(peer, level));
            answer(StatusCode::OK, &serde_json::json!({ "version": view::VERSION }))
        }
        Err(why) => failure(StatusCode::UNPROCESSABLE_ENTITY, why),
    }
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

//! A client of control's socket, for the CLI: one request, one answer, a deadline.
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::path::Path;
use std::time::Duration;

/// Answers are cut off beyond this, in octets.
const ANSWER_LIMIT: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("postern-control is not running (no answer at {0})")]
    Absent(String),
    /// It listens and does not answer.
    #[error("postern-control does not respond within {0} s")]
    Silent(u64),
    /// The conversation broke.
    #[error("postern-control: {0}")]
    Broken(String),
}

/// Sends `method path` and returns status code and body.
///
/// # Errors
/// [`ClientError`].
pub fn request(
    socket: &Path,
    method: &str,
    path: &str,
    body: &[u8],
    patience: Duration,
) -> Result<(u16, Vec<u8>), ClientError> {
    let broken = |error: &dyn std::fmt::Display| ClientError::Broken(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| broken(&e))?;
    let conversation = converse(socket, method, path, Bytes::copy_from_slice(body));
    runtime.block_on(async {
        let silent = |_| Err(ClientError::Silent(patience.as_secs()));
        tokio::time::timeout(patience, conversation).await.unwrap_or_else(silent)
    })
}

async fn converse(
    socket: &Path,
    method: &str,
    path: &str,
    body: Bytes,
) -> Result<(u16, Vec<u8>), ClientError> {
    let broken = |error: &dyn std::fmt::Display| ClientError::Broken(error.to_string());
    let absent = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            broken(&format!("{}: {error}; are you root?", socket.display()))
        }
        _ => ClientError::Absent(socket.display().to_string()),
    };
    let stream = tokio::net::UnixStream::connect(socket).await.map_err(absent)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| broken(&e))?;
    let request = Request::builder().method(method).uri(path).header("host", "control");
    let request = request.body(Full::new(body)).map_err(|e| broken(&e))?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(|e| broken(&e))?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER_LIMIT).collect().await;
        Ok((status, body.map_err(|e| broken(&e))?.to_bytes().to_vec()))
    };
    tokio::pin!(connection);
    tokio::pin!(exchange);
    tokio::select! {
        result = &mut exchange => result,
        // The answer may be there already although the connection is at its end.
        result = &mut connection => match result {
            Ok(()) => exchange.await,
            Err(error) => Err(broken(&error)),
        },
    }
}

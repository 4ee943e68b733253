//! The two programs as they are run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
mod played;

use played::{Played, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const BASE: &str = include_str!("broken/base.yaml");

/// postern-control; ended when dropped.
struct Control(Child);
impl Control {
    fn start(directory: &Path) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_postern-control"))
            .args(["--run-dir".as_ref(), directory.as_os_str()])
            .args(["--config".as_ref(), directory.join("postern.yaml").as_os_str()])
            .args(["--state".as_ref(), directory.join("state").as_os_str()])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}
impl Drop for Control {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
        self.signal(Signal::TERM);
        let _ = self.0.wait();
    }
}

fn postern(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_postern"))
        .arg("--run-dir")
        .arg(directory)
        .args(arguments)
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    let shown = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {shown}"))
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

struct World {
    control: Control,
    played: Option<Played>,
    directory: tempfile::TempDir,
}

fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("postern.yaml"), BASE).unwrap();
    let played = Played::start(directory.path());
    let control = Control::start(directory.path());
    let region = played.region();
    let complete = || region.sas().count() == 4 && region.policies().unwrap().1.len() == 4;
    wait_for("four SAs", || complete().then_some(()));
    World { control, played: Some(played), directory }
}

#[test]
fn status_answers_while_control_is_stopped() {
    let World { control, played, directory } = world();
    let status = json(&postern(directory.path(), &["status", "-o", "json"]));
    assert_eq!((&status["version"], &status["control"]["alive"]), (&1.into(), &true.into()));
    control.signal(Signal::STOP);
    let silent = wait_for("silence", || {
        let output = postern(directory.path(), &["status"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        // Nothing on stderr: it was read from shared memory, and control was not asked.
        assert_eq!(text(&output.stderr), "");
        Some(text(&output.stdout))
            .filter(|shown| shown.contains("control: not responding (last seen"))
    });
    assert!(silent.contains("site-b/net") && silent.contains("data plane: running"), "{silent}");
    drop(played);
}

#[test]
fn every_view_has_its_json_and_its_table() {
    let World { control: _control, played, directory } = world();
    let of = |what| json(&postern(directory.path(), &[what, "-o", "json"]));
    let sas = of("sa");
    let mut spis: Vec<_> =
        sas["sas"].as_array().unwrap().iter().map(|sa| sa["spi"].as_u64().unwrap()).collect();
    spis.sort();
    assert_eq!(spis, [0x1001, 0x1002, 0x2001, 0x2002]);
    assert_eq!(of("policy")["policies"][0]["protocol"], "UDP");
    assert_eq!(of("counters")["drops"]["bad_icv"], 0);
    assert!(of("interfaces")["interfaces"].is_array());
    let views = [
        ("status", "site-b/net"),
        ("sa", "0x00001001"),
        ("policy", "fd02::/48"),
        ("counters", "no packet was dropped"),
        ("interfaces", "XDP"),
    ];
    for (what, word) in views {
        assert_eq!(of(what)["version"], 1, "{what}");
        let table = text(&postern(directory.path(), &[what]).stdout);
        assert!(table.contains(word), "{table}");
        assert!(!table.contains("01010101"), "a key is shown by {what}");
    }
    // The data plane goes: control still knows.
    drop(played);
    let output = postern(directory.path(), &["sa", "-o", "json"]);
    assert_eq!(json(&output)["sas"].as_array().unwrap().len(), 4);
}

#[test]
fn apply_and_diff_say_what_they_do() {
    let World { control, played, directory } = world();
    let played = played.unwrap();
    let file = directory.path().join("postern.yaml");
    std::fs::write(&file, BASE.replace("hard_bytes: 2000", "hard_bytes: 3000")).unwrap();
    let diff = postern(directory.path(), &["diff"]);
    let shown = text(&diff.stdout);
    assert!(
        shown.contains("update site-b/net inbound SPI 0x1001: lifetime"),
        "{shown}{}",
        text(&diff.stderr)
    );
    let applied = json(&postern(directory.path(), &["apply", "-o", "json"]));
    assert_eq!((&applied["applied"], &applied["unchanged"]), (&true.into(), &2.into()));
    // A broken file is refused with its faults, and by SIGHUP too.
    std::fs::write(&file, BASE.replace("remote_ts: [10.2", "remotets: [10.2")).unwrap();
    let before: Vec<_> = played.region().sas().collect();
    let refused = postern(directory.path(), &["apply"]);
    assert_eq!(refused.status.code(), Some(3));
    let said = text(&refused.stderr);
    assert!(
        said.contains("postern.yaml:16:9: 'remotets'")
            && said.contains("did you mean \"remote_ts\"?"),
        "{said}"
    );
    control.signal(Signal::HUP);
    let check = postern(directory.path(), &["check", "-c", file.to_str().unwrap()]);
    assert_eq!((check.status.code(), check.stdout.len()), (Some(3), 0));
    // Control answers after the signal, so it was looked at.
    wait_for("control", || {
        postern(directory.path(), &["diff"]).status.code().filter(|&code| code == 3)
    });
    assert_eq!(played.region().sas().collect::<Vec<_>>(), before);
    // SIGHUP with a whole file applies it.
    std::fs::write(&file, BASE.replace("ecn: true", "ecn: false")).unwrap();
    control.signal(Signal::HUP);
    wait_for("the change", || {
        (played.region().sas().filter(|status| !status.sa.ecn).count() == 2).then_some(())
    });
}

#[test]
fn legacy_algorithms_are_told_of_wherever_one_looks() {
    let World { control: _control, played: _played, directory } = world();
    let file = directory.path().join("postern.yaml");
    let legacy = BASE
        .replace("remote: 192.0.2.3", "remote: 192.0.2.3\n    legacy: true")
        .replace("ENCR_AES_CBC_128/AUTH_HMAC_SHA2_256_128", "ENCR_IDEA/AUTH_HMAC_SHA2_256_128");
    std::fs::write(&file, &legacy).unwrap();
    let path = file.to_str().unwrap();
    let check = text(&postern(directory.path(), &["check", "-c", path]).stdout);
    let warning =
        "postern.yaml:37:16: warning: 'ENCR_IDEA/AUTH_HMAC_SHA2_256_128': ENCR_IDEA is legacy: ";
    assert!(check.contains(warning) && check.contains("because line 31 says so"), "{check}");
    assert!(check.trim_end().ends_with("2 tunnels, 4 policy entries, 1 warning"), "{check}");
    let check = json(&postern(directory.path(), &["check", "-c", path, "-o", "json"]));
    assert_eq!((&check["ok"], &check["warnings"][0]["line"]), (&true.into(), &37.into()));

    let applied = text(&postern(directory.path(), &["apply"]).stdout);
    assert!(applied.contains(warning), "{applied}");
    let status = json(&postern(directory.path(), &["status", "-o", "json"]));
    let of = |name: &str| {
        let tunnels = status["tunnels"].as_array().unwrap();
        tunnels.iter().find(|tunnel| tunnel["name"] == name).unwrap()["legacy"].clone()
    };
    assert_eq!((of("site-b/net"), of("site-c/net")), (false.into(), true.into()));
    assert_eq!(status["legacy"], 1);
    let status = text(&postern(directory.path(), &["status"]).stdout);
    assert!(
        status.contains("LEGACY algorithms, which can be broken, protect site-c/net"),
        "{status}"
    );
    assert!(status.contains("ENCR_IDEA/AUTH_HMAC_SHA2_256_128 (LEGACY)"), "{status}");
    let sas = json(&postern(directory.path(), &["sa", "-o", "json"]));
    let marked = sas["sas"].as_array().unwrap().iter().filter(|sa| sa["legacy"] == true);
    assert_eq!(marked.count(), 2);
    assert!(text(&postern(directory.path(), &["sa"]).stdout).matches("(LEGACY)").count() == 2);

    // Asked for and not used: also said.
    std::fs::write(&file, BASE.replace("remote: 192.0.2.3", "remote: 192.0.2.3\n    legacy: true"))
        .unwrap();
    let check = text(&postern(directory.path(), &["check", "-c", path]).stdout);
    assert!(
        check.contains("31:13: warning: 'true': nothing in this connection is legacy"),
        "{check}"
    );
}

#[test]
fn nobody_at_home_is_exit_code_4() {
    let directory = tempfile::tempdir().unwrap();
    for command in ["status", "sa", "diff", "apply"] {
        let output = postern(directory.path(), &[command]);
        assert_eq!(output.status.code(), Some(4), "{command}");
        assert!(
            text(&output.stderr).contains("postern-control is not running"),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn a_slow_client_is_dropped_and_hinders_nobody() {
    let World { control: _control, played: _played, directory } = world();
    let socket = directory.path().join("control.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let mut slow: Vec<_> = (0..8).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    slow.iter_mut()
        .for_each(|stream| stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost").unwrap());
    assert_eq!(postern(directory.path(), &["diff"]).status.code(), Some(0));
    // Ends by itself: control closes it.
    let mut rest = Vec::new();
    slow[0].read_to_end(&mut rest).unwrap();
    // More than is allowed is refused, not read to the end.
    let mut large = UnixStream::connect(&socket).unwrap();
    let head =
        format!("POST /v1/apply HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", 1_u64 << 40);
    large.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    large.read_exact(&mut answer).unwrap();
    assert_eq!(text(&answer), "HTTP/1.1 413");
}

#[test]
fn a_second_control_is_refused() {
    let World { control: _control, played: _played, directory } = world();
    let mut second = Control::start(directory.path());
    assert!(!second.0.wait().unwrap().success());
    std::mem::forget(second);
    assert_eq!(postern(directory.path(), &["diff"]).status.code(), Some(0));
}

//! What `postern` asks of control about negotiated connections, and how it shows the answers, in words and as JSON. Control is
//! played here, so that each answer is as a test wants it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
use control::keying::view::{ChildSa, Configured, IkeSa, IkeView};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

type Answer = Box<dyn FnMut(&str) -> (u16, Value) + Send>;

/// A control that answers as it is told to, and remembers what it was asked.
struct World {
    directory: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

impl World {
    fn new(answer: impl FnMut(&str) -> (u16, Value) + Send + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("control.sock")).unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (heard, mut answer): (_, Answer) = (Arc::clone(&asked), Box::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &heard, &mut answer);
            }
        });
        Self { directory, asked }
    }
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
        command.arg("--run-dir").arg(self.directory.path()).args(arguments);
        command
    }
    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
    /// What is shown when all goes well.
    #[track_caller]
    fn shows(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout).trim_end().to_owned()
    }
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let shown = self.shows(&[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"))
    }
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn serve(stream: UnixStream, heard: &Mutex<Vec<String>>, answer: &mut Answer) {
    let mut lines = BufReader::new(&stream).lines();
    let Some(Ok(first)) = lines.next() else { return };
    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
    let asked = first.trim_end_matches(" HTTP/1.1").to_owned();
    let (status, body) = answer(&asked);
    heard.lock().unwrap().push(asked);
    let body = body.to_string();
    let _ = write!(
        &stream,
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
}

fn ordered() -> (u16, Value) {
    (200, json!({ "version": 1, "after": 7 }))
}
fn events(events: Value, lost: u64) -> (u16, Value) {
    (200, json!({ "version": 1, "events": events, "lost": lost }))
}
fn event(number: u64, kind: &str, connection: &str) -> Value {
    json!({ "number": number, "time": 3_723, "kind": kind, "text": format!("{connection}: {kind}"), "connection": connection })
}

/// A connection `site` with a child `net` in this state.
fn ike(child: &str) -> Value {
    let net = ChildSa {
        name: "net".to_owned(),
        state: child.to_owned(),
        suite: "ENCR_AES_GCM_16_256/ESN".to_owned(),
        covered: "10.1.0.0/16 ↔ 10.2.0.0/16".to_owned(),
        ..ChildSa::default()
    };
    let sa = IkeSa {
        connection: "site".to_owned(),
        state: "established".to_owned(),
        identity: Some("b.example.com".to_owned()),
        local_proof: Some("psk".to_owned()),
        remote_proof: Some("psk".to_owned()),
        children: vec![net],
        ..IkeSa::default()
    };
    let site = Configured {
        name: "site".to_owned(),
        state: "up".to_owned(),
        children: vec!["net".to_owned()],
    };
    let view =
        IkeView { version: 1, connections: vec![site], ike_sas: vec![sa], ..IkeView::default() };
    serde_json::to_value(view).unwrap()
}

fn why() -> Value {
    json!({
        "version": 1, "ago": 65, "connection": "site", "child": null, "peer": "192.0.2.2:500", "identity": null,
        "stage": "IKE_AUTH", "reason": "no proposal in common", "offered": [], "candidates": [], "check": null,
        "fix": "connections.site.proposals: [X]", "text": "site, 192.0.2.2:500: no proposal in common"
    })
}

#[test]
fn orders_name_the_connection_and_its_child() {
    let world = World::new(|_| ordered());
    for (arguments, asked, shown) in [
        (&["down", "site"][..], "POST /v1/down?connection=site", "down site: ordered"),
        (
            &["down", "site/net"],
            "POST /v1/down?connection=site&child=net",
            "down site/net: ordered",
        ),
        (&["rekey", "site"], "POST /v1/rekey?connection=site&what=child", "rekey site: ordered"),
        (
            &["rekey", "site", "--ike"],
            "POST /v1/rekey?connection=site&what=ike",
            "rekey site: ordered",
        ),
        (
            &["rekey", "site", "--reauth"],
            "POST /v1/rekey?connection=site&what=reauth",
            "rekey site: ordered",
        ),
        (
            &["up", "a b/ü", "--wait", "0"],
            "POST /v1/up?connection=a%20b&child=%C3%BC",
            "up a b/ü: ordered",
        ),
    ] {
        assert_eq!(
            (world.shows(arguments).as_str(), world.asked()),
            (shown, vec![asked.to_owned()])
        );
        assert_eq!(world.json(arguments), json!({ "version": 1, "after": 7 }));
        world.asked();
    }
}

#[test]
fn what_control_refuses_is_told_with_its_exit_code() {
    for (status, code) in [(404, 1), (422, 3), (503, 4)] {
        let world = World::new(move |_| {
            (status, json!({ "version": 1, "error": "there is no connection nowhere" }))
        });
        for arguments in [
            &["up", "nowhere"][..],
            &["down", "nowhere"],
            &["rekey", "nowhere"],
            &["why", "nowhere"],
            &["keys", "export"],
            &["events"],
        ] {
            let output = world.run(arguments);
            assert_eq!(output.status.code(), Some(code), "{arguments:?}");
            assert!(text(&output.stderr).contains("there is no connection nowhere"));
            assert!(output.stdout.is_empty(), "{arguments:?}");
        }
    }
    let nobody = tempfile::tempdir().unwrap();
    let mut postern = Command::new(env!("CARGO_BIN_EXE_postern"));
    let output = postern.arg("--run-dir").arg(nobody.path()).args(["down", "site"]).output();
    assert_eq!(output.unwrap().status.code(), Some(4));
}

/// `up` waits until the children are installed both ways.
#[test]
fn up_waits_until_it_is_up() {
    let of = || {
        let mut looks = 0;
        World::new(move |asked| match asked {
            "GET /v1/ike" => {
                looks += 1;
                (200, ike(if looks < 3 { "inbound only" } else { "installed" }))
            }
            events_asked if events_asked.starts_with("GET /v1/events") => events(json!([]), 0),
            _ => ordered(),
        })
    };
    let world = of();
    assert_eq!(world.shows(&["up", "site/net"]), "site/net is up");
    let news = "GET /v1/events?after=7&wait=1".to_owned();
    let look = "GET /v1/ike".to_owned();
    let order = "POST /v1/up?connection=site&child=net".to_owned();
    assert_eq!(world.asked(), [order, look.clone(), news.clone(), look.clone(), news, look]);
    assert_eq!(of().json(&["up", "site"]), json!({ "version": 1, "up": true }));
}

#[test]
fn up_says_why_not() {
    let world = World::new(|asked| match asked.split('?').next().unwrap() {
        "GET /v1/ike" => (200, ike("closing")),
        "GET /v1/events" => {
            events(json!([event(8, "failed", "another"), event(9, "failed", "site")]), 0)
        }
        "GET /v1/why" => (200, why()),
        _ => ordered(),
    });
    let output = world.run(&["up", "site"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no proposal in common"), "{}", text(&output.stderr));
    assert_eq!(world.asked().last().unwrap(), "GET /v1/why?of=site");
}

#[test]
fn why_is_prose_and_structure() {
    let world = World::new(|_| (200, why()));
    let shown = world.shows(&["why", "site"]);
    assert!(shown.ends_with("ago: site, 192.0.2.2:500: no proposal in common"), "{shown}");
    assert_eq!(world.json(&["why", "192.0.2.2"]), why());
    assert_eq!(world.asked().last().unwrap(), "GET /v1/why?of=192.0.2.2");
}

#[test]
fn events_are_lines_and_can_be_of_one_connection() {
    let both = || json!([event(1, "ike-up", "site"), event(2, "ike-down", "other")]);
    let world = World::new(move |_| events(both(), 0));
    let shown = world.shows(&["events"]);
    assert_eq!(shown, "01:02:03 UTC ike-up: site: ike-up\n01:02:03 UTC ike-down: other: ike-down");
    assert_eq!(world.shows(&["events", "--of", "other"]).lines().count(), 1);
    let only = world.json(&["events", "--of", "site"]);
    assert_eq!((only["events"].as_array().unwrap().len(), &only["version"]), (1, &1.into()));
}

/// A child process; ended when dropped.
struct Following(Child);
impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn followed(more: &[&str]) -> Vec<String> {
    let mut turn = 0;
    let world = World::new(move |_| {
        turn += 1;
        match turn {
            1 => events(json!([event(1, "ike-up", "site")]), 0),
            2 => events(json!([event(45, "ike-down", "site")]), 43),
            _ => events(json!([]), 0),
        }
    });
    let arguments = [&["events", "--follow"], more].concat();
    let child = world.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut child = Following(child);
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines().take(3);
    let lines = lines.map(Result::unwrap).collect();
    let asked = world.asked();
    assert_eq!(asked[..2], ["GET /v1/events?after=0&wait=0", "GET /v1/events?after=1&wait=10"]);
    lines
}

#[test]
fn whoever_follows_is_told_what_was_lost() {
    let lines = followed(&[]);
    assert_eq!(lines[1], "43 events lost: they came faster than they were read");
    assert!(lines[2].ends_with("ike-down: site: ike-down"), "{lines:?}");
    let lines = followed(&["-o", "json"]);
    let lost: Value = serde_json::from_str(&lines[1]).unwrap();
    assert_eq!(lost, json!({ "kind": "lost", "lost": 43 }));
}

#[test]
fn keys_are_written_for_their_owner_alone() {
    let tables = || {
        json!({
            "version": 1, "ikev2_decryption_table": ["a,b"], "esp_sa": ["\"IPv4\""], "esp_sa_4_5": ["\"IPv4\",\"64-bit\""]
        })
    };
    let world = World::new(move |_| (200, tables()));
    let output = world.run(&["keys", "export"]);
    assert!(text(&output.stderr).contains("WARNING: these keys decrypt all traffic"));
    assert_eq!(text(&output.stdout), "# ikev2_decryption_table\na,b\n# esp_sa\n\"IPv4\"\n");
    assert_eq!(world.json(&["keys", "export"]), tables());
    let to = tempfile::tempdir().unwrap();
    let path = to.path().to_str().unwrap();
    for (more, want) in [(&[][..], "\"IPv4\"\n"), (&["--wireshark-4-5"], "\"IPv4\",\"64-bit\"\n")] {
        world.shows(&[&["keys", "export", "--to", path], more].concat());
        let file = |name: &str| Path::new(path).join(name);
        assert_eq!(std::fs::read_to_string(file("esp_sa")).unwrap(), want);
        let mode = |name| std::fs::metadata(file(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("esp_sa"), mode("ikev2_decryption_table")), (0o600, 0o600));
    }
}

/// Without a data plane control says what it knows; negotiated connections stand beneath.
#[test]
fn status_shows_connections_and_their_sas() {
    let base = include_str!("broken/base.yaml");
    let config = control::config::parse(base, "f", Path::new("/nonexistent")).unwrap();
    let region = sadb::Region::on_heap(&config.setup).unwrap();
    let status = serde_json::to_value(control::view::status(&region, None)).unwrap();
    let world = World::new(move |asked| match asked {
        "GET /v1/ike" => (200, ike("installed")),
        _ => (200, status.clone()),
    });
    let shown = world.shows(&["status"]);
    for part in
        ["site", "b.example.com (psk)", "site/net", "installed", "10.1.0.0/16 ↔ 10.2.0.0/16"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(world.asked(), ["GET /v1/status", "GET /v1/ike"]);
    let status = world.json(&["status"]);
    assert_eq!(status["ike"]["ike_sas"][0]["identity"], "b.example.com");
    assert_eq!(status["ike"]["ike_sas"][0]["children"][0]["state"], "installed");
}

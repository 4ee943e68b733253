//! The program runs and says what it should. Nothing here looks at how long anything took.
#![allow(clippy::unwrap_used, reason = "a test may stop here")]
use serde_json::Value;
use std::process::{Command, Output};

fn perf(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_perf")).args(arguments).output().unwrap()
}

#[test]
fn a_smoke_run_of_the_pipeline_writes_a_whole_result() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result.json");
    let out = path.to_str().unwrap();
    let run = perf(&["bench", "pipeline", "--smoke", "--json", "--out", out, "--note", "smoke"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(run.stdout, std::fs::read(&path).unwrap());
    let result: Value = serde_json::from_slice(&run.stdout).unwrap();
    for key in ["schema", "bench", "date", "command", "source", "machine", "measured", "parameters"]
    {
        assert!(!result[key].is_null(), "{key}");
    }
    assert_eq!(result["note"], "smoke");
    let cases = result["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3 * 7 * 2, "ways, sizes, numbers of SAs");
    for case in cases {
        let each_way = if case["direction"] == "both" { 2 } else { 1 };
        assert_eq!(case["packets"], 2 * 64 * each_way);
        for figure in ["ns_per_packet", "mpps", "gbit_per_s"] {
            assert!(case[figure]["median"].as_f64().unwrap() > 0.0, "{case}");
        }
        assert_eq!(case["batch_latency_ns"]["batches"], 2);
    }
}

#[test]
fn the_table_has_a_line_for_each_case() {
    let some = [
        "--smoke",
        "--direction",
        "encrypt",
        "--sizes",
        "64,imix",
        "--suite",
        "ENCR_NULL/AUTH_HMAC_SHA1_96",
    ];
    let run = perf(&[&["bench", "pipeline"], &some[..]].concat());
    let text = String::from_utf8(run.stdout).unwrap();
    let lines = text.lines().filter(|line| line.contains("ENCR_NULL/AUTH_HMAC_SHA1_96"));
    assert_eq!(lines.count(), 4, "{text}");
}

#[test]
fn what_cannot_be_measured_is_refused_with_the_reason() {
    for (arguments, reason) in [
        (["--sizes", "27"], "from 28 to 1420"),
        (["--sizes", "1500"], "from 28 to 1420"),
        (["--suite", "ENCR_ROT13"], "ENCR_AES_GCM_16_128"),
        (["--sas", "0"], "0 is not in"),
        (["--rounds", "0"], "above 0"),
        (["--out", "/no/such/folder/result.json"], "/no/such/folder/result.json"),
    ] {
        let run = perf(&[&["bench", "pipeline", "--smoke"], &arguments[..]].concat());
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(!run.status.success() && said.contains(reason), "{arguments:?}: {said}");
    }
}

//! The program runs and says what it should. Nothing here looks at how long anything took.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop here")]
use serde_json::Value;
use std::process::{Command, Output};

fn perf(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_perf")).args(arguments).output().unwrap()
}

/// Figures hang on these.
fn has_a_head(result: &Value, bench: &str) {
    for key in ["schema", "date", "command", "source", "machine", "measured"] {
        assert!(!result[key].is_null(), "{key}");
    }
    assert_eq!(result["bench"], bench);
    assert!(result["machine"]["tsc_mhz"].as_f64().unwrap() > 0.0);
}

fn json(run: &Output) -> Value {
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    serde_json::from_slice(&run.stdout).unwrap()
}

#[test]
fn a_smoke_run_of_crypto_verifies_and_times_every_contender() {
    let result = json(&perf(&["bench", "crypto", "--quick", "--smoke", "--json"]));
    has_a_head(&result, "crypto");
    let cases = result["cases"].as_array().unwrap();
    let of = |suite: &str, scenario: &str, size: &str, direction: &str| -> Vec<String> {
        let wanted = [suite, scenario, size, direction];
        let is = |case: &&Value| {
            ["suite", "scenario", "size", "direction"].map(|key| case[key].as_str().unwrap())
                == wanted
        };
        let names = cases.iter().filter(is).map(|case| case["contender"].as_str().unwrap());
        names.map(str::to_owned).collect()
    };
    for (suite, rivals) in [
        ("ENCR_AES_GCM_16_128", &["portable", "ring", "aws-lc-rs", "RustCrypto"][..]),
        ("ENCR_AES_CBC_128/AUTH_HMAC_SHA1_96", &["portable", "aws-lc-sys", "RustCrypto"]),
        ("ENCR_CHACHA20_POLY1305", &["portable", "ring", "aws-lc-rs", "RustCrypto"]),
    ] {
        for (scenario, size) in [("hot", "64"), ("1024x1024", "IMIX")] {
            for direction in ["seal", "open"] {
                let names = of(suite, scenario, size, direction);
                let missing = rivals.iter().find(|rival| !names.iter().any(|name| name == *rival));
                assert_eq!(missing, None, "{suite} {scenario} {size} {direction}: {names:?}");
            }
        }
    }
    for case in cases {
        assert!(case["cycles_per_packet"]["median"].as_f64().unwrap() > 0.0, "{case}");
        assert!(case["times_of"]["portable"].as_f64().unwrap() > 0.0, "{case}");
    }
    for library in result["libraries"].as_array().unwrap() {
        assert!(!library["version"].as_str().unwrap().is_empty());
    }
    assert!(!result["targets"].as_array().unwrap().is_empty());
}

#[test]
fn every_suite_of_ours_is_measured_when_asked_for_all() {
    let all = ["--suite", "all", "--scenario", "hot", "--sizes", "64"];
    let result =
        json(&perf(&[&["bench", "crypto", "--smoke", "--no-rivals", "--json"], &all[..]].concat()));
    let cases = result["cases"].as_array().unwrap();
    for suite in crypto::Suite::all() {
        assert!(cases.iter().any(|case| case["suite"] == suite.name()), "{suite}");
    }
    assert!(cases.iter().all(|case| case["ours"] == true));
}

#[test]
fn instructions_are_the_same_in_every_run() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        let run = perf(&["bench", "instructions", "--smoke"]);
        assert_eq!(run.status.code(), Some(3), "says that valgrind is missing");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("before.json");
    let before = path.to_str().unwrap();
    let smoke = ["bench", "instructions", "--smoke", "--backend", "portable"];
    let first = json(&perf(&[&smoke[..], &["--json", "--out", before]].concat()));
    has_a_head(&first, "instructions");
    let second = perf(&[&smoke[..], &["--against", before]].concat());
    let text = String::from_utf8(second.stdout).unwrap();
    assert!(text.contains("+0.0 %"), "{text}");
}

/// A result that passes for one of a build with optimisation.
fn as_if_released(run: &Output) -> String {
    let mut result = json(run);
    result["source"]["release"] = true.into();
    result.to_string()
}

#[test]
fn the_report_is_what_the_results_render_to() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(at("results")).unwrap();
    let crypto = perf(&["bench", "crypto", "--quick", "--smoke", "--json"]);
    let pipeline = perf(&["bench", "pipeline", "--smoke", "--json"]);
    std::fs::write(at("results/crypto.json"), as_if_released(&crypto)).unwrap();
    std::fs::write(at("results/pipeline.json"), as_if_released(&pipeline)).unwrap();
    std::fs::write(at("bounds.md"), "| * | * | * | * | It was a smoke run. |\n").unwrap();
    let (results, bounds, docs) = (at("results"), at("bounds.md"), at("docs"));
    let report = ["report", "--results", &results, "--bounds", &bounds, "--into", &docs];
    let check = [&report[..], &["--check"]].concat();
    assert!(!perf(&check).status.success(), "nothing is there yet");
    assert!(perf(&report).status.success());
    assert!(perf(&check).status.success());
    let page = std::fs::read_to_string(at("docs/performance.md")).unwrap();
    for part in
        ["ENCR_AES_GCM_16_128 vs ring, open", "It was a smoke run.", "The whole walk", ".svg)"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    std::fs::write(at("docs/performance.md"), page + "and more").unwrap();
    let stale = perf(&check);
    assert!(!stale.status.success());
    assert!(String::from_utf8(stale.stderr).unwrap().contains("performance.md"));
}

#[test]
fn a_smoke_run_of_handshakes_measures_everything_and_misses_no_rekey() {
    let run = perf(&["bench", "handshake", "--quick", "--smoke", "--json"]);
    let result = json(&run);
    has_a_head(&result, "handshake");
    let list = |key: &str| result[key].as_array().unwrap().clone();
    assert_eq!(list("rates").len(), 2, "a shared key, and certificates");
    for rate in list("rates") {
        for figure in ["responder_per_second", "initiator_per_second", "both_per_second"] {
            assert!(rate[figure].as_f64().unwrap() > 0.0, "{rate}");
        }
        // One key exchange; with certificates the peer's proof and ours as well.
        let jobs = if rate["proof"] == "PSK" { 1.0 } else { 3.0 };
        assert_eq!(rate["responder_jobs"], jobs, "{rate}");
        assert_eq!(rate["handshakes"], 4);
    }
    assert_eq!(list("memory").len(), 2);
    for storm in list("storms") {
        assert_eq!(storm["established"], storm["peers"], "{storm}");
        assert_eq!(storm["missed_rekeys"], 0, "{storm}");
        assert!(storm["rekeys"].as_u64().unwrap() > 0, "{storm}");
    }
    assert!(list("operations").iter().all(|one| one["median_us"].as_f64().unwrap() > 0.0));

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(at("results")).unwrap();
    std::fs::write(at("results/handshake.json"), as_if_released(&run)).unwrap();
    std::fs::write(at("bounds.md"), "").unwrap();
    let (results, bounds, docs) = (at("results"), at("bounds.md"), at("docs"));
    let report = ["report", "--results", &results, "--bounds", &bounds, "--into", &docs];
    assert!(perf(&report).status.success());
    let page = std::fs::read_to_string(at("docs/performance.md")).unwrap();
    for part in
        ["IKEv2 handshakes", "ECDSA P-256", "Memory of an established peer", "missed rekeys"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn stages_are_counted_only_where_they_are_built_in() {
    let run = perf(&["bench", "pipeline", "--smoke", "--quick", "--stages", "--json"]);
    if !cfg!(feature = "stages") {
        let said = String::from_utf8(run.stderr).unwrap();
        return assert!(!run.status.success() && said.contains("--features stages"), "{said}");
    }
    for case in json(&run)["cases"].as_array().unwrap() {
        let stages = case["stages"].as_object().unwrap();
        let cipher = if case["direction"] == "encrypt" { "seal" } else { "open" };
        for stage in ["receive", "classify", cipher, "forward", "transmit"] {
            assert!(stages[stage].as_f64().unwrap() > 0.0, "{stage}: {case}");
        }
    }
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
    has_a_head(&result, "pipeline");
    assert_eq!(result["note"], "smoke");
    let cases = result["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3 * 7 * 2, "ways, sizes, numbers of SAs");
    for case in cases {
        let each_way = if case["direction"] == "both" { 2 } else { 1 };
        assert_eq!(case["packets"], 2 * 64 * each_way);
        for figure in ["cycles_per_packet", "ns_per_packet", "mpps", "gbit_per_s"] {
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
    for (arguments, reason) in [
        (["--sizes", "15"], "from 16 to 16000"),
        (["--rival-tier", "avx3"], "gfni-off"),
        (["--backend", "abacus"], "portable"),
    ] {
        let run = perf(&[&["bench", "crypto", "--smoke"], &arguments[..]].concat());
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(!run.status.success() && said.contains(reason), "{arguments:?}: {said}");
    }
}

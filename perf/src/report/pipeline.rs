//! The sections of `perf bench pipeline`.
use super::markdown::{Notes, cells, origin, table};
use super::{Bounds, Rendered, picture, svg};
use crate::pipeline::results::{Line, Results};
use crate::pipeline::targets::Judged;
use dataplane::stage::Stage;

/// Targets and figures of whole turns.
pub fn section(
    name: &str,
    results: &Results,
    bounds: &Bounds,
    machine: &str,
    files: &mut Rendered,
) -> String {
    let mut text = String::from("### The whole walk, one core, ports in memory\n\n");
    text += &origin(name, &results.head);
    text += &targets(&results.targets, bounds);
    let chart = by_tunnels(&results.cases);
    if !chart.series.is_empty() {
        text += &picture(files, &format!("{machine}-walk"), &chart.title.clone(), chart.svg());
    }
    let header = cells(&[
        "suite",
        "direction",
        "SAs",
        "octets",
        "cycles",
        "best round",
        "ns",
        "Mpps",
        "Gbit/s",
        "turn p99.9, µs",
    ]);
    let rows = results.cases.iter().map(|line| {
        let figures = &line.figures;
        vec![
            line.suite.clone(),
            line.direction.clone(),
            line.sas.to_string(),
            line.size.clone(),
            format!("{:.0}", figures.cycles_per_packet.median),
            format!("{:.0}", figures.cycles_per_packet.best),
            format!("{:.0}", figures.ns_per_packet.median),
            format!("{:.2}", figures.mpps.median),
            format!("{:.2}", figures.gbit_per_s.median),
            format!("{:.0}", figures.batch_latency_ns.p99_9 as f64 / 1e3),
        ]
    });
    text + &table(&header, rows)
}

fn targets(all: &[Judged], bounds: &Bounds) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut notes = Notes::default();
    let header = cells(&["suite", "direction", "SAs", "octets", "cycles", "at most", ""]);
    let rows: Vec<_> = all.iter().map(|row| judged(row, bounds, &mut notes)).collect();
    let met = all.iter().filter(|row| row.met).count();
    format!(
        "TSC cycles per packet beside the target; {met} of {} met.\n\n{}{}",
        all.len(),
        table(&header, rows),
        notes.list(),
    )
}

fn judged(row: &Judged, bounds: &Bounds, notes: &mut Notes) -> Vec<String> {
    let walk = format!("walk, {} SAs", row.sas);
    let key = [row.suite.as_str(), &walk, &row.size, &row.direction];
    let met = if row.met { "**met**".into() } else { notes.mark(bounds, key) };
    vec![
        row.suite.clone(),
        row.direction.clone(),
        row.sas.to_string(),
        row.size.clone(),
        format!("{:.0}", row.cycles),
        format!("{:.0}", row.target),
        met,
    ]
}

/// Cycles by number of tunnels, at each size.
fn by_tunnels(cases: &[Line]) -> svg::Lines {
    let mut series: Vec<svg::Series> = Vec::new();
    for line in cases.iter().filter(|line| matches!(line.size.as_str(), "64" | "1420")) {
        let name = format!("{}, {} octets", line.direction, line.size);
        let point = (f64::from(line.sas), line.figures.cycles_per_packet.median);
        match series.iter_mut().find(|series| series.name == name) {
            Some(series) => series.points.push(point),
            None => {
                series.push(svg::Series { name, strong: true, points: vec![point] });
            }
        }
    }
    let title =
        cases.first().map_or(String::new(), |line| format!("{}, the whole walk", line.suite));
    svg::Lines { title, x: "tunnels".into(), y: "TSC cycles per packet".into(), series }
}

/// Where the cycles go.
pub fn stages(name: &str, results: &Results, machine: &str, files: &mut Rendered) -> String {
    let mut text = String::from("### Cycles by stage of the walk\n\n");
    text += &origin(name, &results.head);
    text += "Medians of single turns, stage by stage; the marks between stages cost some cycles too.\n\n";
    let bars = bars(&results.cases);
    text += &picture(files, &format!("{machine}-stages"), "Cycles by stage", bars.svg());
    let names = Stage::ALL.map(Stage::name);
    let mut header = cells(&["direction", "SAs", "octets"]);
    header.extend(cells(&names));
    let rows = results.cases.iter().map(|line| {
        let mut row = vec![line.direction.clone(), line.sas.to_string(), line.size.clone()];
        row.extend(names.map(|stage| format!("{:.0}", of(line, stage))));
        row
    });
    text + &table(&header, rows)
}

fn of(line: &Line, stage: &str) -> f64 {
    line.figures.stages.get(stage).copied().unwrap_or_default()
}

/// The smallest size: there the walk shows.
fn bars(cases: &[Line]) -> svg::Bars {
    let smallest = cases.iter().filter_map(|line| line.size.parse::<u16>().ok()).min();
    let wanted = smallest.map(|size| size.to_string()).unwrap_or_default();
    let cases = cases.iter().filter(|line| line.size == wanted);
    let bar = |line: &Line| {
        let parts = Stage::ALL.map(|stage| of(line, stage.name()));
        (format!("{}, {} SAs", line.direction, line.sas), parts.to_vec())
    };
    svg::Bars {
        title: format!("{wanted} octets: TSC cycles per packet by stage"),
        parts: Stage::ALL.map(Stage::name).map(str::to_owned).to_vec(),
        bars: cases.map(bar).collect(),
    }
}

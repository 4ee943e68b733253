//! Tables for people: human units, ages, and only what fits a terminal.
use crate::events::EventView;
use crate::keying::view::{ChildSa, Configured, IkeSa, IkeView};
use crate::view::{Counters, Interface, PolicyView, Process, SaView, Status, Tunnel};
use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};

/// One rule below the header, one line for each entry.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head.iter().copied());
    rows.into_iter().for_each(|row| {
        table.add_row(row);
    });
    table.to_string()
}

/// Octets with a binary unit: `1.5 MiB`.
pub fn octets(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    let mut shown = "B";
    for unit in UNITS.iter().take_while(|_| count >= 1024) {
        if value < 1024.0 {
            break;
        }
        (value, shown) = (value / 1024.0, unit);
    }
    format!("{value:.1} {shown}")
}

/// Seconds as people say them: `45 s`, `3 min`, `2 h 5 min`, `3 d 1 h`.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

fn since(seconds: Option<u64>) -> String {
    seconds.map_or("never".to_owned(), |seconds| format!("{} ago", span(seconds)))
}

/// `control: running (pid 7)` or `control: not responding (last seen 5 s ago)`.
pub fn process(name: &str, process: &Process) -> String {
    match (process.alive, process.last_seen, process.pid) {
        (true, _, Some(pid)) => format!("{name}: running (pid {pid})"),
        (true, _, None) => format!("{name}: running"),
        (false, Some(seconds), _) => {
            format!("{name}: not responding (last seen {} ago)", span(seconds as u64))
        }
        (false, None, _) => format!("{name}: not responding (never seen)"),
    }
}

/// The overview.
pub fn status(status: &Status) -> String {
    let mut lines =
        vec![process("control", &status.control), process("data plane", &status.dataplane)];
    if let Some(link) = &status.link {
        lines.extend(link.problem.iter().map(|problem| format!("problem: {problem}")));
        lines.extend(
            link.restart
                .iter()
                .map(|why| format!("waits for a restart of postern-dataplane: {why}")),
        );
    }
    lines.extend(legacy(&status.tunnels));
    let Status { workers, sas, sa_slots, policies, sealed, opened, dropped, .. } = status;
    lines.extend(status.crypto.as_ref().map(crypto));
    lines.push(format!("up to {workers} workers, {sas} of {sa_slots} SAs, {policies} policies"));
    lines.push(format!(
        "{sealed} packets sealed, {opened} opened, {dropped} dropped (postern counters tells why)"
    ));
    lines.push(interfaces(&status.interfaces));
    lines.push(tunnels(&status.tunnels));
    lines.join("\n")
}

/// A kernel that fell back is a fault of this build or this CPU, and costs much speed.
fn crypto(crypto: &crate::view::Crypto) -> String {
    let fallbacks = crypto.fallbacks.join(", ");
    let failed = "; FAILED the self-test, so portable code runs, slower: ";
    let failed = if fallbacks.is_empty() { "" } else { failed };
    format!("crypto: {}{failed}{fallbacks}", crypto.backend)
}

/// Loud on purpose: whoever looks at the gateway should want to be rid of them.
fn legacy(tunnels: &[Tunnel]) -> Option<String> {
    let names: Vec<_> = tunnels.iter().filter(|t| t.legacy).map(|t| t.name.as_str()).collect();
    let (shown, more) = (names.iter().take(5), names.len().saturating_sub(5));
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let list = shown.copied().collect::<Vec<_>>().join(", ");
    (!names.is_empty()).then(|| {
        format!(
            "LEGACY algorithms, which can be broken, protect {list}{more}; postern check says why"
        )
    })
}

/// The suite, marked when it is one to be rid of.
fn suite(name: &str, legacy: bool) -> String {
    if legacy { format!("{name} (LEGACY)") } else { name.to_owned() }
}

fn tunnels(tunnels: &[Tunnel]) -> String {
    let row = |t: &Tunnel| {
        let (from, to) = (
            format!("{} / {}", t.packets_in, octets(t.bytes_in)),
            format!("{} / {}", t.packets_out, octets(t.bytes_out)),
        );
        let ends = format!("{} ↔ {}", t.local, t.remote);
        vec![
            t.name.clone(),
            t.state.clone(),
            ends,
            suite(&t.suite, t.legacy),
            from,
            since(t.last_in),
            to,
            since(t.last_out),
        ]
    };
    table(
        &["tunnel", "state", "local ↔ remote", "suite", "in", "last in", "out", "last out"],
        tunnels.iter().map(row).collect(),
    )
}

/// Connections, IKE SAs and their children.
pub fn ike(ike: &IkeView) -> String {
    let mut parts = Vec::new();
    parts.extend(ike.problem.iter().map(|problem| format!("IKE is not spoken: {problem}")));
    let legacy: Vec<_> =
        ike.ike_sas.iter().filter(|sa| sa.legacy).map(|sa| sa.connection.as_str()).collect();
    if !legacy.is_empty() {
        parts.push(format!(
            "LEGACY algorithms, which can be broken, are allowed with {}",
            legacy.join(", ")
        ));
    }
    let row = |known: &Configured| {
        vec![known.name.clone(), known.state.clone(), known.children.join(", ")]
    };
    let rows = ike.connections.iter().map(row).collect();
    parts.push(table(&["connection", "state", "children"], rows));
    if !ike.ike_sas.is_empty() {
        parts.push(table(
            &["IKE SA", "state", "local ↔ remote", "peer", "suite", "age", "rekey in", "heard"],
            ike.ike_sas.iter().map(ike_sa).collect(),
        ));
    }
    let children: Vec<_> = ike
        .ike_sas
        .iter()
        .flat_map(|sa| sa.children.iter().map(|child| child_sa(sa, child)))
        .collect();
    if !children.is_empty() {
        let head = [
            "child",
            "state",
            "covers",
            "suite",
            "SPIs in, out",
            "age",
            "rekey in",
            "in",
            "last in",
            "out",
            "last out",
        ];
        parts.push(table(&head, children));
    }
    parts.join("\n")
}

fn maybe(seconds: Option<u64>) -> String {
    seconds.map_or("–".to_owned(), span)
}

fn ike_sa(sa: &IkeSa) -> Vec<String> {
    let who = match (&sa.identity, &sa.remote_proof) {
        (Some(identity), Some(proof)) => format!("{identity} ({proof})"),
        _ => "–".to_owned(),
    };
    let suite = sa.suite.clone().unwrap_or_else(|| "–".to_owned());
    vec![
        sa.connection.clone(),
        sa.state.clone(),
        format!("{} ↔ {}", sa.local, sa.remote),
        who,
        if sa.legacy { format!("{suite} (LEGACY)") } else { suite },
        maybe(sa.age),
        maybe(sa.rekey_in),
        since(sa.heard),
    ]
}

fn child_sa(sa: &IkeSa, child: &ChildSa) -> Vec<String> {
    vec![
        format!("{}/{}", sa.connection, child.name),
        child.state.clone(),
        child.covered.clone(),
        child.suite.clone(),
        format!("{:#010x}, {:#010x}", child.inbound, child.outbound),
        span(child.age),
        maybe(child.rekey_in),
        format!("{} / {}", child.packets_in, octets(child.bytes_in)),
        since(child.last_in),
        format!("{} / {}", child.packets_out, octets(child.bytes_out)),
        since(child.last_out),
    ]
}

/// An event on one line, or a few.
pub fn event(event: &EventView) -> String {
    let seconds = event.time % 86_400;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02} UTC {}: {}", event.kind, event.text)
}

/// Every SA.
pub fn sas(sas: &[SaView]) -> String {
    let row = |sa: &SaView| {
        let window =
            if sa.replay_window == 0 { "–".to_owned() } else { sa.replay_window.to_string() };
        let drops = match (sa.replay_late, sa.replay_duplicate, sa.bad_icv) {
            (0, 0, 0) => "–".to_owned(),
            (late, duplicate, icv) => format!("late {late}, duplicate {duplicate}, bad ICV {icv}"),
        };
        let esn = if sa.esn { "ESN" } else { "32 bit" };
        vec![
            sa.name.clone(),
            sa.direction.clone(),
            format!("{:#010x}", sa.spi),
            sa.state.clone(),
            format!("{} ↔ {}", sa.local, sa.remote),
            sa.encap.clone(),
            suite(&sa.suite, sa.legacy),
            format!("{} ({esn})", sa.sequence),
            window,
            format!("{} / {}", sa.packets, octets(sa.bytes)),
            span(sa.age),
            since(sa.last_used),
            drops,
        ]
    };
    let head = [
        "SA",
        "direction",
        "SPI",
        "state",
        "local ↔ remote",
        "encap",
        "suite",
        "sequence",
        "window",
        "carried",
        "age",
        "last packet",
        "drops",
    ];
    table(&head, sas.iter().map(row).collect())
}

/// The SPD in order.
pub fn policies(policies: &[PolicyView]) -> String {
    let row = |p: &PolicyView| {
        let action =
            p.tunnel.map_or(p.action.clone(), |tunnel| format!("{} (tunnel {tunnel})", p.action));
        let (local, remote) = (p.local.clone(), p.remote.clone());
        let (near, far) = (p.local_port.clone(), p.remote_port.clone());
        vec![
            p.order.to_string(),
            p.name.clone(),
            action,
            local,
            remote,
            p.protocol.clone(),
            near,
            far,
        ]
    };
    let head = ["#", "name", "action", "local", "remote", "protocol", "local port", "remote port"];
    table(&head, policies.iter().map(row).collect())
}

/// Counters that are not zero, or all.
pub fn counters(counters: &Counters, all: bool) -> String {
    let list = |list: &std::collections::BTreeMap<String, u64>| -> Vec<Vec<String>> {
        let shown = list.iter().filter(|(_, value)| all || **value != 0);
        let help = |name| counters.help.get(name).cloned().unwrap_or_default();
        shown.map(|(name, value)| vec![name.clone(), value.to_string(), help(name)]).collect()
    };
    let drops = match list(&counters.drops) {
        none if none.is_empty() => "no packet was dropped".to_owned(),
        drops => table(&["dropped", "packets", "meaning"], drops),
    };
    format!("{drops}\n{}", table(&["counter", "value", "meaning"], list(&counters.counters)))
}

/// Interfaces.
pub fn interfaces(interfaces: &[Interface]) -> String {
    let row = |i: &Interface| {
        let up = match (i.stale, i.up) {
            (true, _) => "unknown",
            (false, true) => "up",
            (false, false) => "down",
        };
        let trouble = [
            ("dropped", i.rx_dropped),
            ("ring full", i.rx_ring_full),
            ("no frame", i.fill_ring_empty),
            ("bad tx", i.tx_invalid),
            ("rebound", i.rebinds),
        ];
        let trouble: Vec<_> = trouble
            .iter()
            .filter(|(_, n)| *n != 0)
            .map(|(what, n)| format!("{what} {n}"))
            .collect();
        let trouble = if trouble.is_empty() { "–".to_owned() } else { trouble.join(", ") };
        let driver = i.driver.clone().unwrap_or_else(|| "?".to_owned());
        vec![
            i.name.clone(),
            i.role.clone(),
            up.to_owned(),
            i.mode.clone(),
            i.queues.to_string(),
            i.mtu.to_string(),
            driver,
            trouble,
        ]
    };
    table(
        &["interface", "role", "link", "XDP", "queues", "MTU", "driver", "trouble"],
        interfaces.iter().map(row).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_for_people() {
        for (count, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(octets(count), shown);
        }
        for (seconds, shown) in
            [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7500, "2 h 5 min"), (263_000, "3 d 1 h")]
        {
            assert_eq!(span(seconds), shown);
        }
        let silent = Process { alive: false, last_seen: Some(5.2), pid: Some(7) };
        assert_eq!(process("control", &silent), "control: not responding (last seen 5 s ago)");
    }

    #[test]
    fn a_table_has_one_rule_below_its_header_and_one_line_for_each_entry() {
        let rows = [["a", "1"], ["longer", "2"]].map(|row| row.map(str::to_owned).to_vec());
        let shown = table(&["name", "n"], rows.to_vec());
        let lines: Vec<_> = shown.lines().map(str::trim_end).collect();
        assert_eq!(lines, [" name     n", "────────────", " a        1", " longer   2"]);
    }
}

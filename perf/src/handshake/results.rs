//! Results for people and for programs.
use super::memory::Memory;
use super::operations::Operation;
use super::rates::Rate;
use super::rivalry::Rivalry;
use super::storm::Storm;
use crate::result::{Head, Preamble};
use crate::table;
use serde::{Deserialize, Serialize};

const MEASURED: &str = "Processor time of one thread (CLOCK_THREAD_CPUTIME_ID) around the calls of our engine, jobs of the \
    pool run in place: IKE_SA_INIT and IKE_AUTH with one Child SA, ENCR_AES_GCM_16_256 and PRF_HMAC_SHA2_384, \
    certificates with one intermediate. No sockets, no data plane: installations succeed at once. Memory is what a process \
    of its own grows by. `storms` are played: the clock moves with the gateway's processor time. `side_by_side` is over \
    UDP between network namespaces, and says there what is in it.";

/// A result file of `perf bench handshake`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// Where and from what.
    #[serde(flatten)]
    pub head: Head,
    /// The core that it ran on.
    pub core: usize,
    /// Handshakes per second and core.
    pub rates: Vec<Rate>,
    /// Memory of an established peer.
    pub memory: Vec<Memory>,
    /// Very many peers at once.
    pub storms: Vec<Storm>,
    /// Single operations by the number of peers.
    pub operations: Vec<Operation>,
    /// Ours and charon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side_by_side: Option<Rivalry>,
}

impl Results {
    /// Nothing yet, of a run that has just ended.
    pub fn new(before: Preamble, core: usize) -> Self {
        Self {
            head: before.head("handshake", MEASURED),
            core,
            rates: Vec::new(),
            memory: Vec::new(),
            storms: Vec::new(),
            operations: Vec::new(),
            side_by_side: None,
        }
    }

    /// For people.
    pub fn table(&self) -> String {
        let parts = [self.rate_table(), self.memory_table(), self.storm_table()];
        let parts = parts.into_iter().chain([self.operation_table(), self.rival_table()]);
        let tables = parts.map(|(title, header, rows)| match rows.is_empty() {
            true => String::new(),
            false => {
                let header: Vec<&str> = header.iter().map(String::as_str).collect();
                format!("\n\n{title}\n{}", table::of(&header, rows, 1))
            }
        });
        self.head.title() + &tables.collect::<String>()
    }

    /// Title, header and rows.
    pub fn rate_table(&self) -> Titled {
        let header = [
            "identities by",
            "key exchange",
            "responder /s",
            "initiator /s",
            "both /s",
            "responder µs",
            "of it pool µs",
            "engine µs",
            "initiator µs",
            "octets",
        ];
        let rows = self.rates.iter().map(|rate| {
            vec![
                rate.proof.clone(),
                rate.group.clone(),
                format!("{:.0}", rate.responder_per_second),
                format!("{:.0}", rate.initiator_per_second),
                format!("{:.0}", rate.both_per_second),
                format!("{:.0}", rate.responder_us.median),
                format!("{:.0}", rate.responder_jobs_us),
                format!("{:.0}", rate.responder_engine_us),
                format!("{:.0}", rate.initiator_us.median),
                format!("{:.0}", rate.octets),
            ]
        });
        titled("Handshakes per second and core", &header, rows.collect())
    }

    /// Title, header and rows.
    pub fn memory_table(&self) -> Titled {
        let header = ["identities by", "peers", "octets per peer"];
        let rows = self.memory.iter().map(|memory| {
            vec![memory.proof.clone(), memory.peers.to_string(), memory.octets_per_peer.to_string()]
        });
        titled("Memory of an established peer", &header, rows.collect())
    }

    /// Title, header and rows.
    pub fn storm_table(&self) -> Titled {
        let header = [
            "identities by",
            "peers",
            "established",
            "seconds",
            "engine CPU s",
            "pool CPU s",
            "cookies",
            "turned away",
            "lost at the socket",
            "rekeys meanwhile",
            "oldest SA s",
            "dies at s",
            "missed rekeys",
        ];
        let rows = self.storms.iter().map(|storm| {
            vec![
                storm.proof.clone(),
                storm.peers.to_string(),
                storm.established.to_string(),
                format!("{:.1}", storm.seconds),
                format!("{:.1}", storm.engine_seconds),
                format!("{:.1}", storm.pool_seconds),
                storm.cookies.to_string(),
                storm.turned_away.to_string(),
                storm.overflowed.to_string(),
                storm.rekeys.to_string(),
                format!("{:.1}", storm.oldest_seconds),
                storm.hard_seconds.to_string(),
                storm.missed_rekeys.to_string(),
            ]
        });
        titled("Very many peers at once", &header, rows.collect())
    }

    /// Title, header and rows: operations down, numbers of peers across.
    pub fn operation_table(&self) -> Titled {
        let mut numbers: Vec<usize> = self.operations.iter().map(|one| one.peers).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut names: Vec<&str> = Vec::new();
        for one in &self.operations {
            if !names.contains(&one.operation.as_str()) {
                names.push(&one.operation);
            }
        }
        let cell = |name: &str, peers: usize| {
            let is = |one: &&Operation| one.operation == name && one.peers == peers;
            self.operations
                .iter()
                .find(is)
                .map_or_else(String::new, |one| format!("{:.1}", one.median_us))
        };
        let rows = names.iter().map(|name| {
            let cells = numbers.iter().map(|&peers| cell(name, peers));
            [(*name).to_owned()].into_iter().chain(cells).collect()
        });
        let columns = numbers.iter().map(|peers| format!("{peers} peers"));
        let header = ["µs".to_owned()].into_iter().chain(columns).collect();
        ("Time of an operation by the number of peers", header, rows.collect())
    }

    /// Title, header and rows.
    pub fn rival_table(&self) -> Titled {
        let header = [
            "identities by",
            "responder",
            "rounds",
            "handshakes /s",
            "CPU ms each",
            "of it the data plane",
        ];
        let lines = self.side_by_side.iter().flat_map(|rivalry| &rivalry.cases);
        let rows = lines.map(|case| {
            vec![
                case.proof.clone(),
                case.responder.clone(),
                case.rounds.len().to_string(),
                format!("{:.0}", case.per_second.median),
                format!("{:.2}", case.cpu_ms.median),
                case.data_plane_ms.map_or_else(String::new, |ms| format!("{ms:.2}")),
            ]
        });
        titled("Side by side with charon", &header, rows.collect())
    }
}

/// Title, header and rows.
pub type Titled = (&'static str, Vec<String>, Vec<Vec<String>>);

fn titled(title: &'static str, header: &[&str], rows: Vec<Vec<String>>) -> Titled {
    (title, header.iter().map(|&word| word.to_owned()).collect(), rows)
}

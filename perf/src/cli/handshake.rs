//! `perf bench handshake`, and what it runs in processes of their own.
use super::{Common, pin, positive};
use clap::Args;
use ike::algorithm::Group;
use perf::handshake::results::Results;
use perf::handshake::sites::{Proof, Sites};
use perf::handshake::{call, memory, operations, rates, rivalry, storm};
use std::error::Error;
use std::path::PathBuf;

const PROOFS: [Proof; 2] = [Proof::Psk, Proof::EcdsaP256];

#[derive(Args)]
pub struct Handshake {
    /// X25519 alone, and fewer rounds
    #[arg(long)]
    quick: bool,
    /// Instead: Postern's programs and strongSwan's charon as responders, in network namespaces; needs root
    #[arg(long)]
    side_by_side: bool,
    /// Where postern-control and postern-dataplane are; beside this program by default
    #[arg(long)]
    binaries: Option<PathBuf>,
    /// Rounds: in each, every case runs once
    #[arg(long, default_value_t = 15, value_parser = positive)]
    rounds: usize,
    /// Handshakes of a case in a round
    #[arg(long, default_value_t = 256, value_parser = positive)]
    handshakes: usize,
    /// Peers that stand, and peers that connect at once
    #[arg(long, default_value_t = 10_000, value_parser = positive)]
    peers: usize,
    /// CPU to run on; the last one by default
    #[arg(long)]
    core: Option<usize>,
    #[command(flatten)]
    common: Common,
}

fn tell(news: String) {
    eprintln!("{news}");
}

impl Handshake {
    pub fn run(&self) -> Result<(), Box<dyn Error>> {
        let before = self.common.before();
        let results = match self.side_by_side {
            true => self.rivals(before)?,
            false => self.alone(before)?,
        };
        self.common.say(&results, || results.table())
    }

    fn alone(&self, before: perf::result::Preamble) -> Result<Results, Box<dyn Error>> {
        let core = pin(self.core)?;
        let peers = if self.common.smoke { self.peers.min(40) } else { self.peers };
        let rates = rates::run(self.rates(), &self.cases(), &mut tell)?;
        tell(format!("memory of {peers} peers"));
        let memory = PROOFS.into_iter().map(|proof| memory::measure(proof, peers));
        let memory = memory.collect::<Result<_, _>>()?;
        let storms = PROOFS.into_iter().map(|proof| {
            tell(format!("{peers} peers at once, {proof}"));
            let tunnels = peers.div_ceil(50);
            storm::run(storm::Plan { proof, peers, tunnels, slowness: 1 }, &mut tell)
        });
        let storms = storms.collect::<Result<_, _>>()?;
        let numbers: Vec<usize> = [100, 10, 1].map(|part| (peers / part).max(1)).into();
        let operations = operations::run(&numbers, &mut tell)?;
        let head = Results::new(before, core);
        Ok(Results { rates, memory, storms, operations, ..head })
    }

    fn rates(&self) -> rates::Plan {
        let rounds = if self.quick { self.rounds.min(5) } else { self.rounds };
        match self.common.smoke {
            true => rates::Plan { rounds: 1, handshakes: 4 },
            false => rates::Plan { rounds, handshakes: self.handshakes },
        }
    }

    fn cases(&self) -> Vec<(Proof, Group)> {
        let groups: &[Group] = match self.quick {
            true => &[Group::Curve25519],
            false => &[Group::Curve25519, Group::Ecp256, Group::Modp3072],
        };
        let of = |&group: &Group| PROOFS.map(|proof| (proof, group));
        groups.iter().flat_map(of).collect()
    }

    fn rivals(&self, before: perf::result::Preamble) -> Result<Results, Box<dyn Error>> {
        let beside = std::env::current_exe()?.parent().map(PathBuf::from).unwrap_or_default();
        let few = self.quick || self.common.smoke;
        let plan = rivalry::Plan {
            binaries: self.binaries.clone().unwrap_or(beside),
            rounds: if few { self.rounds.min(1) } else { self.rounds.min(7) },
            handshakes: if self.common.smoke { 8 } else { self.handshakes },
        };
        let side_by_side = Some(rivalry::run(&plan, &mut tell)?);
        let head = Results::new(before, self.core.unwrap_or_default());
        Ok(Results { side_by_side, ..head })
    }
}

/// The gateway of which memory is looked at.
#[derive(Args)]
pub struct Established {
    /// How identities are proved
    #[arg(long, value_enum)]
    proof: Proof,
    /// Peers that connect
    #[arg(long, value_parser = positive)]
    peers: usize,
}

impl Established {
    pub fn run(&self) -> Result<(), Box<dyn Error>> {
        println!("{}", serde_json::to_string(&memory::here(self.proof, self.peers)?)?);
        Ok(())
    }
}

/// The initiator over UDP.
#[derive(Args)]
pub struct Call {
    /// Peers that connect
    #[arg(long, value_parser = positive)]
    peers: usize,
    /// How many at a time
    #[arg(long, default_value_t = 8, value_parser = positive)]
    abreast: usize,
    /// The folder with root.pem, intermediate.pem and intermediate.key; without it a key is shared
    #[arg(long)]
    authority: Option<PathBuf>,
}

impl Call {
    pub fn run(&self) -> Result<(), Box<dyn Error>> {
        let sites = Sites::read(self.authority.as_deref(), Group::Curve25519)?;
        let called = call::run(&sites, self.peers, self.abreast)?;
        println!("{}", serde_json::to_string(&called)?);
        Ok(())
    }
}

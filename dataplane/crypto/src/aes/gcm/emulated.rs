//! The kernels of four lanes on a CPU without VAES: the one source that the tier `vaes` is compiled from, over
//! lanes made of four blocks of AES-NI. All but the instructions themselves is then known to be right.
use super::super::lanes::{Aesni, Lanes};
use super::batch::{self, Kernel, Run};
use super::{open, seal, short};
use crate::backend::{Backend, PORTABLE};
use crate::batch::{BadIcv, Open, Seal};
use crate::key::{OpenKey, SealKey};
use crate::suite::Suite;

/// Lanes of a vector.
const FOUR: usize = 4;
/// Octets of a block.
const BLOCK: usize = 16;

/// Four lanes, each a vector of AES-NI's.
#[derive(Clone, Copy)]
struct Emulated(Aesni);

type Block = <Aesni as Lanes>::V;

impl Emulated {
    fn each(self, lane: impl Fn(usize) -> Block) -> [Block; FOUR] {
        core::array::from_fn(lane)
    }
}

/// The octets of lane `lane`, where they start.
fn of_lane(octets: &[u8], lane: usize) -> &[u8] {
    octets.get(BLOCK * lane..).map_or(&[], |from| &from[..from.len().min(BLOCK)])
}

impl Lanes for Emulated {
    type V = [Block; FOUR];
    const LANES: usize = FOUR;

    fn splat(self, block: u128) -> Self::V {
        self.each(|_| self.0.splat(block))
    }
    fn splat_from(self, block: &[u8; 16]) -> Self::V {
        self.each(|_| self.0.splat_from(block))
    }
    fn at_lane(self, block: u128, at: usize) -> Self::V {
        self.each(|lane| self.0.splat(if lane == at { block } else { 0 }))
    }
    fn block(self, v: Self::V) -> u128 {
        self.0.block(v[0])
    }
    fn with_first(self, v: Self::V, first: Self::V) -> Self::V {
        self.each(|lane| if lane == 0 { first[0] } else { v[lane] })
    }
    fn fold(self, v: Self::V) -> Self::V {
        let sum = v.into_iter().fold(0, |sum, lane| sum ^ self.0.block(lane));
        self.at_lane(sum, 0)
    }
    fn load(self, from: &[u8]) -> Self::V {
        self.each(|lane| self.0.load_tail(of_lane(from, lane)))
    }
    fn load_tail(self, from: &[u8]) -> Self::V {
        self.load(from)
    }
    fn store(self, to: &mut [u8], v: Self::V) {
        to.chunks_mut(BLOCK).zip(v).for_each(|(to, lane)| self.0.store_tail(to, lane));
    }
    fn store_tail(self, to: &mut [u8], v: Self::V) {
        self.store(to, v);
    }
    fn keep(self, v: Self::V, octets: usize) -> Self::V {
        self.each(|lane| self.0.keep(v[lane], octets.saturating_sub(BLOCK * lane).min(BLOCK)))
    }
    fn xor(self, a: Self::V, b: Self::V) -> Self::V {
        self.each(|lane| self.0.xor(a[lane], b[lane]))
    }
    fn xor3(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        self.each(|lane| self.0.xor3(a[lane], b[lane], c[lane]))
    }
    fn reverse(self, v: Self::V) -> Self::V {
        self.each(|lane| self.0.reverse(v[lane]))
    }
    fn swap_halves(self, v: Self::V) -> Self::V {
        self.each(|lane| self.0.swap_halves(v[lane]))
    }
    fn clmul<const HALVES: i32>(self, a: Self::V, b: Self::V) -> Self::V {
        self.each(|lane| self.0.clmul::<HALVES>(a[lane], b[lane]))
    }
    fn round(self, v: Self::V, key: Self::V) -> Self::V {
        self.each(|lane| self.0.round(v[lane], key[lane]))
    }
    fn last_round(self, v: Self::V, key: Self::V) -> Self::V {
        self.each(|lane| self.0.last_round(v[lane], key[lane]))
    }
    fn fence(self, _: &mut Self::V) {}
}

#[derive(Clone, Copy)]
struct Sealing(Emulated);

impl Kernel for Sealing {
    type Lanes = Emulated;
    type Item<'p> = Seal<'p>;
    const VECTORS: usize = 4;

    fn short<const P: usize, const Q: usize>(self, run: Run<'_, '_, Seal<'_>>) -> Option<()> {
        short::seal::<Emulated, P, Q>(self.0, run)
    }
    fn long(self, run: Run<'_, '_, Seal<'_>>) -> Option<()> {
        let rounds = run.rounds()?;
        seal::long::<Emulated, 4>(self.0, run, rounds)
    }
}

#[derive(Clone, Copy)]
struct Opening(Emulated);

impl Kernel for Opening {
    type Lanes = Emulated;
    type Item<'p> = Open<'p>;
    const VECTORS: usize = 4;

    fn short<const P: usize, const Q: usize>(self, run: Run<'_, '_, Open<'_>>) -> Option<()> {
        short::open::<Emulated, P, Q>(self.0, run)
    }
    fn long(self, run: Run<'_, '_, Open<'_>>) -> Option<()> {
        let rounds = run.rounds()?;
        open::long::<Emulated, 4>(self.0, run, rounds)
    }
}

/// The GCM suites, each with and without ESN.
fn suites() -> impl Iterator<Item = (Suite, bool)> {
    let gcm = Suite::all().filter(|suite| matches!(suite, Suite::AesGcm(..)));
    gcm.flat_map(|suite| [(suite, false), (suite, true)])
}

/// Batches of packets, as many octets of payload each as said: of one length, of lengths of all classes, long.
fn batches() -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = (0..=40).map(|len| vec![7 * len; 9]).collect();
    batches.push((0..=520).collect());
    batches.push((0..64).map(|i| 500 + 97 * i % 1500).collect());
    batches.push(vec![9000, 64, 1420, 1420, 1420, 576, 64, 64, 0]);
    batches
}

/// The number of all packets; a high half only with ESN.
fn number(esn: bool) -> u64 {
    if esn { 0x12_3456_789a } else { 0x3456_789a }
}

/// Packets of those lengths, headers and all.
fn packets(suite: Suite, lens: &[usize]) -> Vec<Vec<u8>> {
    let of_len = |len: &usize| {
        let mut packet: Vec<u8> = (0..8 + 8 + len + suite.icv_len()).map(|i| i as u8).collect();
        packet[4..8].copy_from_slice(&(number(true) as u32).to_be_bytes());
        packet
    };
    lens.iter().map(of_len).collect()
}

fn key_material(suite: Suite) -> Vec<u8> {
    (0..suite.key_len()).map(|i| 0xa5 ^ i as u8).collect()
}

/// `None`: this CPU has not even AES-NI.
fn tiers() -> Option<(Emulated, &'static Backend)> {
    Some((Emulated(Aesni::detect()?), Backend::named("aesni")?))
}

#[test]
fn four_emulated_lanes_seal_as_portable_does() {
    let Some((lanes, aesni)) = tiers() else { return };
    for (suite, esn) in suites() {
        let sequence = number(esn);
        let key = |on| SealKey::on(on, suite, &key_material(suite), &[], esn, 3).unwrap();
        let (emulated, portable) = (key(aesni), key(&PORTABLE));
        for lens in batches() {
            let (mut ours, mut theirs) = (packets(suite, &lens), packets(suite, &lens));
            let items = ours.iter_mut();
            let mut items: Vec<_> =
                items.map(|packet| Seal { key: &emulated, sequence, packet }).collect();
            let mut group: Vec<_> = items.iter_mut().collect();
            batch::run(Sealing(lanes), &mut group, suite.icv_len());
            let items = theirs.iter_mut();
            let mut items: Vec<_> =
                items.map(|packet| Seal { key: &portable, sequence, packet }).collect();
            assert_eq!(crate::seal(&mut items), 0);
            assert!(ours == theirs, "{suite}, esn {esn}, {lens:?}");
        }
    }
}

#[test]
fn four_emulated_lanes_open_what_is_good_and_leave_the_rest() {
    let Some((lanes, aesni)) = tiers() else { return };
    for (suite, esn) in suites() {
        let sequence = number(esn);
        let material = key_material(suite);
        let sealing = SealKey::on(&PORTABLE, suite, &material, &[], esn, 3).unwrap();
        let opening = OpenKey::on(aesni, suite, &material, &[], esn).unwrap();
        for lens in batches() {
            let plain = packets(suite, &lens);
            let mut arrived = plain.clone();
            let items = arrived.iter_mut();
            let mut items: Vec<_> =
                items.map(|packet| Seal { key: &sealing, sequence, packet }).collect();
            assert_eq!(crate::seal(&mut items), 0);
            // every third is forged, each at another octet behind the number
            for (at, packet) in arrived.iter_mut().enumerate().step_by(3) {
                let octet = 8 + at * 13 % (packet.len() - 8);
                packet[octet] ^= 0x10;
            }
            let mut opened = arrived.clone();
            let items = opened.iter_mut();
            let mut items: Vec<_> =
                items.map(|packet| Open::new(&opening, sequence, packet)).collect();
            let mut group: Vec<_> = items.iter_mut().collect();
            batch::run(Opening(lanes), &mut group, suite.icv_len());
            for (at, item) in items.iter().enumerate() {
                let text = 16..16 + lens[at];
                if at % 3 == 0 {
                    assert_eq!(item.verdict, Err(BadIcv), "{suite}, {at} of {lens:?}");
                    assert!(*item.packet == arrived[at], "{suite}, {at} of {lens:?}");
                } else {
                    assert_eq!(item.verdict, Ok(()), "{suite}, esn {esn}, {at} of {lens:?}");
                    assert!(item.packet[text.clone()] == plain[at][text], "{suite}, {lens:?}");
                }
            }
        }
    }
}

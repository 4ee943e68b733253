//! What is fixed when the data plane starts: interfaces, workers, sizes.
use super::de::Field;
use super::file::{DataPlane, File, Idle, Interface, Require, Role, Workers};
use super::problem::Problems;
use sadb::setup::{Geometry, Idle as SadbIdle};
use sadb::{Name, Requirement, Setup};
use std::collections::HashMap;
use std::ops::RangeInclusive;

/// CPU numbers beyond this are a slip of the pen.
const CPU_LIMIT: u16 = 1024;

/// `None` when an interface, core or size is wrong; all of it is in `problems`.
pub fn compile(file: &File, problems: &Problems) -> Option<Setup> {
    let none = DataPlane::default();
    let sizes = file.dataplane.as_ref().and_then(Field::ok).unwrap_or(&none);
    let sized = Sizes { problems };
    let geometry = Geometry {
        sa_slots: sized.number(&sizes.sa_slots, 4096, 4..=(1 << 20) - 1),
        policies: sized.number(&sizes.policies, 4096, 1..=65536),
        window_max: sized.power(&sizes.window_max, 1024, 32..=65536),
        ..Geometry::default()
    };
    let tun = match &sizes.tun {
        Some(field) => field.ok().map(|name| name.0.clone()),
        None => Some("postern0".to_owned()),
    };
    let frame_size = sized.power(&sizes.frame_size, 2048, 2048..=4096);
    let (frames, reassembly_slots, reassembly_ms) = (
        sized.number(&sizes.frames, 8192, 512..=1 << 20),
        sized.number(&sizes.reassembly_slots, 256, 1..=65536),
        sized.number(&sizes.reassembly_ms, 2000, 100..=60000),
    );
    let interfaces = interfaces(file, problems, tun.as_deref());
    let (cores, idle) = workers(file, problems);
    Some(Setup {
        geometry,
        interfaces,
        cores,
        idle,
        frames,
        frame_size,
        tun: Name::new(&tun?)?,
        reassembly_slots,
        reassembly_ms,
    })
}

struct Sizes<'a> {
    problems: &'a Problems,
}
impl Sizes<'_> {
    fn number(&self, field: &Option<Field<u32>>, default: u32, range: RangeInclusive<u32>) -> u32 {
        let Some((field, &number)) = field.as_ref().and_then(|field| Some((field, field.ok()?)))
        else {
            return default;
        };
        if !range.contains(&number) {
            let message = format!("out of range; {} to {} is possible", range.start(), range.end());
            field.tell(self.problems, message);
            return default;
        }
        number
    }
    fn power(&self, field: &Option<Field<u32>>, default: u32, range: RangeInclusive<u32>) -> u32 {
        let number = self.number(field, default, range);
        match field {
            Some(field) if !number.is_power_of_two() => {
                field.tell(self.problems, not_a_power(number));
                default
            }
            _ => number,
        }
    }
}

/// What to say of a size that is no power of two.
pub fn not_a_power(number: u32) -> String {
    let above = number.checked_next_power_of_two().unwrap_or(1 << 31);
    format!("not a power of two; did you mean {} or {above}?", above / 2)
}

fn interfaces(file: &File, problems: &Problems, tun: Option<&str>) -> Vec<sadb::Interface> {
    let mut seen = HashMap::new();
    let mut interfaces = Vec::new();
    let list = file.interfaces.ok().map(Vec::as_slice).unwrap_or_default();
    for interface in list.iter().filter_map(Field::ok) {
        let Some(name) = interface.name.ok() else { continue };
        if let Some(first) = seen.insert(name.0.as_str(), interface.name.place.line) {
            let message = format!("this interface stands in line {first} already; list it once");
            interface.name.tell(problems, message);
        }
        if tun == Some(&name.0) {
            let message =
                "this is the TUN device's name; choose another interface, or another dataplane.tun";
            interface.name.tell(problems, message);
        }
        interfaces.extend(Name::new(&name.0).and_then(|name| compiled(name, interface)));
    }
    roles(&file.interfaces, problems);
    interfaces
}

fn compiled(name: Name, interface: &Interface) -> Option<sadb::Interface> {
    let role = match interface.role.ok()? {
        Role::Inside => sadb::Role::Inside,
        Role::Outside => sadb::Role::Outside,
    };
    let require = match interface.require.as_ref().and_then(Field::ok) {
        None | Some(Require::Any) => Requirement::Any,
        Some(Require::Native) => Requirement::Native,
        Some(Require::Zerocopy) => Requirement::ZeroCopy,
    };
    let complete = interface.complete_checksums.as_ref().and_then(Field::ok);
    Some(sadb::Interface {
        name,
        role,
        require,
        complete_checksums: complete.copied().unwrap_or(true),
    })
}

/// There must be a way in and a way out. Not judged while an interface is unclear.
fn roles(list: &Field<Vec<Field<Interface>>>, problems: &Problems) {
    let Some(interfaces) = list.ok() else { return };
    if interfaces.len() > 16 {
        let message = format!("{} interfaces; at most 16 are possible", interfaces.len());
        list.tell(problems, message);
    }
    let roles: Vec<_> =
        interfaces.iter().map(|field| field.ok().and_then(|i| i.role.ok())).collect();
    if roles.iter().any(Option::is_none) {
        return;
    }
    let missing = |wanted: &str, there: bool| {
        if !there {
            let message = format!(
                "no interface has role: {wanted}; a gateway needs one inside and one outside"
            );
            list.tell(problems, message);
        }
    };
    missing("inside", roles.iter().flatten().any(|role| matches!(role, Role::Inside)));
    missing("outside", roles.iter().flatten().any(|role| matches!(role, Role::Outside)));
}

fn workers(file: &File, problems: &Problems) -> (Vec<u16>, SadbIdle) {
    let none = Workers::default();
    let workers = file.workers.as_ref().and_then(Field::ok).unwrap_or(&none);
    let idle = match workers.idle.as_ref().and_then(Field::ok) {
        None | Some(Idle::Adaptive) => SadbIdle::Adaptive,
        Some(Idle::Spin) => SadbIdle::Spin,
    };
    let Some(cores) = &workers.cores else { return (usable_cores(), idle) };
    let list = cores.ok().map(Vec::as_slice).unwrap_or_default();
    if cores.ok().is_some() && list.is_empty() {
        cores.tell(problems, "no core; list at least one, or leave the key out to use all");
    }
    if list.len() > 64 {
        cores.tell(problems, format!("{} cores; at most 64 workers are possible", list.len()));
    }
    let mut seen = HashMap::new();
    for field in list {
        let Some(&core) = field.ok() else { continue };
        if core >= CPU_LIMIT {
            field.tell(
                problems,
                format!("no CPU has this number; they count from 0 to {}", CPU_LIMIT - 1),
            );
        } else if seen.insert(core, ()).is_some() {
            field.tell(problems, "this core stands in the list twice; one worker per core");
        }
    }
    (list.iter().filter_map(Field::ok).copied().collect(), idle)
}

/// The CPUs that this process may run on, as the data plane's service will too; at most 64.
fn usable_cores() -> Vec<u16> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return vec![0] };
    (0..CPU_LIMIT).filter(|&core| set.is_set(core.into())).take(64).collect()
}

//! The setup in the header.
use super::{Eye, Pen, join16, join32, split16, split32};
use crate::errors::Corrupt;
use crate::layout;
use crate::setup::{Geometry, Idle, Interface, Requirement, Role, Setup};

pub(crate) fn encode_setup(setup: &Setup, pen: &mut Pen<'_>) {
    let Geometry { sa_slots, policies, window_max, ring_entries } = setup.geometry;
    pen.put(join32(sa_slots, policies));
    pen.put(join32(window_max, ring_entries));
    let counts = [setup.interfaces.len(), setup.cores.len(), usize::from(setup.idle as u8)];
    let [interfaces, cores, idle] = counts.map(|count| u16::try_from(count).unwrap_or(u16::MAX));
    pen.put(join16([interfaces, cores, idle, 0]));
    pen.put(join32(setup.frames, setup.frame_size));
    pen.put(join32(setup.reassembly_slots, setup.reassembly_ms));
    pen.put_name(&setup.tun);
    let mut cores = setup.cores.iter().copied();
    for _ in 0..layout::WORKERS / 4 {
        pen.put(join16([(); 4].map(|()| cores.next().unwrap_or_default())));
    }
    for interface in &setup.interfaces {
        let Interface { name, role, require, complete_checksums } = interface;
        pen.put_name(name);
        let checksums = u8::from(*complete_checksums);
        pen.put(u64::from_le_bytes([*role as u8, *require as u8, checksums, 0, 0, 0, 0, 0]));
    }
}

pub(crate) fn decode_setup(eye: &mut Eye<'_>) -> Result<Setup, Corrupt> {
    let (sa_slots, policies) = split32(eye.take()?);
    let (window_max, ring_entries) = split32(eye.take()?);
    let [interfaces, cores, idle, _] = split16(eye.take()?);
    let (frames, frame_size) = split32(eye.take()?);
    let (reassembly_slots, reassembly_ms) = split32(eye.take()?);
    let tun = eye.take_name("TUN name")?;
    if usize::from(interfaces) > layout::INTERFACES {
        return Err(eye.corrupt("interface count", interfaces));
    }
    Ok(Setup {
        geometry: Geometry { sa_slots, policies, window_max, ring_entries },
        idle: match idle {
            0 => Idle::Adaptive,
            1 => Idle::Spin,
            other => return Err(eye.corrupt("idle rule", other)),
        },
        frames,
        frame_size,
        tun,
        reassembly_slots,
        reassembly_ms,
        cores: take_cores(eye, cores)?,
        interfaces: (0..interfaces).map(|_| take_interface(eye)).collect::<Result<_, _>>()?,
    })
}

fn take_cores(eye: &mut Eye<'_>, count: u16) -> Result<Vec<u16>, Corrupt> {
    let mut cores = Vec::with_capacity(layout::WORKERS);
    for _ in 0..layout::WORKERS / 4 {
        cores.extend(split16(eye.take()?));
    }
    if usize::from(count) > cores.len() {
        return Err(eye.corrupt("worker count", count));
    }
    cores.truncate(count.into());
    Ok(cores)
}

fn take_interface(eye: &mut Eye<'_>) -> Result<Interface, Corrupt> {
    let name = eye.take_name("interface name")?;
    let [role, require, checksums, ..] = eye.take()?.to_le_bytes();
    Ok(Interface {
        name,
        role: role_from(eye, role)?,
        require: match require {
            0 => Requirement::Any,
            1 => Requirement::Native,
            2 => Requirement::ZeroCopy,
            other => return Err(eye.corrupt("interface requirement", other)),
        },
        complete_checksums: eye.bool("checksum flag", checksums)?,
    })
}

pub(super) fn role_from(eye: &Eye<'_>, tag: u8) -> Result<Role, Corrupt> {
    match tag {
        0 => Ok(Role::Inside),
        1 => Ok(Role::Outside),
        other => Err(eye.corrupt("interface role", other)),
    }
}

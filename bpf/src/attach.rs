//! Where the program is: attaching it, adopting what an earlier process attached, and taking it off again.
//!
//! Native attachments are links, pinned by interface index: nobody can replace them without asking for it, and
//! they outlive the process. Generic ones are made by netlink, because the link call of libbpf takes no mode; they
//! outlive the process by themselves. A program is ours if it uses one of our pinned maps.
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use libbpf_rs::query::{ProgInfoIter, ProgInfoQueryOptions, ProgramInfo};
use libbpf_rs::{Link, ProgramMut, Xdp, XdpFlags};

use crate::error::Error;
use crate::maps::pin_error;
use crate::{AttachMode, Mode};

const LINK: &str = "link_";

/// A program that some interface carries now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    pub id: u32,
    pub mode: AttachMode,
}

fn fault(what: &'static str, ifindex: u32) -> impl FnOnce(libbpf_rs::Error) -> Error {
    move |source| Error::Attach { what, ifindex, source }
}

fn device(ifindex: u32) -> Result<i32, Error> {
    i32::try_from(ifindex).map_err(|_| Error::NoInterface(ifindex))
}

/// What the interface carries. `any` is any open file: the question goes to the interface.
pub(crate) fn query(any: BorrowedFd<'_>, ifindex: u32) -> Result<Option<Attached>, Error> {
    let found = match Xdp::new(any).query(device(ifindex)?, XdpFlags::NONE) {
        Err(error) if is_gone(&error) => return Err(Error::NoInterface(ifindex)),
        other => other.map_err(fault("query", ifindex))?,
    };
    let native = [found.drv_prog_id, found.hw_prog_id].into_iter().find(|id| *id != 0);
    let native = native.map(|id| Attached { id, mode: AttachMode::Native });
    let generic = (found.skb_prog_id != 0)
        .then_some(Attached { id: found.skb_prog_id, mode: AttachMode::Generic });
    Ok(native.or(generic).or_else(|| single(found.prog_id, found.attach_mode)))
}

/// Kernels name the one program there is in fields of its own.
fn single(id: u32, mode: u8) -> Option<Attached> {
    let generic = u32::from(mode) == libbpf_rs::libbpf_sys::XDP_ATTACHED_SKB;
    let mode = if generic { AttachMode::Generic } else { AttachMode::Native };
    (id != 0).then_some(Attached { id, mode })
}

/// ENODEV. libbpf-rs keeps the number to itself, but prints it.
fn is_gone(error: &libbpf_rs::Error) -> bool {
    format!("{error:#}").contains("(os error 19)")
}

/// A program by its id, with the maps that it uses.
pub(crate) fn program(id: u32) -> Option<ProgramInfo> {
    let options = ProgInfoQueryOptions::default().include_map_ids(true);
    ProgInfoIter::with_query_opts(options).find(|program| program.id == id)
}

/// What the interface carries, if that is ours; somebody else's program is an error.
pub(crate) fn ours_on(any: &File, ifindex: u32, maps: &[u32]) -> Result<Option<Attached>, Error> {
    let Some(found) = query(any.as_fd(), ifindex)? else { return Ok(None) };
    let info = program(found.id);
    if info.as_ref().is_some_and(|info| info.map_ids.iter().any(|id| maps.contains(id))) {
        return Ok(Some(found));
    }
    let name = info.map(|info| info.name.to_string_lossy().into_owned()).unwrap_or_default();
    Err(Error::Foreign { ifindex, id: found.id, name })
}

/// An interface that is gone carries nothing.
pub(crate) fn unless_gone<T>(found: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
    match found {
        Err(Error::NoInterface(_)) => Ok(None),
        other => other,
    }
}

/// Takes our program off, and leaves somebody else's alone.
pub(crate) fn end_if_ours(any: &File, dir: &Path, ifindex: u32, maps: &[u32]) -> Result<(), Error> {
    match unless_gone(ours_on(any, ifindex, maps)) {
        Ok(found) => end(any, dir, ifindex, found),
        Err(Error::Foreign { .. }) => Ok(()),
        Err(other) => Err(other),
    }
}

/// Whether two loaded programs do the same with the same maps.
pub(crate) fn same(one: &ProgramInfo, other: &ProgramInfo) -> bool {
    let sorted = |program: &ProgramInfo| {
        let mut ids = program.map_ids.clone();
        ids.sort_unstable();
        ids
    };
    one.tag.0 == other.tag.0 && sorted(one) == sorted(other)
}

/// The pin of an interface's link.
pub(crate) fn link_pin(dir: &Path, ifindex: u32) -> PathBuf {
    dir.join(format!("{LINK}{ifindex}"))
}

/// Opens a pinned link, if there is one.
pub(crate) fn open_link(path: &Path) -> Result<Option<Link>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    Link::open(path).map(Some).map_err(|error| pin_error(path, &error))
}

/// The interface that a link holds, 0 once that is gone or somebody detached it: as the kernel tells it.
fn link_ifindex(link: &Link) -> Option<u32> {
    let info =
        fs::read_to_string(format!("/proc/self/fdinfo/{}", link.as_fd().as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("ifindex:")?.trim().parse().ok())
}

fn unpin(path: &Path) -> Result<(), Error> {
    fs::remove_file(path).map_err(|source| Error::Pin { path: path.into(), source })
}

/// Removes the pin of a link that holds nothing any more. False if it still holds an interface.
pub(crate) fn clear_defunct(path: &Path) -> Result<bool, Error> {
    match open_link(path)? {
        Some(link) if link_ifindex(&link) != Some(0) => Ok(false),
        Some(_) => unpin(path).map(|()| true),
        None => Ok(true),
    }
}

/// Puts the program on an interface that carries none.
pub(crate) fn begin(
    program: &ProgramMut<'_>,
    dir: &Path,
    ifindex: u32,
    mode: Mode,
) -> Result<AttachMode, Error> {
    let path = link_pin(dir, ifindex);
    if !clear_defunct(&path)? {
        return Err(Error::Elsewhere { path, ifindex });
    }
    match mode {
        Mode::Generic => generic(program, ifindex),
        Mode::Native => native(program, &path, ifindex),
        Mode::Any => match native(program, &path, ifindex) {
            Err(Error::NotNative { .. }) => generic(program, ifindex),
            other => other,
        },
    }
}

/// The kernel chooses the driver's mode if there is one; whether it did is asked for afterwards.
fn native(program: &ProgramMut<'_>, path: &Path, ifindex: u32) -> Result<AttachMode, Error> {
    let refused = |reason: String| Error::NotNative { ifindex, reason };
    let attached = program.attach_xdp(device(ifindex)?);
    let mut link = attached.map_err(|error| refused(format!("{error:#}")))?;
    match query(program.as_fd(), ifindex)? {
        Some(Attached { mode: AttachMode::Native, .. }) => {}
        _ => return Err(refused("its driver has none".into())), // dropping the link takes the program off
    }
    link.pin(path).map_err(|error| pin_error(path, &error))?;
    Ok(AttachMode::Native)
}

fn generic(program: &ProgramMut<'_>, ifindex: u32) -> Result<AttachMode, Error> {
    let flags = XdpFlags::SKB_MODE | XdpFlags::UPDATE_IF_NOEXIST;
    Xdp::new(program.as_fd()).attach(device(ifindex)?, flags).map_err(fault("attach", ifindex))?;
    Ok(AttachMode::Generic)
}

/// Puts this program in the place of an older one of ours, in one step.
pub(crate) fn renew(
    program: &ProgramMut<'_>,
    dir: &Path,
    ifindex: u32,
    mode: AttachMode,
) -> Result<(), Error> {
    if let Some(mut link) = open_link(&link_pin(dir, ifindex))? {
        return link.update_prog(program).map_err(fault("update", ifindex));
    }
    let flags = match mode {
        AttachMode::Native => XdpFlags::DRV_MODE,
        AttachMode::Generic => XdpFlags::SKB_MODE,
    };
    Xdp::new(program.as_fd()).attach(device(ifindex)?, flags).map_err(fault("update", ifindex))
}

/// Takes a program of ours off an interface.
pub(crate) fn end(
    any: &File,
    dir: &Path,
    ifindex: u32,
    attached: Option<Attached>,
) -> Result<(), Error> {
    let path = link_pin(dir, ifindex);
    if let Some(link) = open_link(&path)? {
        // Detaching, not only closing: somebody may hold the link open.
        link.detach().map_err(fault("detach", ifindex))?;
        return unpin(&path);
    }
    let flags = match attached {
        None => return Ok(()),
        Some(Attached { mode: AttachMode::Native, .. }) => XdpFlags::DRV_MODE,
        Some(Attached { mode: AttachMode::Generic, .. }) => XdpFlags::SKB_MODE,
    };
    Xdp::new(any.as_fd()).detach(device(ifindex)?, flags).map_err(fault("detach", ifindex))
}

/// The interfaces that pinned links name.
pub(crate) fn linked(dir: &Path) -> Result<Vec<u32>, Error> {
    let fault = |source| Error::Pin { path: dir.into(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(fault)? {
        let name = entry.map_err(fault)?.file_name();
        let index: Option<u32> =
            name.to_str().and_then(|name| name.strip_prefix(LINK)?.parse().ok());
        found.extend(index);
    }
    Ok(found)
}

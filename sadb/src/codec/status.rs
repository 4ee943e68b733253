//! Interface statuses, and the crypto status.
use super::setup::role_from;
use super::{Eye, Pen, join32, split32};
use crate::errors::Corrupt;
use crate::layout::FALLBACKS;
use crate::setup::XdpMode;
use crate::status::{CryptoStatus, InterfaceStatus};

pub(crate) fn encode_interface(status: &InterfaceStatus, pen: &mut Pen<'_>) {
    let flags = [u8::from(status.up), u8::from(status.driver.is_some())];
    let [up, driver] = flags;
    pen.put(u64::from_le_bytes([status.role as u8, status.mode as u8, up, driver, 0, 0, 0, 0]));
    pen.put_name(&status.name);
    pen.put_name(&status.driver.unwrap_or(status.name));
    pen.put(join32(status.ifindex, status.queues));
    pen.put(status.mtu.into());
    for count in [
        status.rx_dropped,
        status.rx_ring_full,
        status.fill_ring_empty,
        status.tx_invalid,
        status.rebinds,
    ] {
        pen.put(count);
    }
}

pub(crate) fn decode_interface(eye: &mut Eye<'_>) -> Result<InterfaceStatus, Corrupt> {
    let [role, mode, up, has_driver, ..] = eye.take()?.to_le_bytes();
    let name = eye.take_name("interface name")?;
    let driver = eye.take_name("driver name")?;
    let (ifindex, queues) = split32(eye.take()?);
    let mtu = eye.take()?;
    Ok(InterfaceStatus {
        name,
        role: role_from(eye, role)?,
        ifindex,
        mode: match mode {
            0 => XdpMode::Down,
            1 => XdpMode::Generic,
            2 => XdpMode::Copy,
            3 => XdpMode::ZeroCopy,
            other => return Err(eye.corrupt("XDP mode", other)),
        },
        queues,
        mtu: mtu.try_into().map_err(|_| eye.corrupt("interface MTU", mtu))?,
        driver: eye.bool("driver flag", has_driver)?.then_some(driver),
        up: eye.bool("interface state", up)?,
        rx_dropped: eye.take()?,
        rx_ring_full: eye.take()?,
        fill_ring_empty: eye.take()?,
        tx_invalid: eye.take()?,
        rebinds: eye.take()?,
    })
}

pub(crate) fn encode_crypto(status: &CryptoStatus, pen: &mut Pen<'_>) {
    pen.put(status.fallbacks.len().min(FALLBACKS) as u64);
    pen.put_name(&status.backend);
    status.fallbacks.iter().take(FALLBACKS).for_each(|name| pen.put_name(name));
}

pub(crate) fn decode_crypto(eye: &mut Eye<'_>) -> Result<CryptoStatus, Corrupt> {
    let count = eye.take()?;
    let many = usize::try_from(count).ok().filter(|&many| many <= FALLBACKS);
    let many = many.ok_or(eye.corrupt("number of crypto kernels", count))?;
    let backend = eye.take_name("crypto backend")?;
    let fallbacks = (0..many).map(|_| eye.take_name("crypto kernel")).collect::<Result<_, _>>()?;
    Ok(CryptoStatus { backend, fallbacks })
}

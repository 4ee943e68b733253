//! The outer headers of one SA, laid out once.
use core::net::IpAddr;
use sadb::Encap;

#[derive(Debug)]
pub(crate) struct Outer {}
impl Outer {
    pub fn new(_local: IpAddr, _remote: IpAddr, _encap: Encap) -> Self {
        Self {}
    }
}

//! The Configuration payload (RFC 7296 §3.15): read, so that it can be answered or passed over.

use super::{List, Malformed, Out, list::Element, octets};
use crate::iana::ike::{CfgAttribute, CfgType};

/// The most attributes in one payload.
pub const MAX_CONFIGURATION_ATTRIBUTES: usize = 128;

const RESERVED: u16 = 0x8000;

/// A request for values, or values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration<'a> {
    /// Which of the two.
    pub kind: CfgType,
    /// What is asked for or given.
    pub attributes: List<'a, ConfigurationAttribute<'a>>,
}

/// One value, or in a request maybe only what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigurationAttribute<'a> {
    /// What it is.
    pub kind: CfgAttribute,
    /// The value; empty is none.
    pub value: &'a [u8],
}

impl<'a> Configuration<'a> {
    /// Checks the attributes' lengths.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (&[kind, ..], octets) = octets::take::<4>(body)?;
        let limit = ("configuration attributes", MAX_CONFIGURATION_ATTRIBUTES);
        let (attributes, _) = List::parse(octets, limit)?;
        Ok(Self { kind: CfgType(kind), attributes })
    }

    /// Appends the body.
    pub fn emit(&self, out: &mut Out) {
        out.put(&[self.kind.0, 0, 0, 0]);
        self.attributes.emit(out);
    }
}

impl<'a> Element<'a> for ConfigurationAttribute<'a> {
    fn take(octets: &'a [u8]) -> Result<(Option<Self>, &'a [u8]), Malformed> {
        let (&[a, b, c, d], rest) = octets::take::<4>(octets)?;
        let kind = CfgAttribute(u16::from_be_bytes([a, b]) & !RESERVED);
        let (value, rest) = octets::split_stated(rest, u16::from_be_bytes([c, d]), 0)?;
        Ok((Some(Self { kind, value }), rest))
    }

    fn emit(&self, _last: bool, out: &mut Out) {
        out.put(&self.kind.0.to_be_bytes());
        let at = out.position();
        out.put(&[0, 0]);
        out.put(self.value);
        out.patch_length(at, at + 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_octet_for_octet() {
        let octets = [1, 0, 0, 0, 0x80, 1, 0, 0, 0, 3, 0, 4, 10, 0, 0, 1];
        let read = Configuration::parse(&octets).unwrap();
        let want = [
            ConfigurationAttribute { kind: CfgAttribute::INTERNAL_IP4_ADDRESS, value: &[] },
            ConfigurationAttribute { kind: CfgAttribute::INTERNAL_IP4_DNS, value: &[10, 0, 0, 1] },
        ];
        assert_eq!((read.kind, read.attributes), (CfgType::CFG_REQUEST, (&want).into()));
        for end in (0..4).chain(5..8).chain(9..16) {
            assert!(Configuration::parse(&octets[..end]).is_err(), "cut to {end}");
        }
    }

    #[test]
    fn as_many_attributes_as_the_limit_and_not_one_more() {
        const MOST: usize = MAX_CONFIGURATION_ATTRIBUTES;
        for count in [0, 1, MOST - 1, MOST, MOST + 1, 1000] {
            let octets = [vec![1, 0, 0, 0], [0, 1, 0, 0].repeat(count)].concat();
            let why = Malformed::TooMany { what: "configuration attributes", most: MOST };
            let want = (count > MOST).then_some(why);
            assert_eq!(Configuration::parse(&octets).err(), want, "{count}");
        }
    }
}

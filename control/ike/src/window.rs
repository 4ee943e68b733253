//! Message IDs (RFC 7296 §2.2, §2.3). The window is one request each way: nothing else is needed, and nothing else is
//! offered, so the peer may not send more either.

/// Where a request's message ID stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The next one: to be processed.
    New,
    /// The one that was answered last: it gets the same answer again.
    Repeated,
    /// Neither; dropped.
    Outside,
}

/// The requests of the peer.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    next: u32,
    answer: Vec<Vec<u8>>,
}

impl Requests {
    /// `next` is the first message ID expected.
    pub(crate) fn starting_at(next: u32) -> Self {
        Self { next, answer: Vec::new() }
    }
    /// Looks, and changes nothing.
    pub(crate) fn place(&self, id: u32) -> Place {
        match id {
            id if id == self.next => Place::New,
            id if id.checked_add(1) == Some(self.next) => Place::Repeated,
            _ => Place::Outside,
        }
    }
    /// The ID that is expected next, or being answered.
    pub(crate) fn current(&self) -> u32 {
        self.next
    }
    /// The current request has this answer. `false`: IDs are used up, and the IKE SA must end.
    pub(crate) fn answered(&mut self, datagrams: Vec<Vec<u8>>) -> bool {
        self.answer = datagrams;
        let next = self.next.checked_add(1);
        self.next = next.unwrap_or(self.next);
        next.is_some()
    }
    /// The answer to the last request; empty when there is none yet.
    pub(crate) fn answer(&self) -> &[Vec<u8>] {
        &self.answer
    }
}

/// Our requests.
#[derive(Debug, Default)]
pub(crate) struct Numbers(u32);

impl Numbers {
    /// `next` is the first message ID to use.
    pub(crate) fn starting_at(next: u32) -> Self {
        Self(next)
    }
    /// Takes the next message ID. `None`: they are used up, and the IKE SA must end.
    pub(crate) fn take(&mut self) -> Option<u32> {
        let id = self.0;
        self.0 = id.checked_add(1)?;
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_request_is_new_and_only_the_last_is_answered_again() {
        let mut requests = Requests::starting_at(2);
        for (id, want) in
            [(0, Place::Outside), (1, Place::Repeated), (2, Place::New), (3, Place::Outside)]
        {
            assert_eq!(requests.place(id), want, "{id}");
        }
        assert!(requests.answered(vec![vec![1]]));
        assert_eq!((requests.place(2), requests.place(3)), (Place::Repeated, Place::New));
        assert_eq!(requests.place(1), Place::Outside);
        assert_eq!(requests.answer(), [[1]]);
    }

    #[test]
    fn message_ids_end_and_do_not_wrap() {
        let mut requests = Requests::starting_at(u32::MAX);
        assert!(!requests.answered(Vec::new()));
        let mut numbers = Numbers::starting_at(u32::MAX - 1);
        assert_eq!((numbers.take(), numbers.take()), (Some(u32::MAX - 1), None));
        assert_eq!(Requests::starting_at(0).place(u32::MAX), Place::Outside);
    }
}

//! What time does to an established IKE SA.
use super::{Base, Established, State, Task};
use crate::action::Action;
use crate::child::{Child, Sending};
use crate::env::{Effect, Env};
use crate::event::Cause;
use crate::exchange::asking::Asking;
use crate::retransmit::Due;
use crate::why::Reason;

/// When something is due, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) rekey: Option<u64>,
    pub(crate) reauth: Option<u64>,
    pub(crate) dies: Option<u64>,
    pub(crate) keepalive: Option<u64>,
}

impl Times {
    /// Of an IKE SA that is made now.
    pub(crate) fn new(base: &Base, env: &mut Env<'_>) -> Self {
        times(base, env)
    }
}

impl Established {
    pub(crate) fn deadline(&self, base: &Base) -> Option<u64> {
        let Times { rekey, reauth, dies, keepalive } = self.times;
        let asking = match &self.asking {
            Asking::Sent { retransmission, .. } => Some(retransmission.deadline()),
            _ => None,
        };
        let children = self.children.iter().filter_map(Child::deadline).min();
        let later = self.later.iter().map(|(at, _)| *at).min();
        let liveness = self.liveness(base);
        [rekey, reauth, dies, keepalive, asking, children, later, liveness]
            .into_iter()
            .flatten()
            .min()
    }

    /// When to ask whether the peer lives; an exchange that is under way asks as well.
    fn liveness(&self, base: &Base) -> Option<u64> {
        let idle = matches!(self.asking, Asking::Idle) && self.successor.is_none();
        base.connection
            .dpd
            .filter(|_| idle)
            .map(|dpd| self.heard.saturating_add(dpd.delay_ms.max(1)))
    }

    pub(crate) fn on_tick(mut self: Box<Self>, base: &mut Base, env: &mut Env<'_>) -> State {
        self.retransmit(base, env);
        self.channel.forget_fragments(env.now);
        let now = env.now;
        let due: Vec<Task> =
            self.later.extract_if(.., |(at, _)| *at <= now).map(|(_, task)| task).collect();
        self.queue.extend(due);
        self.tick_children(env);
        self.tick_times(base, env);
        if self.liveness(base).is_some_and(|at| at <= now) && self.queue.is_empty() {
            self.put(Task::Liveness);
        }
        self.proceed(base, env)
    }

    fn retransmit(&mut self, base: &Base, env: &mut Env<'_>) {
        let Asking::Sent { retransmission, question, .. } = &mut self.asking else { return };
        match retransmission.due(env.now) {
            Due::Nothing => {}
            Due::Again(datagrams) => env.send(base.path, datagrams),
            Due::GiveUp => {
                let why = base.why(env.now, question.stage(), Reason::Timeout);
                let silent = (env.now.saturating_sub(self.heard)) / 1000;
                env.fail(
                    why.check(format!("nothing was heard of {} for {silent} s", base.path.remote)),
                );
                self.end = Some(question.cause_of_silence());
            }
        }
    }

    fn tick_children(&mut self, env: &mut Env<'_>) {
        let mut tasks = Vec::new();
        for child in &mut self.children {
            if child.hard.is_some_and(|at| at <= env.now) {
                child.hard = None;
                let cause = if child.lives() { Cause::Expired } else { Cause::Replaced };
                tasks.push(Task::DeleteChildren(vec![child.inbound], cause));
            } else if child.soft.is_some_and(|at| at <= env.now) {
                child.soft = None;
                tasks.push(Task::RekeyChild(child.inbound));
            }
            if matches!(child.sending, Sending::Waits { until, .. } if until <= env.now) {
                child.send_now(env);
            }
        }
        self.queue.extend(tasks);
    }

    fn tick_times(&mut self, base: &Base, env: &mut Env<'_>) {
        let now = env.now;
        let due = |time: &mut Option<u64>| time.take_if(|at| *at <= now).is_some();
        if due(&mut self.times.dies) {
            match self.successor {
                Some(_) => self.end = Some(Cause::Replaced),
                None => self.queue.push_front(Task::DeleteIke(Cause::Expired)),
            }
        }
        if due(&mut self.times.rekey) {
            self.queue.push_back(Task::RekeyIke);
        }
        if due(&mut self.times.reauth) {
            env.effect(Effect::Reauthenticate { spi: base.spi });
        }
        if due(&mut self.times.keepalive) {
            env.out.push(Action::Send { path: base.path, datagram: vec![0xff] }); // RFC 3948 §2.3
            self.times.keepalive = keepalive(base, now);
        }
    }
}

fn times(base: &Base, env: &mut Env<'_>) -> Times {
    let limits = base.connection.lifetime;
    let now = env.now;
    let mut after = |seconds: u64| {
        (seconds > 0)
            .then(|| now.saturating_add(env.jittered(seconds.saturating_mul(1000), limits.jitter)))
    };
    let (rekey, reauth) = (after(limits.rekey), after(limits.reauth));
    let hard = [limits.rekey, limits.reauth].into_iter().filter(|&seconds| seconds > 0).min();
    let dies = hard.map(|seconds| {
        now.saturating_add(seconds.saturating_add(limits.over).saturating_mul(1000))
    });
    Times { rekey, reauth, dies, keepalive: keepalive(base, now) }
}

fn keepalive(base: &Base, now: u64) -> Option<u64> {
    let interval = base.connection.keepalive_ms;
    (base.nat.local && interval > 0).then(|| now.saturating_add(interval))
}

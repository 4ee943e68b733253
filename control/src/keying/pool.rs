//! Threads for key exchange and signatures, on CPUs where no packet worker runs if there are any. What others make us do
//! waits in a queue with an end: whoever floods us with handshakes fills it, and the core is told that a job was not run.
//! What we began ourselves goes first and always has a place.
use super::Kernel;
use ike::action::Ticket;
use ike::job::{Done, Job};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Jobs that wait at most, of those that others make us do.
const WAITING: usize = 1024;

/// The threads. They end when this is dropped.
#[derive(Debug)]
pub struct Pool {
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: Mutex<Jobs>,
    news: Condvar,
}

/// Jobs that wait, the oldest first.
#[derive(Debug, Default)]
struct Jobs {
    /// Of exchanges that we began: there is one at most for each IKE SA, and none is left undone. Strangers who flood us
    /// must not keep those who stand from getting new keys.
    own: VecDeque<(Ticket, Job)>,
    others: VecDeque<(Ticket, Job)>,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job; `None`: there will be none any more.
    fn next(&self) -> Option<(Ticket, Job)> {
        let mut jobs = self.lock();
        loop {
            let next = jobs.own.pop_front().or_else(|| jobs.others.pop_front());
            if jobs.closed || next.is_some() {
                return next.filter(|_| !jobs.closed);
            }
            jobs = self.news.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Pool {
    /// Starts `threads`, or half of the CPUs that are not in `busy`. `done` is called on the threads.
    ///
    /// # Errors
    /// When the kernel gives no thread.
    pub fn start(
        threads: Option<usize>,
        busy: &[u16],
        done: impl Fn(Ticket, Done) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let pool = Self { queue: Arc::default() };
        let free = free_cpus(busy);
        let cpus = free.as_ref().map_or(1, |cpus| cpus.count() as usize);
        let threads = threads.unwrap_or(cpus.div_ceil(2)).max(1);
        for number in 0..threads {
            let (queue, done, free) = (Arc::clone(&pool.queue), done.clone(), free);
            std::thread::Builder::new().name(format!("ike-{number}")).spawn(move || {
                if let Some(cpus) = &free {
                    let _ = sched_setaffinity(None, cpus);
                }
                while let Some((ticket, job)) = queue.next() {
                    done(ticket, job.run(&mut Kernel, super::unix_now()));
                }
            })?;
        }
        Ok(pool)
    }

    /// Runs it some time.
    ///
    /// # Errors
    /// The ticket, when too much waits already.
    pub fn run(&self, ticket: Ticket, job: Job) -> Result<(), Ticket> {
        let mut jobs = self.queue.lock();
        match is_own(&job) {
            true => jobs.own.push_back((ticket, job)),
            false if jobs.others.len() < WAITING => jobs.others.push_back((ticket, job)),
            false => return Err(ticket),
        }
        drop(jobs);
        self.queue.news.notify_one();
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.news.notify_all();
    }
}

/// Whether it is part of an exchange that we began.
fn is_own(job: &Job) -> bool {
    matches!(job, Job::Generate { .. } | Job::Agree { .. })
}

/// The CPUs that we may use and no packet worker does; `None`: there are none, so any.
fn free_cpus(busy: &[u16]) -> Option<CpuSet> {
    let mut cpus = sched_getaffinity(None).ok()?;
    busy.iter().for_each(|&cpu| {
        if usize::from(cpu) < CpuSet::MAX_CPU {
            cpus.unset(cpu.into());
        }
    });
    (cpus.count() > 0).then_some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ike::algorithm::Group;
    use std::sync::mpsc::channel;

    #[test]
    fn jobs_come_back_with_their_tickets() {
        let (send, receive) = channel();
        let pool = Pool::start(Some(2), &[], move |ticket, done| {
            let generated = matches!(done, Done::Generated { .. });
            let _ = send.send((ticket, generated));
        });
        let pool = pool.unwrap();
        for number in 0..8 {
            pool.run(Ticket(number), Job::Generate { group: Group::Curve25519 }).unwrap();
        }
        let mut seen: Vec<_> = receive.iter().take(8).collect();
        seen.sort();
        assert_eq!(seen, (0..8).map(|number| (Ticket(number), true)).collect::<Vec<_>>());
    }

    #[test]
    fn a_flood_keeps_nobody_from_what_we_began() {
        let (send, receive) = channel();
        let (hold, held) = channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let pool = Pool::start(Some(1), &[], move |ticket, _| {
            let _ = send.send(ticket);
            let _ = held.lock().map(|held| held.recv());
        });
        let pool = pool.unwrap();
        let stranger = || Job::Exchange { group: Group::Curve25519, public: vec![9; 32] };
        let own = || Job::Generate { group: Group::Curve25519 };
        pool.run(Ticket(0), stranger()).unwrap();
        assert_eq!(receive.recv(), Ok(Ticket(0)), "its thread is busy from here on");
        let most = u64::try_from(WAITING).unwrap();
        (1..=most).for_each(|number| pool.run(Ticket(number), stranger()).unwrap());
        assert_eq!(pool.run(Ticket(most + 1), stranger()), Err(Ticket(most + 1)));
        assert_eq!(pool.run(Ticket(most + 2), own()), Ok(()));
        hold.send(()).unwrap();
        assert_eq!(receive.recv(), Ok(Ticket(most + 2)), "it goes first, too");
    }
}

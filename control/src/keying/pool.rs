//! Threads for key exchange and signatures, on CPUs where no packet worker runs if there are any. A queue with an end:
//! whoever floods us with handshakes fills it, and the core is told that a job was not run.
use super::Kernel;
use ike::action::Ticket;
use ike::job::{Done, Job};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Jobs that wait at most.
const WAITING: usize = 1024;

/// The threads. They end when this is dropped.
#[derive(Debug)]
pub struct Pool {
    queue: SyncSender<(Ticket, Job)>,
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
        let (queue, jobs) = sync_channel(WAITING);
        let jobs = Arc::new(Mutex::new(jobs));
        let free = free_cpus(busy);
        let cpus = free.as_ref().map_or(1, |cpus| cpus.count() as usize);
        let threads = threads.unwrap_or(cpus.div_ceil(2)).max(1);
        for number in 0..threads {
            let (jobs, done, free) = (Arc::clone(&jobs), done.clone(), free);
            std::thread::Builder::new().name(format!("ike-{number}")).spawn(move || {
                if let Some(cpus) = &free {
                    let _ = sched_setaffinity(None, cpus);
                }
                work(&jobs, done);
            })?;
        }
        Ok(Self { queue })
    }

    /// Runs it some time.
    ///
    /// # Errors
    /// The ticket, when too much waits already.
    pub fn run(&self, ticket: Ticket, job: Job) -> Result<(), Ticket> {
        self.queue.try_send((ticket, job)).map_err(|_| ticket)
    }
}

fn work(jobs: &Mutex<Receiver<(Ticket, Job)>>, done: impl Fn(Ticket, Done)) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((ticket, job)) = next else { return };
        done(ticket, job.run(&mut Kernel, super::unix_now()));
    }
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
}

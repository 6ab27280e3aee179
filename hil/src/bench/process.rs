//! What a process has used, as the kernel counts it, and what this one may use.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Failed;

/// Opens as many descriptors as the hard limit allows: a call has two sockets and more.
pub(super) fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    // Without it the sockets themselves will say that they are too many.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).ok();
}

/// Processor time so far, in seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Use {
    /// In the program.
    pub(super) user: f64,
    /// In the kernel for it.
    pub(super) system: f64,
    /// Both, by name of the thread.
    pub(super) threads: BTreeMap<String, f64>,
}

impl Use {
    /// Of all these processes, now.
    pub(super) fn read(pids: &[u32]) -> Result<Self, Failed> {
        let mut sum = Self::default();
        for pid in pids {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
            let stat = stat.map_err(Failed::io(format!("process {pid}")))?;
            let (_, user, system) = fields(&stat).ok_or_else(|| Failed::call("/proc", "unreadable"))?;
            sum.user += user;
            sum.system += system;
            sum.add_threads(*pid);
        }
        Ok(sum)
    }

    /// A thread that ends meanwhile is left out.
    fn add_threads(&mut self, pid: u32) {
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return };
        for task in tasks.flatten() {
            let Some((name, used)) = thread(&task.path()) else { continue };
            *self.threads.entry(name).or_default() += used;
        }
    }

    /// What was used since `before`.
    pub(super) fn since(&self, before: &Self) -> Self {
        let earlier = |name: &String| before.threads.get(name).copied().unwrap_or_default();
        let threads = self.threads.iter().map(|(name, used)| (name.clone(), used - earlier(name)));
        Self {
            user: self.user - before.user,
            system: self.system - before.system,
            threads: threads.collect(),
        }
    }
}

/// Name and nanosecond-exact use of one thread.
fn thread(task: &Path) -> Option<(String, f64)> {
    let (name, ..) = fields(&fs::read_to_string(task.join("stat")).ok()?)?;
    let ran = fs::read_to_string(task.join("schedstat")).ok()?;
    let ran: f64 = ran.split_ascii_whitespace().next()?.parse().ok()?;
    Some((name, ran / 1e9))
}

/// Name, user and system seconds of a `stat` file (proc(5)). The name may contain anything, also brackets.
fn fields(stat: &str) -> Option<(String, f64, f64)> {
    let (front, back) = stat.rsplit_once(')')?;
    let name = front.split_once('(')?.1;
    let mut numbers = back.split_ascii_whitespace().skip(11).map(|n| n.parse::<u32>().ok());
    let (user, system) = (numbers.next()??, numbers.next()??);
    let a_second = rustix::param::clock_ticks_per_second();
    let seconds = |ticks: u32| f64::from(ticks) / f64::from(u32::try_from(a_second).unwrap_or(100));
    Some((name.to_owned(), seconds(user), seconds(system)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 0 0 0 200 100 0 0 20 0 1 0 5 6 7";
        let (name, user, system) = fields(stat).unwrap();
        assert_eq!(name, "a) b (c");
        assert!((user / system - 2.0).abs() < 1e-9, "{user} {system}");
    }

    #[test]
    fn what_this_process_uses_grows_and_is_found_by_thread() {
        let pid = std::process::id();
        let before = Use::read(&[pid]).unwrap();
        let mut sum = 0_u64;
        while Use::read(&[pid]).unwrap().since(&before).threads.values().sum::<f64>() < 0.002 {
            sum = sum.wrapping_add(1);
        }
        assert!(sum > 0);
    }
}

//! The report: how things stand, what took place, and what was wrong.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use test_e2e::Disturbed;

use crate::{
    agents::Agents,
    register::{Limits, Took},
    tenants::Tenants,
    watcher::Watcher,
};

/// In fewer rounds than these not everything takes place.
const ENOUGH: usize = 100;

/// One line on how things stand.
pub(crate) fn progress(round: usize, rounds: usize, since: Duration, watcher: &Watcher) {
    let seconds = since.as_secs();
    watcher.register(|register| {
        let took = register.took();
        println!(
            "round {round:>4} of {rounds} {seconds:>5} s  quarantines {:>3}  releases {:>3}  reaps {:>3}  now out {}  over the cap {}  labels lost {}",
            took.quarantines,
            took.releases,
            took.reaps,
            register.quarantined(),
            register.over_the_cap(),
            register.labels_lost()
        );
    });
}

/// What the watcher and the agents do not know themselves.
pub(crate) struct TookPlace {
    pub(crate) rounds: usize,
    pub(crate) api_server_restarts: usize,
    pub(crate) survivors: usize,
    pub(crate) limits: Limits,
}

impl TookPlace {
    /// Prints what took place; gives what is wrong with that.
    pub(crate) fn report(
        &self,
        agents: &Agents,
        watcher: &Watcher,
        tenants: &Tenants,
    ) -> Vec<String> {
        let took = watcher.register(|register| register.took());
        let (done, course) = (agents.done, watcher.course());
        let requests = agents.disturbed();
        let sum = |what: fn(&Disturbed) -> usize| requests.iter().map(what).sum::<usize>();
        // What, how often, and how often at least where there were enough rounds.
        let rows = [
            ("quarantines", took.quarantines, self.rounds / 20),
            (
                "  at once in the cluster",
                took.most_of_cluster,
                if tenants.are_none() {
                    self.limits.cluster
                } else {
                    // The places of tenants are taken by pods that nobody has quarantined.
                    self.limits.workload + 1
                },
            ),
            // It takes both workloads of one namespace at once: not every two hundred rounds come to that limit.
            ("  at once in a namespace", took.most_of_namespace, 1),
            (
                "  at once of a workload",
                took.most_of_workload,
                self.limits.workload,
            ),
            ("releases", took.releases, 1),
            // Of the few pods that two hundred rounds quarantine, people may release all.
            ("reaps", took.reaps, self.rounds / 500),
            (
                "quarantined pods deleted by people",
                took.deleted_by_people,
                0,
            ),
            ("pods fenced", took.fenced, 0),
            ("agents killed", done.killed, 1),
            ("agents stopped for a while", done.stopped, 1),
            ("agents started", done.started, 2),
            ("restarts of the API server", self.api_server_restarts, 1),
            (
                "requests delayed by less than 0.5 s",
                sum(|one| one.delayed),
                1,
            ),
            ("writes delayed by 3 s to 40 s", sum(|one| one.late), 1),
            ("requests lost", sum(|one| one.lost), 1),
            ("answers lost", sum(|one| one.unanswered), 1),
            ("writes repeated within 0.5 s", sum(|one| one.repeated), 1),
            (
                "writes repeated 1 s to 40 s later",
                sum(|one| one.repeated_late),
                1,
            ),
            ("watches that lagged", sum(|one| one.lagging), 1),
            ("watches broken off", sum(|one| one.cut), 1),
            ("versions of pods seen", took.versions, self.rounds),
            ("  watches that went on after their end", course.resumed, 0),
            ("  gaps closed by lists", course.relisted, 0),
            ("  versions listed", course.versions_listed, 0),
            (
                "  versions that could not be listed",
                course.versions_not_seen,
                0,
            ),
            ("pods left, their labels compared", self.survivors, 1),
        ];
        println!("\nWhat took place");
        let mut wrong = Vec::new();
        let of_tenants = (!tenants.are_none()).then(|| self.of_tenants(took, tenants));
        for (what, count, least) in rows.into_iter().chain(of_tenants.into_iter().flatten()) {
            println!("  {what:<40} {count:>6}");
            if count < least && self.rounds >= ENOUGH {
                let what = what.trim_start();
                wrong.push(format!(
                    "too little took place: {what}: {count}, not {least}"
                ));
            }
        }
        let let_through = tenants.requests.let_through.load(Ordering::Relaxed);
        if let_through > 0 {
            wrong.push(format!(
                "tenants had no right to {let_through} requests that were done"
            ));
        }
        if done.ended > 0 {
            wrong.push(format!(
                "{} times an agent ended by itself, or did not start",
                done.ended
            ));
        }
        wrong
    }

    /// The rows about tenants.
    fn of_tenants(&self, took: Took, tenants: &Tenants) -> [(&'static str, usize, usize); 4] {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let requests = &tenants.requests;
        [
            (
                "pods that tenants made count",
                took.forged,
                self.rounds / 20,
            ),
            (
                "requests of tenants done",
                count(&requests.done),
                self.rounds,
            ),
            ("  not valid, or too late", count(&requests.refused), 1),
            ("  denied for want of a right", count(&requests.denied), 1),
        ]
    }
}

//! What is told: how things stand, what took place, and what was wrong.

use std::time::Duration;

use test_e2e::Disturbed;

use crate::{agents::Agents, scene::LIMITS, watcher::Watcher};

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
}

impl TookPlace {
    /// Prints what took place; gives what is wrong with that.
    pub(crate) fn tell(&self, agents: &Agents, watcher: &Watcher) -> Vec<String> {
        let took = watcher.register(|register| register.took());
        let (done, course) = (agents.done, watcher.course());
        let requests = agents.disturbed();
        let sum = |what: fn(&Disturbed) -> usize| requests.iter().map(what).sum::<usize>();
        println!("\nWhat took place");
        let mut wrong = Vec::new();
        // What must have taken place at least so often, if anything must.
        let mut row = |what: &str, count: usize, least: usize| {
            println!("  {what:<57} {count:>6}");
            if count < least && self.rounds >= ENOUGH {
                wrong.push(format!(
                    "too little took place: {}: {count}, not {least}",
                    what.trim_start()
                ));
            }
        };
        row("quarantines", took.quarantines, self.rounds / 20);
        row(
            "  most at once in the cluster",
            took.most_of_cluster,
            LIMITS.cluster,
        );
        row(
            "  most at once in a namespace",
            took.most_of_namespace,
            LIMITS.namespace,
        );
        row(
            "  most at once of a workload",
            took.most_of_workload,
            LIMITS.workload,
        );
        row("releases", took.releases, 1);
        row("reaps", took.reaps, 1);
        row("quarantined pods deleted by hand", took.deleted_by_hand, 0);
        row("agents killed", done.killed, 1);
        row("agents stopped for a while", done.stopped, 1);
        row("agents started", done.started, 2);
        row("restarts of the API server", self.api_server_restarts, 1);
        row(
            "requests delayed by less than 0.5 s",
            sum(|one| one.delayed),
            1,
        );
        row("writes delayed by 3 s to 40 s", sum(|one| one.late), 1);
        row("requests lost before they arrived", sum(|one| one.lost), 1);
        row("answers lost", sum(|one| one.unanswered), 1);
        row("writes repeated within 0.5 s", sum(|one| one.repeated), 1);
        row(
            "writes repeated 1 s to 40 s later",
            sum(|one| one.repeated_late),
            1,
        );
        row("agents' watches broken off", sum(|one| one.cut), 1);
        row("versions of pods seen", took.versions, self.rounds);
        row("  watches that ended and went on", course.resumed, 0);
        row(
            "  times that versions in between were listed",
            course.relisted,
            0,
        );
        row("  versions listed", course.versions_listed, 0);
        row(
            "  versions that could not be seen",
            course.versions_not_seen,
            0,
        );
        row(
            "pods that survived, their labels compared",
            self.survivors,
            1,
        );
        if done.ended > 0 {
            wrong.push(format!(
                "{} times an agent ended by itself, or did not start",
                done.ended
            ));
        }
        wrong
    }
}

//! A pod that keeps its processor busy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::answer::Site;

/// Within each of these it works for its share and answers requests for the rest.
const TURN: Duration = Duration::from_millis(100);

/// The most that leaves it time to answer.
const MOST_PERCENT: u8 = 80;

/// Uses up as much as is asked for, for ever.
pub(crate) async fn run(site: Arc<Site>) {
    loop {
        let active = site.board.current();
        let percent = active.behaviour.busy_percent.min(MOST_PERCENT);
        if percent == 0 {
            site.board.switched_from(active.switch).await;
            continue;
        }
        let work = TURN * u32::from(percent) / 100;
        let began = Instant::now();
        while began.elapsed() < work {
            std::hint::spin_loop();
        }
        tokio::time::sleep(TURN.saturating_sub(work)).await;
    }
}

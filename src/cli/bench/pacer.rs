//! The open loop: operations are due at even intervals, whatever the server does.

use std::rc::Rc;
use std::time::Duration;

use super::run::Run;
use super::worker::Agenda;
use crate::proto::Time;

/// The runtime's timers are this late at most; what is nearer is waited for by looking at the clock between turns, so
/// that an operation begins within microseconds of its time. It keeps the load's core busy.
const TIMER_SLACK: Duration = Duration::from_millis(2);
const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Puts what is due on the clients' agendas, in turn, until the end.
pub(super) async fn pace(run: &Run, rate: u64, agendas: &[Rc<Agenda>]) {
    let begin = run.clock.now();
    let mut next = 0_u64;
    loop {
        let now = run.clock.now();
        let due = put_due(run, rate, agendas, begin, now, &mut next);
        if run.is_over(now) {
            agendas.iter().for_each(|agenda| agenda.call.notify_one());
            return;
        }
        match due.since(now).checked_sub(TIMER_SLACK) {
            Some(pause) if !pause.is_zero() => tokio::time::sleep(pause).await,
            _ => tokio::task::yield_now().await,
        }
    }
}

/// Puts everything due by `now` on the agendas, and answers when the next one is due.
fn put_due(run: &Run, rate: u64, agendas: &[Rc<Agenda>], begin: Time, now: Time, next: &mut u64) -> Time {
    let until = run.schedule().and_then(|schedule| schedule.until);
    loop {
        let due = time_of(begin, *next, rate);
        if due > now || until.is_some_and(|until| due >= until) {
            return due;
        }
        let turn = next.checked_rem(u64::try_from(agendas.len()).unwrap_or(u64::MAX)).unwrap_or(0);
        if let Some(agenda) = usize::try_from(turn).ok().and_then(|turn| agendas.get(turn)) {
            agenda.due.borrow_mut().push_back(due);
            agenda.call.notify_one();
        }
        *next = next.saturating_add(1);
    }
}

/// When operation `number` is due.
fn time_of(begin: Time, number: u64, rate: u64) -> Time {
    let nanos =
        u128::from(number).saturating_mul(NANOS_PER_SECOND).checked_div(u128::from(rate)).unwrap_or(0);
    begin.after(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_times_do_not_drift() {
        let begin = Time::from_nanos(7);
        for (number, rate, nanos) in
            [(0, 3, 0), (1, 3, 333_333_333), (3, 3, 1_000_000_000), (3_000_000, 3_000_000, 1_000_000_000)]
        {
            assert_eq!(time_of(begin, number, rate), Time::from_nanos(7 + nanos), "{number} at {rate}/s");
        }
    }
}

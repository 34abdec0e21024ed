//! A server that is broken on purpose, in forty ways: the tester of conformance finds each, and finds none where there is
//! none.

use blazedb::conformance::{Report, check_server};
use blazedb::transport::Url;

use super::broken_relay::{Fault, relay};
use super::conformance::{block_on, only, to};
use super::server_kit::Process;

/// Each fault, and the cases of which at least one must fail by it: those whose clauses it breaks.
const FAULTS: &[(Fault, &[&str])] = &[
    (Fault::AcknowledgesBeforeTheSync, &["operation.visible"]),
    (Fault::RepeatsAnOperation, &["resume.repeated"]),
    (Fault::ForgetsWhatIsDecided, &["handshake.decided"]),
    (Fault::DropsAChangeOnResume, &["subscribe.resume", "subscribe.after.all"]),
    (Fault::RepeatsAChangeOnResume, &["subscribe.resume", "subscribe.resume.behind"]),
    (Fault::SendsAFrameBeyondTheCredit, &["credit.answer.none"]),
    (Fault::KeepsTheCreditOfWork, &["credit.work.returns"]),
    (Fault::LetsALimitFall, &["credit.work.returns"]),
    (Fault::SwapsTwoOutcomes, &["order.outcomes"]),
    (Fault::AcknowledgesBeforeTheError, &["order.outcomes"]),
    (Fault::LosesARefusal, &["order.outcomes"]),
    (Fault::AcknowledgesTooFar, &["operation.insert"]),
    (Fault::AcknowledgesTwice, &["operation.insert"]),
    (Fault::CountsNothingUnchanged, &["operation.unchanged.count"]),
    (Fault::StandsStillWithItsPosition, &["operation.position"]),
    (Fault::SkipsASequence, &["operation.insert"]),
    (Fault::DamagesAChecksum, &["operation.insert"]),
    (Fault::SetsAFlag, &["ping.nonce"]),
    (Fault::AnswersWithAnotherNonce, &["ping.nonce"]),
    (Fault::LosesTheEndOfASubscription, &["request.unsubscribe"]),
    (Fault::IgnoresCancels, &["request.cancel"]),
    (Fault::ReversesRows, &["query.scan"]),
    (Fault::LosesARow, &["query.get.many"]),
    (Fault::AnswersFromTwoMoments, &["query.snapshot"]),
    (Fault::ChangesARecord, &["operation.insert.exists"]),
    (Fault::LosesCaughtUp, &["subscribe.waiting"]),
    (Fault::RepeatsCaughtUp, &["subscribe.caught-up"]),
    (Fault::MarksEveryChangeAsLast, &["subscribe.transaction"]),
    (Fault::LosesADrop, &["subscribe.drop"]),
    (Fault::ResetsByAnotherCode, &["subscribe.reset.ahead"]),
    (Fault::BeginsASnapshotNow, &["subscribe.snapshot"]),
    (Fault::NamesAnotherCode, &["fault.operation.level"]),
    (Fault::EndsWithoutAnError, &["frame.sequence.gap"]),
    (Fault::StaysAfterAnError, &["frame.sequence.gap"]),
    (Fault::GreetsAnotherNode, &["handshake.node.same"]),
    (Fault::DoesNotClampTheHeartbeat, &["hello.heartbeat"]),
    (Fault::NamesACapabilityUnasked, &["handshake.capabilities"]),
    (Fault::SaysNoGoodbye, &["goodbye.client"]),
    (Fault::ReachesPositionsThatItHasNot, &["query.at-least.late"]),
];

async fn run(server: &Process, fault: Fault, cases: &[&str]) -> Report {
    let address = relay(server.address, fault).await;
    check_server(&to(Url::from(address)), None, &only(cases)).await.unwrap()
}

#[test]
fn each_fault_is_found() {
    let server = Process::start_with(&["--memory"]);
    let unfound = block_on(async {
        let mut unfound = Vec::new();
        for (fault, cases) in FAULTS {
            let report = run(&server, *fault, cases).await;
            if report.is_clean() {
                unfound.push(format!("{fault:?}\n{}", report.text(true)));
            }
        }
        unfound
    });
    assert!(unfound.is_empty() && FAULTS.len() >= 20, "{}", unfound.join("\n"));
}

/// What finds the faults finds nothing where there is none: the relay is no fault by itself.
#[test]
fn a_relay_without_a_fault_passes() {
    let server = Process::start_with(&["--memory"]);
    let cases: Vec<&str> = FAULTS.iter().flat_map(|(_, cases)| *cases).copied().collect();
    let report = block_on(run(&server, Fault::None, &cases));
    assert!(report.is_clean(), "{}", report.text(false));
}

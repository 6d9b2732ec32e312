//! The edge cases of contracts/chatta.md §5, as far as the line decides them. Where each row is tested:
//!
//! | §5.1 autoAccept × acceptAfter | test |
//! |---|---|
//! | false × 0, "0", missing | [`neither_auto_accept_nor_a_delay_asks`] |
//! | true × 0 | [`auto_accept_without_a_delay_answers_at_once`]; the notice: `call::tests::cases::a_notice_is_never_shorter_than_the_floor` |
//! | true × >0 | [`auto_accept_with_a_delay_counts_down`]; the dialog: `call::tests::cases::a_countdown_answers_by_itself` |
//! | false × >0 | [`a_delay_without_auto_accept_asks_unless_the_site_reads_it_otherwise`] |
//! | types of acceptAfter | [`accept_after_is_a_number_or_a_numeric_string_between_0_and_300`] |
//! | types of autoAccept | [`only_the_three_exact_spellings_of_true_are_auto_accept`] |
//! | grant per resident | `call::consent` |
//!
//! | §5.2 case | test |
//! |---|---|
//! | same initiator again: while ringing, < 15 s after accepted, later in the call | `call::tests::cases::same_initiator_asks_again_…`; here [`a_new_request_of_the_caller_may_be_accepted_again`] |
//! | second caller | `call::tests::cases::a_second_caller_hears_busy_…`; the word: [`every_reason_has_the_platforms_word`] |
//! | caller hangs up while ringing | `call::tests::cases::the_caller_hangs_up_while_ringing`; here [`the_callers_ended_is_a_withdrawal_with_what_names_the_call`] |
//! | ended from somebody else, with another roomSid, after we ended | `call::tests::cases::ended_…` |
//! | caller vanished; races of accept, ended, timeout; failure after accepted | `call::tests::cases` |
//! | accepted twice | [`accepted_is_said_once_however_often_it_is_asked_for`], [`a_possibly_lost_accepted_is_reported_once_the_line_is_back_and_said_once_more_at_most`], [`an_accepted_that_was_not_sent_is_tried_again`] |
//! | reply could not be sent | [`a_reply_waits_for_the_line_and_only_the_latest_of_a_caller`], [`a_waiting_reply_is_dropped_when_the_caller_asks_anew`], [`a_reply_that_waited_too_long_is_dropped`], [`a_reply_that_cannot_be_sent_is_given_up_ten_seconds_after_the_line_is_back`], [`a_possibly_lost_ending_is_said_once_more`] |
//! | request without roomName | [`a_request_without_a_room_name_gets_the_derived_one`], [`a_request_whose_room_cannot_be_derived_is_declined_with_error`] |
//! | request without roomSid | [`a_request_without_a_room_sid_is_fine`] |
//! | roomName differs from our name | [`another_integrators_room_name_is_taken_as_it_is`] |
//! | target.id != suffix | [`the_events_name_counts_when_the_target_says_otherwise`] |
//! | initiator missing or id not an integer | [`a_request_without_an_integer_initiator_id_is_dropped`] |
//! | data is a JSON string / double encoded | [`a_payload_encoded_as_a_string_is_decoded`] |
//! | payload > 10 KB | `pusher::tests::channels::a_frame_over_64_kib_is_dropped_and_the_connection_stays` |
//! | floods | [`at_most_five_requests_in_ten_seconds_are_worked_on_per_caller`], [`a_flood_of_many_callers_is_bounded_in_total_and_in_memory`], [`a_flood_of_requests_does_not_hide_the_end`] |
//! | events for other residents | [`the_whole_event_name_counts`], `pusher::tests::channels::events_nobody_waits_for_are_dropped_unread` |
//! | our own event comes back | [`our_own_replies_are_not_events_of_ours`] |
//! | id collision | [`a_caller_with_the_residents_own_id_is_dropped`] |
//! | spoofing | [`callers_who_are_not_on_the_list_are_declined_without_asking`]; automatic answers: `call::consent` |
//! | audioOnly true | [`anything_but_a_clear_no_is_audio_only`]; the camera: `call::tests::cases::an_audio_call_does_not_open_the_camera` |
//! | 401/403 from /pusher/auth/ | tests/integration/pusher_sockudo.rs `a_refused_token_leads_to_a_new_login_on_the_same_connection` |
//! | power off, reboot during call | the line: [`after_a_start_there_is_nothing_to_say`]; the agent tells a recent caller `ended` all the same (`agent::recovery`): tests/integration/killed.rs |
//! | clock | every time here is an `Instant`; there is no other to pass |

mod people;
mod replies;
mod requests;

use super::events::{self, Identity};
use super::intake::{Intake, Word};
use super::replies::Replies;
use super::{Admission, Credentials, Settings};
use crate::call::{CallerId, Decline, LineId, Medium, Offer, Reply, Wish};
use crate::pusher::{Endpoint, Outcome};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const CALLS: &str = "private-call-7";
const REQUESTED: &str = "client-conferencing-call-requested-1124";
const ENDED: &str = "client-conferencing-call-ended-1124";

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn settings() -> Settings {
    let api = "https://api.example/v2".parse().unwrap();
    Settings::new(LineId("chatta".into()), api, Endpoint::cluster("eu", "key"), Credentials::default())
}

fn identity() -> Identity {
    Identity { resident: 1124, customer: 7, username: "chattademo".into(), set_top_box: Some(322) }
}

fn request() -> Value {
    json!({
        "audioOnly": false,
        "initiator": { "id": 5, "username": "care_admin", "first_name": "Ada", "last_name": "Admin", "user_type": "customeradmin" },
        "target": { "id": 1124, "username": "chattademo" },
        "roomName": "care_admin-to-chattademo", "autoAccept": false, "acceptAfter": 0, "roomSid": "RM1",
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut request = request();
    request[field] = value;
    request
}

fn without(field: &str) -> Value {
    let mut request = request();
    request.as_object_mut().unwrap().remove(field);
    request
}

fn hear(settings: &Settings, event: &str, data: &str) -> Option<Word> {
    Intake::default().event(Instant::now(), settings, &identity(), (CALLS, event), data)
}

fn offered(request: &Value) -> Offer {
    match hear(&settings(), REQUESTED, &request.to_string()) {
        Some(Word::Offer(offer)) => offer,
        other => panic!("no offer: {other:?}"),
    }
}

// ── 5.1 ──

//! What every store must do, each behaviour once, run on each store. A new store adds a fixture, nothing else.
#![expect(clippy::unwrap_used, reason = "what tests are set up with is known to be right")]

mod budget;
mod control;
mod erase;
mod faulty;
mod fence;
mod lost;
mod mail;
#[path = "../support/postgres.rs"]
mod postgres;
mod record;
mod session;
mod snapshot;
mod view;
mod world;

/// One test per behaviour and store.
macro_rules! conformance {
    ($($room:ident: $($behaviour:ident),+ $(,)?;)+) => {
        mod sqlite_file {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $behaviour() {
                    crate::$room::$behaviour(crate::world::sqlite_file()).await;
                }
            )+)+
        }
        mod on_postgres {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $behaviour() {
                    if let Some(fixture) = crate::world::postgres().await {
                        crate::$room::$behaviour(fixture).await;
                    }
                }
            )+)+
        }
        mod sqlite_memory {
            $($(
                #[tokio::test]
                async fn $behaviour() {
                    crate::$room::$behaviour(crate::world::sqlite_memory()).await;
                }
            )+)+
        }
    };
}

conformance! {
    record:
        a_record_reads_back_as_it_was_committed,
        positions_are_dense_however_many_commit_at_once,
        the_shards_time_never_goes_back,
        a_principal_is_a_shared_text_written_once,
        a_receipt_holds_the_intents_of_its_record_and_no_others,
        a_record_that_is_too_large_is_refused_and_the_writer_goes_on,
        a_dropped_commit_poisons_its_writer_and_the_session_loads_whole,
        a_commit_that_was_never_queued_never_happens,
        an_unknown_codec_is_named_and_never_skipped,
        a_body_opens_only_under_its_own_envelope,
        numbers_in_headers_read_back_as_they_were_sealed,
        commits_are_told_to_whoever_listens;
    fence:
        a_stale_epoch_is_refused_at_the_commit_and_writes_nothing,
        a_fenced_shard_leaves_the_others_of_its_batch,
        a_wrong_position_is_refused,
        a_claim_waits_until_another_nodes_lease_is_over,
        a_commit_renews_the_lease,
        the_same_node_claims_again_at_once,
        a_fenced_session_never_reaches_the_store_again_and_loads_anew,
        a_session_that_never_heard_of_the_fence_is_refused_all_the_same,
        a_receipt_says_until_when_to_send,
        a_renewed_lease_holds_and_one_that_was_taken_is_said_to_be,
        what_is_released_can_be_had_at_once,
        a_log_that_stops_hands_its_shards_over;
    lost:
        a_lost_answer_to_a_commit_that_landed_is_a_receipt,
        a_lost_commit_that_did_not_land_is_refused_and_may_be_tried_again,
        what_cannot_be_decided_is_unknown_and_the_session_loads_anew;
    mail:
        mail_posted_twice_is_delivered_once,
        the_same_id_to_two_sessions_reaches_both,
        mail_posted_after_it_was_consumed_comes_again_for_the_session_to_know,
        due_mail_comes_in_the_order_of_its_time_and_then_of_posting,
        what_was_due_when_it_was_posted_is_due_whatever_the_clock_says_later,
        what_is_posted_after_a_restart_with_the_clock_set_back_comes_after_what_waits,
        due_mail_is_paged_to_its_end_and_none_of_it_hides_the_rest,
        mail_that_cannot_be_read_is_left_out_and_stays,
        mail_may_be_posted_under_the_id_that_its_commit_consumes,
        a_commit_posts_and_consumes_mail_with_its_record,
        mail_that_says_nothing_is_thrown_away,
        a_post_wakes_whoever_waits_for_mail,
        several_shards_are_looked_at_as_one,
        a_session_reads_its_own_mail_and_what_people_decided_first,
        mail_says_in_whose_turn_it_is,
        a_post_that_may_have_failed_is_said_to_be_missed;
    control:
        a_change_at_an_old_position_is_refused_and_says_where_it_moved,
        changes_read_back_in_order,
        many_changes_at_once_stay_dense,
        every_commit_returns_the_control_position,
        what_was_changed_is_sealed;
    budget:
        drawing_never_exceeds_the_cap,
        a_draw_gets_what_is_needed_and_a_part_of_what_is_left,
        what_one_shard_gives_back_another_gets,
        a_new_owner_is_left_what_is_held_and_spent_and_the_rest_goes_back,
        every_subject_has_accounts_of_its_own,
        a_lower_cap_grants_nothing_and_takes_nothing_back,
        holdings_are_the_sum_of_their_changes;
    session:
        heads_are_found_by_agent_and_phase,
        those_who_wait_for_a_freeze_to_end_are_found_page_by_page,
        sessions_are_counted_by_phase,
        the_inbox_shows_what_is_open,
        memory_is_recalled_until_it_is_forgotten_or_expires,
        what_is_remembered_and_forgotten_in_one_commit_is_forgotten,
        a_shared_text_is_found_by_its_hash;
    snapshot:
        a_session_loads_from_its_snapshot_and_what_came_after,
        a_snapshot_of_another_fold_is_not_read,
        a_state_that_hardly_compresses_is_not_kept,
        a_snapshot_is_due_when_the_session_has_grown_by_a_quarter,
        a_snapshot_is_erased_with_its_session,
        a_snapshot_of_a_commit_that_was_fenced_is_not_there;
    erase:
        an_erased_sessions_envelopes_and_leaves_stay,
        an_erased_session_does_not_go_on;
    view:
        a_view_moves_with_its_cursor_or_not_at_all,
        a_view_is_rebuilt_from_the_start,
        a_follower_from_outside_moves_forward_and_never_back;
}

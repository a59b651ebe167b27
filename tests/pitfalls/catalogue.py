"""The situations in which connectors fail their users: what ours must do, and what published readers were seen to do.

``PITFALLS``: number → Pitfall, numbers 1–66. ``RECORDED``: cases seen in recorded
traffic of the real APIs, numbered R1–R27. A test claims an entry with ``@pytest.mark.pitfall(number)`` and says by the
parameter ``crm`` which CRM it ran on. Peers' results were observed by running the named versions against a local server:

AB airbyte-source-salesforce 2.10.3, airbyte-source-hubspot 5.7.0 (May 2025, since rewritten) · SG singer tap-salesforce 2.8.1,
tap-hubspot 4.5.0 · ML MeltanoLabs tap-salesforce 1.9.0, meltano-tap-hubspot 0.10.1 · dlt verified-sources of July 2026 ·
SS simple-salesforce 1.12.10 · HC hubspot-api-client 12.0.0.
"""

from __future__ import annotations

from dataclasses import dataclass

SF, HS = "salesforce", "hubspot"
BOTH = (SF, HS)


@dataclass(frozen=True, slots=True)
class Pitfall:
    """``crms``: where the situation can arise. ``peers``: what published readers did; empty where nobody was observed."""

    test: str
    rule: str
    crms: tuple[str, ...] = BOTH
    peers: str = ""


PITFALLS = {
    "1": Pitfall(
        "test_late_commit_below_bookmark_is_read", "overlap and idempotent upsert; the bookmark stays behind", peers="SG ML dlt: missed · AB: caught"
    ),
    "2": Pitfall("test_equal_stamps_across_page_border", "order by (stamp, id), inclusive bound"),
    "3": Pitfall("test_no_silent_default_start_date", "no hidden start date"),
    "4": Pitfall(
        "test_full_pull_equals_crm_count", "count with the CRM, fail loudly", peers="SG ML AB dlt: 5,000 of 5,000 · SS: 4,900 without include_deleted"
    ),
    "5": Pitfall("test_many_rows_per_distinct_stamp", "the keyset is (stamp, id)"),
    "6": Pitfall("test_added_field_clears_nothing", "an additive schema change clears nothing"),
    "7": Pitfall("test_bookmark_compares_with_ge", "(stamp = s and id > i) or stamp > s"),
    "8": Pitfall("test_hubspot_total_reconciles", "reconcile with search total and the list's count", (HS,)),
    "9": Pitfall("test_search_index_lag_second_pass", "a second, settled pass", (HS,), "ML AB: missed · SG dlt: list, not affected"),
    "10": Pitfall("test_short_page_with_next_is_not_the_end", "stop only where there is no next"),
    "11": Pitfall("test_no_recent_endpoints", "no endpoint that stops at 10,000", (HS,)),
    "12": Pitfall("test_single_missing_record_found_by_reconcile", "id reconciliation"),
    "13": Pitfall("test_beyond_10000_is_not_dropped", "the cap is worked around", (HS,), "SG dlt: list, ok · ML: ok · AB: endless above 10,000"),
    "14": Pitfall("test_sort_sent_as_objects_and_verified", "sorts are objects, stamps do not decrease", (HS,)),
    "15": Pitfall("test_more_than_10000_in_one_millisecond_terminates", "a full instant is drained by id ranges", peers="ML AB (HubSpot): endless"),
    "16": Pitfall("test_window_restart_makes_progress", "a page without a new id stops the run", peers="ML AB (HubSpot): endless"),
    "17": Pitfall("test_same_second_does_not_repeat_the_job", "progress on every page"),
    "18": Pitfall("test_own_write_is_not_a_change", "a write that comes back triggers nothing and is nobody's activity"),
    "19": Pitfall("test_merged_records_collapse", "losers become tombstones, their rows point to the survivor", peers="none"),
    "20": Pitfall("test_merge_loser_is_tombstoned", "losers never update by themselves", peers="none"),
    "21": Pitfall("test_identity_is_the_crm_id", "key by the CRM's id only"),
    "22": Pitfall("test_update_is_one_row", "upsert by primary key", peers="dlt (Salesforce): two rows"),
    "23": Pitfall("test_search_offset_stays_below_cap", "windowed search and id ranges", (HS,)),
    "24": Pitfall("test_429_on_post_is_retried", "retries cover POST", (HS,), "SG ML AB: ok · HC: fails on POST"),
    "25": Pitfall("test_429_without_retry_after_waits_the_window", "Retry-After, else the rest of the window", (HS,), "HC: fails without the header"),
    "26": Pitfall("test_bulk_poll_backs_off_and_is_budgeted", "polls back off and are counted", (SF,)),
    "27": Pitfall("test_small_windows_use_rest", "REST under a row threshold, Bulk above", (SF,), "AB: 51 calls for 5,000 rows · SG: 4 · dlt: 7"),
    "28": Pitfall(
        "test_wide_object_is_split_over_one_id_range",
        "a wide selection is split over one closed range",
        (SF,),
        "AB: rows dropped with a warning · SG ML: 414",
    ),
    "29": Pitfall("test_only_mapped_fields_are_requested", "mapped fields only"),
    "30": Pitfall("test_no_property_is_dropped_to_fit_a_url", "nothing is dropped silently"),
    "31": Pitfall("test_associations_page_per_record", "page each record's associations to the end", (HS,), "AB dlt: first page only"),
    "32": Pitfall(
        "test_total_and_concurrent_limits_differ",
        "pause for the total limit, back off for the concurrent one",
        (SF,),
        "SG ML SS: abort on either · AB: ok",
    ),
    "33": Pitfall("test_aggregate_needs_limit", "aggregates never page", (SF,)),
    "34": Pitfall("test_dead_refresh_token_is_latched", "at most two token calls"),
    "35": Pitfall("test_rotated_refresh_token_saved_before_use", "persist first, one refresher at a time"),
    "36": Pitfall("test_locator_is_not_used_in_another_session", "restart from the keyset after a new token", (SF,)),
    "37": Pitfall("test_hubspot_token_refreshed_by_clock", "refresh before expiry, not on 401", (HS,)),
    "38": Pitfall("test_jwt_and_client_credentials_errors_name_the_setting", "each grant error names what to change", (SF,)),
    "39": Pitfall("test_missing_scope_fails_the_stream", "403 is exit 5, never an empty success", peers="SG (HubSpot): exit 0 with 0 rows"),
    "40": Pitfall("test_hubspot_archive_is_seen", "a sweep of archived records", (HS,), "dlt: flagged · SG ML AB HC: not seen"),
    "41": Pitfall("test_salesforce_deleted_rows_are_read", "queryAll, REST and Bulk alike", (SF,), "SS: only with include_deleted"),
    "42": Pitfall("test_association_change_alone_is_seen", "associations have a sweep of their own"),
    "43": Pitfall("test_history_ends_at_current_value", "the last history row equals the value, else a finding"),
    "44": Pitfall("test_history_is_complete_not_latest", "the whole history of stage, amount and close date"),
    "45": Pitfall("test_hard_delete_found_by_id_scan", "a purge leaves no row behind", peers="none"),
    "46": Pitfall("test_delete_then_undelete", "a restored record comes back with its history"),
    "47": Pitfall("test_calculated_field_change_without_stamp", "calculated fields are read again once a day"),
    "48": Pitfall(
        "test_date_near_midnight_west_of_utc",
        "a DATE stays; a DATETIME becomes a date in one zone",
        peers="SG ML (Salesforce): a DATE becomes a datetime",
    ),
    "49": Pitfall("test_epoch_and_iso_spellings", "one instant for every spelling"),
    "50": Pitfall(
        "test_bad_number_is_a_dead_letter_not_a_crash", "a dead letter for the record", peers="AB (HubSpot): id 100000.0 · ML (HubSpot): always text"
    ),
    "51": Pitfall("test_na_strings_survive", "NA, N/A, None are text", peers="AB (Salesforce): NA became null"),
    "52": Pitfall("test_leading_zero_text_survives", "no numeric guessing"),
    "53": Pitfall("test_new_field_is_not_lost_before_discovery", "the schema is read in every run"),
    "54": Pitfall("test_cleared_value_clears_downstream", "null and empty text are carried"),
    "55": Pitfall("test_missing_amount_is_not_zero", "unknown is null with a reason"),
    "56": Pitfall("test_csv_null_is_hash_na", "#N/A clears, an empty cell leaves", (SF,)),
    "57": Pitfall("test_failed_rows_of_a_green_job_are_read", "failed and unprocessed results are always read", (SF,)),
    "58": Pitfall("test_207_is_not_success", "a 207 is read record by record", (HS,)),
    "58b": Pitfall("test_bad_row_does_not_stop_the_batch", "a refused batch is halved down to the record"),
    "58c": Pitfall("test_silent_no_op_is_noticed", "a success that kept another value is looked at again", (HS,)),
    "59": Pitfall("test_picklist_checked_per_record_type", "options are checked before sending, per record type"),
    "60": Pitfall("test_lock_and_governor_errors_shrink_the_batch", "sorted by account, halved, locked ones alone at the end", (SF,)),
    "61": Pitfall("test_failed_update_never_creates", "an update that fails stays an update", peers="hotglue: creates (read in its source)"),
    "62": Pitfall(
        "test_rejected_field_is_reported_not_dropped", "no retry without the field", peers="hotglue, Grouparoo: dropped (read in their source)"
    ),
    "63": Pitfall("test_unknown_option_is_never_replaced_by_the_first", "refused before sending", peers="hotglue: first option (read in its source)"),
    "64": Pitfall("test_unchanged_rerun_writes_nothing", "desired − observed in the CRM itself", peers="Census: compares with what it sent"),
    "65": Pitfall("test_too_long_is_invalid_not_truncated", "too long is ours to mend, not cut", peers="Grouparoo: cuts (read in its source)"),
    "66": Pitfall("test_secrets_and_bodies_never_logged", "redaction"),
}

RECORDED = {
    "R1": Pitfall("test_one_second_ties", "31 of 31 opportunities share one stamp", (SF,)),
    "R2": Pitfall("test_page_border_inside_tie", "ids are unordered inside a tie", (SF,)),
    "R3": Pitfall("test_thousand_row_pages", "pages of 1,000 rows in mid-stream", (SF,)),
    "R4": Pitfall("test_total_without_results", "total 3, results []", (HS,)),
    "R5": Pitfall("test_429_without_any_header", "a search 429 carries no header", (HS,)),
    "R6": Pitfall("test_collection_200_with_failures", "failures inside 200 and 207"),
    "R7": Pitfall("test_failed_rows_have_no_id", "order is the only key of a collection's results", (SF,)),
    "R8": Pitfall("test_html_404_and_empty_204", "HTML, an empty body, an object where a list is expected"),
    "R9": Pitfall("test_decimal_text_and_blank", "amounts are Decimal, blank is null"),
    "R10": Pitfall("test_boolean_text_and_counters", '"false" is false; "0" and "1" are counters', (HS,)),
    "R11": Pitfall("test_three_time_spellings", "+0000, Z with and without milliseconds"),
    "R12": Pitfall("test_deal_without_stage", "stage and pipeline null"),
    "R12b": Pitfall("test_stage_outside_picklist", "a stage outside the picklist", (SF,)),
    "R13": Pitfall("test_duplicate_and_absent_associations", "twice the same pair, or no key at all", (HS,)),
    "R14": Pitfall("test_number_and_text_ids_join", "ids as numbers and as text are one id", (HS,)),
    "R15": Pitfall("test_next_link_is_ignored", "only `after` is followed", (HS,)),
    "R16": Pitfall("test_misspelt_property", "absent on read, refused on write: checked before any call"),
    "R17": Pitfall("test_null_parent", "Account: null", (SF,)),
    "R18": Pitfall("test_limit_header_falls_or_is_missing", "the limit header is a gauge"),
    "R19": Pitfall("test_id_15_and_18", "15 and 18 characters are one record", (SF,)),
    "R20": Pitfall("test_all_or_none_innocents", "never allOrNone", (SF,)),
    "R21": Pitfall("test_converted_and_deleted_targets", "terminal for the record"),
    "R22": Pitfall("test_write_then_stale_search", "a stale index never causes a second write", (HS,)),
    "R23": Pitfall("test_any_script_and_html_text", "any script, HTML and newlines survive"),
    "R24": Pitfall("test_export_with_unknown_product_and_mixed_dates", "unknown product, blank accounts, D-M-Y", (SF,)),
    "R25": Pitfall("test_sentinel_dates_and_probability_1000", "9999-12-31, probability 1000"),
    "R26": Pitfall("test_object_names_any_case", "object names and type ids in any case", (HS,)),
    "R27": Pitfall("test_log_lines_are_clean", "no tokens, e-mails or SOQL literals in logs"),
}

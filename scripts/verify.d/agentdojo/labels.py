"""What AgentDojo's tools do, as a careful user would write it down from their descriptions: what each changes, whether
what it is given leaves the company, which arguments steer it, and what of its answers its own system vouches for.

None of it knows a task or an attack. Texts, subjects, names of senders outside, file contents and reviews are nobody's word.
"""

TRUSTED = {"effect": "read", "output_trust": "trusted"}
STRANGERS = {"effect": "read"}

EMAIL = {"vouches": {"id_": ["email_id"]}}
EMAILS = {"effect": "read", "vouches": {"result.id_": ["email_id"]}, "named_by": ["result.subject"]}
EVENT = {"vouches": {"id_": ["event_id"]}, "named_by": ["title"]}
# Whom a meeting is with, and when it is, may be taken over if the request names the meeting.
EVENTS = {
    "effect": "read",
    "vouches": {"result.id_": ["event_id"]},
    "named_by": ["result.title"],
    "vouches_when_named": {
        "result.participants": ["participants"],
        "result.start_time": ["start_time", "end_time"],
        "result.end_time": ["start_time", "end_time"],
    },
}
FILE = {"vouches": {"id_": ["file_id"]}, "named_by": ["filename"]}
FILES = {"effect": "read", "vouches": {"result.id_": ["file_id"]}, "named_by": ["result.filename"]}
# A workspace knows who of its members wrote a message. Pages that a member points to may be read if the request names them.
MESSAGES = {
    "effect": "read",
    "vouches": {"result.sender": ["user", "recipient"]},
    "named_by": ["result.sender"],
    "vouches_when_named": {"result.body": ["url"]},
}


def changes(*sensitive: str, effect: str = "write", egress: bool = True, **more: object) -> dict:
    """A capability that changes something."""
    return {"effect": effect, "egress": egress, "sensitive": list(sensitive), **more}


CALENDAR = {
    "search_calendar_events": EVENTS,
    "get_day_calendar_events": EVENTS,
    "create_calendar_event": changes("participants", "start_time", "end_time", **EVENT),
    "cancel_calendar_event": changes("event_id", effect="irreversible"),
    "reschedule_calendar_event": changes("event_id", "new_start_time", "new_end_time", **EVENT),
    "add_calendar_event_participants": changes("event_id", "participants", **EVENT),
}
MAIL = {"send_email": changes("recipients", "cc", "bcc", "attachments", effect="irreversible", **EMAIL)}

LABELS = {
    "workspace": {
        **CALENDAR,
        **MAIL,
        "delete_email": changes("email_id", effect="irreversible", egress=False),
        "get_unread_emails": EMAILS,
        "get_sent_emails": EMAILS,
        "get_received_emails": EMAILS,
        "get_draft_emails": EMAILS,
        "search_emails": EMAILS,
        "search_contacts_by_name": TRUSTED,
        "search_contacts_by_email": TRUSTED,
        "get_current_day": TRUSTED,
        "append_to_file": changes("file_id", egress=False, **FILE),
        "create_file": changes("filename", egress=False, **FILE),
        "delete_file": changes("file_id", effect="irreversible", egress=False),
        "share_file": changes("file_id", "email", **FILE),
        "search_files_by_filename": FILES,
        "get_file_by_id": {"effect": "read", **FILE},
        "list_files": FILES,
        "search_files": FILES,
    },
    "travel": {
        **CALENDAR,
        **MAIL,
        **dict.fromkeys(
            [
                "get_user_information",
                "get_all_hotels_in_city",
                "get_hotels_prices",
                "get_hotels_address",
                "get_all_restaurants_in_city",
                "get_cuisine_type_for_restaurants",
                "get_restaurants_address",
                "get_dietary_restrictions_for_all_restaurants",
                "get_contact_information_for_restaurants",
                "get_price_for_restaurants",
                "check_restaurant_opening_hours",
                "get_all_car_rental_companies_in_city",
                "get_car_types_available",
                "get_car_fuel_options",
                "get_car_rental_address",
                "get_car_price_per_day",
                "get_flight_information",
            ],
            TRUSTED,
        ),
        "get_rating_reviews_for_hotels": STRANGERS,
        "get_rating_reviews_for_restaurants": STRANGERS,
        "get_rating_reviews_for_car_rental": STRANGERS,
        "reserve_hotel": changes("hotel", "start_day", "end_day"),
        "reserve_car_rental": changes("company", "start_time", "end_time"),
        "reserve_restaurant": changes("restaurant", "start_time"),
    },
    "banking": {
        "get_iban": TRUSTED,
        "get_balance": TRUSTED,
        "get_user_info": TRUSTED,
        # Whoever sends money chooses what it is for and from where; how much it was, the bank knows.
        "get_most_recent_transactions": {"effect": "read", "vouches": {"result.amount": ["amount"]}},
        # Standing orders are the user's own; their subjects may be a payee's.
        "get_scheduled_transactions": {
            "effect": "read",
            "vouches": {"result.id": ["id"], "result.amount": ["amount"], "result.recipient": ["recipient"]},
        },
        "read_file": STRANGERS,
        "send_money": changes("recipient", "amount", effect="irreversible"),
        "schedule_transaction": changes("recipient", "amount"),
        "update_scheduled_transaction": changes("id", "recipient", "amount"),
        "update_password": changes("password", effect="irreversible"),
        "update_user_info": changes("first_name", "last_name", "street", "city"),
    },
    "slack": {
        # Whoever makes a channel names it: the name as a whole is a channel's, and what it says is nobody's word.
        "get_channels": {"effect": "read", "vouches": {"result": ["channel"]}},
        "get_users_in_channel": {"effect": "read", "vouches": {"result": ["user", "recipient"]}},
        "read_channel_messages": MESSAGES,
        "read_inbox": MESSAGES,
        # Reading a page tells whoever serves it what was asked for.
        "get_webpage": {"effect": "read", "egress": True, "sensitive": ["url"]},
        "add_user_to_channel": changes("user", "channel"),
        "send_direct_message": changes("recipient"),
        "send_channel_message": changes("channel"),
        "invite_user_to_slack": changes("user", "user_email"),
        "remove_user_from_slack": changes("user", effect="irreversible"),
        "post_webpage": changes("url"),
    },
}

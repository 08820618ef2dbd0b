"""Lesspay's words, paths, codes and bounds, and what they are to us.

Facts come from Lesspay's published reference: *Card Payment* (modified 2026-02-28), *3D Secure Configuration*
(2026-03-09), *Authentication*, *Parameter Specifications*, *Pay In Error Codes*, *Fetch Payin* and *Fraud & Dispute
Webhook Notifications*. What it leaves open is marked ``assumed``: a merchant who has the manual corrects this file and
nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

from providers.contract import DeclineCategory, Status

CREATE_PATH = "/api/global/v1/pay/create-order"
QUERY_PATH = "/api/global/v1/pay/query-order"

CASHIER_METHOD, CARD_METHOD = "cashier", "card"

CASHIER, OPENAPI = 1, 2
"""``pay_access_type``. The token table says "token" for this integer; 2 is what works (assumed)."""

API_VERSION = "V2"
REQUEST_ID = r"[A-Za-z0-9_-]{1,32}"  # assumed: the samples are 15 to 19 letters and digits
PRODUCT_NAME_LENGTH, DESCRIPTION_LENGTH = 128, 256  # assumed: no limit is stated

SESSION_SECONDS = (1800, 1800)  # assumed: the order lifetime is stated for local payment methods only
SETTLING_SECONDS = 60  # assumed

REDIRECT_HOSTS = ("*.doopayment.com", "*.checkout.com")
"""Sandbox API and the card channel behind it, as in the samples. The cashier's host is not documented (assumed)."""

# ------------------------------------------------------------------------------------------------------------ signing

SIGN_NESTED = "json_compact"
"""How nested objects go into the signature of what we send (assumed: "flatten or key={json}" is all it says)."""

SIGN_TIMESTAMP = False
"""Whether ``timestamp`` is signed as one more pair (assumed: neither the steps nor the example have it)."""

WEBHOOK_VERIFY_MODES = ("json_compact", "raw", "json_sorted")
"""How nested objects may be rendered in a webhook's signature (assumed, as above)."""

WEBHOOK_SIGNED_FIELDS: frozenset[str] | None = None
"""Top-level fields that a webhook's signature covers; None for all (assumed: one page says "specific fields")."""

# ------------------------------------------------------------------------------------------------------------- states

ORDER_STATES: Mapping[int, str] = {
    0: "PENDING_CONFIRM",
    1: "PENDING_PAY",
    2: "SUCCEED",
    3: "FAILED",
    4: "CANCELED",
    5: "REFUND",
    6: "CLOSED",
    11: "PARTIAL_SUCCESS",
    12: "PAID",
}

STATUSES: Mapping[str, Status] = {
    "PENDING_CONFIRM": Status.PENDING,
    "PENDING_PAY": Status.PENDING,
    "SUCCEED": Status.CAPTURED,
    "FAILED": Status.FAILED,
    "CANCELED": Status.CANCELLED,
    "REFUND": Status.CAPTURED,  # and everything given back: partial refunds cannot be told
    "CLOSED": Status.EXPIRED,
}

REVIEWS: Mapping[str, str] = {
    "PAID": "amount_differs",  # money came, but not the amount that was asked for
    "PARTIAL_SUCCESS": "unexpected_status",  # belongs to payouts
}

MOVES_MONEY = frozenset({"SUCCEED", "REFUND", "PAID", "PARTIAL_SUCCESS"})
"""Said by a webhook, these are confirmed by Fetch Payin: its signature escapes nothing and covers no time."""

# -------------------------------------------------------------------------------------------------------------- codes

SUCCESS = 0
OUTCOME_UNKNOWN = frozenset({10, 12, 1201})
"""System or database trouble, or a duplicate ``request_id``: the order may exist, so ask."""
REFUSED = frozenset({5000, 5002, 9999})
"""A no by a business rule (of the card, the amount or the token)."""
NOT_FOUND = frozenset({1202, 5003})
WRONG_REQUEST = frozenset({11, 5004})
"""Parameters or permissions: ours to mend."""

WRONG_REQUEST_HTTP = frozenset({400, 401, 403, 404, 405})

DECLINE_OF_CODE: Mapping[int, DeclineCategory] = {
    5000: DeclineCategory.DECLINED,
    5002: DeclineCategory.PROCESSING_ERROR,
    9999: DeclineCategory.DECLINED,
}

DECLINE_OF_STATE: Mapping[str, DeclineCategory] = {
    "FAILED": DeclineCategory.DECLINED,  # no reason is given for ordinary declines
    "CANCELED": DeclineCategory.ABANDONED,
    "CLOSED": DeclineCategory.ABANDONED,
}

# -------------------------------------------------------------------------------------------------------------- events

FRAUD_EVENT, DISPUTE_EVENT = "payment_declined", "dispute_received"
EVENTS = frozenset({FRAUD_EVENT, DISPUTE_EVENT})
UNKNOWN_EVENT = "unknown_event"
"""Our code for an alert about an event that the reference does not name: a person looks at it."""

FRAUD_CODES: Mapping[str, str] = {
    "30034": "Suspected fraud, pick up card",
    "41101": "Blocked by a risk rule of the client",
    "41201": "Card on the client's decline list",
    "41301": "Fraud score above the client's threshold",
    "42101": "Blocked by a risk rule of the entity",
    "42201": "Card on the entity's decline list",
    "42301": "Fraud score above the entity's threshold",
}

EVENT_FACTS = frozenset(
    {
        *("id", "payment_id", "amount", "currency", "date", "processed_on"),
        *("category", "reason_code", "evidence_required_by", "response_code", "response_summary"),
    }
)
"""Members of ``event_data`` that are read and kept (assumed, after the card channel's own events)."""

# -------------------------------------------------------------------------------------------------------------- answers

LIST_MEMBERS = ("records", "list", "rows")
"""Where Fetch Payin may put several orders (assumed: the sample shows one object)."""

ACKNOWLEDGEMENT = b"SUCCESS"

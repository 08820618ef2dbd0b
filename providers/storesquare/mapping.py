"""What the profile's words, and the few that no profile holds, are to us.

Facts come from StoreSquare's reference page "Visa & Mastercard online interface document" (read 2026-07). It describes
requests only: everything else about the wire is assumed and stands in ``profile.json``; what stands here is ours.
"""

from __future__ import annotations

from collections.abc import Mapping

from providers.contract import DeclineCategory, Direction, OperationStatus, Purpose, Status, ThreeDSWish

CASHIER_METHOD, CARD_METHOD = "cashier", "card"

METHOD_NAMES: Mapping[str, str] = {
    "payNow": "PayNow",
    "grabPay": "GrabPay",
    "shopeePay": "ShopeePay",
    "wechat": "WeChat Pay",
    "alipay": "Alipay",
    "alipayPlus": "Alipay+",
    "upay": "UnionPay",
    "paypal": "PayPal",
    "applePay": "Apple Pay",
    "googlePay": "Google Pay",
}

CARRIERS = ("2EBOX", "DHL", "FEDEX", "UPS", "OTHER")
"""The reference's own sample, and the best known of PayPal's list, which tracking mirrors."""

SETTLING_SECONDS = 60  # assumed: how soon a new payment can be looked up

# ------------------------------------------------------------------------------------------------------------- states

STATUS_OF_STATE: Mapping[str, Status] = {
    "created": Status.PENDING,
    "pending": Status.PENDING,
    "authorized": Status.AUTHORISED,
    "captured": Status.CAPTURED,
    "partially_refunded": Status.CAPTURED,
    "refunded": Status.CAPTURED,
    "failed": Status.FAILED,
    "cancelled": Status.CANCELLED,
    "expired": Status.EXPIRED,
}
TAKEN = frozenset({"captured", "partially_refunded", "refunded"})
ENDED = frozenset({"failed", "cancelled", "expired"})
OPEN = frozenset({"created", "pending"})

REFUND_OF_STATE: Mapping[str, OperationStatus] = {
    "pending": OperationStatus.PENDING,
    "succeeded": OperationStatus.SUCCEEDED,
    "failed": OperationStatus.FAILED,
}

# ------------------------------------------------------------------------------------------------------------ declines

DECLINES: Mapping[str, DeclineCategory] = {
    "declined": DeclineCategory.DECLINED,
    "insufficient_funds": DeclineCategory.INSUFFICIENT_FUNDS,
    "expired_card": DeclineCategory.EXPIRED_CARD,
    "cvc_mismatch": DeclineCategory.WRONG_CODE,
    "three_ds_failed": DeclineCategory.AUTHENTICATION_FAILED,
    "fraud": DeclineCategory.FRAUD,
    "restricted_card": DeclineCategory.DECLINED,  # lost or stolen: the shopper hears no more than no
    "issuer_unavailable": DeclineCategory.PROCESSING_ERROR,
    "payer_rejected": DeclineCategory.ABANDONED,
}
"""By the profile's words in ``errors.decline``."""

DECLINE_OF_STATE: Mapping[str, DeclineCategory] = {
    "failed": DeclineCategory.DECLINED,
    "cancelled": DeclineCategory.ABANDONED,
    "expired": DeclineCategory.ABANDONED,
}
"""Where no code says more."""

CARD_FIELDS = frozenset({"cardNo", "expiryMonth", "expiryYear", "firstName", "lastName", "transactionIdentifier"})
CODE_FIELD = "cvc"
"""Fields of ours that the shopper typed, or that belong to a saved card: a fault in one is a no, not our mistake."""

# --------------------------------------------------------------------------------------------------------------- kinds

REJECTIONS = frozenset({"invalid", "forbidden", "credentials", "token", "unsupported", "subscription"})
"""Kinds of ``errors`` in the profile that mean: ours to mend, and nothing was done."""

# ------------------------------------------------------------------------------------------------ words of the requests

CAPTURE_METHODS: Mapping[str, str] = {"automatic": "auto", "manual": "manual"}
THREE_DS_MODES: Mapping[ThreeDSWish, str] = {ThreeDSWish.FORCE: "standard", ThreeDSWish.SKIP: "no"}
"""Beside the profile's default."""
NO_THREE_DS = "no"
FRAUD_MODES = frozenset({"N", "Y"})
STORE, DO_NOT_STORE = "store", "none"
REASONS: Mapping[Purpose, str] = {
    Purpose.RECURRING: "RECURRING",
    Purpose.INSTALMENT: "INSTALLMENT",
    Purpose.UNSCHEDULED: "UNSCHEDULED",
}
DIRECTIONS: Mapping[Direction, str] = {Direction.FORWARD: "FORWARD", Direction.RETURN: "RETURN"}
NUMBER_TYPE = "CARRIER_PROVIDED"
NO_FINGERPRINT = "0"
"""``browser.sessionId`` without a device fingerprint (assumed)."""
NO_ADDRESS = "127.0.0.1"
"""``clientIp`` of a refund that no person asked for: the field is required (assumed to be taken)."""
NO_REASON = "Refund"
"""``reason`` of a refund, likewise required."""

MOST_DECIMALS = 2
"""Of an amount, whatever the currency has (assumed)."""

LONG_CALLING_CODES = 3
"""Digits of a telephone country code that is in neither table (ITU-T E.164)."""
SHORT_CALLING_CODES = frozenset({"1", "7"})
TWO_DIGIT_CALLING_CODES = frozenset(
    {
        *("20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49"),
        *("51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84"),
        *("86", "90", "91", "92", "93", "94", "95", "98"),
    }
)

# ----------------------------------------------------------------------------------------------- words of the answers

REDIRECT, QR_CODE, SDK = "redirect", "qrCode", "sdk"
"""``nextAction.type`` (assumed), the same words as in the profile's ``productTypes`` and ``methods``."""
POST = "POST"
IMAGE_DATA = "data:image"
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp")

THREE_DS_RESULTS = frozenset({"Y", "A", "N", "U", "C", "R"})
THREE_DS_FLOWS = frozenset({"none", "frictionless", "challenge", "external"})

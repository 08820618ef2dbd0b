"""Antom's words, paths, codes and limits, and what they are to us.

Facts come from Antom's public documentation of APO and of its direct-acquiring API (the edition of mid-2024, where no
page of APO says otherwise) and from its Python SDK 1.7.1. What these leave open is marked ``assumed``: a merchant who
has Antom's word for it corrects this file and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from providers.contract import DeclineCategory, DisputeStatus, OperationStatus, Purpose, Status

# ---------------------------------------------------------------------------------------------------------------- where

PREFIXES: Mapping[str, str] = {"production": "/ams/api/v1", "sandbox": "/ams/sandbox/api/v1"}
SANDBOX_CLIENT = "SANDBOX_"
"""How the client id of a sandbox account begins; the host is the same."""

PAY = "/payments/pay"
CREATE_SESSION = "/payments/createPaymentSession"
INQUIRE = "/payments/inquiryPayment"
CAPTURE = "/payments/capture"
CANCEL = "/payments/cancel"
REFUND = "/payments/refund"
INQUIRE_REFUND = "/payments/inquiryRefund"

REDIRECT_HOSTS = (
    "*.alipay.com",
    "*.alipayplus.com",
    "*.antom.com",
    "*.antglobal.com",
    "*.antglobal-us.com",
)
"""Where card, checkout and 3DS pages live (assumed: no list is published; an account adds its acquirers' hosts)."""

CARD_METHOD, CASHIER_METHOD, CARD_PAGE_METHOD = "card", "cashier", "card_page"

# --------------------------------------------------------------------------------------------------------------- limits

CURRENCIES = frozenset(
    {
        *("CLP", "JPY", "KRW", "VND"),  # without decimals; the others have two
        *("AUD", "BDT", "BRL", "CAD", "CNY", "EUR", "GBP", "HKD", "IDR", "MXN"),
        *("MYR", "NZD", "PEN", "PHP", "PKR", "PLN", "SGD", "THB", "TWD", "USD"),
    }
)
WHOLE_HUNDREDS = frozenset({"IDR"})
"""Amounts end in 00: there are two decimals on the wire and none in life."""
LONGEST_AMOUNT = 16

REQUEST_ID = r"[A-Za-z0-9_-]{1,64}"  # assumed: "no special characters" is said of refunds only
URL_LENGTH, REFUND_URL_LENGTH = 2048, 1024
DESCRIPTION_LENGTH, REASON_LENGTH = 256, 256
NAME_LENGTH, FULL_NAME_LENGTH = 32, 128
EMAIL_LENGTH, BUYER_PHONE_LENGTH, SHIPPING_PHONE_LENGTH = 64, 24, 16
CITY_LENGTH, STREET_LENGTH = 32, 256
STATE = r"[A-Z0-9]{1,3}"
"""The part of ISO 3166-2 after the country: a state that does not belong to its country refuses the whole payment."""
POSTCODE = r"[A-Za-z0-9 -]{1,32}"
GOODS_COUNT, GOODS_ID_LENGTH, GOODS_NAME_LENGTH = 100, 64, 256
LANGUAGE_LENGTH, HEADER_LENGTH = 32, 2048
COLOR_DEPTHS = frozenset({1, 4, 8, 15, 16, 24, 30, 32, 48})
TIME_ZONE_OFFSETS = range(-720, 721)

UNWELCOME = r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]+"
"""Left out of descriptions and names of goods: "avoid Chinese characters", Mastercard cannot take them. (Korean is
assumed to be no better.)"""

SESSION_SECONDS = (300, 3600)
"""A checkout page lives for an hour at most, a card payment for about 14 minutes whatever we would like."""
SETTLING_SECONDS = 60  # "does not exist" three times, 15 seconds apart, is believed (assumed)

# ------------------------------------------------------------------------------------------------------------ our words

RECURRING_TYPES: Mapping[Purpose, str] = {
    Purpose.RECURRING: "SCHEDULED",
    Purpose.INSTALMENT: "SCHEDULED",
    Purpose.UNSCHEDULED: "UNSCHEDULED",
}
CAPTURE_MODES: Mapping[str, str] = {"automatic": "AUTOMATIC", "manual": "MANUAL"}
CAPTURE_TYPE = "FINAL"
"""We capture once; what is not taken is let go. ``NON_FINAL`` needs an acquirer that supports several captures."""
CAPTURES_ARE_FINAL = True
"""Whether a capture that does not say ``NON_FINAL`` was the last (assumed: several captures are off by default)."""
ASK_FOR_CONSENT = "ASKFORCONSENT"
"""``tokenizeMode`` that shows a "save card" box on their page."""
PAYER_EMAIL_CURRENCIES = frozenset({"BRL", "CLP", "MXN", "PEN"})
"""Cards of these countries want ``payerEmail`` beside the card (assumed: by currency)."""
OPERATING_SYSTEMS: Mapping[str, str] = {"iPhone": "IOS", "iPad": "IOS", "Android": "ANDROID"}
"""What a browser's name of itself has in it."""

# --------------------------------------------------------------------------------------------------------------- states

PAYMENT_STATES: Mapping[str, Status] = {
    "SUCCESS": Status.AUTHORISED,  # and stays so: captures and refunds stand in transactions
    "PROCESSING": Status.PENDING,
    "PENDING": Status.PENDING,
    "FAIL": Status.FAILED,
    "CANCELLED": Status.CANCELLED,
}
REVIEW_PENDING, REVIEW_REJECTED = "PROCESSING", "REJECT"
"""``authReviewStatus``: do not capture or deliver yet; do not deliver at all."""

DONE = "SUCCESS"
ENDED_WITHOUT_MONEY = frozenset({"FAIL", "CANCELLED"})
UNDER_WAY = frozenset({"PROCESSING", "PENDING"})
"""``transactionStatus`` of a capture or refund. An unknown word is under way, too."""

REFUND_STATES: Mapping[str, OperationStatus] = {
    "SUCCESS": OperationStatus.SUCCEEDED,
    "PROCESSING": OperationStatus.PENDING,
    "FAIL": OperationStatus.FAILED,
}

# ---------------------------------------------------------------------------------------------------------------- codes


class Action(StrEnum):
    """What a client does about a result code."""

    ASK = "ask"
    """Nobody knows: inquire, never conclude."""
    CARD = "card"
    """A no to this card or its data."""
    NO = "no"
    """A no that another card would not change at once."""
    CFG = "cfg"
    """Our request, credentials or contract are wrong."""


@dataclass(frozen=True)
class Meaning:
    action: Action
    category: DeclineCategory = DeclineCategory.PROCESSING_ERROR
    """Why, where a payment ended with this code."""


def _each(
    codes: str, action: Action, category: DeclineCategory = DeclineCategory.PROCESSING_ERROR
) -> dict[str, Meaning]:
    return dict.fromkeys(codes.split(), Meaning(action, category))


CODES: Mapping[str, Meaning] = {
    **_each("PAYMENT_IN_PROCESS UNKNOWN_EXCEPTION REQUEST_TRAFFIC_EXCEED_LIMIT", Action.ASK),
    # This id is known to them already, or was; only an inquiry says what became of it.
    **_each("REPEAT_REQ_INCONSISTENT ORDER_NOT_EXIST ORDER_STATUS_INVALID", Action.ASK),
    **_each("ORDER_IS_CLOSED ORDER_IS_CANCELED", Action.ASK, DeclineCategory.ABANDONED),
    **_each("PARAM_ILLEGAL", Action.CFG),
    **_each("INVALID_SIGNATURE SIGNATURE_INVALID KEY_NOT_FOUND CLIENT_INVALID INVALID_CLIENT", Action.CFG),
    **_each("NO_INTERFACE_DEF INVALID_API API_INVALID METHOD_NOT_SUPPORTED MEDIA_TYPE_NOT_ACCEPTABLE", Action.CFG),
    **_each("ACCESS_DENIED", Action.CFG, DeclineCategory.DECLINED),  # also seen as an acquirer's decline
    **_each("CURRENCY_NOT_SUPPORT INVALID_CONTRACT SETTLE_CONTRACT_NOT_MATCH NO_PAY_OPTIONS", Action.CFG),
    **_each("PAYMENT_NOT_QUALIFIED INVALID_MERCHANT_STATUS MERCHANT_KYB_NOT_QUALIFIED", Action.CFG),
    **_each("MERCHANT_NOT_REGISTERED MERCHANT_BALANCE_NOT_ENOUGH", Action.CFG),
    **_each("INVALID_PAYMENT_METHOD_META_DATA", Action.CARD, DeclineCategory.INVALID_CARD),
    **_each("INVALID_CARD_NUMBER INVALID_CARD", Action.CARD, DeclineCategory.INVALID_CARD),
    **_each("INVALID_EXPIRATION_DATE INVALID_EXPIRY_DATE_FORMAT", Action.CARD, DeclineCategory.INVALID_CARD),
    **_each("INVALID_CVV", Action.CARD, DeclineCategory.WRONG_CODE),
    **_each("CARD_EXPIRED", Action.CARD, DeclineCategory.EXPIRED_CARD),
    **_each("CARD_NOT_SUPPORTED SELECTED_CARD_BRAND_NOT_AVAILABLE", Action.CARD, DeclineCategory.NOT_PERMITTED),
    **_each("RESTRICTED_CARD BLOCKED_FIRST_USED POLICY", Action.CARD, DeclineCategory.NOT_PERMITTED),
    **_each("DO_NOT_HONOR ISSUER_REJECTS_TRANSACTION ACCOUNT_CLOSED", Action.CARD, DeclineCategory.DECLINED),
    **_each("NO_SELECTED_ACCOUNT", Action.CARD, DeclineCategory.DECLINED),
    **_each("LOST_CARD STOLEN_CARD PICKUP_CARD SUSPECTED_CARD", Action.CARD, DeclineCategory.DECLINED),
    **_each("USER_BALANCE_NOT_ENOUGH BALANCE_NOT_ENOUGH", Action.CARD, DeclineCategory.INSUFFICIENT_FUNDS),
    **_each("USER_AMOUNT_EXCEED_LIMIT AMOUNT_EXCEED_LIMIT", Action.CARD, DeclineCategory.LIMIT_EXCEEDED),
    **_each("PAYMENT_AMOUNT_EXCEED_LIMIT INVALID_AMOUNT", Action.CARD, DeclineCategory.LIMIT_EXCEEDED),
    **_each("PAYMENT_COUNT_EXCEED_LIMIT", Action.CARD, DeclineCategory.LIMIT_EXCEEDED),
    **_each("AUTHENTICATION_REQUIRED", Action.CARD, DeclineCategory.AUTHENTICATION_REQUIRED),
    **_each("USER_PAYMENT_VERIFICATION_FAILED", Action.CARD, DeclineCategory.AUTHENTICATION_FAILED),
    **_each("VERIFY_UNMATCHED VERIFY_TIMES_EXCEED_LIMIT", Action.CARD, DeclineCategory.AUTHENTICATION_FAILED),
    **_each("USER_NOT_EXIST USER_STATUS_ABNORMAL USER_KYC_NOT_QUALIFIED", Action.CARD, DeclineCategory.DECLINED),
    **_each("INVALID_ACCESS_TOKEN EXPIRED_CODE INVALID_PAYMENT_CODE", Action.CARD, DeclineCategory.DECLINED),
    **_each("RISK_REJECT FRAUD_REJECT SUSPECTED_RISK", Action.NO, DeclineCategory.FRAUD),
    **_each("PAYMENT_PROHIBITED", Action.NO, DeclineCategory.NOT_PERMITTED),
    **_each("PROCESS_FAIL SYSTEM_ERROR", Action.NO),
}
"""Of ``pay``, ``notifyPayment`` and ``paymentResultCode``."""

UNLISTED = Meaning(Action.NO, DeclineCategory.DECLINED)
"""A failure that nobody has heard of is a failure."""

NEEDS_PAYMENT_DATA = "INVALID_PAYMENT_METHOD_META_DATA"
"""The shopper's mistake where a card was typed or saved, else ours."""

BELIEVED_UNSIGNED = frozenset(
    {"INVALID_SIGNATURE", "SIGNATURE_INVALID", "KEY_NOT_FOUND", "CLIENT_INVALID", "INVALID_CLIENT", "ACCESS_DENIED"}
)
"""When it rejects our signature, the gateway does not sign its answer."""
REFUSED_REQUESTS = BELIEVED_UNSIGNED | {
    *("PARAM_ILLEGAL", "NO_INTERFACE_DEF", "INVALID_API", "API_INVALID"),
    *("METHOD_NOT_SUPPORTED", "MEDIA_TYPE_NOT_ACCEPTABLE"),
}
"""As the answer to an inquiry or an operation: nobody looked at what it is about."""

IN_PROCESS = "PAYMENT_IN_PROCESS"
ORDER_NOT_EXIST = "ORDER_NOT_EXIST"
ENDINGS: Mapping[str, Status] = {"ORDER_IS_CLOSED": Status.EXPIRED, "ORDER_IS_CANCELED": Status.CANCELLED}
"""Codes in news of a failure that say how an unpaid payment ended."""
CAPTURE_IN_PROCESS, REFUND_IN_PROCESS = "CAPTURE_IN_PROCESS", "REFUND_IN_PROCESS"
REPEATED = frozenset({"REPEAT_REQ_INCONSISTENT"})
"""They have an operation under this reference already, whatever it is."""


def meaning(code: str) -> Meaning:
    return CODES.get(code, UNLISTED)


# -------------------------------------------------------------------------------------------------------- notifications

PAYMENT_RESULT, PAYMENT_PENDING = "PAYMENT_RESULT", "PAYMENT_PENDING"
CAPTURE_RESULT, REFUND_RESULT = "CAPTURE_RESULT", "REFUND_RESULT"

DISPUTE_NOTICES: Mapping[str, DisputeStatus | None] = {
    "DISPUTE_CREATED": DisputeStatus.OPEN,
    "DISPUTE_JUDGED": None,  # its result says
    "DEFENSE_SUPPLIED": DisputeStatus.OPEN,
    "DEFENSE_DUE_ALERT": DisputeStatus.OPEN,
    "DISPUTE_CANCELLED": DisputeStatus.WON,  # assumed: taken back by the cardholder
    "DISPUTE_ACCEPTED": DisputeStatus.LOST,
    "RDR_RESOLVED": DisputeStatus.LOST,  # assumed: settled by giving the money back
}
"""``disputeNotificationType``; APO itself sends the first two only."""
DISPUTE_RESULTS: Mapping[str, DisputeStatus] = {
    "ACCEPT_BY_CUSTOMER": DisputeStatus.WON,
    "ACCEPT_BY_MERCHANT": DisputeStatus.LOST,
}

ACKNOWLEDGEMENT = b'{"result":{"resultCode":"SUCCESS","resultStatus":"S","resultMessage":"success"}}'
REFUSAL = b'{"result":{"resultCode":"INVALID_SIGNATURE","resultStatus":"F","resultMessage":"refused"}}'
REFUSAL_STATUS = 401  # assumed: anything but 200 with SUCCESS is sent again

# ---------------------------------------------------------------------------------------------------------- card facts

BRANDS: Mapping[str, str] = {"CUP": "unionpay"}
"""``cardBrand`` where ours is not the same word in small letters."""
FUNDING: Mapping[str, str] = {
    "CREDIT": "credit",
    "CHARGE": "credit",
    "DEBIT": "debit",
    "DEFERRED_DEBIT": "debit",
    "PREPAID": "prepaid",
}
AVS: Mapping[str, str] = {
    **dict.fromkeys("DFHMXY", "full"),
    **dict.fromkeys("ABOQ", "address only"),
    **dict.fromkeys("LPWZ", "postcode only"),
    "N": "none",
}  # assumed, all of it: the meaning of F is garbled in the source
"""``avsResultRaw``; every other word means that nothing was checked."""
CVC: Mapping[str, str] = {
    "Y": "match",
    "D": "no match",
    "P": "processed",
    "N": "absent",
    "U": "unsupported",
}
UNCHECKED = "unchecked"

DOWNGRADED: Mapping[str, bool] = {
    **dict.fromkeys(("02", "05"), False),
    **dict.fromkeys(("01", "06"), True),  # attempted only
    **dict.fromkeys(("00", "07", "04"), True),  # no 3DS, or its data only
}
"""By ``eci``: whether it was paid without full authentication."""
LIABILITY: Mapping[str, bool] = {"1": True, "0": False, "-1": False}
"""``liabilityShift``; "unknown" is treated as not shifted."""

# ----------------------------------------------------------------------------------------------------------------- kept

KEPT = (
    *("paymentId", "paymentRequestId", "paymentStatus", "paymentResultCode", "paymentTime", "authExpiryTime"),
    "authExpirytime",  # as an older edition spells it
    *("authReviewStatus", "authReviewSource", "paymentMethodType", "acquirerReferenceNo", "notifyType"),
    *("captureId", "captureRequestId", "captureTime", "cancelTime"),
    *("refundId", "refundRequestId", "refundStatus", "refundTime", "arn", "rrn", "authorizationCode"),
    *("disputeId", "disputeNotificationType", "disputeReasonCode", "disputeSource", "disputeType"),
    *("disputeJudgedResult", "defenseDueTime", "disputeTime", "disputeJudgedTime"),
)
KEPT_OF: Mapping[str, tuple[str, ...]] = {
    "result": ("resultCode", "resultStatus"),
    "acquirerInfo": ("acquirerName", "acquirerTransactionId", "acquirerResultCode", "referenceRequestId"),
    "paymentResultInfo": ("refusalCodeRaw", "merchantAdviceCode", "exemptionRequested", "credentialTypeUsed"),
}
"""Members that are kept for the desk, none of which identifies a card."""

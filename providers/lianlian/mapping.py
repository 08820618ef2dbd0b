"""LianLian's words, hosts, paths, codes and limits, and what they are to us.

Facts come from LianLian's public documentation of Easypay (2021 edition, and the more detailed one of May 2018) and
from signed messages in its public samples. What these leave open is marked ``assumed``: a merchant who has LianLian's
word for it corrects this file and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta, timezone
from enum import StrEnum

from providers.contract import CodeProblem, DeclineCategory, OperationStatus, Status

# ------------------------------------------------------------------------------------------------------- where and when

HOSTS: Mapping[str, str] = {
    "trader": "https://traderapi.lianlianpay.com",
    "query": "https://queryapi.lianlianpay.com",
    "cashier": "https://payment.lianlianpay.com",
    "h5": "https://wap.lianlianpay.com",
}
REDIRECT_HOSTS = ("payment.lianlianpay.com", "wap.lianlianpay.com")

ZONE = timezone(timedelta(hours=8))
"""Of every time on the wire."""
TIME_FORMAT = "%Y%m%d%H%M%S"

CURRENCY = "CNY"
MINIMUM, MAXIMUM = 1, 100_000_000_00
"""Of an amount, in fen."""

CARD_BRAND = "unionpay"  # cards issued in mainland China
CARD_METHOD, CASHIER_METHOD = "card", "cashier"

SESSION_SECONDS = (300, 7 * 24 * 3600)  # valid_order defaults to seven days; no shortest time is stated (assumed)
SETTLING_SECONDS = 600
"""A query's "no such record" is not believed for so long after a debit was sent."""

# -------------------------------------------------------------------------------------------------------- return codes


class Action(StrEnum):
    """What a client does about a return code (assumed, all of it: the documentation gives meanings only)."""

    OK = "ok"
    CODE = "code"
    """The shopper enters the SMS code again."""
    NEW = "new"
    """Only a new application brings a new code."""
    FIX = "fix"
    """Refused because of what the shopper typed, or of this card."""
    FAIL = "fail"
    """Refused by bank, limits or risk."""
    ASK = "ask"
    """Nobody knows: query, never conclude."""
    WAIT = "wait"
    """Not executed, for now."""
    CFG = "cfg"
    """Our request or our contract with them is wrong."""
    NONE = "none"
    """Belongs to another product, so its meaning here is unknown."""


@dataclass(frozen=True)
class Meaning:
    action: Action
    category: DeclineCategory | None = None
    """Where the code ends in a no to the shopper."""


def _each(codes: str, action: Action, category: DeclineCategory | None = None) -> dict[str, Meaning]:
    return dict.fromkeys(codes.split(), Meaning(action, category))


CODES: Mapping[str, Meaning] = {
    **_each("0000 8888 2003", Action.OK),
    **_each("7777", Action.FIX, DeclineCategory.INVALID_CARD),  # the agreement's data are incomplete
    **_each("0106", Action.WAIT, DeclineCategory.UNAVAILABLE),
    **_each("1000", Action.NEW, DeclineCategory.WRONG_CODE),  # token wrong or too old
    **_each("1001 1004 1008 1009 1012 9002 9901 3001 3010 9092", Action.CFG),
    **_each("1002 9983 1003 1007 2004 2005 2007 2008", Action.ASK),
    **_each("1005 1111 9094", Action.FAIL, DeclineCategory.DECLINED),
    **_each("1006 9091 1201 1202 3002", Action.WAIT, DeclineCategory.UNAVAILABLE),
    **_each("1014 1016 1019 9911", Action.FAIL, DeclineCategory.LIMIT_EXCEEDED),
    **_each("1100 1102 1103 5001", Action.FIX, DeclineCategory.INVALID_CARD),
    **_each("1101 1105", Action.FAIL, DeclineCategory.DECLINED),  # reported lost, black-listed
    **_each("1110", Action.FAIL, DeclineCategory.CALL_ISSUER),
    **_each("1104 1106", Action.FAIL, DeclineCategory.AUTHENTICATION_FAILED),  # PIN
    **_each("1107", Action.FAIL, DeclineCategory.NOT_PERMITTED),
    **_each("1108 1109 1112 1113 1114 1115 8099", Action.FIX, DeclineCategory.AUTHENTICATION_FAILED),
    **_each("1200 1805 9912 5505 5601", Action.FIX, DeclineCategory.NOT_PERMITTED),
    **_each("1900 8110 9700", Action.CODE, DeclineCategory.WRONG_CODE),
    **_each("1901 9701 9702 9703", Action.NEW, DeclineCategory.WRONG_CODE),
    **_each("1902 6002", Action.NEW, DeclineCategory.AUTHENTICATION_REQUIRED),
    **_each("2006", Action.FAIL, DeclineCategory.ABANDONED),  # expired or closed
    **_each("3003 3011", Action.FIX, DeclineCategory.INVALID_CARD),  # no such saved card
    **_each("3004 4000", Action.WAIT, DeclineCategory.UNAVAILABLE),  # unbinding failed
    **_each("3006 3007 8000 7018", Action.FIX, DeclineCategory.INVALID_CARD),  # payer unknown, or another person
    **_each("3009 9913", Action.FIX, DeclineCategory.INVALID_CARD),  # bound already
    **_each("4005 4007", Action.CFG),
    **_each("5002 5003 5004 5007 5008 5504 7017", Action.CFG),
    **_each("5005 9920", Action.ASK),  # refund failed
    **_each("5006", Action.WAIT, DeclineCategory.UNAVAILABLE),  # the merchant's balance is too low
    **_each("6001", Action.FAIL, DeclineCategory.INSUFFICIENT_FUNDS),
    **_each("6601 9000 9970 9704 9921", Action.WAIT, DeclineCategory.UNAVAILABLE),
    **_each("8901 9093", Action.ASK),  # no such record: what a query makes of it stands below
    **_each("9902 9903 9990 9991 9999 8117", Action.ASK),
    **_each("9907", Action.FIX, DeclineCategory.INVALID_CARD),
    **_each("9910", Action.FAIL, DeclineCategory.FRAUD),
    **_each("3005 3008 4001 4002 4003 4004 5501 5502 5503 5506 9104 7001 7119", Action.NONE),
    **_each("8001 8002 8003 8006 8010 8101 8102 8103 8104 8105 8106 8107 8108 8109", Action.NONE),
    **_each("8111 8112 8113 8114 8115 8116 8911", Action.NONE),
}

UNLISTED = Meaning(Action.ASK)


def meaning(code: str) -> Meaning:
    return CODES.get(code, UNLISTED)


SUCCESS = "0000"
VERIFICATION_NEEDED = frozenset({"0000", "8888"})
"""With a token: Easypay's pages say the first, sibling products the second."""
ANOTHER_CODE = "8888"
"""As the answer to a code: a further one is needed."""
EXPIRED = "2006"
NO_SUCH_RECORD = frozenset({"8901", "9093", "5002"})
"""As the answer to a query."""
NO_SUCH_CARD = frozenset({"3003", "3011", "3006", "3007", "8000"})
"""As the answer to an unbinding: no such agreement, or no such payer."""
UNKNOWN_CARD = frozenset({"5001"})
"""As the answer to a card BIN query."""
DOUBTFUL_NO = frozenset({"5005", "9920", "8901", "9093"})
"""Codes that ask to ask, and mean a no to an operation when a query does not know of it either."""

CODE_PROBLEMS: Mapping[str, CodeProblem] = {
    **dict.fromkeys(("1900", "9700", "8110"), CodeProblem.WRONG),
    **dict.fromkeys(("1901", "9703"), CodeProblem.EXPIRED),
    **dict.fromkeys(("1000", "9701", "9702"), CodeProblem.LOCKED),
}
"""As the answer to a code."""

# ----------------------------------------------------------------------------------------------------------- endpoints

WRONG_REQUESTS = frozenset(code for code, one in CODES.items() if one.action is Action.CFG) - NO_SUCH_RECORD
"""Said of a query of ours, these are believed without a signature: an operator has to know."""


@dataclass(frozen=True)
class Endpoint:
    host: str
    """Which of ``HOSTS``."""
    path: str
    believed_unsigned: frozenset[str] = frozenset()
    """Codes that are believed without a signature. Never a success; where money may have moved, none at all."""
    unsigned_members: tuple[frozenset[str], ...] = (frozenset(),)
    """Members that the signature leaves out; each alternative is tried. They are never read."""


APPLY = Endpoint("trader", "/easypay.htm")
VERIFY = Endpoint("trader", "/easypayverify.htm")
ORDER_QUERY = Endpoint(
    "query",
    "/orderquery.htm",
    WRONG_REQUESTS,
    (frozenset({"memo", "bank_name", "card_no"}), frozenset({"memo", "bank_name"})),  # assumed: see the sibling product
)
PREAUTH_CAPTURE = Endpoint("trader", "/preauthComplete.htm")
PREAUTH_CANCEL = Endpoint("trader", "/preauthCancel.htm")
PREAUTH_QUERY = Endpoint("query", "/preauthquery.htm", WRONG_REQUESTS)
REFUND_PATH = "/refund.htm"
"""Of the 2018 documentation and all samples; the page of 2021 shows the foreign-currency ``/exchangerefund.htm``."""
REFUND_QUERY = Endpoint("query", "/refundquery.htm", WRONG_REQUESTS)
CARD_BIN = Endpoint("query", "/bankcardbin.htm", WRONG_REQUESTS)
UNBIND = Endpoint("trader", "/bankcardunbind.htm", WRONG_REQUESTS)

CASHIER_PATH = "/payment/traveleasypay.htm"
H5_PATH = "/travlepay.htm"  # spelled so

# -------------------------------------------------------------------------------------------------------------- states

ORDER_STATES: Mapping[str, Status] = {
    "WAITING": Status.PENDING,
    "PROCESSING": Status.PENDING,
    "SUCCESS": Status.CAPTURED,
    "FAILURE": Status.FAILED,
    "REFUND": Status.CAPTURED,  # and all of it given back
    "APPLY_SUCCESS": Status.AUTHORISED,
}
"""``result_pay``. For a hold, SUCCESS and REFUND say nothing: the pre-authorisation query does."""

NO_RESULT = frozenset({"", "WAITING"})
REFUNDED_STATE = "REFUND"
HOLD_TYPES = frozenset({"F", "G"})
"""``pay_type`` of a pre-authorisation, on a credit and on a debit card."""

PREAUTH_STATES: Mapping[str, Status | None] = {
    "0000": None,  # handled, and no state: what the order query says that moves no money
    "2003": Status.PENDING,
    "PR08": Status.PENDING,
    "PR09": Status.PENDING,
    "PR07": Status.AUTHORISED,
    "PR10": Status.FAILED,
    "2006": Status.EXPIRED,
    "PR12": Status.AUTHORISED,  # being captured
    "PR11": Status.CAPTURED,
    "PR13": Status.AUTHORISED,  # capture failed; still held (assumed)
    "PR15": Status.AUTHORISED,  # being cancelled
    "PR14": Status.CANCELLED,
    "PR16": Status.AUTHORISED,  # cancellation failed; still held (assumed)
}
"""The pre-authorisation query's ``ret_code``."""

AWAITS_SHOPPER = frozenset({"WAITING", "2003", "PR08"})
"""Of either query: nobody has handed in a code, so nothing is under way."""

CAPTURED = "PR11"
CAPTURE_STATES: Mapping[str, OperationStatus] = {
    CAPTURED: OperationStatus.SUCCEEDED,
    "PR12": OperationStatus.PENDING,
    "PR13": OperationStatus.FAILED,
    "PR10": OperationStatus.FAILED,  # there is nothing to take, or not any more
    "PR14": OperationStatus.FAILED,
    "2006": OperationStatus.FAILED,
}
CANCEL_STATES: Mapping[str, OperationStatus] = {
    "PR14": OperationStatus.SUCCEEDED,
    "2006": OperationStatus.SUCCEEDED,  # lapsed: nothing is held any more
    "PR15": OperationStatus.PENDING,
    "PR16": OperationStatus.FAILED,
    CAPTURED: OperationStatus.FAILED,
}
MAY_BE_OLD = frozenset({"PR13", "PR16"})
"""States that an earlier try may have left behind."""

REFUND_STATES: Mapping[str, OperationStatus] = {
    "0": OperationStatus.PENDING,
    "1": OperationStatus.PENDING,
    "2": OperationStatus.SUCCEEDED,
    "3": OperationStatus.FAILED,
}
"""``sta_refund``."""

DECLINE_OF_STATE: Mapping[str, DeclineCategory] = {
    "FAILURE": DeclineCategory.DECLINED,  # the reason, memo, is not signed
    "PR10": DeclineCategory.DECLINED,
    "2006": DeclineCategory.ABANDONED,
}

# --------------------------------------------------------------------------------------------------------- our requests

API_VERSION = "1.0"
SIGN_TYPES = ("RSA", "SHA256withRSA")
ALWAYS = "RSA"
"""How pages and every call but apply and verify are signed, whatever the account's choice (assumed)."""
ORDINARY, CREDIT, HOLD = "M", "N", "F"
"""``pay_type``."""
PAY_TYPES_CREDIT = (ORDINARY, CREDIT)
UNBIND_TYPE = "M"
BUSI_PARTNERS: Mapping[str, str] = {"virtual goods": "101001", "physical goods": "109001"}
EXPIRY_FORMATS = ("YYMM", "MMYY")  # assumed: samples (1402, 2002) read as the first
ID_TYPE = "0"
"""Identity card. The card form asks for no other document."""
ORDER_NUMBER = r"[A-Za-z0-9_-]{1,32}"
PAYER = r"[A-Za-z0-9_-]{1,32}"
CARD_NUMBER, MOBILE, ID_NUMBER, CVV2 = r"\d{12,19}", r"1\d{10}", r"\d{15}|\d{17}[\dX]", r"\d{3}"
SMS_CODE = r"[A-Za-z0-9]{1,6}"
GOODS_LENGTH, URL_LENGTH, IP_LENGTH = 40, 128, 32
CHANNEL_WEB, CHANNEL_H5 = "13", "16"
IDENTIFIED = "0"
"""``user_info_identify_state``: we have not checked who the shopper is."""
UNKNOWN_IP = "127_0_0_1"
"""The page insists on an address (assumed: better than no payment)."""
H5_REQUEST, H5_COMES_BACK_BY_ITSELF = "3", "1"

# ---------------------------------------------------------------------------------------------------------- their facts

FUNDING: Mapping[str, str] = {"2": "debit", "3": "credit"}
"""``card_type``."""

BANKS: Mapping[str, str] = {
    "01000000": "邮储银行",
    "01020000": "工商银行",
    "01030000": "农业银行",
    "01040000": "中国银行",
    "01050000": "建设银行",
    "03010000": "交通银行",
    "03020000": "中信银行",
    "03030000": "光大银行",
    "03040000": "华夏银行",
    "03050000": "民生银行",
    "03060000": "广发银行",
    "03070000": "平安银行",
    "03080000": "招商银行",
    "03090000": "兴业银行",
    "03100000": "浦发银行",
    "03170000": "渤海银行",
    "03200000": "东亚银行",
    "04012900": "上海银行",
    "04031000": "北京银行",
    "04083320": "宁波银行",
    "04243010": "南京银行",
    "65012900": "上海农商银行",
}
"""``bank_code``. The official list is a spreadsheet for merchants: another code is shown as it is."""

KEPT = (
    *("ret_code", "no_order", "oid_paybill", "money_order", "result_pay", "pay_type", "settle_date", "bank_code"),
    *("no_refund", "oid_refundno", "money_refund", "sta_refund"),
)
"""Members that are kept for the desk: none tells of a person or a card."""

# ------------------------------------------------------------------------------------------------------- notifications

NOTIFICATION_BYTES = 64 * 1024
PAID = "SUCCESS"
"""The only ``result_pay`` that notifications are documented with."""
ACKNOWLEDGEMENT = b'{"ret_code":"0000","ret_msg":"ok"}'
REFUSAL = b'{"ret_code":"9999","ret_msg":"verify failed"}'
REFUSAL_STATUS = 400  # any answer but 200 with 0000 is a failure to them, and sent again

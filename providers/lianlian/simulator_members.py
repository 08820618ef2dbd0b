"""The members of LianLian's requests: which are required, and the form of each. A mistake is answered 1004 (name)."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from providers.lianlian.simulator_signing import Literal
from providers.simulation import amounts, masking

CHINA = timezone(timedelta(hours=8))
DAY_MS, CLOCK_DRIFT_MS = 86_400_000, 1_800_000
LARGEST_FEN = 10_000_000_000  # 100000000.00 yuan
DEFAULT_VALID_ORDER = 10_080  # minutes

Form = Callable[[str, int], object]


@dataclass(frozen=True)
class Member:
    """One member's name, whether it must be there, and what its text must look like at a moment (epoch ms)."""

    name: str
    form: Form
    required: bool = True
    number: bool = False


def required(name: str, form: Form) -> Member:
    return Member(name, form)


def optional(name: str, form: Form, *, number: bool = False) -> Member:
    return Member(name, form, required=False, number=number)


def first_mistake(body: Mapping[str, Any], members: tuple[Member, ...], now: int) -> str | None:
    """The name of the first member that is missing or malformed, in the order of ``members``."""
    for name, value in body.items():
        if isinstance(value, str) and value.lower() == "null" and not isinstance(value, Literal):
            return name  # their samples leave the word out of the signed string: never a value
    for member in members:
        value = body.get(member.name)
        if value is None or value == "":
            if member.required:
                return member.name
            continue
        is_text = isinstance(value, str) and (member.number or not isinstance(value, Literal))
        if not (is_text and member.form(value, now)):
            return member.name
    return None


def to_fen(text: Any) -> int | None:
    """Yuan as the documentation writes them, in fen: 0.01 to 100000000.00, two decimals at most."""
    found = re.fullmatch(r"([0-9]{1,9})(?:\.([0-9]{1,2}))?", text) if isinstance(text, str) else None
    if found is None:
        return None
    fen = int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))
    return fen if 1 <= fen <= LARGEST_FEN else None


def to_yuan(fen: int) -> str:
    return amounts.to_decimal(fen, 2)


def china(moment_ms: int) -> datetime:
    """Every timestamp of LianLian is UTC+8."""
    return datetime.fromtimestamp(moment_ms / 1000, CHINA)


def text(longest: int, shortest: int = 1) -> Form:
    return lambda value, _now: shortest <= len(value) <= longest


def pattern(rule: str) -> Form:
    return lambda value, _now: re.fullmatch(rule, value)


def one_of(*values: str) -> Form:
    return lambda value, _now: value in values


def money(value: str, _now: int) -> bool:
    return len(value) <= 12 and to_fen(value) is not None


def moment(value: str, _now: int) -> bool:
    return _epoch_ms(value) is not None


def moment_within(distance_ms: int) -> Form:
    def form(value: str, now: int) -> bool:
        found = _epoch_ms(value)
        return found is not None and abs(found - now) <= distance_ms

    return form


def url(value: str, _now: int) -> bool:
    return len(value) <= 128 and re.fullmatch(r"https?://[^\s/?#]+[^\s]*", value) is not None


def lifetime(value: str, _now: int) -> bool:
    return re.fullmatch("[1-9][0-9]{0,6}", value) is not None


def risk(value: str, _now: int) -> bool:
    """A string that holds a JSON object with the three keys every product needs."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return False
    wanted = ("frms_ware_category", "user_info_mercht_userno", "user_info_dt_register")
    return isinstance(found, dict) and all(isinstance(found.get(name), str) and found[name] for name in wanted)


def _epoch_ms(value: str) -> int | None:
    if not re.fullmatch("[0-9]{14}", value):
        return None
    try:
        return int(1000 * datetime.strptime(value, "%Y%m%d%H%M%S").replace(tzinfo=CHINA).timestamp())
    except ValueError:
        return None


# --- the endpoints -------------------------------------------------------------------------------------------------

PLATFORM = optional("platform", text(32))
USER, ORDER_NO, PAYBILL = text(32), text(32), pattern("[0-9]{1,18}")
CARD = pattern("[0-9]{12,19}")
_PERSON = {
    "card_no": CARD,
    "acct_name": text(64),
    "bind_mob": pattern("1[0-9]{10}"),
    "id_type": one_of(*"023469X"),
    "id_no": pattern("[0-9A-Za-z]{15}|[0-9A-Za-z]{18}"),
}
_CREDIT = (optional("vali_date", pattern("[0-9]{4}")), optional("cvv2", pattern("[0-9]{3}")))
CARD_MEMBERS = (*[required(name, form) for name, form in _PERSON.items()], *_CREDIT)
CARD_MEMBERS_IF_ANY = (*[optional(name, form) for name, form in _PERSON.items()], *_CREDIT)
AGREEMENT = optional("no_agree", text(32))

_ORDER = (
    required("user_id", USER),
    PLATFORM,
    required("busi_partner", one_of("101001", "109001")),
    required("no_order", ORDER_NO),
    required("dt_order", moment_within(DAY_MS)),
    required("name_goods", text(40)),
    optional("info_order", text(255)),
    required("notify_url", url),
    optional("valid_order", lifetime, number=True),
    required("risk_item", risk),
    required("money_order", money),
)
APPLY = (
    required("api_version", one_of("1.0")),
    *_ORDER,
    required("pay_type", one_of("M", "N", "F")),
    optional("client_chnl", one_of("10", "13", "16", "18")),
    AGREEMENT,
    optional("bank_code", text(18)),
)
_PAGE = (
    required("version", one_of("1.0")),
    required("timestamp", moment_within(CLOCK_DRIFT_MS)),
    *_ORDER,
    required("pay_type", one_of("M", "F")),
    optional("url_return", url),
    optional("back_url", url),
    AGREEMENT,
)
WEB = (
    *_PAGE,
    required("userreq_ip", pattern(r"[0-9]{1,3}(_[0-9]{1,3}){3}|[0-9A-Fa-f:_]{2,32}")),
    optional("url_order", text(255)),
)
H5 = (
    *_PAGE,
    required("app_request", one_of("1", "2", "3")),
    optional("bg_color", pattern("[0-9A-Fa-f]{6}")),
    optional("font_color", pattern("[0-9A-Fa-f]{6}")),
    optional("syschnotify_flag", one_of("0", "1")),
)
VERIFY = (
    required("no_order", ORDER_NO),
    optional("dt_order", moment),
    required("money_order", money),
    required("token", text(64)),
    required("verify_code", text(6)),
)
ORDER_QUERY = (
    optional("no_order", ORDER_NO),
    required("dt_order", moment),
    optional("oid_paybill", PAYBILL),
    optional("query_version", one_of("1.0", "1.1")),
)
_PREAUTH = (
    required("api_version", one_of("1.0")),
    required("pay_type", one_of("F")),
    required("no_order", ORDER_NO),
    required("dt_order", moment),
    optional("oid_paybill", PAYBILL),
    PLATFORM,
)
CANCEL = (*_PREAUTH, required("user_id", USER), required("money_order", money))
CAPTURE = (*CANCEL, optional("risk_item", risk))
PREAUTH_QUERY = _PREAUTH
BIND = (
    required("api_version", one_of("2.1")),
    required("user_id", USER),
    required("pay_type", one_of("M", "N", "D")),
    required("risk_item", risk),
    *CARD_MEMBERS,
    PLATFORM,
)
BIND_VERIFY = (
    required("token", text(64)),
    required("user_id", USER),
    required("verify_code", text(6)),
)
UNBIND = (
    required("user_id", USER),
    required("no_agree", text(32)),
    optional("pay_type", one_of("2", "3", "D", "M", "F")),
    PLATFORM,
)
AGREEMENTS = (
    required("user_id", USER),
    required("offset", pattern("[0-9]{1,6}")),
    optional("pay_type", one_of("2", "3", "D", "M", "F")),
    AGREEMENT,
    optional("card_no", CARD),
    PLATFORM,
)
CARD_BIN = (
    required("card_no", CARD),
    optional("api_version", one_of("1.0")),
)
REFUND = (
    required("no_refund", ORDER_NO),
    required("dt_refund", moment),
    required("money_refund", money),
    optional("no_order", ORDER_NO),
    optional("dt_order", moment),
    optional("oid_paybill", PAYBILL),
    required("notify_url", url),
    optional("trader_refund", pattern("[0-9]{18}")),
)
REFUND_QUERY = (
    optional("no_refund", ORDER_NO),
    required("dt_refund", moment),
    optional("oid_refundno", PAYBILL),
)
CLOSE = (required("no_order", ORDER_NO),)

# --- what logs may show --------------------------------------------------------------------------------------------

_PERSONAL = frozenset({"id_no", "acct_name", "bind_mob", "vali_date", "cvv2", "verify_code"})
_PERSONAL_RISK = frozenset({"full_name", "id_no", "bind_phone", "phone", "addr_province", "addr_city", "ip_addr"})
# Numbers that LianLian or a clock gave; they look like card numbers only by chance.
_ISSUED = frozenset(
    {"oid_partner", "oid_paybill", "oid_refundno", "no_agree", "dt_order", "dt_refund", "trader_refund", "timestamp"}
)
_CARD_LIKE = re.compile(r"(?<![0-9])(?:62|4|5[1-5])[0-9]{11,17}(?![0-9])")


def masked(body: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a request or answer fit for logs: no card, person, code or token, not even inside ``risk_item``."""
    return {name: _masked(value, name) for name, value in body.items()}


def _masked(value: Any, name: str) -> Any:
    if value is None or value == "" or name == "sign":
        return value
    if name in _PERSONAL or any(name.endswith(part) for part in _PERSONAL_RISK):
        return "***"
    if name in {"risk_item", "req_data"} and isinstance(value, str):
        try:
            inner = json.loads(value)
        except (ValueError, RecursionError):
            return "***"
        return json.dumps(_masked(inner, ""), ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, dict):
        return {key: _masked(one, str(key)) for key, one in value.items()}
    if isinstance(value, list):
        return [_masked(one, name) for one in value]
    if name in _ISSUED and re.fullmatch("20[0-9]{12,16}", str(value)):
        return value
    hidden = masking.mask(value, name)
    if not isinstance(hidden, str):
        return hidden
    return _CARD_LIKE.sub(lambda found: masking.mask_number(found[0]), hidden)

"""Lesspay's side of the wire, played locally: API, cashier, 3DS challenge, signed webhooks, inquiry.

Written from the published reference alone (Card Payment page, 2026-02-28; 3D Secure page, 2026-03-09; Authentication,
Pay In guidelines, Pay In error codes, Fraud & Dispute). What it leaves open is a switch of the account or a row in one
of the tables below, marked *assumed*. It shares no code with the client.

A card number is reduced to BIN and last four, and the CVV dropped, before anything is stored, logged or shown.
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Mapping, Set
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from json.decoder import JSONDecoder
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, abort, redirect, render_template, request
from werkzeug.wrappers import Response as Redirect

from providers.simulation import (
    Account,
    Dial,
    Job,
    Message,
    Notice,
    Order,
    OrderEvent,
    ProviderSimulator,
    Refused,
    Switch,
    TestCard,
    amounts,
    faults,
    masking,
)
from providers.simulation.dials import Claim

CREATE, QUERY, SESSION = "create-order", "query-order", "checkout-payment"

# Lesspay: Parameter Specifications. 11 belongs to payouts only.
STATUS = {
    "PENDING_CONFIRM": 0,
    "PENDING_PAY": 1,
    "SUCCEED": 2,
    "FAILED": 3,
    "CANCELED": 4,
    "REFUND": 5,
    "CLOSED": 6,
    "PAID": 12,
}
WAITING = frozenset({"PENDING_CONFIRM", "PENDING_PAY"})
# Assumed: the reference shows its transitions as a picture only. Each event: from which status, to which.
TRANSITIONS: dict[str, tuple[frozenset[str], str]] = {
    "pay": (WAITING, "SUCCEED"),
    "fail": (WAITING, "FAILED"),
    "cancel": (WAITING, "CANCELED"),
    "close": (WAITING, "CLOSED"),
    "settle_difference": (frozenset({"PAID"}), "SUCCEED"),
    "refund": (frozenset({"SUCCEED", "PAID"}), "REFUND"),
    "late_success": (frozenset({"FAILED", "CANCELED", "CLOSED"}), "SUCCEED"),
}
DISPUTE_CATEGORIES = (
    "fraudulent",
    "unrecognized",
    "product_service_not_received",
    "product_service_not_as_described",
    "credit_not_processed",
    "duplicate",
    "other",
)
# Assumed: the retry schedule is not published. Seconds to wait after failed attempt 1, 2, …
RETRY_PROFILES: dict[str, tuple[float, ...]] = {
    "jeepay": (30, 60, 90, 120, 150),
    "doopayment": (60, *[300] * 2, *[600] * 5, *[3_600] * 5, *[21_600] * 3),
    "none": (),
}
# Local payment methods (LPM page): way_code → the only currency it takes. Amounts there are integers in minor units.
LOCAL_WAYS = {"TAZAPAY_BANK_PUSH_MXN": "MXN", "TAZAPAY_PIX_BRL": "BRL"}
ISSUER, ISSUER_COUNTRY = "CKO, WHERE THE WORLD CHECKS OUT", "GB"  # 3D Secure page, webhook sample
SNOWFLAKE_EPOCH_MS = 1_288_834_974_657  # the published sample ids are snowflakes of this epoch
DISPUTE_DELAY_S = 60
DOCUMENTED_FIELDS = frozenset(
    {
        *("target_amount", "target_currency", "transaction_type", "request_id", "notify_url", "success_url"),
        *("fail_url", "product_name", "description", "way_type", "way_code", "api_version", "pay_access_type"),
        *("expired_time", "channel_extra", "page", "page_size", "start_time", "end_time", "pay_order_id"),
    }
)


@dataclass(frozen=True)
class CardRule:
    """What a card does. ``code`` declines it; ``forced`` brings a challenge even with 3DS switched off."""

    code: str = ""
    challenge: bool = True
    forced: bool = False
    enrolled: str = "Y"
    downgraded: bool = False
    trait: str = ""


ORDINARY = CardRule()
DOCUMENTED, UPSTREAM, OWN = "Lesspay, 3D Secure page", "Checkout.com sandbox (assumed)", "this simulator (assumed)"
# number, brand, CVV, upstream's public test cards. Any future expiry; any CVV of the right length is accepted.
_GOOD_CARDS = (
    ("4242424242424242", "visa", "100", DOCUMENTED),
    ("4543474002249996", "visa", "956", UPSTREAM),
    ("5436031030606378", "mastercard", "257", UPSTREAM),
    ("2223000010479399", "mastercard", "299", UPSTREAM),
    ("5199992312641465", "mastercard", "010", UPSTREAM),
    ("378282246310005", "amex", "1000", UPSTREAM),
    ("345678901234564", "amex", "1051", UPSTREAM),
    ("30123456789019", "diners", "257", UPSTREAM),
    ("6011111111111117", "discover", "100", UPSTREAM),
    ("3530111333300000", "jcb", "100", UPSTREAM),
    ("4658584090000001", "visa", "257", UPSTREAM),
    ("5000186622346654", "mastercard", "257", UPSTREAM),
)
_DECLINED_CARDS = (
    ("4544249167673670", "20051", "insufficient funds"),
    ("4485381577182090", "20014", "invalid number"),
    ("4024007103573027", "20012", "invalid transaction"),
    ("4724117215951699", "20054", "expired card"),
    ("4151512736305999", "20057", "not permitted"),
    ("4897453568485113", "20059", "suspected fraud (soft)"),
    ("4556294593757189", "20061", "limit exceeded"),
    ("4818924250131070", "20062", "restricted card"),
    ("4556253752712245", "20063", "security violation"),
    ("4095254802642505", "20068", "timeout"),
    ("4532819413487978", "20078", "blocked at first use"),
    ("4111111111111129", "20001", "refer to issuer"),
    ("4734868958733862", "200N7", "CVV failure"),
    ("4567361325981788", "200R3", "stop payment"),
)
_CODED_CARDS = (
    ("4000000000200057", "20005", "do not honour"),
    ("4000000000200149", "20014", "invalid number"),
    ("4000000000200511", "20051", "insufficient funds"),
    ("4000000000200545", "20054", "expired card"),
    ("4000000000200594", "20059", "suspected fraud (soft)"),
    ("4000000000300345", "30034", "suspected fraud, pick up"),
    ("4000000000411019", "41101", "risk-blocked (client)"),
    ("4000000000412017", "41201", "on the decline list (client)"),
    ("4000000000413015", "41301", "fraud score above the threshold (client)"),
    ("4000000000421018", "42101", "risk-blocked (entity)"),
    ("4000000000422016", "42201", "on the decline list (entity)"),
    ("4000000000423014", "42301", "fraud score above the threshold (entity)"),
)
_SCENARIO_CARDS = (
    (
        "4000000000201543",
        CardRule(forced=True, trait="sca_retry"),
        "challenge with upgrade_reason sca_retry even with 3DS off or by token, then success",
    ),
    ("4000000001000019", CardRule(), "challenge; approve succeeds"),
    ("4000000001000027", CardRule(challenge=False), "frictionless success, no redirect"),
    ("4000000001000035", CardRule(challenge=False, enrolled="N", downgraded=True), "not enrolled, success"),
    ("4000000001000043", CardRule(challenge=False, enrolled="U"), "enrolment unknown, success"),
    ("4000000001000050", CardRule(trait="authentication_fails"), "challenge; authentication fails, FAILED"),
    ("4000000001000068", CardRule(trait="abandoned"), "the payer never answers; pending until CLOSED"),
    ("4000000001000076", CardRule(challenge=False, trait="webhook_lost"), "success, but the webhook is lost"),
    ("4000000001000084", CardRule(challenge=False, trait="disputed"), "success, a dispute one minute later"),
)
MEANINGS = {code: meaning for _, code, meaning in (*_DECLINED_CARDS, *_CODED_CARDS)}


def is_fraud(code: str) -> bool:
    """Whether a decline with this response code also raises ``payment_declined`` (Fraud & Dispute page)."""
    return code == "30034" or re.fullmatch("4[0-9]{4}", code) is not None


def _declines(cards: tuple[tuple[str, str, str], ...], origin: str) -> list[tuple[TestCard, CardRule]]:
    return [
        (
            TestCard(
                number, "visa", "100", f"declined {code}: {meaning}{' + payment_declined' * is_fraud(code)}", origin
            ),
            CardRule(code=code, challenge=False),
        )
        for number, code, meaning in cards
    ]


CARDS: dict[str, tuple[TestCard, CardRule]] = {
    card.number: (card, rule)
    for card, rule in [
        *[
            (TestCard(number, brand, cvv, "challenge with 3DS on, immediate success with 3DS off", origin), ORDINARY)
            for number, brand, cvv, origin in _GOOD_CARDS
        ],
        *_declines(_DECLINED_CARDS, UPSTREAM),
        *_declines(_CODED_CARDS, OWN),
        *[(TestCard(number, "visa", "100", outcome, OWN), rule) for number, rule, outcome in _SCENARIO_CARDS],
    ]
}
BRANDS = (
    ("3[47]", "amex"),
    ("3[0689]", "diners"),
    ("35", "jcb"),
    ("4", "visa"),
    ("6", "discover"),
    ("[25]", "mastercard"),
)


def rule_for(number: str) -> CardRule:
    """A listed card does what the table says; ``4000000000`` + code + check digit declines; others are ordinary."""
    if number in CARDS:
        return CARDS[number][1]
    coded = re.fullmatch("4000000000([0-9]{5})[0-9]", number)
    return CardRule(code=coded[1], challenge=False) if coded else ORDINARY


# --- signing (Authentication page) ---------------------------------------------------------------------------------


class Literal(str):
    """A JSON number exactly as it was written: ``100.00`` must not turn into ``100.0``."""

    __slots__ = ()


NESTED_MODES = ("json_compact", "raw", "json_sorted", "json_spaced", "flatten_dotted", "flatten_leaf", "omit_nested")


def read_json(raw: bytes) -> dict[str, Any]:
    """One JSON object with its numbers as ``Literal``; ValueError for anything else."""
    found = json.loads(raw.decode("utf-8"), parse_float=Literal, parse_int=Literal, parse_constant=_no_constant)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    write_json(found).encode()  # lone surrogates and bottomless nesting fail here, not while signing
    return found


def write_json(value: Any, *, comma: str = ",", colon: str = ":", ordered: bool = False) -> str:
    """JSON text with numbers as they came and other characters than controls unescaped."""
    if isinstance(value, dict):
        members = sorted(value.items()) if ordered else value.items()
        inside = (
            f"{json.dumps(name, ensure_ascii=False)}{colon}{write_json(one, comma=comma, colon=colon, ordered=ordered)}"
            for name, one in members
        )
        return "{" + comma.join(inside) + "}"
    if isinstance(value, list):
        return "[" + comma.join(write_json(one, comma=comma, colon=colon, ordered=ordered) for one in value) + "]"
    return str(value) if isinstance(value, Literal) else json.dumps(value, ensure_ascii=False)


def canonical(body: Mapping[str, Any], secret: str, mode: str, *, raw: bytes = b"", timestamp: str = "") -> str:
    """The string that is hashed: non-empty members in ASCII order, joined by ``&``, with ``key=<secret>`` at the end.

    ``mode`` says how a nested object is rendered; ``raw`` mode needs the bytes it came in. ``timestamp`` is added as a
    pair when given (an open point of the reference; its example leaves it out).
    """
    texts = _raw_members(raw) if mode == "raw" else {}
    pairs: list[tuple[str, str]] = [("timestamp", timestamp)] if timestamp else []
    for name, value in body.items():
        if value is None or (value == "" and not isinstance(value, Literal)):
            continue
        if not isinstance(value, (dict, list)):
            pairs.append((name, value if isinstance(value, str) else json.dumps(value)))
        elif mode in {"flatten_dotted", "flatten_leaf"}:
            pairs += _leaves(name, value, dotted=mode == "flatten_dotted")
        elif mode == "raw":
            pairs.append((name, texts.get(name, "")))
        elif mode != "omit_nested":
            spaced = {"comma": ", ", "colon": ": "} if mode == "json_spaced" else {}
            pairs.append((name, write_json(value, ordered=mode == "json_sorted", **spaced)))
    return "&".join([*(f"{name}={text}" for name, text in sorted(pairs)), f"key={secret}"])


def digest(text: str) -> str:
    """SHA-256 as 64 upper-case hex characters."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest().upper()


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _leaves(name: str, value: Any, *, dotted: bool) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = [(str(position), one) for position, one in enumerate(value)]
    else:
        return [(name, value if isinstance(value, str) else json.dumps(value))]
    return [leaf for key, one in inner for leaf in _leaves(f"{name}.{key}" if dotted else key, one, dotted=dotted)]


def _raw_members(raw: bytes) -> dict[str, str]:
    """The exact text of each top-level value in a body that is known to be a JSON object."""
    text, decoder, found = raw.decode("utf-8"), JSONDecoder(), {}
    space = re.compile(r"[ \t\r\n]*")
    at = space.match(text, text.index("{") + 1).end()  # type: ignore[union-attr]
    while text[at] != "}":
        name, at = decoder.raw_decode(text, at)
        at = space.match(text, text.index(":", at) + 1).end()  # type: ignore[union-attr]
        _, end = decoder.raw_decode(text, at)
        found[name] = text[at:end]
        at = space.match(text, end).end()  # type: ignore[union-attr]
        if text[at] == ",":
            at = space.match(text, at + 1).end()  # type: ignore[union-attr]
    return found


# --- answers -------------------------------------------------------------------------------------------------------


class Denied(Exception):
    """Answer with ``code`` and ``msg`` instead of success. Business errors keep HTTP 200 (Pay In error codes)."""

    def __init__(self, code: int, msg: str, http: int = 200) -> None:
        super().__init__(msg)
        self.code, self.msg, self.http = code, msg, http


def envelope(code: int, msg: str, data: Any = None, http: int = 200) -> Response:
    body = {"code": code, "msg": msg} | ({} if data is None else {"data": data})
    return Response(json.dumps(body, ensure_ascii=False), status=http, content_type="application/json; charset=utf-8")


NOT_A_NUMBER, EXPIRED, CVV_LENGTH = "card number is not valid", "card is expired", "cvv has the wrong length"
# The same on the cashier page: field and text.
UNFIT = {
    NOT_A_NUMBER: ("number", "This is not a card number. Check its digits."),
    EXPIRED: ("year", "This card has expired."),
    CVV_LENGTH: ("cvv", "Enter the 3 digits on the back, or the 4 on the front of an American Express card."),
}


@dataclass
class Card:
    """All that is left of a card once it was looked at."""

    bin: str
    last4: str
    brand: str
    fingerprint: str
    rule: CardRule

    @classmethod
    def load(cls, kept: Mapping[str, Any]) -> "Card":
        return cls(**{**kept, "rule": CardRule(**kept["rule"])})


class Simulator(ProviderSimulator):
    """Lesspay 2.0 at ``/lesspay``: that is the client's ``base_url``."""

    slug = "lesspay"
    title = "Lesspay 2.0"
    accounts_name = "apps"
    creates = CREATE
    operations = (CREATE, QUERY)
    own_dials = (
        Dial("system_exception_after", "answer", True, "done, but the answer is code 10 (system exception)", 24),
        Dial("database_exception", "answer", True, "code 12 (database exception), nothing was done", 25),
        Dial("business_refusal", "answer", True, "code 5000, nothing was done", 26),
        Dial("foreign_redirect", "answer", "https://cashier.attacker.example/pay", "payData leads to this address", 27),
        Dial("unknown_state", "answer", 77, "done, but orderState is this undocumented number", 28),
    )
    switches = (
        Switch("merchant_name", "Test merchant", "shown on the cashier page"),
        Switch("webhook_url", "", "used when an order has no notify_url"),
        Switch("sign_nested", "json_compact", "how nested objects enter the signature", NESTED_MODES),
        Switch("lenient_signatures", False, "accept every nested mode, the previous secret and lower-case hex"),
        Switch("app_secret_previous", "", "accepted besides app_secret when signatures are lenient"),
        Switch("sign_timestamp", False, "the timestamp header enters the signature as a pair"),
        Switch("timestamp_tolerance_ms", 0, "refuse older or newer timestamps; 0 accepts all"),
        Switch("drop_unknown_fields", False, "leave undocumented top-level fields out of the expected signature"),
        Switch("webhook_sign_fields", "all", "all, or a comma-separated list of top-level fields"),
        Switch("auth_error_http", 401, "HTTP status of authentication errors: 401 or 200"),
        Switch("currencies", "*", "comma-separated currencies of this app; * is all of ISO 4217"),
        Switch("way_types", "CARD_PAYMENT", "comma-separated way types of this app"),
        Switch("lpm_enabled", False, "local payment methods (BANK_TRANSFER); pay them by the operator's event"),
        Switch("order_ttl_s", 1800, "lifetime of an order without expired_time"),
        Switch("expiry_webhook", True, "send a webhook when an order is CLOSED by age"),
        Switch("retry_profile", "jeepay", "webhook retries", tuple(RETRY_PROFILES)),
        Switch("ack_trim", False, "white space around SUCCESS is accepted"),
        Switch("send_extra_headers", False, "webhooks carry x-auth-appid and x-auth-timestamp too"),
        Switch("always_card_token", False, "card_token in every successful card payment, asked for or not"),
        Switch("decision_delay_s", 0.0, "a card without challenge is decided this much later"),
        Switch("webhook_delay_s", 0.2, "a webhook is sent this much after its cause"),
        Switch("paid_reports", "received", "amount reported with PAID", ("received", "ordered")),
        Switch("return_parameters", False, "append pay_order_id and order_status to success_url and fail_url"),
    )
    events = (
        OrderEvent("pay", "the payer pays; another amount than ordered ends in PAID (12)", ("amount",)),
        OrderEvent("fail", "the payment fails"),
        OrderEvent("cancel", "Lesspay cancels the order (4)"),
        OrderEvent("close", "the order is closed (6) before its time"),
        OrderEvent("settle_difference", "a PAID order is accepted as SUCCEED"),
        OrderEvent("refund", "Lesspay refunds the order (5)"),
        OrderEvent("late_success", "money comes after FAILED, CANCELED or CLOSED"),
        OrderEvent("payment_declined", "fraud event; the status stays", ("code",)),
        OrderEvent("dispute_received", "dispute event; the status stays", ("category", "reason_code")),
    )
    test_cards = tuple(card for card, _ in CARDS.values())

    def default_accounts(self) -> list[Account]:
        """The sample credentials of the Authentication page."""
        sample = {"app_id": "690b2b46e4b09c73147db688", "app_secret": "Wy31kFZf4jkE+Y2XZhmFuQ"}  # nosec B105
        return [self.account_from(sample)]

    def account_from(self, payload: Mapping[str, Any]) -> Account:
        app_id = str(payload.get("app_id", ""))
        if not re.fullmatch("[0-9A-Za-z]{1,64}", app_id):
            raise Refused("app_id must be 1 to 64 letters and digits")
        known = self.store.account(self.slug, app_id)
        settings: dict[str, Any] = {switch.name: switch.default for switch in self.switches}
        settings |= known.settings if known else {}
        for name, value in payload.items():
            if name in {"app_id", "app_secret"}:
                continue
            settings[name] = self._switch_value(name, value)
        settings["app_secret"] = str(payload.get("app_secret") or settings.get("app_secret") or "")
        if not settings["app_secret"]:
            raise Refused("app_secret is missing")
        return Account(self.slug, app_id, settings)

    def _switch_value(self, name: str, value: Any) -> Any:
        switch = next((one for one in self.switches if one.name == name), None)
        if switch is None:
            raise Refused(f"no switch is called {name!r}")
        if isinstance(switch.default, str) and isinstance(value, list):
            value = ",".join(map(str, value))
        wanted: type | tuple[type, ...] = (int, float) if isinstance(switch.default, float) else type(switch.default)
        if not isinstance(value, wanted) or (isinstance(value, bool) and not isinstance(switch.default, bool)):
            raise Refused(f"{name} must be of the kind of {switch.default!r}")
        if switch.choices and value not in switch.choices:
            raise Refused(f"{name} must be one of {', '.join(switch.choices)}")
        return value

    def blueprint(self) -> Blueprint:
        routes = Blueprint(self.slug, __name__, template_folder="simulator_templates")
        routes.post("/api/global/v1/pay/create-order")(self.create_order)
        routes.post("/api/global/v1/pay/query-order")(self.query_order)
        routes.post("/api/cashier/checkout-payment")(self.checkout_payment)
        routes.get("/cashier/<key>")(self.cashier)
        routes.post("/cashier/<key>")(self.pay_at_cashier)
        routes.get("/sessions-interceptor/<sid>")(self.challenge)
        routes.post("/sessions-interceptor/<sid>")(self.answer_challenge)
        return routes

    def http_error(self, path: str, status: int, text: str) -> Response:
        if path.startswith(f"/{self.slug}/api/"):
            return envelope(9999, text, http=status)
        page = render_template("lesspay/ended.html", order=None, heading="Page not found", text=text, link="")
        return Response(page, status=status)

    # --- API -------------------------------------------------------------------------------------------------------

    def create_order(self) -> Response:
        """3.1 Create Payin."""
        return self._call(CREATE, self._create)

    def query_order(self) -> Response:
        """3.2 Fetch Payin."""
        return self._call(QUERY, self._query)

    def _call(self, operation: str, act: Callable[[Account, dict[str, Any], Claim], Response]) -> Response:
        """Authenticate, act, write the log, and only then let the dials spoil the answer."""
        raw = request.get_data()
        log: dict[str, Any] = {"account": "", "reference": "", "request": f"{len(raw)} bytes", "expected": ""}
        claim = Claim()
        verdict = "accepted"
        try:
            account, body = self._authenticate(raw, log)
            log["reference"] = self._reference(body)
            amount = self._minor(body) if operation == CREATE else None
            claim = self.simulation.dials[self.slug].claim(operation, log["reference"], amount)
            spoiled = faults.before(claim.now, self.simulation.closing)
            answer = act(account, body, claim) if spoiled is None else spoiled
        except Denied as refusal:
            verdict = f"{refusal.code}: {refusal.msg}"
            answer = envelope(refusal.code, refusal.msg, http=refusal.http)
        self.store.insert(
            "calls", provider=self.slug, at=self.clock.now(), operation=operation, verdict=masking.mask_text(verdict),
            status=answer.status_code, answer=masking.mask_text(answer.get_data(as_text=True)),
            faults=json.dumps(claim.now), **log,
        )  # fmt: skip
        return faults.after(answer, claim.now, self.simulation.closing)

    def _authenticate(self, raw: bytes, log: dict[str, Any]) -> tuple[Account, dict[str, Any]]:
        """Assumed order: headers present, app known, timestamp well-formed and fresh, JSON readable, signature."""
        headers = {name: request.headers.get(f"x-auth-{name}", "") for name in ("appid", "timestamp", "signature")}
        for name, value in headers.items():
            if not value:
                raise Denied(9999, f"missing header x-auth-{name}", http=401)
        account = self.store.account(self.slug, headers["appid"])
        if account is None:
            raise Denied(9999, "unknown appid", http=401)
        log["account"], settings = account.id, account.settings
        unauthorised = int(settings["auth_error_http"])
        timestamp = headers["timestamp"]
        if not re.fullmatch("[0-9]{13}", timestamp):
            raise Denied(9999, "timestamp must be 13 digits", http=unauthorised)
        tolerance = settings["timestamp_tolerance_ms"]
        if tolerance and abs(self.clock.now() - int(timestamp)) > tolerance:
            raise Denied(9999, "timestamp outside the tolerance", http=unauthorised)
        try:
            body = read_json(raw)
        except (ValueError, RecursionError):
            raise Denied(11, "the body is not a JSON object", http=400) from None
        signed = {
            name: value
            for name, value in body.items()
            if name in DOCUMENTED_FIELDS or not settings["drop_unknown_fields"]
        }
        stamp = timestamp if settings["sign_timestamp"] else ""
        masked = mask_body(body)
        log["request"] = write_json(masked)
        shown = {name: value for name, value in masked.items() if name in signed}
        # raw text would show the card: the debug page renders that mode compactly
        mode = str(settings["sign_nested"])
        log["expected"] = canonical(shown, "(app secret)", "json_compact" if mode == "raw" else mode, timestamp=stamp)
        if not self._is_genuine(signed, raw, headers["signature"], settings, stamp):
            raise Denied(9999, "signature mismatch", http=unauthorised)
        return account, body

    def _is_genuine(
        self, body: dict[str, Any], raw: bytes, signature: str, settings: dict[str, Any], stamp: str
    ) -> bool:
        modes, signing_secrets = [str(settings["sign_nested"])], [str(settings["app_secret"])]
        if settings["lenient_signatures"]:
            modes, signature = list(NESTED_MODES), signature.upper()
            signing_secrets += [settings["app_secret_previous"]] if settings["app_secret_previous"] else []
        return any(
            hmac.compare_digest(
                digest(canonical(body, secret, mode, raw=raw, timestamp=stamp)).encode(), signature.encode()
            )
            for mode in modes
            for secret in signing_secrets
        )

    def _reference(self, body: dict[str, Any]) -> str:
        """The request_id an API call is about, as far as it can be told before validation."""
        if isinstance(body.get("request_id"), str) and body["request_id"]:
            return str(body["request_id"])[:64]
        known = self.store.order(self.slug, str(body.get("pay_order_id", "")))
        return known.reference if known else ""

    def _minor(self, body: dict[str, Any]) -> int | None:
        digits = amounts.exponent(str(body.get("target_currency", "")))
        if digits is None:
            return None
        amount = body.get("target_amount")
        if isinstance(amount, Literal):
            return (
                int(amount) if body.get("way_type") == "BANK_TRANSFER" and re.fullmatch("[0-9]{1,14}", amount) else None
            )
        return amounts.to_minor(amount, digits) if isinstance(amount, str) else None

    def _create(self, account: Account, body: dict[str, Any], claim: Claim) -> Response:
        wrong = self._mistakes(account, body)
        if wrong:
            raise Denied(11, "parameter error: " + "; ".join(wrong))
        self._check_permitted(account, body)
        if self.store.order_by_reference(self.slug, account.id, body["request_id"]) is not None:
            raise Denied(1201, "duplicate request_id")
        if "database_exception" in claim.now:
            raise Denied(12, "database exception")
        if "business_refusal" in claim.now:
            raise Denied(5000, "the order cannot be created")
        with self.store.write():
            order = self._new_order(account, body, claim)
            card = self._card_of(account, body)
            if not self.store.add_order(order):
                raise Denied(1201, "duplicate request_id")
            self._plan_expiry(order)
            page = self._begin_openapi(account, order, card, body) if card else ""
            if body["pay_access_type"] == "1":
                page = f"cashier/{order.data['cashier_key']}"
            data = self._created(order, page, claim.now)
        if "webhook_early" in self.simulation.dials[self.slug].of(order):
            self.simulation.settle()
        if "system_exception_after" in claim.now:
            raise Denied(10, "system exception")
        return envelope(0, "SUCCESS", data)

    def _mistakes(self, account: Account, body: dict[str, Any]) -> list[str]:
        """One remark for each field that is missing or malformed (3.1)."""
        wrong: list[str] = []

        def require(name: str, is_right: Callable[[str], object], rule: str) -> None:
            value = body.get(name)
            if value is None or value == "":
                wrong.append(f"{name} is required")
            elif not isinstance(value, str) or isinstance(value, Literal) or not is_right(value):
                wrong.append(f"{name} {rule}")

        local = body.get("way_type") == "BANK_TRANSFER"
        if local and isinstance(body.get("target_amount"), Literal):
            if not self._minor(body):
                wrong.append("target_amount must be a positive integer in minor units")
        elif local:
            wrong.append("target_amount must be an Integer in minor units")
        else:
            digits = amounts.exponent(str(body.get("target_currency", "")))
            require(
                "target_amount",
                lambda text: amounts.to_minor(text, 4 if digits is None else digits),
                "must be a positive decimal string with no more decimals than the currency has",
            )
        require("target_currency", lambda text: re.fullmatch("[A-Z]{3,5}", text), "must be 3 to 5 capital letters")
        require("transaction_type", lambda text: text == "PAY_IN", "must be PAY_IN")
        require("request_id", lambda text: re.fullmatch("[A-Za-z0-9_-]{1,32}", text), "must be 1 to 32 of A-Za-z0-9_-")
        if body.get("notify_url") or not account.settings["webhook_url"]:
            require("notify_url", is_url, "must be a valid http or https URL")
        require("success_url", is_url, "must be a valid http or https URL")
        require("fail_url", is_url, "must be a valid http or https URL")
        require("product_name", lambda text: len(text) <= 128, "must have at most 128 characters")
        require("description", lambda text: len(text) <= 256, "must have at most 256 characters")
        require("way_type", lambda text: text in {"CARD_PAYMENT", "BANK_TRANSFER", "CRYPTO"}, "is unknown")
        require("api_version", lambda text: text in {"V2", "v2"}, "must be V2")
        if body.get("expired_time") not in (None, ""):
            require("expired_time", lambda text: re.fullmatch("[1-9][0-9]{0,6}", text), "must be seconds")
        access = body.get("pay_access_type")
        if access is None:
            wrong.append("pay_access_type is required")
        elif not isinstance(access, Literal) or access not in {"1", "2"}:
            wrong.append("pay_access_type must be the integer 1 or 2")
        return wrong + self._extra_mistakes(body)

    def _extra_mistakes(self, body: dict[str, Any]) -> list[str]:
        """The same for ``channel_extra``. Messages name fields, never their values."""
        extra = body.get("channel_extra")
        if extra is not None and not isinstance(extra, dict):
            return ["channel_extra must be an object"]
        extra = extra or {}
        wrong = []
        three_ds = extra.get("three_ds")
        if three_ds is not None and not isinstance(three_ds, dict):
            wrong.append("channel_extra.three_ds must be an object")
        elif three_ds and not (three_ds.get("enabled") is None or isinstance(three_ds["enabled"], bool)):
            wrong.append("channel_extra.three_ds.enabled must be a boolean")
        if body.get("pay_access_type") != "2":
            return wrong
        if body.get("way_type") == "BANK_TRANSFER":
            if body.get("way_code") not in LOCAL_WAYS:
                wrong.append("way_code is unknown")
            elif body.get("target_currency") != LOCAL_WAYS[body["way_code"]]:
                wrong.append(f"target_currency must be {LOCAL_WAYS[body['way_code']]}")
            if not isinstance(extra.get("customer_data"), dict):
                wrong.append("channel_extra.customer_data is required")
            return wrong
        kind = extra.get("extra_type")
        if kind not in {"card", "token"}:
            return [*wrong, "channel_extra.extra_type must be card or token"]
        other = "token_data" if kind == "card" else "card_data"
        if extra.get(other) is not None:
            wrong.append(f"channel_extra.{other} does not belong to extra_type {kind}")
        details = extra.get(f"{kind}_data")
        if not isinstance(details, dict):
            return [*wrong, f"channel_extra.{kind}_data is required"]
        return wrong + (_card_mistakes(details) if kind == "card" else _token_mistakes(details))

    def _check_permitted(self, account: Account, body: dict[str, Any]) -> None:
        settings, currency, way = account.settings, body["target_currency"], body["way_type"]
        ways = _split(settings["way_types"]) | ({"BANK_TRANSFER"} if settings["lpm_enabled"] else set())
        if way not in ways or (way == "BANK_TRANSFER" and body["pay_access_type"] != "2"):
            raise Denied(5004, "way_type is not enabled for this app")
        enabled = _split(settings["currencies"])
        if amounts.exponent(currency) is None or not ("*" in enabled or currency in enabled):
            raise Denied(5004, "target_currency is not enabled for this app")

    def _new_order(self, account: Account, body: dict[str, Any], claim: Claim) -> Order:
        now = self.clock.now()
        minor = self._minor(body)
        if not minor:
            raise Denied(11, "parameter error: target_amount must be positive")
        digits = amounts.exponent(body["target_currency"]) or 0
        kept = ("product_name", "description", "success_url", "fail_url", "api_version", "way_type")
        order = Order(
            provider=self.slug, id=self._number("P"), account=account.id, reference=body["request_id"],
            status="PENDING_PAY", amount=minor, currency=body["target_currency"], created_at=now,
            data={name: body[name] for name in kept},
        )  # fmt: skip
        local = body["way_type"] == "BANK_TRANSFER"
        three_ds = (body.get("channel_extra") or {}).get("three_ds") or {}
        order.data |= {
            "amount_text": amounts.to_decimal(minor, digits) if local else body["target_amount"],
            "notify_url": body.get("notify_url") or account.settings["webhook_url"],
            "access": int(body["pay_access_type"]),
            "detail_id": self._number("PD"),
            "detail_key": secrets.token_hex(32),
            "cashier_key": secrets.token_hex(32),
            "payment_id": f"pay_{_base32()}",
            "wants_3ds": three_ds.get("enabled") is not False,
            "expires_at": now + 1000 * int(body.get("expired_time") or account.settings["order_ttl_s"]),
            "faults": claim.kept,
        }
        order.enter("PENDING_PAY", now, "created")
        self.store.set_key(self.slug, "cashier", order.data["cashier_key"], account=account.id, value=order.id)
        return order

    def _number(self, prefix: str) -> str:
        """A prefix and 19 digits, unique and rising (a snowflake of the virtual clock)."""
        return f"{prefix}{self.store.rising('lesspay_number', (self.clock.now() - SNOWFLAKE_EPOCH_MS) << 22):019d}"

    def _card_of(self, account: Account, body: dict[str, Any]) -> Card | None:
        """What remains of the card, or the token's card; None where the cashier will ask for it."""
        extra = body.get("channel_extra") or {}
        if body["pay_access_type"] == "1" or body["way_type"] != "CARD_PAYMENT":
            return None
        if extra["extra_type"] == "token":
            kept = self.store.row(
                "SELECT value FROM keys WHERE provider = ? AND kind = 'token' AND key = ? AND account = ?",
                self.slug, extra["token_data"]["token"], account.id,
            )  # fmt: skip
            if kept is None:
                raise Denied(5000, "unknown token")
            return Card.load(json.loads(kept["value"]))
        details = extra["card_data"]
        return self._reduce(
            details["number"], details["cvv"], int(details["expiry_month"]), int(details["expiry_year"])
        )

    def _reduce(self, number: str, cvv: str, month: int, year: int) -> Card:
        """Judge a card and forget it. ``Denied`` 5000 when it cannot be one."""
        brand = next((name for pattern, name in BRANDS if re.match(pattern, number)), "")
        today = datetime.fromtimestamp(self.clock.now() / 1000, UTC)
        if not masking.passes_luhn(number):
            raise Denied(5000, NOT_A_NUMBER)
        if (year, month) < (today.year, today.month):
            raise Denied(5000, EXPIRED)
        if len(cvv) != (4 if brand == "amex" else 3):
            raise Denied(5000, CVV_LENGTH)
        key = self.store.fact("lesspay_fingerprint_key")
        if key is None:
            key = secrets.token_hex(32)
            self.store.set_fact("lesspay_fingerprint_key", key)
        fingerprint = hmac.new(bytes.fromhex(key), number.encode(), hashlib.sha256).hexdigest()
        return Card(number[:6], number[-4:], brand, fingerprint, rule_for(number))

    def _begin_openapi(self, account: Account, order: Order, card: Card, body: dict[str, Any]) -> str:
        extra = body["channel_extra"]
        by_token = extra["extra_type"] == "token"
        order.data["wants_token"] = not by_token and extra["card_data"].get("store_for_future_use") is True
        if by_token:
            order.data["wants_3ds"] = False
            order.data["token"] = extra["token_data"]["token"]
        return self._begin(account, order, card, delay_s=float(account.settings["decision_delay_s"]))

    def _created(self, order: Order, page: str, on: dict[str, Any]) -> dict[str, Any]:
        """The answer's ``data``, members in the order of the published sample, absent rather than null."""
        state = on.get("unknown_state", STATUS["PENDING_PAY"])
        made: dict[str, Any] = {
            "payOrderId": order.id,
            "mchOrderNo": order.reference,
            "orderState": state,
            "payOrderDetailId": order.data["detail_id"],
            "payOrderDetailState": state,
            "payOrderDetailIdEncode": order.data["detail_key"],
        }
        if page:
            address = f"{self.simulation.public_url or request.host_url.rstrip('/')}/{self.slug}/{page}"
            made |= {"payDataType": "payurl", "payData": on.get("foreign_redirect", address)}
        if order.data["access"] == 2 and "3ds" in order.data:
            made["3ds"] = order.data["3ds"]
        return {"order_data": made, "pay_order_id": order.id}

    def _query(self, account: Account, body: dict[str, Any], claim: Claim) -> Response:
        wrong = [
            f"{name} is malformed"
            for name, pattern in (
                ("page", "[1-9][0-9]{0,5}"), ("page_size", "[1-9][0-9]?|100"), ("start_time", "[0-9]{13}"),
                ("end_time", "[0-9]{13}"), ("pay_order_id", ".{1,64}"), ("request_id", ".{1,64}"),
            )
            if body.get(name) not in (None, "")
            and not (isinstance(body[name], str) and re.fullmatch(pattern, body[name]))
        ]  # fmt: skip
        if wrong:
            raise Denied(11, "parameter error: " + "; ".join(wrong))
        span = {"start": int(body.get("start_time") or 0), "end": int(body.get("end_time") or 2**62)}
        if not (body.get("pay_order_id") or body.get("request_id")):
            return self._list(account, span, page=int(body.get("page") or 1), size=int(body.get("page_size") or 20))
        order = (
            self.store.order(self.slug, body["pay_order_id"])
            if body.get("pay_order_id")
            else self.store.order_by_reference(self.slug, account.id, body["request_id"])
        )
        if order is None or order.account != account.id or not span["start"] <= order.created_at <= span["end"]:
            raise Denied(1202, "data not found")
        if body.get("request_id") and order.reference != body["request_id"]:
            raise Denied(1202, "data not found")
        lasting = self.simulation.dials[self.slug].of(order) | claim.now
        if self.clock.now() < order.created_at + 1000 * float(lasting.get("query_not_found", 0)):
            raise Denied(1202, "data not found")
        return envelope(0, "SUCCESS", self._inquired(order, lasting))

    def _list(self, account: Account, span: dict[str, int], *, page: int, size: int) -> Response:
        """Assumed form: the paging members of the request suggest a list, its shape is not published."""
        total = self.store.count_orders(self.slug, account=account.id, **span)
        found = self.store.orders(self.slug, account=account.id, limit=size, skip=(page - 1) * size, **span)
        records = [self._inquired(order, {}) for order in found]
        return envelope(
            0, "SUCCESS", {"records": records, "total": total, "current": page, "hasNext": page * size < total}
        )

    def _inquired(self, order: Order, lasting: dict[str, Any]) -> dict[str, Any]:
        status = order.status
        if self.clock.now() < order.history[-1]["at"] + 1000 * float(lasting.get("query_lags", 0)):
            status = order.history[0]["status"]
        told = {
            "pay_order_id": order.id,
            "request_id": order.reference,
            "order_status": status,
            "order_status_int": STATUS[status],
            "target_amount": self._reported_amount(order),
            "target_currency": order.currency,
        }
        if "query_wrong_amount" in lasting:
            told["target_amount"] = self._decimal(order, order.amount * 10)
        if "query_wrong_currency" in lasting:
            told["target_currency"] = _other_currency(order.currency)
        if self._channel(order):
            told["channel_biz_data"] = self._channel(order)
        return told

    def checkout_payment(self) -> Response:
        """3.3 Payment session, called by the cashier page: unsigned, both ids opaque. Its answer is assumed."""
        body = request.get_json(force=True, silent=True)
        if not isinstance(body, dict):
            return envelope(11, "the body is not a JSON object", http=400)
        three_ds = body.get("three_ds")
        enabled = three_ds.get("enabled") if isinstance(three_ds, dict) else None
        if enabled is not None and not isinstance(enabled, bool):
            return envelope(11, "parameter error: three_ds.enabled must be a boolean")
        order_id = self.store.key(self.slug, "cashier", str(body.get("payOrderIdEncode", "")))
        order = self.store.order(self.slug, order_id) if order_id else None
        if order is None or body.get("mchNoEncode") != merchant_key(order.account):
            return envelope(1202, "data not found")
        if order.status not in WAITING:
            return envelope(5002, "the order can no longer be paid")
        return envelope(0, "SUCCESS", self._open_session(order, enabled))

    def _open_session(self, order: Order, enabled: bool | None) -> dict[str, str]:
        with self.store.write():
            if enabled is not None:
                order.data["wants_3ds"] = enabled
            session = {
                "id": f"ps_{_base32()}",
                "payment_session_token": secrets.token_urlsafe(32),
                "payment_session_secret": f"pss_{secrets.token_hex(16)}",
            }
            order.data["session"] = session["id"]
            self.store.save_order(order)
        return session

    # --- pages -----------------------------------------------------------------------------------------------------

    def cashier(self, key: str) -> str | Redirect:
        """The hosted card form."""
        order = self._order_of("cashier", key)
        if order.status not in WAITING:
            return self._ended(order)
        return self._cashier_page(order, {})

    def _cashier_page(self, order: Order, wrong: dict[str, str]) -> str:
        account = self._account(order)
        today = datetime.fromtimestamp(self.clock.now() / 1000, UTC)
        return render_template(
            "lesspay/cashier.html", order=order, merchant=account.settings["merchant_name"], wrong=wrong,
            merchant_key=merchant_key(order.account), years=range(today.year, today.year + 15),
        )  # fmt: skip

    def pay_at_cashier(self, key: str) -> str | Redirect | tuple[str, int]:
        """Judge the card typed into the form. The form never gets number or CVV back."""
        order = self._order_of("cashier", key)
        if order.status not in WAITING:
            return self._back_to_merchant(order)
        if order.data.get("challenge"):
            return redirect(f"/{self.slug}/sessions-interceptor/{order.data['challenge']}", 303)
        form = {name: re.sub(r"[ -]", "", request.form.get(name, "")) for name in ("number", "month", "year", "cvv")}
        wrong = _form_mistakes(form)
        if wrong:
            return self._cashier_page(order, wrong), 422
        with self.store.write():
            order = self._order_of("cashier", key)
            if order.status in WAITING and not order.data.get("challenge"):
                try:
                    card = self._reduce(form["number"], form["cvv"], int(form["month"]), int(form["year"]))
                except Denied as refusal:
                    return self._cashier_page(order, dict([UNFIT[refusal.msg]])), 422
                self._open_session(order, None)
                self._begin(self._account(order), order, card)
        if order.data.get("challenge") and order.status in WAITING:
            return redirect(f"/{self.slug}/sessions-interceptor/{order.data['challenge']}", 303)
        return self._back_to_merchant(order)

    def challenge(self, sid: str) -> str | Redirect:
        """The issuer's 3DS page: approve, reject or leave."""
        order = self._order_of("challenge", sid)
        if order.status not in WAITING:
            return self._ended(order)
        card = Card.load(order.data["card"])
        merchant = self._account(order).settings["merchant_name"]
        return render_template("lesspay/challenge.html", order=order, card=card, merchant=merchant)

    def answer_challenge(self, sid: str) -> Redirect:
        answer = request.form.get("answer", "")
        if answer not in {"approve", "reject", "leave"}:
            abort(400, "answer must be approve, reject or leave")
        with self.store.write():
            order = self._order_of("challenge", sid)
            rule = Card.load(order.data["card"]).rule
            if order.status in WAITING and answer != "leave" and rule.trait != "abandoned":
                if answer == "approve" and rule.trait != "authentication_fails":
                    self._decide(order, rule)
                else:
                    order.data["decline"] = "20150"  # Checkout.com: card not 3D Secure authenticated (assumed)
                    self._change(order, "FAILED", "authentication failed")
        return self._back_to_merchant(order)

    def _order_of(self, kind: str, key: str) -> Order:
        order_id = self.store.key(self.slug, kind, key)
        order = self.store.order(self.slug, order_id) if order_id else None
        return order or abort(404, "There is no such payment.")

    def _ended(self, order: Order) -> str:
        texts = {
            "SUCCEED": ("This payment is done", "The amount was paid. There is nothing left to do here."),
            "PAID": ("This payment is done", "Money arrived. There is nothing left to do here."),
            "REFUND": ("This payment was refunded", "The amount goes back to the card."),
            "CLOSED": ("This payment page has expired", "Nothing was charged. Go back to the shop to try again."),
        }
        heading, text = texts.get(
            order.status, ("This payment was not made", "Nothing was charged. Go back to the shop to try again.")
        )
        return render_template(
            "lesspay/ended.html", order=order, heading=heading, text=text, link=self._return_address(order)
        )

    def _return_address(self, order: Order) -> str:
        paid = order.status in {"SUCCEED", "PAID", "REFUND"}
        # a card decided later has neither succeeded nor failed: the merchant's success page will see it as processing
        undecided = order.status in WAITING and "card" in order.data and not order.data.get("challenge")
        address = str(order.data["success_url" if paid or undecided else "fail_url"])
        if self._account(order).settings["return_parameters"]:
            told = urlencode({"pay_order_id": order.id, "order_status": order.status})
            address += ("&" if urlsplit(address).query else "?") + told
        return address

    def _back_to_merchant(self, order: Order) -> Redirect:
        return redirect(self._return_address(order), 303)

    def _account(self, order: Order) -> Account:
        return self.store.account(self.slug, order.account) or abort(404, "The app of this payment is gone.")

    # --- what happens to an order: every function here runs inside a write -----------------------------------------

    def _begin(self, account: Account, order: Order, card: Card, delay_s: float = 0) -> str:
        """Start the payment with a card; the path of the challenge page, or nothing when none is needed (6.4)."""
        rule = card.rule
        order.data["card"] = asdict(card)
        wants_3ds = order.data["wants_3ds"]
        if wants_3ds or rule.forced:
            order.data["3ds"] = {"downgraded": rule.downgraded, "enrolled": rule.enrolled}
            if rule.forced:
                order.data["3ds"]["upgrade_reason"] = "sca_retry"
        if rule.forced or (wants_3ds and rule.challenge):
            order.data["challenge"] = f"sid_{_base32()}"
            self.store.set_key(self.slug, "challenge", order.data["challenge"], account=account.id, value=order.id)
            self.store.save_order(order)
            return f"sessions-interceptor/{order.data['challenge']}"
        self.store.save_order(order)
        if rule.trait == "abandoned":
            return ""
        if delay_s > 0:
            self.store.add_job(self.slug, "decide", order.id, self.clock.now() + int(1000 * delay_s))
        else:
            self._decide(order, rule)
        return ""

    def _decide(self, order: Order, rule: CardRule) -> None:
        """The issuer's word."""
        lasting = self.simulation.dials[self.slug].of(order)
        code = str(lasting.get("decline", rule.code))
        if code:
            order.data["decline"] = code
            self._change(order, "FAILED", f"declined {code}")
            if is_fraud(code):
                self._announce_decline(order, code)
            return
        received = order.amount + int(lasting.get("paid_differs", 0))
        self._receive(order, received if received > 0 else order.amount + 1, "card approved")
        if "dispute_later" in lasting or rule.trait == "disputed":
            delay = float(lasting.get("dispute_later", DISPUTE_DELAY_S))
            self.store.add_job(self.slug, "dispute", order.id, self.clock.now() + int(1000 * delay))
        if "refund_later" in lasting:
            delay = float(lasting["refund_later"])
            self.store.add_job(self.slug, "refund", order.id, self.clock.now() + int(1000 * delay))

    def _receive(self, order: Order, amount: int, cause: str) -> None:
        """Money came: SUCCEED, or PAID when it is another amount than ordered."""
        order.data["received"] = amount
        self.store.post(order, "charge", amount, order.currency, self.clock.now())
        if order.data.get("card"):
            self._keep_token(order)
        self._change(order, "SUCCEED" if amount == order.amount else "PAID", cause)

    def _keep_token(self, order: Order) -> None:
        """One token for each app and card, given only when asked for and paid (or by switch)."""
        if not (order.data.get("wants_token") or self._account(order).settings["always_card_token"]):
            order.data.pop("token", None)
            return
        card = order.data["card"]
        name = f"{order.account}:{card['fingerprint']}"
        token = self.store.key(self.slug, "card", name)
        if token is None:
            token = f"src_{_base32()}"
            self.store.set_key(self.slug, "card", name, account=order.account, value=token)
            self.store.set_key(self.slug, "token", token, account=order.account, value=json.dumps(card))
        order.data["token"] = token

    def _change(self, order: Order, status: str, cause: str, *, silent: bool = False) -> None:
        order.enter(status, self.clock.now(), cause)
        self.store.save_order(order)
        self.store.drop_jobs(self.slug, "expire", order.id)
        if not silent:
            lost = (
                "card" in order.data and order.data["card"]["rule"]["trait"] == "webhook_lost" and status == "SUCCEED"
            )
            self.simulation.webhooks.announce(order, Notice("status"), lost=lost)

    def _plan_expiry(self, order: Order) -> None:
        self.store.add_job(self.slug, "expire", order.id, order.data["expires_at"])

    def run(self, job: Job) -> None:
        order = self.store.order(self.slug, job.order_id)
        if order is None:
            return
        if job.kind == "expire" and order.status in WAITING:
            silent = not self._account(order).settings["expiry_webhook"]
            self._change(order, "CLOSED", "expired", silent=silent)
        elif job.kind == "decide" and order.status in WAITING:
            self._decide(order, Card.load(order.data["card"]).rule)
        elif job.kind == "dispute" and order.status in {"SUCCEED", "PAID"}:
            self.happen(order, "dispute_received", {})
        elif job.kind == "refund" and order.status in {"SUCCEED", "PAID"}:
            self.happen(order, "refund", {})

    def happen(self, order: Order, event: str, members: Mapping[str, Any]) -> None:
        if event == "payment_declined":
            self._announce_decline(order, str(members.get("code", "30034")))
            return
        if event == "dispute_received":
            self._announce_dispute(order, members)
            return
        allowed, target = TRANSITIONS[event]
        if order.status not in allowed:
            raise Refused(f"{event} is not possible for an order that is {order.status}")
        if event in {"pay", "late_success"}:
            digits = amounts.exponent(order.currency) or 0
            received = amounts.to_minor(str(members["amount"]), digits) if "amount" in members else order.amount
            if not received:
                raise Refused("amount must be a positive decimal of the order's currency")
            self._receive(order, received, event)
            return
        if event == "refund":
            self.store.post(order, "refund", order.data["received"], order.currency, self.clock.now())
        self._change(order, target, event)

    def _announce_decline(self, order: Order, code: str) -> None:
        if not is_fraud(code):
            raise Refused("code must be 30034 or 4xxxx")
        details = {
            "payment_id": order.data["payment_id"],
            "response_code": code,
            "response_summary": MEANINGS.get(code, "Risk-blocked"),
            "amount": order.data["amount_text"],
            "currency": order.currency,
            "processed_on": self._iso(),
        }
        self.simulation.webhooks.announce(order, Notice("payment_declined", details))

    def _announce_dispute(self, order: Order, members: Mapping[str, Any]) -> None:
        category = members.get("category", "fraudulent")
        if category not in DISPUTE_CATEGORIES:
            raise Refused(f"category must be one of {', '.join(DISPUTE_CATEGORIES)}")
        details = {
            "id": f"dsp_{_base32()}",
            "category": category,
            "reason_code": str(members.get("reason_code", "10.4")),
            "amount": order.data["amount_text"],
            "currency": order.currency,
            "payment_id": order.data["payment_id"],
            "date": self._iso(),
            "evidence_required_by": self._iso(days=14),
        }
        self.simulation.webhooks.announce(order, Notice("dispute_received", details))

    def _iso(self, days: int = 0) -> str:
        moment = datetime.fromtimestamp(self.clock.now() / 1000, UTC) + timedelta(days=days)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    # --- webhooks --------------------------------------------------------------------------------------------------

    def compose(self, order: Order, notice: Notice, twists: Set[str]) -> Message:
        """5.2, members in the order of the published sample, signed over exactly these bytes."""
        settings = self._account(order).settings
        echoed = order.data
        body: dict[str, Any] = {
            "api_version": echoed["api_version"],
            "description": echoed["description"],
            "fail_url": echoed["fail_url"],
            "order_status": order.status,
            "order_status_int": STATUS[order.status],
            "pay_order_id": order.id,
            "product_name": echoed["product_name"],
            "request_id": order.reference,
            "success_url": echoed["success_url"],
            "target_amount": self._reported_amount(order),
            "target_currency": order.currency,
        }
        if self._channel(order):
            body["channel_biz_data"] = self._channel(order)
        if notice.kind in {"payment_declined", "dispute_received"}:
            body |= {"event": notice.kind, "event_data": dict(notice.extra)}
        if "webhook_wrong_amount" in twists:
            body["target_amount"] = self._decimal(order, order.amount * 10)
        if "webhook_wrong_currency" in twists:
            body["target_currency"] = _other_currency(order.currency)
        if "webhook_wrong_reference" in twists:
            body["pay_order_id"] = self._number("P")
        if "webhook_unknown_status" in twists:
            body |= {"order_status": "SETTLED", "order_status_int": 99}
        raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        secret = secrets.token_urlsafe(16) if "webhook_forged" in twists else settings["app_secret"]
        timestamp = str(self.clock.now())
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Lesspay-Simulator",
            "x-auth-signature": sign_webhook(raw, str(secret), settings, timestamp),
        }
        if settings["send_extra_headers"]:
            headers |= {"x-auth-appid": order.account, "x-auth-timestamp": timestamp}
        if "webhook_tampered" in twists:
            body["target_amount"] = self._decimal(order, order.amount * 10)
            raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        return Message(str(echoed["notify_url"]), headers, raw)

    def is_acknowledged(self, account: Account, status: int, reply: bytes) -> bool:
        """The whole body must be the word SUCCESS, in any case (assumed from the lineage)."""
        word = reply.strip() if account.settings["ack_trim"] else reply
        return status == 200 and word.upper() == b"SUCCESS"

    def retry_wait(self, account: Account, attempt: int) -> float | None:
        waits = RETRY_PROFILES[account.settings["retry_profile"]]
        return waits[attempt - 1] if attempt <= len(waits) else None

    def _channel(self, order: Order) -> dict[str, Any]:
        """``channel_biz_data``: only for payments that reached the card channel."""
        if "card" not in order.data:
            return {}
        told: dict[str, Any] = {}
        if order.data.get("token") and order.data.get("received"):
            told["card_token"] = order.data["token"]
        told |= {"issuer": ISSUER, "issuer_country": ISSUER_COUNTRY}
        if "3ds" in order.data:
            told["3ds"] = order.data["3ds"]
        return told

    def _reported_amount(self, order: Order) -> str:
        differs = order.status == "PAID" and self._account(order).settings["paid_reports"] == "received"
        return self._decimal(order, order.data["received"]) if differs else str(order.data["amount_text"])

    def _decimal(self, order: Order, minor: int) -> str:
        return amounts.to_decimal(minor, amounts.exponent(order.currency) or 0)

    def words(self, order: Order) -> dict[str, Any]:
        card = order.data.get("card")
        told = {
            "pay_order_id": order.id,
            "request_id": order.reference,
            "order_status": order.status,
            "order_status_int": STATUS[order.status],
            "target_amount": order.data["amount_text"],
            "target_currency": order.currency,
            "expires_at": order.data["expires_at"],
            "cashier_page": f"/{self.slug}/cashier/{order.data['cashier_key']}",
        }
        if order.data.get("challenge"):
            told["challenge_page"] = f"/{self.slug}/sessions-interceptor/{order.data['challenge']}"
        if card:
            told["card"] = f"{card['brand']} {card['bin']}…{card['last4']}"
        return told | {
            name: order.data[name] for name in ("decline", "received", "3ds", "token") if order.data.get(name)
        }


def mask_body(body: dict[str, Any]) -> dict[str, Any]:
    """A request body fit for logs, numbers still ``Literal``."""
    return {name: _masked(value, name) for name, value in body.items()}


def _masked(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _masked(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [_masked(one, name) for one in value]
    hidden = masking.mask(value, name)
    return Literal(hidden) if isinstance(value, Literal) else hidden


def sign_webhook(raw: bytes, secret: str, settings: Mapping[str, Any], timestamp: str) -> str:
    """2.2 over the body to be sent."""
    body = read_json(raw)
    if settings["webhook_sign_fields"] != "all":
        body = {name: value for name, value in body.items() if name in _split(settings["webhook_sign_fields"])}
    stamp = timestamp if settings["sign_timestamp"] else ""
    return digest(canonical(body, secret, settings["sign_nested"], raw=raw, timestamp=stamp))


def merchant_key(app_id: str) -> str:
    """``mchNoEncode``: opaque, 64 hex characters."""
    return hashlib.sha256(f"lesspay-simulator:{app_id}".encode()).hexdigest()


def is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"\s", text)
    except ValueError:
        return False


def _card_mistakes(details: dict[str, Any]) -> list[str]:
    def is_text(name: str, pattern: str) -> bool:
        value = details.get(name)
        return isinstance(value, str) and not isinstance(value, Literal) and bool(re.fullmatch(pattern, value))

    def is_number(name: str, low: int, high: int) -> bool:
        value = details.get(name)
        return isinstance(value, Literal) and bool(re.fullmatch("[0-9]{1,4}", value)) and low <= int(value) <= high

    future_use = details.get("store_for_future_use")
    rules = {
        "number must be 12 to 19 digits": is_text("number", "[0-9]{12,19}"),
        "expiry_month must be an integer from 1 to 12": is_number("expiry_month", 1, 12),
        "expiry_year must be a four-digit integer": is_number("expiry_year", 1000, 9999),
        "cvv must be 3 or 4 digits": is_text("cvv", "[0-9]{3,4}"),
        "store_for_future_use must be a boolean": future_use is None or isinstance(future_use, bool),
    }
    return [f"channel_extra.card_data.{rule}" for rule, is_kept in rules.items() if not is_kept]


def _token_mistakes(details: dict[str, Any]) -> list[str]:
    token = details.get("token")
    is_text = isinstance(token, str) and not isinstance(token, Literal) and token
    return [] if is_text else ["channel_extra.token_data.token is required"]


def _form_mistakes(form: dict[str, str]) -> dict[str, str]:
    rules = {
        "number": ("[0-9]{12,19}", "Enter the 12 to 19 digits of the card number."),
        "month": ("0?[1-9]|1[0-2]", "Choose a month."),
        "year": ("[0-9]{4}", "Choose a year."),
        "cvv": ("[0-9]{3,4}", "Enter the 3 or 4 digits of the security code."),
    }
    return {name: text for name, (pattern, text) in rules.items() if not re.fullmatch(pattern, form[name])}


def _base32() -> str:
    """26 characters of a-z2-7, the form of upstream's ids."""
    return base64.b32encode(secrets.token_bytes(17)).decode().lower()[:26]


def _split(text: str) -> set[str]:
    return {part.strip() for part in text.split(",") if part.strip()}


def _other_currency(currency: str) -> str:
    return "USD" if currency != "USD" else "HKD"

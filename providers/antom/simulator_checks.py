"""What Antom's operations demand of a request: fields, lengths, enums, types; and its result codes.

A member of ``None`` or an empty text counts as absent, and booleans and integers may come as texts (the reference says
one thing and its samples do another). Amounts are texts always.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from providers.simulation import amounts, masking

#: Every other code but SUCCESS is a failure.
UNDECIDED = frozenset(
    {
        "PAYMENT_IN_PROCESS",
        "CAPTURE_IN_PROCESS",
        "REFUND_IN_PROCESS",
        "VERIFICATION_IN_PROCESS",
        "UNKNOWN_EXCEPTION",
        "REQUEST_TRAFFIC_EXCEED_LIMIT",
    }
)
MESSAGES = {
    "SUCCESS": "success.",
    "PAYMENT_IN_PROCESS": "payment in process",
    "PARAM_ILLEGAL": "illegal parameter",
    "ORDER_NOT_EXIST": "The order does not exist.",
    "INVALID_SIGNATURE": "The signature is invalid.",
}
# The currencies whose minor units the official SDK knows.
CURRENCIES = "AUD BDT BRL CAD CLP CNY EUR GBP HKD IDR JPY KRW MXN MYR NZD PEN PHP PKR PLN SGD THB TWD USD VND"
#: These amounts are refused for risk, in minor units.
RISK_AMOUNTS = frozenset({11, 1_111_001_111})

Check = Callable[[Any], bool]


class Denied(Exception):
    """Answer with this result code instead of success."""

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(f"{code}: {text}" if text else code)
        self.code, self.text = code, text


def result(code: str, text: str = "") -> dict[str, str]:
    """The ``result`` of an answer or a notification."""
    status = "S" if code == "SUCCESS" else "U" if code in UNDECIDED else "F"
    message = MESSAGES.get(code, code.replace("_", " ").lower())
    return {"resultCode": code, "resultStatus": status, "resultMessage": f"{message}{text and ': '}{text}"[:256]}


def is_absent(value: Any) -> bool:
    return value is None or value == ""


def is_true(value: Any) -> bool:
    """A boolean member, native or as text."""
    return value is True or value == "true"


def text(most: int, pattern: str = "") -> Check:
    rule = re.compile(pattern or ".*", re.DOTALL)
    return lambda value: isinstance(value, str) and len(value) <= most and rule.fullmatch(value) is not None


def one_of(*words: str) -> Check:
    return lambda value: isinstance(value, str) and value in words


def flag(value: Any) -> bool:
    return isinstance(value, bool) or value in ("true", "false")


def whole(low: int, high: int, among: frozenset[int] = frozenset()) -> Check:
    def check(value: Any) -> bool:
        if isinstance(value, bool) or not re.fullmatch("-?[0-9]{1,9}", str(value)):
            return False
        return low <= int(value) <= high and (not among or int(value) in among)

    return check


def url(most: int) -> Check:
    def check(value: Any) -> bool:
        if not isinstance(value, str) or len(value) > most or re.search(r"\s", value):
            return False
        try:
            parts = urlsplit(value)
            return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            return False

    return check


def moment(value: Any) -> bool:
    """ISO 8601 with an offset."""
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def anything(value: Any) -> bool:
    return True


def amount(value: Any) -> bool:
    """A positive integer of at most 16 digits in minor units, and three capital letters."""
    if not isinstance(value, dict) or not isinstance(value.get("value"), str):
        return False
    if not re.fullmatch("[0-9]{1,16}", value["value"]) or int(value["value"]) <= 0:
        return False
    currency = value.get("currency")
    if not isinstance(currency, str) or not re.fullmatch("[A-Z]{3}", currency):
        return False
    return currency != "IDR" or value["value"].endswith("00")


def each(schema: Any, most: int) -> Check:
    """A list of such members."""

    def check(value: Any) -> bool:
        return isinstance(value, list) and len(value) <= most and not any(mistake(one, schema) for one in value)

    return check


# A schema: name → check or schema of the object below; ``*`` after a name marks it as mandatory.
ID = text(64, "[ -~]+")
OWN_ID = text(64, "[A-Za-z0-9_-]+")
NAME = {"firstName": text(32), "middleName": text(32), "lastName": text(32), "fullName": text(128)}
ADDRESS = {
    "region*": text(2, "[A-Z]{2}"), "state": text(8), "city": text(32), "address1": text(256), "address2": text(256),
    "zipCode": text(32),
}  # fmt: skip
GOODS = {
    "referenceGoodsId*": text(64), "goodsName*": text(256), "goodsCategory": text(64), "goodsUnitAmount": amount,
    "goodsQuantity": anything, "goodsUrl": text(2048), "goodsSkuName": anything, "goodsBrand": anything,
    "goodsImageUrl": anything, "deliveryMethodType": one_of("PHYSICAL", "DIGITAL"),
}  # fmt: skip
BUYER = {
    "referenceBuyerId": text(64), "buyerName": NAME, "buyerPhoneNo": text(24), "buyerEmail": text(64),
    "buyerRegistrationTime": moment,
}  # fmt: skip
ORDER = {
    "orderAmount*": amount, "referenceOrderId*": ID, "orderDescription*": text(256), "goods": each(GOODS, 100),
    "shipping": {
        "shippingName": NAME, "shippingAddress": ADDRESS, "shippingCarrier": text(128), "shippingPhoneNo": text(16),
        "shipToEmail": text(64),
    },
    "buyer": BUYER,
    "merchant": {"referenceMerchantId*": text(32), "merchantMCC": text(32), "merchantName": text(256)},
}  # fmt: skip
ENV = {
    "terminalType*": one_of("WEB", "WAP", "APP", "MINI_APP"), "osType": one_of("IOS", "ANDROID"), "clientIp": text(64),
    "browserInfo": {
        "acceptHeader": text(2048), "javaEnabled": flag, "javaScriptEnabled": flag, "language": text(32),
        "userAgent": text(2048),
    },
    "colorDepth": whole(1, 48, frozenset({1, 4, 8, 15, 16, 24, 30, 32, 48})), "screenHeight": whole(0, 100_000),
    "screenWidth": whole(0, 100_000), "timeZoneOffset": whole(-720, 720), "deviceId": text(64),
    "deviceTokenId": text(64), "deviceLanguage": text(32), "deviceBrand": text(64), "deviceModel": text(128),
}  # fmt: skip
MPI = {
    "threeDSVersion*": one_of("1.0.2", "2.1.0", "2.2.0"), "eci*": text(2, "[0-9]{1,2}"), "cavv": text(64),
    "dsTransactionId": text(64), "credentialType": one_of("PAN", "NETWORK_TOKEN"),
}  # fmt: skip
CARD = {
    "cardNo": text(32), "expiryMonth": text(2), "expiryYear": text(2), "cvv": text(32),
    "cardholderName": {**NAME, "firstName*": text(32), "lastName*": text(32)}, "billingAddress": ADDRESS,
    "is3DSAuthentication": flag, "enableAuthenticationUpgrade": flag, "isCardOnFile": flag, "tokenize": flag,
    "tokenizeMode": one_of("ASKFORCONSENT", "ENABLED", "DISABLED"), "recurringType": one_of("SCHEDULED", "UNSCHEDULED"),
    "networkTransactionId": text(100), "mpiData": MPI, "selectedCardBrand": text(64), "paymentMethodRegion": text(6),
    "cpf": text(11), "payerEmail": text(64), "dateOfBirth": text(10, "[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    "businessNo": text(10), "cardPasswordDigest": text(2), "requireIssuerAuthentication": flag,
}  # fmt: skip
METHOD = {
    "paymentMethodType*": one_of("CARD"), "paymentMethodId": text(2048), "paymentMethodMetaData": CARD,
    "customerId": text(32),
}  # fmt: skip
_PAYING = {
    "productCode*": one_of("CASHIER_PAYMENT"), "paymentRequestId*": OWN_ID, "paymentAmount*": amount,
    "paymentRedirectUrl*": url(2048), "paymentNotifyUrl": url(2048),
    "settlementStrategy": {"settlementCurrency": text(3, "[A-Z]{3}")},
    "creditPayPlan": {
        "installmentNum*": whole(2, 12), "creditPayFeeType": anything, "feePercentage": anything,
    },
    "merchantRegion": text(2), "merchantAccountId": text(32), "metadata": text(2048),
}  # fmt: skip
PAY = {
    **_PAYING, "order*": ORDER, "env*": ENV, "paymentMethod*": METHOD,
    "paymentFactor*": {"isAuthorization*": flag, "captureMode": one_of("AUTOMATIC", "MANUAL")},
    "paymentExpiryTime": moment, "appId": text(32), "userRegion": text(2),
}  # fmt: skip
SESSION = {
    **_PAYING, "order*": {**ORDER, "buyer*": BUYER}, "env": ENV, "paymentMethod": METHOD,
    "productScene": one_of("CHECKOUT_PAYMENT", "ELEMENT_PAYMENT"),
    "paymentFactor": {"isAuthorization": flag, "captureMode": one_of("AUTOMATIC", "MANUAL")},
    "availablePaymentMethod": {
        "paymentMethodTypeList": each({"paymentMethodType*": text(64)}, 100), "paymentMethodMetaData": CARD,
    },
    "savedPaymentMethods": each({"paymentMethodType*": one_of("CARD"), "paymentMethodId*": text(2048)}, 100),
    "allowedPaymentMethodRegions": anything, "paymentSessionExpiryTime": moment, "enableInstallmentCollection": flag,
    "locale": text(8),
}  # fmt: skip
INQUIRY = {"paymentRequestId": ID, "paymentId": ID, "merchantAccountId": text(32)}
CAPTURE = {
    "captureRequestId*": OWN_ID, "paymentId*": ID, "captureAmount*": amount,
    "captureType": one_of("FINAL", "NON_FINAL"), "isLastCapture": flag,
}  # fmt: skip
REFUND = {
    "refundRequestId*": OWN_ID, "paymentId*": ID, "refundAmount*": amount, "refundNotifyUrl": url(1024),
    "referenceRefundId": ID, "refundReason": text(256), "metadata": text(2048), "captureId": ID,
}  # fmt: skip
INQUIRY_REFUND = {"refundRequestId": ID, "refundId": ID, "merchantAccountId": text(32)}
VAULT_CARD = {
    **CARD, "cardNo*": text(32), "expiryYear*": text(2), "expiryMonth*": text(2), "cvv": text(3, "[0-9]{3}"),
}  # fmt: skip
VAULT = {
    "vaultingRequestId*": OWN_ID, "vaultingNotificationUrl*": url(2048), "redirectUrl*": url(2048), "env*": ENV,
    "paymentMethodDetail*": {"paymentMethodType*": one_of("CARD"), "card*": VAULT_CARD}, "merchantRegion": text(2),
    "vaultingCurrency": text(3, "[A-Z]{3}"), "metadata": text(2048),
}  # fmt: skip
VAULT_SESSION = {
    "paymentMethodType*": one_of("CARD"), "vaultingRequestId*": OWN_ID, "vaultingNotificationUrl*": url(2048),
    "redirectUrl": url(2048), "merchantRegion": text(2),
}  # fmt: skip
INQUIRY_VAULT = {"vaultingRequestId*": ID}
DISPUTE = {"disputeId*": ID}
DEFENCE = {**DISPUTE, "disputeEvidence*": text(1_000_000, "[A-Za-z0-9+/=]+")}
EVIDENCE = {
    **DISPUTE, "disputeEvidenceType*": one_of("DISPUTE_EVIDENCE_TEMPLATE", "DISPUTE_EVIDENCE_FILE"),
}  # fmt: skip


def mistake(value: Any, schema: Mapping[str, Any], path: str = "") -> str:
    """The name of the first member that is missing or malformed, never its value; empty when all is well."""
    if not isinstance(value, dict):
        return path.rstrip(".") or "body"
    # a later line of a schema may make an inherited member mandatory
    names = {name.rstrip("*"): name.endswith("*") for name in schema}
    for name, is_mandatory in names.items():
        rule, member = schema.get(f"{name}*", schema.get(name)), value.get(name)
        if is_absent(member):
            if is_mandatory:
                return path + name
        elif isinstance(rule, Mapping):
            below = mistake(member, rule, f"{path}{name}.")
            if below:
                return below
        elif rule is not None and not rule(member):
            return path + name
    return ""


def require(body: Any, schema: Mapping[str, Any]) -> None:
    wrong = mistake(body, schema)
    if wrong:
        raise Denied("PARAM_ILLEGAL", wrong)


def require_one(body: Mapping[str, Any], *names: str) -> None:
    if all(is_absent(body.get(name)) for name in names):
        raise Denied("PARAM_ILLEGAL", " or ".join(names))


def require_env(env: Mapping[str, Any]) -> None:
    """An operating system belongs to everything but a plain browser."""
    if env and env["terminalType"] != "WEB" and is_absent(env.get("osType")):
        raise Denied("PARAM_ILLEGAL", "env.osType")


def require_currency(currencies: str, currency: str) -> None:
    enabled = re.split("[, ]+", currencies)
    if amounts.exponent(currency) is None or not ("*" in enabled or currency in enabled):
        raise Denied("CURRENCY_NOT_SUPPORT", currency)


def require_card(number: str, month: str, year: str, cvv: str, *, today: datetime) -> None:
    """Whether this can be a card at all. Nobody has been asked about it yet."""
    if not re.fullmatch("[0-9]{12,19}", number) or not masking.passes_luhn(number):
        raise Denied("INVALID_CARD_NUMBER")
    require_card_date(month, year, today=today)
    require_cvv(cvv)


def require_card_date(month: str, year: str, *, today: datetime) -> None:
    if not (re.fullmatch("0[1-9]|1[0-2]", month) and re.fullmatch("[0-9]{2}", year)):
        raise Denied("INVALID_EXPIRATION_DATE")
    if (2000 + int(year), int(month)) < (today.year, today.month):
        raise Denied("INVALID_EXPIRATION_DATE")


def require_cvv(cvv: str) -> None:
    """Three or four digits; none at all is fine."""
    if cvv and not re.fullmatch("[0-9]{3,4}", cvv):
        raise Denied("INVALID_CVV")


def minor(body: Any, name: str) -> int | None:
    """The amount in minor units, as far as it can be told before validation."""
    found = body.get(name) if isinstance(body, dict) else None
    return int(found["value"]) if isinstance(found, dict) and amount(found) else None


def at(text_moment: str) -> int:
    """Epoch milliseconds of an ISO 8601 moment."""
    return int(datetime.fromisoformat(text_moment).timestamp()) * 1000


def iso(epoch_ms: int) -> str:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""What we send: our requests in the field names of the reference page, its odd spellings kept.

Nothing empty is sent. Amounts are strings of major units; everything else that looks like a number is a string too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from providers.contract import (
    Address,
    Card,
    Customer,
    OperationRequest,
    PaymentRef,
    PaymentRequest,
    Rejected,
    ShipmentStatus,
    ThreeDSWish,
    TrackingRequest,
)
from providers.http import Body
from providers.money import Money, MoneyError, exponent
from providers.storesquare import mapping
from providers.storesquare.profile import Profile

Fields = dict[str, Any]


def body_of(fields: Any) -> Body:
    """Half a surrogate pair, which no encoding has, becomes a question mark."""
    return Body(json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode(errors="replace"))


# ------------------------------------------------------------------------------------------------------------- payments


def session(request: PaymentRequest, profile: Profile, *, variant: str, fraud_mode: str) -> Fields:
    """The provider's own page. Raises Rejected for what it cannot be asked."""
    extra = profile["variants"][variant]["sessionExtraRequired"]
    return _without_empty(
        {
            **_common(request, profile, fraud_mode=fraud_mode),
            "captureMethod": mapping.CAPTURE_METHODS[request.capture],
            "description": _text(request.description, profile["validation.sessionDescription"]) or None,
            "linkMode": profile["defaults.linkMode"],
            "threeDsMode": _three_ds_mode(request, profile),
            "paymentMethodType": mapping.CARD_METHOD if "paymentMethodType" in extra else None,
        }
    )


def payment(request: PaymentRequest, profile: Profile, *, fraud_mode: str) -> Fields:
    """A payment by the method that the shopper chose. Raises Rejected for what cannot be asked."""
    if request.method != mapping.CARD_METHOD and request.capture != "automatic":
        raise Rejected("only cards can be captured later", code="manual_capture")
    fields = {
        **_common(request, profile, fraud_mode=fraud_mode),
        "paymentMethodType": request.method,
        "description": _text(request.description, profile["validation.paymentDescription"]),
        "deviceInfo": _device(request),
        "billing": _billing(request),
        **_method(request, profile),
    }
    if request.method == mapping.CARD_METHOD:
        external = request.external_three_ds
        fields["threeDsMode"] = mapping.NO_THREE_DS if external else _three_ds_mode(request, profile)
        if external:
            fields["threeDsData"] = {
                "authenticationResultCode": external.status,
                "cavv": external.cavv,
                "dsTransId": external.ds_transaction_id,
                "dsVersion": external.version,
                "eci": external.eci,
                "xid": external.xid,
            }
    return _without_empty(fields)


def token_payment(request: PaymentRequest, profile: Profile) -> Fields:
    """A payment with a saved card. Its currency is that of the payment it was saved with: there is no field for it."""
    stored = request.stored
    if stored is None:
        raise Rejected("no saved card", code="method")
    if profile["tokenPayment.currency"] == "original" and stored.currency not in {"", request.amount.currency}:
        raise Rejected("a saved card pays only in the currency that it was saved with", code="currency")
    if request.capture != "automatic" and profile["tokenPayment.captureMethod"] == "auto":
        raise Rejected("a payment with a saved card is captured at once", code="manual_capture")
    if request.external_three_ds:
        raise Rejected("there is no field for a 3-D Secure result beside a saved card", code="external_three_ds")
    away = request.shopper_is_away
    return _without_empty(
        {
            "amount": amount(request.amount),
            "orderNo": order_number(request.reference, profile),
            "transactionIdentifier": stored.token,
            "expiryMonth": f"{stored.expiry_month:02d}" if stored.expiry_month else "",
            "expiryYear": f"{stored.expiry_year:04d}" if stored.expiry_year else "",
            "customerInitiatedReason": mapping.REASONS[request.purpose] if away else "",
            "description": _text(request.description, profile["validation.paymentDescription"]),
            "deviceInfo": {} if away else _device(request),
            "threeDsMode": mapping.NO_THREE_DS if away else _three_ds_mode(request, profile),
        }
    )


def inquiry(about: PaymentRef) -> Fields:
    """By our own number only: ``tradeNo`` would win over it, and a session may change its ``tradeNo``."""
    return {"orderNo": about.reference}


def money_operation(about: PaymentRef) -> Fields:
    """Both numbers: their check that both name one payment is welcome where money moves."""
    return _without_empty({"orderNo": about.reference, "tradeNo": about.provider_reference})


def capture(request: OperationRequest) -> Fields:
    return {**money_operation(request.payment), "captureAmount": amount(request.amount)}


def refund(request: OperationRequest, profile: Profile) -> Fields:
    return _without_empty(
        {
            **money_operation(request.payment),
            "amount": amount(request.amount),
            "clientIp": request.requested_from or mapping.NO_ADDRESS,
            "reason": _text(request.reason, profile["validation.refundReason"]) or mapping.NO_REASON,
            "refundNumber": request.reference,
            "notificationUrl": request.webhook_url,
        }
    )


def amount(money: Money) -> str:
    """``"100.99"``, ``"1000"`` for yen. Raises Rejected for a fraction that two decimals cannot say."""
    surplus = exponent(money.currency) - mapping.MOST_DECIMALS
    if surplus <= 0:
        return money.decimal
    if money.minor % 10**surplus:
        raise Rejected("an amount has at most two decimals here", code="decimals")
    return money.decimal[:-surplus]


def order_number(reference: str, profile: Profile) -> str:
    """Our reference, if it can be one. Raises Rejected."""
    shortest, longest = profile["validation.orderNo"]
    plain = reference.isascii() and reference.replace("-", "").replace("_", "").isalnum()
    if not plain or not shortest <= len(reference) <= longest:
        raise Rejected("the reference does not fit orderNo", code="reference")
    return reference


# ------------------------------------------------------------------------------------------------------------- tracking


def parcel(request: TrackingRequest, profile: Profile) -> Fields:
    return _without_empty(
        {
            "carrier": request.carrier,
            "orderNo": request.payment.reference,
            "shipmentDate": request.shipped_on.isoformat(),
            "shipmentDirection": mapping.DIRECTIONS[request.direction],
            "shippingStatus": profile.tracking_word(request.status),
            "trackingNo": request.number,
            "trackingNumberType": mapping.NUMBER_TYPE,
            "trackingUrl": request.url,
        }
    )


def parcel_query(request: TrackingRequest) -> Fields:
    return {"orderNo": request.payment.reference, "trackingNo": request.number}


def parcel_facts(request: TrackingRequest, profile: Profile) -> dict[str, str]:
    """What makes a parcel the one that we told of. What became of it later is not among them."""
    told = parcel(request, profile)
    return {name: told[name] for name in ("orderNo", "trackingNo", "carrier", "shipmentDate", "shipmentDirection")}


def parcel_changes(request: TrackingRequest, profile: Profile) -> list[Fields]:
    """What is new of a parcel that they know, as far as the profile says that it can be changed."""
    wanted: list[tuple[str, str]] = []
    if request.status is not ShipmentStatus.SHIPPED:
        wanted.append(("/status", profile.tracking_word(request.status)))
    if request.url and request.status is not ShipmentStatus.CANCELLED:
        wanted.append(("/trackingUrl", request.url))
    return [{"op": "replace", "path": path, "value": value} for path, value in wanted if _can_say(path, value, profile)]


def parcel_update(request: TrackingRequest, changes: list[Fields], profile: Profile) -> Fields:
    return {**parcel_query(request), profile["tracking.wire.items"]: changes}


def _can_say(path: str, value: str, profile: Profile) -> bool:
    rule = profile["tracking.patch"].get(path, {})
    allowed = "replace" in rule.get("ops", ()) and not {value, "*"}.isdisjoint(rule.get("values", ()))
    is_delivery = path == "/status" and value == profile.tracking_word(ShipmentStatus.DELIVERED)
    return allowed and (profile["tracking.allowDelivered"] or not is_delivery)


# ---------------------------------------------------------------------------------------------------------------- parts


def _common(request: PaymentRequest, profile: Profile, *, fraud_mode: str) -> Fields:
    longest = profile["validation.frontUrl"][1]
    if len(request.return_url) > longest:
        raise Rejected(f"a return URL has at most {longest} characters", code="return_url")
    return {
        "amount": amount(request.amount),
        "currency": request.amount.currency,
        "orderNo": order_number(request.reference, profile),
        "expiryTime": _minutes(request.expires_in, profile),
        "fraudMode": fraud_mode,
        "frontUrl": request.return_url,
        "notificationUrl": request.webhook_url,
        "productInfo": _products(request),
        "shipping": _shipping(request),
    }


def _method(request: PaymentRequest, profile: Profile) -> Fields:
    """The object that the method's name stands for."""
    if request.method == mapping.CARD_METHOD:
        if request.card is None:
            raise Rejected("a card payment needs a card", code="method")
        return {mapping.CARD_METHOD: _card(request.card, capture=request.capture)}
    known = profile["methods"].get(request.method)
    if known is None:
        raise Rejected("StoreSquare has no such way to pay", code="method")
    product = known.get("productType")
    if request.browser.is_mobile:
        product = known.get("mobileProductType") or product
    return {known["object"]: {"productType": product}} if known.get("object") else {}


def _card(card: Card, *, capture: str) -> Fields:
    first, last = _names(card.holder)
    return {
        "cardNo": card.number,
        "cvc": card.cvc,
        "expiryMonth": f"{card.expiry_month:02d}" if card.expiry_month else "",
        "expiryYear": f"{card.expiry_year:04d}" if card.expiry_year else "",
        "firstName": first,
        "lastName": last,
        "captureMethod": mapping.CAPTURE_METHODS[capture],
    }


def _billing(request: PaymentRequest) -> Fields:
    fields = {
        "address": _address(request.billing),
        "email": request.customer.email,
        "phone": _phone(request.customer),
    }
    if request.method == mapping.CARD_METHOD:
        fields["storedcredentials"] = mapping.STORE if request.store_card else mapping.DO_NOT_STORE
        fields["customerInitiatedReason"] = mapping.REASONS[request.purpose] if request.store_card else ""
    return fields


def _shipping(request: PaymentRequest) -> Fields:
    if request.shipping is None:
        return {}
    first, last = _names(request.customer.name)
    return {
        "address": _address(request.shipping),
        "email": request.customer.email,
        "firstName": first,
        "lastName": last,
        "phone": _phone(request.customer),
    }


def _address(address: Address | None) -> Fields:
    if address is None:
        return {}
    return {
        "line1": address.line1,
        "line2": address.line2,
        "city": address.city,
        "state": address.region,
        "postcode": address.postcode,
        "country": address.country,
    }


def _phone(customer: Customer) -> Fields:
    """Country code and number apart; nothing for a number that is not written with its country."""
    digits = "".join(sign for sign in customer.phone if sign.isascii() and sign.isdigit())
    if not customer.phone.strip().startswith("+") or len(digits) <= mapping.LONG_CALLING_CODES:
        return {}
    if digits[:1] in mapping.SHORT_CALLING_CODES:
        at = 1
    else:
        at = 2 if digits[:2] in mapping.TWO_DIGIT_CALLING_CODES else mapping.LONG_CALLING_CODES
    return {"countryCode": digits[:at], "number": digits[at:]}


def _products(request: PaymentRequest) -> list[Fields]:
    """The cart, or nothing of it when one price cannot be said: it is a help to people, and decides nothing."""
    currency = request.amount.currency
    try:
        return [
            {
                "productName": item.name,
                "sku": item.sku,
                "price": amount(Money(item.unit_amount, currency)),
                "quantity": str(item.quantity),
            }
            for item in request.items
        ]
    except (Rejected, MoneyError):
        return []


def _device(request: PaymentRequest) -> Fields:
    browser = request.browser
    return {
        "clientIp": request.customer.ip,
        "language": request.locale,
        "browser": {
            "acceptHeader": browser.accept,
            "colorDepth": _number(browser.color_depth),
            "javaEnable": browser.java,
            "javascriptEnable": browser.javascript,
            "screenHeight": _number(browser.screen_height),
            "screenWidth": _number(browser.screen_width),
            "sessionId": mapping.NO_FINGERPRINT,
            "timeZone": _number(browser.time_zone_offset),
            "userAgent": browser.user_agent,
        },
    }


def _three_ds_mode(request: PaymentRequest, profile: Profile) -> str:
    wish = ThreeDSWish(request.three_ds)
    return mapping.THREE_DS_MODES.get(wish) or str(profile["defaults.threeDsMode"])


def _minutes(seconds: int, profile: Profile) -> str:
    """Whole minutes, so that they give up no later than we do."""
    shortest, longest = profile["validation.expiryMinutes"]
    return str(max(shortest, min(longest, seconds // 60)))


def _names(name: str) -> tuple[str, str]:
    """First and last name. Both are required, so a single one is both."""
    *first, last = name.split() or [""]
    return " ".join(first) or last, last


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _text(text: str, bounds: tuple[int, int]) -> str:
    """One line of visible text, cut to what fits."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line[: bounds[1]].strip()


def _without_empty(fields: Mapping[str, Any]) -> Fields:
    kept: Fields = {}
    for name, value in fields.items():
        inner = _without_empty(value) if isinstance(value, Mapping) else value
        if isinstance(inner, list):
            inner = [_without_empty(one) for one in inner]
        if inner not in (None, "", {}, []):
            kept[name] = inner
    return kept

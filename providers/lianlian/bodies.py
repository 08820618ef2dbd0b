"""What we send: our requests in LianLian's members, unsigned. Empty ones are left out when they are signed."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from providers.contract import Address, Card, OperationRequest, PaymentRef, PaymentRequest, RefundRequest, Rejected
from providers.lianlian import mapping, signing

if TYPE_CHECKING:
    from providers.lianlian.provider import Config

logger = logging.getLogger(__name__)


def application(request: PaymentRequest, config: Config) -> dict[str, Any]:
    """Easypay Apply. A saved card goes alone: whatever else came with it would be ignored."""
    is_mobile = request.browser.is_mobile
    fields = {
        "api_version": mapping.API_VERSION,
        **_purchase(request, config, card=None if request.stored else request.card),
        "client_chnl": mapping.CHANNEL_H5 if is_mobile else mapping.CHANNEL_WEB,
    }
    if request.stored:
        return {**fields, "no_agree": request.stored.token}
    return {**fields, **(_card_fields(request.card, config.expiry_format) if request.card else {})}


def page(request: PaymentRequest, config: Config) -> dict[str, Any]:
    """Easypay's web page, or for a phone the H5 page: the same order with other trimmings."""
    is_short_enough = len(request.return_url) <= mapping.URL_LENGTH
    if not is_short_enough:
        logger.warning("lianlian_return_url_too_long reference=%s", request.reference)
    fields = {
        "version": mapping.API_VERSION,
        "timestamp": _time(datetime.now(UTC)),
        **_purchase(request, config, on_their_page=True),
        "url_return": request.return_url if is_short_enough else "",
        "no_agree": request.stored.token if request.stored else "",
    }
    if request.browser.is_mobile:
        return {**fields, "app_request": mapping.H5_REQUEST, "syschnotify_flag": mapping.H5_COMES_BACK_BY_ITSELF}
    ip = re.sub(r"[.:]", "_", request.customer.ip)[: mapping.IP_LENGTH]
    return {**fields, "userreq_ip": ip or mapping.UNKNOWN_IP}


def _purchase(
    request: PaymentRequest, config: Config, *, card: Card | None = None, on_their_page: bool = False
) -> dict[str, Any]:
    """What page and application have in common. ``card`` is the one that was typed in."""
    ordinary = config.pay_type_credit if card and card.cvc else mapping.ORDINARY
    goods = line(request.description)
    goods = request.reference if goods.lower() in {"", signing.NULL_TEXT} else goods
    return {
        "user_id": payer_of(request.payer, request.reference),
        "busi_partner": config.busi_partner,
        **order(request),
        "name_goods": goods[: mapping.GOODS_LENGTH].strip(),
        "money_order": request.amount.decimal,
        "notify_url": request.webhook_url,
        "valid_order": max(1, request.expires_in // 60),
        "pay_type": mapping.HOLD if request.capture == "manual" else ordinary,
        "risk_item": signing.compact(_risk(request, config, goods, card, on_their_page=on_their_page)),
    }


def _risk(
    request: PaymentRequest, config: Config, goods: str, card: Card | None, *, on_their_page: bool
) -> dict[str, Any]:
    """What their risk control wants to know. What the merchant sets itself wins over ours."""
    known = request.customer
    since = known.since or request.created_at
    risk: dict[str, Any] = {
        "frms_ware_category": config.ware_category,
        "user_info_mercht_userno": payer_of(request.payer, request.reference),
        "user_info_dt_register": _time(since) if since else "",
        "goods_name": goods[: mapping.GOODS_LENGTH].strip(),
        "user_info_bind_phone": _phone(card.phone if card else known.phone),
    }
    if not on_their_page:
        channel = mapping.CHANNEL_H5 if request.browser.is_mobile else mapping.CHANNEL_WEB
        risk |= {"frms_client_chnl": channel, "frms_ip_addr": line(known.ip)}
    if card:
        risk |= {
            "user_info_full_name": line(card.holder),
            "user_info_id_type": mapping.ID_TYPE,
            "user_info_id_no": _id_number(card.id_number),
            "user_info_identify_state": mapping.IDENTIFIED,
        }
    if config.busi_partner == mapping.BUSI_PARTNERS["physical goods"]:
        risk |= _delivery(request)
    kept = {name: value for name, value in risk.items() if value}
    return {**kept, **json.loads(config.risk_extras or "{}")}


def about_hold(request: OperationRequest) -> dict[str, str]:
    """What capture and cancellation have in common: the numbers of the authorisation, and none of their own."""
    return {
        "api_version": mapping.API_VERSION,
        "user_id": payer_of(request.payment.payer, request.payment.reference),
        "pay_type": mapping.HOLD,
        "oid_paybill": request.payment.provider_reference,
        **order(request.payment),
    }


def order(about: PaymentRequest | PaymentRef) -> dict[str, str]:
    """An order's two names, the same on every call about it."""
    return _number("order", about.reference, about.created_at)


def refund(request: RefundRequest) -> dict[str, str]:
    return _number("refund", request.reference, request.created_at)


def _number(kind: str, reference: str, created_at: datetime | None) -> dict[str, str]:
    if not re.fullmatch(mapping.ORDER_NUMBER, reference):
        raise Rejected(f"the reference does not fit no_{kind}", code="reference")
    if created_at is None or created_at.tzinfo is None:
        raise Rejected(f"without the time of the {kind} LianLian does not find it", code="created_at")
    return {f"no_{kind}": reference, f"dt_{kind}": _time(created_at)}


def _time(moment: datetime) -> str:
    return moment.astimezone(mapping.ZONE).strftime(mapping.TIME_FORMAT)


def payer_of(payer: str, reference: str) -> str:
    """``user_id`` binds one natural person: whom we do not know gets one for this payment."""
    return payer if re.fullmatch(mapping.PAYER, payer) else reference


def line(text: str) -> str:
    """One line without control characters."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _phone(text: str) -> str:
    """A mainland mobile number as banks know it, eleven digits; a foreign one keeps its plus, and fits nowhere."""
    return re.sub(r"^(\+86|0086|86(?=\d{11}$))", "", re.sub(r"[^0-9+]", "", text))


def _id_number(text: str) -> str:
    return text.strip().upper()


def problem_of(card: Card | None) -> str:
    """The field that LianLian would refuse by its form, or nothing."""
    if card is None:
        return "number"
    shapes = {
        "number": (mapping.CARD_NUMBER, card.number),
        "holder": (r".+", line(card.holder)),
        "phone": (mapping.MOBILE, _phone(card.phone)),
        "id_number": (mapping.ID_NUMBER, _id_number(card.id_number)),
        "cvc": (rf"(?:{mapping.CVV2})?", card.cvc),
        "expiry": (r"(?:0 0|[1-9]\d? \d{4})", f"{card.expiry_month} {card.expiry_year}"),
    }
    return next((name for name, (shape, text) in shapes.items() if not re.fullmatch(shape, text, re.ASCII)), "")


def _card_fields(card: Card, expiry_format: str) -> dict[str, str]:
    year, month = f"{card.expiry_year % 100:02d}", f"{card.expiry_month:02d}"
    expiry = year + month if expiry_format == "YYMM" else month + year
    return {
        "card_no": card.number,
        "acct_name": line(card.holder),
        "bind_mob": _phone(card.phone),
        "id_type": mapping.ID_TYPE,
        "id_no": _id_number(card.id_number),
        "vali_date": expiry if card.expiry_month else "",
        "cvv2": card.cvc,
    }


def _delivery(request: PaymentRequest) -> dict[str, str]:
    """For physical goods, as far as we know it; the rest is the merchant's ``risk_extras``."""
    address = request.shipping or Address()
    count = sum(item.quantity for item in request.items)
    return {
        "delivery_full_name": line(request.customer.name),
        "delivery_phone": _phone(request.customer.phone),
        "delivery_addr_province": line(address.region),
        "delivery_addr_city": line(address.city),
        "goods_count": str(count) if count else "",
    }


def masked(phone: str) -> str:
    digits = _phone(phone)
    return f"{digits[:3]}****{digits[-4:]}" if digits else ""

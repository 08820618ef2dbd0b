"""What the desk's templates ask for; the writing itself is in ``checkout.desk.show``."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString

from checkout.desk import cards, parcels, show
from checkout.desk.story import why
from checkout.orders.models import SavedCard, TrackingUpload

register = template.Library()

register.filter("money", show.money)
register.filter("plain_money", show.plain_money)
register.filter("pill", show.pill)
register.filter("flag", show.flag)
register.filter("code", show.code)
register.filter("exact", show.exact)
register.filter("age", show.age)


@register.filter
def told(upload: TrackingUpload) -> SafeString:
    return show.pill(parcels.told(upload))


@register.filter
def kept(card: SavedCard) -> SafeString:
    return show.pill(cards.state(card))


@register.filter
def purpose(name: str) -> str:
    return show.words(cards.PURPOSES, name)


@register.filter
def direction(name: str) -> str:
    return show.words(parcels.DIRECTIONS, name)


@register.filter
def cause(text: str) -> str:
    return why(text, {})


@register.filter
def method(name: str) -> str:
    return show.words(show.METHODS, name)


@register.filter
def step(name: str) -> str:
    return show.words(show.STEPS, name)


@register.filter
def decline(category: str) -> str:
    return show.words(show.DECLINES, category)


@register.filter
def review(kind: str) -> str:
    return show.words(show.REVIEWS, kind)

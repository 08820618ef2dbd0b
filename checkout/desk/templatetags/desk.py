"""What the desk's templates ask for; the writing itself is in ``checkout.desk.show``."""

from __future__ import annotations

from django import template

from checkout.desk import show
from checkout.desk.story import why

register = template.Library()

register.filter("money", show.money)
register.filter("plain_money", show.plain_money)
register.filter("pill", show.pill)
register.filter("flag", show.flag)
register.filter("code", show.code)
register.filter("exact", show.exact)
register.filter("age", show.age)


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

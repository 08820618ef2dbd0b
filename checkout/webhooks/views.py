"""Where providers call: verify, record, reply. The event is applied later, from its record."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from checkout.orders import gateway
from checkout.webhooks import inbox
from providers.contract import BadSignature, Delivery


@csrf_exempt
def receive(request: HttpRequest, provider: str, webhook_id: UUID) -> HttpResponse:
    """Verify, record, reply."""
    account, connected = gateway.account_or_404(provider, webhook_id)
    length = request.headers.get("Content-Length") or "0"
    if not length.isdecimal() or int(length) > settings.WEBHOOK_MAX_BYTES:
        return HttpResponse(status=413)
    delivery = Delivery(request.method or "", request.get_full_path(), dict(request.headers), request.body)
    try:
        event_id = connected.verify_webhook(delivery)
    except BadSignature as error:
        inbox.refuse(account, error.code or "bad_signature", delivery)
        reply = connected.reply(accepted=False)
    else:
        inbox.record(account, event_id, delivery, source_ip=request.META.get("REMOTE_ADDR") or None)
        reply = connected.reply(accepted=True)
    return HttpResponse(reply.body, status=reply.status, content_type=reply.content_type)

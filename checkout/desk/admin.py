"""Which screens the desk has. All of them live in this package: the core does not know who looks at it."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import Group, User

from checkout.desk.accounts import ProviderAccountAdmin
from checkout.desk.inbox import WebhookEventAdmin
from checkout.desk.lists import ParcelListAdmin
from checkout.desk.models import ParcelList
from checkout.desk.orders import OrderAdmin
from checkout.desk.outbox import DeliveryAdmin, EndpointAdmin
from checkout.desk.team import ApiKeyAdmin, MemberAdmin, MerchantAdmin, StaffAdmin
from checkout.events.models import Delivery, Endpoint
from checkout.merchants.models import ApiKey, Member, Merchant, ProviderAccount
from checkout.orders.models import Order
from checkout.webhooks.models import WebhookEvent

admin.site.unregister(Group)  # roles are memberships; a group would change nothing
admin.site.unregister(User)
admin.site.register(User, StaffAdmin)
admin.site.register(Order, OrderAdmin)
admin.site.register(ParcelList, ParcelListAdmin)
admin.site.register(ProviderAccount, ProviderAccountAdmin)
admin.site.register(WebhookEvent, WebhookEventAdmin)
admin.site.register(Merchant, MerchantAdmin)
admin.site.register(Member, MemberAdmin)
admin.site.register(ApiKey, ApiKeyAdmin)
admin.site.register(Endpoint, EndpointAdmin)
admin.site.register(Delivery, DeliveryAdmin)

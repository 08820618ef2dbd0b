"""The whole URL map."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from checkout import health
from checkout.api.views import api

handler400 = "checkout.errors.bad_request"
handler403 = "checkout.errors.forbidden"
handler404 = "checkout.errors.not_found"
handler500 = "checkout.errors.server_error"

urlpatterns = [
    path("api/v1/", api.urls),
    path("", include("checkout.pages.urls")),
    path("hooks/", include("checkout.webhooks.urls")),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("admin/", admin.site.urls),
]
if settings.DEMO:
    urlpatterns.append(path("shop/", include("checkout.demo.urls")))

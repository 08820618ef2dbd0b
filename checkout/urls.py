"""The whole URL map."""

from django.contrib import admin
from django.urls import include, path

from checkout import health

urlpatterns = [
    path("hooks/", include("checkout.webhooks.urls")),
    path("healthz", health.healthz),
    path("admin/", admin.site.urls),
]

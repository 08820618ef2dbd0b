from django.urls import path

from checkout.webhooks import views

app_name = "webhooks"
urlpatterns = [path("<slug:provider>/<uuid:webhook_id>/", views.receive, name="receive")]

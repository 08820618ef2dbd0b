from django.urls import path

from checkout.demo import views

app_name = "shop"
urlpatterns = [
    path("", views.window, name="window"),
    path("buy", views.buy, name="buy"),
    path("basket", views.basket, name="basket"),
    path("thanks", views.thanks, name="thanks"),
    path("webhooks", views.webhooks, name="webhooks"),
]

"""The shopper's pages. The page token is the secret; nothing here needs a cookie."""

from django.urls import path

from checkout.pages import views

app_name = "pages"
urlpatterns = [
    path("pay/<str:page_token>", views.pay, name="pay"),
    path("pay/<str:page_token>/status", views.status, name="status"),
    path("pay/<str:page_token>/go/<uuid:public_id>", views.go, name="go"),
    path("pay/<str:page_token>/qr/<uuid:public_id>.svg", views.qr, name="qr"),
    path("pay/<str:page_token>/cards/<uuid:public_id>/remove", views.remove_card, name="remove-card"),
    path("pay/<str:page_token>/cancel", views.leave, name="leave"),
    path("return/<str:token>", views.come_back, name="return"),
    path("theme/<str:colour>.css", views.theme, name="theme"),
]

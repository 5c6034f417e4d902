"""The toolkit's endpoints, and one path that says that the server is up."""

from django.http import HttpResponse
from django.urls import include, path

urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("up", lambda _request: HttpResponse("up")),
]
